"""Several seeds: an interval over them, how often each choice was made, and what a stop keeps."""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd
import pytest
from pydantic import BaseModel
from scipy.stats import ttest_1samp

from workbench import registry, runs, seeds
from workbench.errors import BadInput
from workbench.registry import Analysis
from workbench.result import Finding, Result


@dataclass
class Card:
    name: str = "tiny"


class Params(BaseModel, frozen=True, extra="forbid"):
    seed: int = 0


class Fixed(BaseModel, frozen=True, extra="forbid"):
    size: int = 1


MODEL = SimpleNamespace(card=Card())


def drawn(seed: int) -> float:
    return random.Random(seed).random()


def run(model, params, progress):
    progress(0.5, f"Seed {params.seed}")
    found = Result("made-up")
    value = {"rate": drawn(params.seed), "n": 4.0}
    found.add(Finding("rate", value, "A rate.", interval={"rate": (0.1, 0.9)}))
    if params.seed % 2:
        found.add(Finding("odd", 1.0, "Odd."))
    names = ["L1H1", "L2H2"] if params.seed % 2 else ["L1H1"]
    found.tables["chosen"] = pd.DataFrame({"label": names})
    return found


def summed_up(asked, numbers):
    """The summary of one run for each of these seeds."""
    done = {seed: runs.run("made-up", MODEL, {"seed": seed}) for seed in numbers}
    return seeds.summary(asked, done)


@pytest.fixture
def analysis(monkeypatch):
    def add(params=Params, **more):
        choices = {"memory heads": lambda result: list(result.tables["chosen"]["label"])}
        module = SimpleNamespace(run=run, views=lambda result: {}, CHOICES=choices, **more)
        one = Analysis("made-up", "Does it work?", params, module, "a-package")
        monkeypatch.setattr(registry, "get", lambda name: one)
        return one

    return add


def test_the_interval_is_students_over_the_seeds_and_choices_are_counted(analysis):
    asked = analysis()
    result = summed_up(asked, range(3, 8))
    rows = result.tables[seeds.FINDINGS].set_index(["finding", "value"])
    numbers = [drawn(seed) for seed in range(3, 8)]
    span = ttest_1samp(numbers, 0).confidence_interval(0.95)
    rate = rows.loc[("rate", "rate")]
    assert rate[["n", "mean"]].tolist() == [5, pytest.approx(sum(numbers) / 5)]
    assert rate[["low", "high"]].tolist() == pytest.approx([span.low, span.high])
    assert rate[["items_low", "items_high"]].tolist() == [0.1, 0.9]
    assert rows.loc[("odd", "value"), "n"] == 3
    choices = result.tables[seeds.CHOICES].set_index("item")["runs"]
    assert choices.to_dict() == {"L1H1": 5, "L2H2": 3}
    assert result.params["seed"] == 3
    assert "L1H1" in result.findings["seeds"].says
    assert "3, 4, 5, 6, 7" in result.provenance.notes["seeds"]
    assert "Seeds" in asked.views(result)


def test_where_nothing_is_drawn_that_is_said(analysis):
    with pytest.raises(BadInput, match="draws nothing"):
        seeds.check(analysis(Fixed))


def test_what_ours_choose_is_in_their_sample_runs():
    from pathlib import Path

    samples = Path(__file__).parents[2] / "sample_runs"
    choices = {}
    for folder in sorted(path.parent for path in samples.glob("*/result.json")):
        result = Result.open(folder)
        for name, of in registry.get(result.analysis).choices.items():
            choices[name] = of(result)
    assert set(choices) == {
        "best layer to edit",
        "capabilities that dissociate",
        "the policy that keeps most at a quarter",
        "retrieval heads",
        "context heads",
        "memory heads",
        "memorization heads",
        "layers that store pairs",
        "sites that are told from permuted tokens",
    }
    assert not choices.pop("best layer to edit")  # the sample does not look for one
    assert all(choices.values())
