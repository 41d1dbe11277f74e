"""A whole run: what its tables say of each other, and what it leaves of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.weights import unlearning_audit as analysis
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import further
from hooks.unlearning import METHODS
from workbench.errors import BadInput

MODELS = [c.ORIGINAL, c.REFERENCE, METHODS["npo-gdr"].label, METHODS["mask"].label, c.RANDOM]


def test_every_model_is_measured_on_the_same_passages(audited):
    table = audited.tables["passages"]
    assert list(dict.fromkeys(table["model"])) == MODELS
    counts = table.groupby(["model", "set"])["passage"].apply(tuple).unstack("model")
    assert all(len(set(row)) == 1 for row in counts.to_numpy())


def test_methods_forget_and_the_random_change_does_not(audited):
    means = audited.tables["passages"].groupby(["set", "model"])["exact"].mean()
    before = means[c.FORGET, c.ORIGINAL]
    assert means[c.FORGET, c.REFERENCE] < before - 0.1
    assert means[c.FORGET, METHODS["npo-gdr"].label] < before - 0.1
    assert abs(means[c.FORGET, c.RANDOM] - before) < 0.1


def test_each_audited_model_has_one_verdict_and_one_row_of_each_attack(audited):
    names = set(MODELS[2:4])
    assert set(audited.tables["verdicts"]["model"]) == names
    assert set(audited.tables["verdicts"]["verdict"]) <= set(c.VERDICTS)
    for name in ("relearning", "rounding", "sampling", "lens"):
        assert set(audited.tables[name]["model"]) == set(MODELS), name
    for name in ("codes", "reset", "between", "moved", "unlearning"):
        assert set(audited.tables[name]["model"]) == names, name


def test_the_path_begins_at_the_original_and_ends_at_what_is_measured(audited):
    path, table = audited.tables["path"], audited.tables["passages"]
    forget = table[table["set"] == c.FORGET].groupby("model")["nats"].mean()
    for name, rows in path.groupby("model"):
        assert rows.iloc[0]["forget_nats"] == pytest.approx(forget[c.ORIGINAL], abs=1e-3)
        assert rows.iloc[-1]["forget_nats"] == pytest.approx(forget[name], abs=1e-3)


def test_folds_are_counted_at_once_and_in_turn(organism, asked):
    run = wb.run(
        "unlearning-audit", organism,
        {**asked, "methods": ["ga"], "steps": 2, "parts": ["folds"], "longest": 32},
    )  # fmt: skip
    (name,) = run.tables["verdicts"]["model"]
    table = run.tables["folds"]
    sizes = table.groupby(["way", "model"])["folds"].apply(lambda each: sorted(set(each)))
    assert dict(sizes) == {
        ("at once", name): [1, 2, 3, 4],
        ("one after another", name): [1, 2, 3, 4],
    }
    # One fold is one fold, whichever way.
    one = table[table["folds"] == 1].pivot(index="criterion", columns="way", values="value")
    np.testing.assert_array_equal(one["at once"], one["one after another"])
    # All folds at once are the run's own passages.
    own = run.tables["audit"].set_index(["model", "criterion"])["value"]
    last = table[(table["way"] == "at once") & (table["folds"] == 4)].set_index("criterion")
    assert last.loc["verbatim", "value"] == pytest.approx(own[name, "verbatim"], abs=1e-6)


def test_on_the_line_between_both_ends_are_the_two_models(audited):
    table = audited.tables["between"].groupby(["model", "share"])["exact_memorization"].mean()
    exact = audited.tables["passages"]
    exact = exact[exact["set"] == c.FORGET].groupby("model")["exact"].mean()
    for name in MODELS[2:4]:
        assert table[name, 0.0] == pytest.approx(exact[c.ORIGINAL])
        assert table[name, 1.0] == pytest.approx(exact[name])


def test_the_models_weights_are_what_they_were(audited, organism):
    fresh = wb.load("organism/planted").module.state_dict()
    for name, tensor in organism.module.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name


def test_a_kept_change_is_a_dial_and_gives_what_was_measured(audited, organism):
    opened = wb.open_run(audited.path)
    controls = analysis.controls(opened)
    assert set(controls) == {"npo-gdr", "mask"}
    row = opened.tables["passages"]
    row = row[(row["model"] == METHODS["mask"].label) & (row["set"] == c.FORGET)].iloc[0]
    from analyses.weights.unlearning_audit.memorized import exact_memorization
    from analyses.weights.unlearning_audit.sets import sets_of

    params = analysis.Params(**{k: v for k, v in opened.params.items() if k != "parts"})
    text = sets_of(organism, params).texts(c.FORGET)[0]
    with controls["mask"].apply(organism, 1.0):
        assert exact_memorization(organism, [text])[0] == pytest.approx(row["exact"])
    with controls["mask"].apply(organism, 0.0):
        assert exact_memorization(organism, [text])[0] >= row["exact"]


def test_a_model_is_audited_without_original_and_reference(organism, asked):
    run = wb.run("unlearning-audit", organism, {**asked, "methods": [], "parts": ["rounding"]})
    assert set(run.tables["passages"]["model"]) == {organism.card.name}
    assert run.findings["no_reference"].values["value"] == 1
    (one,) = run.tables["verdicts"].itertuples()
    assert one.verdict == c.REMAINS


def test_models_unlearned_elsewhere_stand_beside_the_original(organism, asked):
    run = wb.run(
        "unlearning-audit", organism,
        {**asked, "methods": [], "parts": ["criteria"], "unlearned": ["organism/planted-control"],
         "reference": "organism/planted-without-2"},
    )  # fmt: skip
    names = [c.ORIGINAL, c.REFERENCE, "planted-control"]
    assert list(dict.fromkeys(run.tables["passages"]["model"])) == names
    assert list(run.tables["verdicts"]["model"]) == names[2:]


def test_a_model_of_other_tokens_is_refused(organism, asked):
    with pytest.raises(BadInput, match="reads text as other tokens"):
        wb.run(
            "unlearning-audit", organism,
            {**asked, "methods": [], "parts": ["criteria"],
             "unlearned": ["organism/recall-attention"]},
        )  # fmt: skip


def test_other_prompts_and_probes_run(organism, asked, monkeypatch):
    monkeypatch.setattr(further, "SEARCHED", 1)
    searched = further.shortest_prompts
    monkeypatch.setattr(
        further, "shortest_prompts", lambda *a, **k: searched(*a, **{**k, "steps": 1})
    )
    forget = {k: v for k, v in asked.items() if k not in ("retain",)}
    run = wb.run("unlearning-audit", organism, {**forget, "methods": [], "parts": ["prompts"]})
    by = run.tables["prompts"].groupby("given")["exact_memorization"].mean()
    assert by.loc[50] > by.loc[0]
    assert np.isfinite(run.findings["prompts"].values[organism.card.name])
