"""Each verdict, on tables in which the truth is put."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import verdicts
from analyses.weights.unlearning_audit.constants import OWN, UNRELATED
from analyses.weights.unlearning_audit.recovery import recovery
from workbench.result import Result

N = 30


def passages(exact, neutral=4.0):
    """Tables of `passages` with these shares of first choice, by model."""
    draw, rows = np.random.default_rng(0), []
    noise = draw.normal(0, 0.01, N)
    for model, share in exact.items():
        for n in range(N):
            rows.append((model, c.FORGET, f"p{n}", share + noise[n], 3.0))
            rows.append((model, c.UNSEEN, f"u{n}", 0.3 + noise[n], 3.0))
        loss = neutral if model == "method" else 4.0
        rows.append((model, c.NEUTRAL, "prose", 0.2, loss))
    return pd.DataFrame(rows, columns=["model", "set", "passage", "exact", "nats"])


def relearning(gain):
    """Tables of `relearning` in which each model gains so many points by step 4."""
    draw, rows = np.random.default_rng(1), []
    for model, points in gain.items():
        for n in range(N):
            for step, share in ((0, 0.0), (1, 0.3), (2, 0.6), (4, 1.0)):
                exact = 30 + points * share + draw.normal(0, 0.3)
                rows.append((model, OWN, step, f"p{n}", c.FORGET, exact))
                rows.append((model, OWN, step, f"u{n}", c.UNSEEN, 30 + 2 * share))
    return pd.DataFrame(rows, columns=["model", "trained_on", "step", "passage", "set", "exact"])


def rounding(gain):
    draw, rows = np.random.default_rng(2), []
    for model, points in gain.items():
        for n in range(N):
            rows.append((model, 32, f"p{n}", 30.0))
            rows.append((model, 4, f"p{n}", 30.0 + points + draw.normal(0, 0.3)))
    return pd.DataFrame(rows, columns=["model", "bits", "passage", "exact"])


def result(exact, *, neutral=4.0, leak=(0.0, -10.0, 10.0), **more):
    found = Result(c.NAME)
    found.tables["passages"] = passages(exact, neutral)
    rows = [("method", "leak", *leak), (c.SECOND, "leak", 1.0, -9.0, 11.0)]
    found.tables["audit"] = pd.DataFrame(
        rows, columns=["model", "criterion", "value", "low", "high"]
    )
    found.tables |= more
    return found


BASE = {c.ORIGINAL: 0.7, c.REFERENCE: 0.38, c.SECOND: 0.385}


def verdict(found):
    (one,) = verdicts.verdicts(found)
    return one


def test_what_is_still_said_is_not_forgotten():
    one = verdict(result(BASE | {"method": 0.5}))
    assert one.verdict == c.REMAINS
    assert "+12 points" in one.because


def test_what_is_as_in_the_reference_is_gone():
    assert verdict(result(BASE | {"method": 0.385})).verdict == c.GONE


def test_the_noise_of_training_is_no_remainder():
    apart = BASE | {c.SECOND: 0.45, "method": 0.44}
    assert verdicts.noise(passages(apart)) > 6
    assert verdict(result(apart)).verdict == c.GONE


def test_a_broken_model_is_called_so_whatever_it_forgot():
    assert verdict(result(BASE | {"method": 0.38}, neutral=4.6)).verdict == c.BROKEN


def test_what_returns_sooner_than_in_the_reference_is_hidden():
    gains = {c.REFERENCE: 5, c.SECOND: 6, "method": 30}
    one = verdict(result(BASE | {"method": 0.38}, relearning=relearning(gains)))
    assert one.verdict == c.HIDDEN
    assert f"relearning from {OWN}" in one.because
    same = {c.REFERENCE: 30, c.SECOND: 30, "method": 30}
    found = result(BASE | {"method": 0.38}, relearning=relearning(same))
    assert verdict(found).verdict == c.GONE


def test_what_rounding_brings_back_is_hidden():
    gains = {c.REFERENCE: -1, c.SECOND: -1, "method": 20}
    one = verdict(result(BASE | {"method": 0.38}, rounding=rounding(gains)))
    assert (one.verdict, one.because) == (
        c.HIDDEN, "rounding to 4 bits brings back +21 points more than in the reference"
    )  # fmt: skip


def test_what_fits_worse_than_unread_text_is_forgotten_too_much():
    found = result(BASE | {"method": 0.3}, leak=(40.0, 25.0, 55.0))
    assert verdict(found).verdict == c.OVER


def test_what_still_fits_better_than_unread_text_is_hidden():
    found = result(BASE | {"method": 0.38}, leak=(-40.0, -55.0, -25.0))
    assert verdict(found).verdict == c.HIDDEN


def test_one_passage_gives_no_verdict():
    found = result(BASE | {"method": 0.38})
    table = found.tables["passages"]
    found.tables["passages"] = table[table["passage"].isin(["p0", "u0", "u1", "prose"])]
    assert verdict(found).verdict == c.UNTOLD


def test_few_passages_that_vary_much_give_no_verdict():
    found = result(BASE | {"method": 0.38})
    table = found.tables["passages"].copy()
    own = (table["model"] == "method") & (table["set"] == c.FORGET)
    table.loc[own, "exact"] += np.tile([0.4, -0.4], N // 2)
    found.tables["passages"] = table[table["passage"].isin(["p0", "p1", "p2", "p3", "prose"])]
    assert verdict(found).verdict == c.UNTOLD


def test_without_a_reference_passages_never_read_stand_in_its_place():
    models = {c.ORIGINAL: 0.7, "method": 0.3}
    assert verdict(result(models)).verdict == c.GONE
    assert verdict(result(models | {"method": 0.5})).verdict == c.REMAINS
    table = relearning({"method": 30})
    assert verdict(result(models, relearning=table)).verdict == c.HIDDEN


def test_recovery_is_the_area_between_the_curves():
    table = relearning({c.REFERENCE: 5, "method": 30})
    rows = recovery(table, c.REFERENCE).set_index("model")
    axis = np.log1p([0, 1, 2, 4])
    whole = np.trapezoid([0, 0.3, 0.6, 1.0], axis) / (axis[-1] - axis[0])
    assert rows.loc["method", "excess"] == pytest.approx(25 * whole, abs=0.5)
    assert rows.loc[c.REFERENCE, "excess"] == 0.0
    assert set(table["trained_on"]) == {OWN} != {UNRELATED}
