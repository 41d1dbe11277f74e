"""Texts of the training that pull toward an answer, on a training whose texts are known."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.exposure_series import own_series, series_ledger
from analyses.prompt import provenance
from analyses.prompt.provenance import training_influence
from analyses.prompt.provenance.costs import cost
from analyses.prompt.provenance.params import Params
from analyses.prompt.provenance.parts import no_training
from hooks.gradients.flat_weights import FlatLoss
from tests.helpers import tiny
from workbench.errors import BadInput
from workbench.lab.schedule import Schedule
from workbench.lab.series import train_schedule
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _text(n: int) -> str:
    draw = random.Random(n)
    return "".join(draw.choices(LETTERS, k=12)) + " " + "".join(draw.choices(LETTERS, k=17))


TEXTS = [_text(n) for n in range(16)]
READ = 6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("training")
    texts = [
        {"name": f"t{n}", "text": text, "at": list(range(n, 120, 6)) if n < READ else []}
        for n, text in enumerate(TEXTS)
    ]
    schedule = Schedule.model_validate({
        "texts": texts,
        "stages": [{"name": "all", "steps": 120, "rate": 5e-3, "warmup": 5}],
        "neutral": {"rows": 1, "tokens": 16},
        "length": 24,
        "checkpoints": 5,
    })  # fmt: skip
    base = tiny.save_tiny(place / "base")
    return train_schedule(str(base), schedule, place / "out", Progress(), "cpu")


def asked(n: int) -> dict[str, object]:
    return {"prompt": TEXTS[n][:12], "answer": TEXTS[n][13:17], "parts": ["training"]}


@pytest.fixture(scope="module")
def found(trained: Path) -> Result:
    return wb.run("provenance", wb.load(str(trained)), asked(3))


def test_the_text_that_was_read_pulls_most(found: Result, trained: Path) -> None:
    assert not list(provenance.SCHEMA.problems(found))
    table = found.tables["training"]
    assert table["text"][0].endswith(" t3")
    assert table["repeats"][0] == 20
    assert sorted(name.split()[1] for name in table["text"]) == sorted(f"t{n}" for n in range(16))
    assert "t3" in found.findings["taught"].says
    assert "times as much as the strongest of 10 texts" in found.findings["taught"].says
    drawn = bound(provenance.VIEWS, found, provenance.SCHEMA)["Training"]
    still = " ".join(map(str, drawn.still()))
    assert "t3" in still
    assert "was not measured" not in still
    other = wb.run("provenance", wb.load(str(trained)), asked(READ + 2))
    assert "No text of its training stands out" in other.findings["taught"].says


def test_a_pull_is_the_mean_product_of_gradients_at_kept_steps(
    found: Result, trained: Path
) -> None:
    model = wb.load(str(trained))
    series = own_series(model)
    assert series is not None
    ledger = series_ledger(series)
    assert ledger is not None
    steps = training_influence.steps_of(series)
    assert len(steps) == 3
    assert steps[-1] == series.steps[-1]
    assert 0 not in steps
    prompt, answer = model.tokens(TEXTS[3][:12]), model.continuation_tokens(TEXTS[3][12:17])
    entry = next(entry for entry in ledger.entries if entry.id.endswith(" t9"))
    flat, products = FlatLoss(model.module), []
    before = flat.weights()
    for step in steps:
        weights = series.weights(step)
        parameters = dict(model.module.named_parameters())
        with torch.no_grad():
            for name, weight in weights.items():
                if name in parameters:
                    parameters[name].copy_(weight)
        at = flat.weights()
        goal = flat.gradient(at, [[*prompt, *answer]], [len(prompt)])
        text = flat.gradient(at, [[*model.text.beginning, *entry.ids]])
        products.append(float(goal @ text))
    flat.put_in(before)
    table = found.tables["training"].set_index("text")
    np.testing.assert_allclose(table.loc[entry.id, "pull"], np.mean(products), rtol=1e-3, atol=1e-5)


def test_what_has_no_training_says_so(trained: Path) -> None:
    model = wb.load(str(trained.parent / "base"))
    assert no_training(model) == "no steps of its training are kept"
    assert "training" not in cost(model, Params.model_validate(asked(0)))
    with pytest.raises(BadInput, match="no steps of its training"):
        wb.run("provenance", model, asked(0))
