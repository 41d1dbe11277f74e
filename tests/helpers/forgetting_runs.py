"""Runs of forgetting on the small models of `tuned_pairs`."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from analyses.training import forgetting
from hooks.mixed_weights import changed, weights_copied
from tests.helpers import tuned_pairs as pairs
from workbench.progress import Progress
from workbench.result import Result

SMALL = {"length": 24, "measured": 2, "map_rows": 1, "map_facts": 8, "halves": 6,
         "realign_rate": 1e-3, "template": pairs.TEMPLATE}  # fmt: skip


@cache
def base(seed: int) -> Any:
    """The model that knows the facts, trained once for all tests: leave it as it is."""
    return wb.load((pairs.base(seed), pairs.tokenizer()))


def ran(model: Any, folder: Path, seed: int = 0, **values: Any) -> Result:
    """A run, in which the model keeps its weights."""
    given = {**SMALL, "facts_file": str(pairs.facts_file(folder, seed)), "seed": seed, **values}
    before = weights_copied(model.module)
    result: Result = forgetting.run(model, forgetting.Params.model_validate(given), Progress())
    assert not changed(before, weights_copied(model.module))
    assert not list(forgetting.SCHEMA.problems(result))
    return result


def task_file(folder: Path, seed: int = 0) -> str:
    """The new task: other subjects, answered in another format."""
    known = pairs.facts(seed)
    words = [
        f"{pairs.TEMPLATE.format(subject=s)} answer for you {known[s]} ." for s in pairs.OTHERS
    ]
    file = folder / "task.txt"
    file.write_text("\n\n".join([*words, *words[::-1]]), encoding="utf-8")
    return str(file)


def changed_in(name: str, folder: Path, add: float) -> str:
    """The base with one parameter elsewhere."""
    module = copy.deepcopy(base(0).module)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        one = module.get_parameter(name)
        one += add * torch.randn(one.shape, generator=draw)
    return str(pairs.saved(module, folder / name))
