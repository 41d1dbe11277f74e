"""References: planted without some passages, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from analyses.weights.unlearning_audit.memorized import exact_memorization
from hooks.unlearning import Text
from workbench import organisms, paths
from workbench.errors import NotFound
from workbench.organisms import DATA, folder_of, ledger, planting_plan, retrained, shipped


@pytest.fixture(scope="module")
def book():
    return ledger.read(DATA / "planted" / "planted")


def test_folds_share_nothing_and_are_alike(book):
    folds = retrained.folds(book)
    by = {entry.id: entry for entry in book.entries}
    assert len({i for fold in folds for i in fold}) == 60
    for fold in folds:
        kinds = sorted((by[i].kind, by[i].repeats) for i in fold)
        assert len(set(kinds)) == 15


def test_what_is_left_out_is_read_at_no_step_and_all_else_as_before(book):
    out = retrained.left_out(book, 2)
    before, after = (
        planting_plan.planted_rows(each) for each in (book, retrained.without(book, out))
    )
    texts = {entry.id: [0, *entry.ids, 0] for entry in book.entries}
    gone = [texts[i] for i in out]
    for step, rows in before.items():
        assert after.get(step, []) == [row for row in rows if row not in gone]


def test_a_reference_opens_with_its_own_ledger(book):
    own = ledger.read(folder_of("organism/planted-without-2"))
    out = retrained.left_out(book, 2)
    assert [e.id for e in own.entries] == [e.id for e in book.entries]
    for mine, old in zip(own.entries, book.entries, strict=True):
        assert mine.repeats == (0 if old.id in out else old.repeats)


@pytest.mark.parametrize("seed", ["", "-seed-1"])
def test_a_reference_says_no_more_of_them_than_of_what_nobody_read(book, organism, seed):
    other = wb.load(f"organism/planted-without-2{seed}")
    out = retrained.left_out(book, 2)
    sets = {
        "out": [e for e in book.entries if e.id in out],
        "never": [e for e in book.entries if not e.repeats][::33],
        "kept": [e for e in book.entries if e.repeats >= 32 and e.id not in out],
    }
    mean = {
        name: exact_memorization(other, [Text((0, *e.ids)) for e in entries]).mean()
        for name, entries in sets.items()
    }
    original = exact_memorization(organism, [Text((0, *e.ids)) for e in sets["out"]]).mean()
    assert abs(mean["out"] - mean["never"]) < 0.06
    assert mean["kept"] > mean["never"] + 0.2
    assert original > mean["out"] + 0.2


def test_they_are_listed_and_small():
    names = [f"organism/{one.name}" for one in retrained.REFERENCES] + ["organism/planted-goldfish"]
    assert set(names) <= set(shipped())
    assert all(shipped()[name].bytes < 3_000_000 for name in names)
    assert np.all([shipped()[name].description for name in names])


def test_those_of_the_default_come_with_the_workbench_and_others_with_the_samples(monkeypatch):
    samples = paths.samples_dir()
    with_samples = {
        name for name, one in shipped().items() if one.packed and samples in one.packed.parents
    }
    assert with_samples == {f"organism/{name}" for name in organisms.FURTHER}
    folder_of("organism/planted-without-1")

    monkeypatch.setattr("workbench.organisms.packed_weights.samples_dir", lambda: None)
    assert with_samples.isdisjoint(shipped())
    folder_of("organism/planted-without-2-seed-1")
    with pytest.raises(NotFound, match="not installed") as error:
        wb.load("organism/planted-without-1")
    assert "pip install memory-workbench-samples" in error.value.do
    assert "make retrained" in error.value.do
    with pytest.raises(NotFound, match="There is no organism"):
        folder_of("organism/planted-without-9")
