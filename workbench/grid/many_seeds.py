"""One question under several seeds, run as a grid: what `workbench run --seeds N` does."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench import paths, registry, seeds
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.grid.campaign import RUNS
from workbench.grid.run import Where, run_grid
from workbench.progress import Progress
from workbench.result import Result
from workbench.runs import versions
from workbench.wording import counted


def run_seeds(
    analysis: str,
    model: str,
    params: Mapping[str, Any],
    numbers: Sequence[int],
    *,
    where: Where | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Result:
    """Ask one question once for every seed.

    The runs lie in the cache until all are done; the same call goes on after a stop.

    Args:
        model: its reference; every worker loads it by itself.
        numbers: the seeds.
        say: hears, before anything is run, how many runs there are and how long they take.

    Returns:
        The run of the first seed, with what the others say in the tables `seeds.FINDINGS` and
        `seeds.CHOICES`.

    Raises:
        BadInput: fewer than two seeds, or an analysis that draws nothing.
        WorkbenchError: a run failed, or the model is another one than when its first runs were
            done.
        Cancelled: stopped by the user.
    """
    asked = registry.get(analysis)
    seeds.check(asked)
    if len(set(numbers)) < 2:
        raise BadInput(
            f"{counted(len(set(numbers)), 'seed')} is no spread.", "at least 2", "Ask for more."
        )
    where, fixed = where or Where(), {k: v for k, v in params.items() if k != "seed"}
    folder = _place(analysis, model, fixed, where)
    try:
        grid = run_grid(
            analysis, [model], {"seed": list(numbers)},
            out=folder, fixed=fixed, where=where, progress=progress, say=say,
        )  # fmt: skip
    except Cancelled:
        finished = counted(len(list((folder / RUNS).glob("*/result.json"))), "run")
        raise Cancelled(
            f"Stopped. {finished} of {len(numbers)} finished; the same command goes on with them."
        ) from None
    if grid.failed:
        name, error = next(iter(grid.failed.items()))
        raise WorkbenchError(f"{name}: {error.what}", error.expected, error.do)
    places = dict(zip(grid.table["seed"], grid.table["folder"], strict=True))
    done = {number: Result.open(folder / places[number]) for number in numbers}
    shutil.rmtree(folder, ignore_errors=True)
    if len({run.provenance.model.get("weight_hash") for run in done.values()}) > 1:
        raise WorkbenchError(
            f"{model} has changed since the first of these runs was done.",
            "the same weights in all of them",
            "Give the command once more: it begins anew.",
        )
    summary = seeds.summary(asked, done)
    summary.path = None
    return summary


def _place(analysis: str, model: str, fixed: Mapping[str, Any], where: Where) -> Path:
    """Where its runs wait for each other: the same for the same question of the same version."""
    about = [analysis, model, fixed, asdict(where.loading), versions()]
    key = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
    return paths.cache_dir() / "seeds" / key[:16]
