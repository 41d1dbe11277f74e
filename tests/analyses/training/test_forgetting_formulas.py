"""What forgetting computes from numbers, against what they were made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.claims import OPEN
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.answer_probe import probe_hits, shuffled_hits
from analyses.training.forgetting.claims import _early_drop, _line
from analyses.training.forgetting.findings import add_law
from analyses.training.forgetting.first_steps import early_share
from analyses.training.forgetting.free_text import repeated
from analyses.training.forgetting.further import barrier
from analyses.training.forgetting.law import fit_table
from analyses.training.forgetting.old_facts import halves_of
from analyses.training.forgetting.remedies import AVERAGES, SlowCopies
from analyses.training.forgetting.reset_map import best_window, effects
from workbench.result import Finding, Result


def test_a_slow_copy_is_a_moving_average():
    from workbench.lab import StepReport

    module, seen = torch.nn.Linear(1, 1, bias=False), {}
    copies = SlowCopies(3, lambda name, weights: seen.update({name: float(weights["weight"])}))
    for step, value in enumerate((1.0, 2.0, 4.0, 8.0)):
        with torch.no_grad():
            module.weight.fill_(value)
        copies(StepReport("fine-tuning", step, module, None))
    wanted, average = {}, 0.0
    for keeps in AVERAGES:
        for step, value in enumerate((1.0, 2.0, 4.0, 8.0)):
            share = min(1 - 1 / (step + 1), keeps)
            average = share * average + (1 - share) * value
        wanted[f"slow copy, {keeps:g}"] = pytest.approx(average)
    assert seen == wanted
    assert float(module.weight.detach()) == 8.0


def test_repetition_is_counted():
    assert repeated([1, 2, 3, 4, 5, 6]) == 0.0
    assert repeated([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repeated([1, 2]) == 0.0


def test_a_training_that_forgets_nothing_has_no_line():
    import pandas as pd

    rows = [(rank, step, 8 * rank, 0.0, 0.0, 2.0) for rank in (2, 4) for step in (0, 1, 2, 4)]
    law = pd.DataFrame(rows, columns=["rank", "step", "trained", "size", "kl", "nats"])
    result = Result("forgetting")
    result.tables["law"], result.tables["fits"] = law, fit_table(law, 0)
    add_law(result)
    assert "no line can be told" in result.findings["law"].says
    assert _line(result).verdict == OPEN


def test_old_answers_that_did_not_fall_are_no_evidence():
    result = Result("forgetting")
    assert np.isnan(early_share(np.array([-0.1, -0.1004, -0.1])))
    result.findings["first_steps"] = Finding("first_steps", {"early_share": float("nan")}, "")
    assert _early_drop(result).verdict == OPEN


def test_a_probe_tells_what_is_linear_and_no_more():
    draw = np.random.default_rng(0)
    labels = [f"a{n % 4}" for n in range(40)]
    second = halves_of(labels, 0)
    assert second.sum() == 20
    centres = draw.normal(size=(4, 32))
    states = np.array([centres[n % 4] for n in range(40)]) + 0.1 * draw.normal(size=(40, 32))
    assert probe_hits(states, labels, second).mean() == 1.0
    assert probe_hits(draw.normal(size=(40, 32)), labels, second).mean() < 0.6
    assert 0.1 < shuffled_hits(states, labels, second, 20, 0).mean() < 0.45


def test_a_barrier_is_what_lies_above_the_line():
    shares = np.array([-0.2, 0.0, 0.5, 1.0, 1.2])
    height, at = barrier(shares, np.array([9.0, 1.0, 2.5, 2.0, 9.0]))
    assert (height, at) == (pytest.approx(1.0), 0.5)
    assert barrier(shares, np.array([9.0, 1.0, 1.2, 2.0, 9.0]))[0] == pytest.approx(0.0)


def test_windows_and_effects_of_halves():
    import pandas as pd

    rows = [(layer, part, 0.5 if (part == "MLP" and layer in (2, 3)) else 0.01)
            for layer in range(6) for part in ("attention", "MLP")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["layer", "part", "recovery"])
    assert best_window(table, 2) == ("MLP", [(2, "MLP"), (3, "MLP")])
    draw = np.random.default_rng(0)
    x = draw.random((20, 3))
    halves = pd.DataFrame(x, columns=["attention", "mlp", "lower"])
    halves = halves.assign(kind=c.HALVES, recovery=0.1 + 0.7 * x[:, 1] + 0.2 * x[:, 2])
    found = effects(halves)
    assert found["mlp"][0] == pytest.approx(0.7)
    assert found["attention"][0] == pytest.approx(0.0, abs=1e-9)
