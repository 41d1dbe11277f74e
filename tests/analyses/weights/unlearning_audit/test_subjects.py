"""Which references stand beside a model."""

from __future__ import annotations

import workbench as wb
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.findings import say_not_installed
from analyses.weights.unlearning_audit.subjects import not_installed, references
from workbench.result import Result


def test_references_are_those_of_so_many_folds(organism):
    assert references(organism, 1) == {c.REFERENCE: "organism/planted-without-1"}
    assert references(organism, 2) == {
        c.REFERENCE: "organism/planted-without-2",
        c.SECOND: "organism/planted-without-2-seed-1",
    }
    assert not_installed(organism) == []


def test_without_the_samples_the_default_has_its_own_and_the_others_are_named(
    organism, monkeypatch
):
    monkeypatch.setattr("workbench.organisms.packed_weights.samples_dir", lambda: None)
    assert references(organism, 1) == {}
    assert len(references(organism, 2)) == 2
    missing = [f"organism/planted-without-{n}" for n in (1, 3, 4)]
    assert not_installed(organism) == missing
    result = Result(c.NAME)
    say_not_installed(result, missing)
    assert "pip install memory-workbench-samples" in result.findings["not_installed"].says


def test_no_other_model_has_any():
    other = wb.load("organism/planted-control")
    assert references(other, 2) == {}
    assert not_installed(other) == []
