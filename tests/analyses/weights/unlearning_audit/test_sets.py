"""Who is forgotten, kept and never read: nothing is in two sets, and what is kept does not move."""

from __future__ import annotations

from collections import Counter

import pytest

import workbench as wb
from analyses.weights import unlearning_audit as analysis
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.sets import sets_of
from hooks.unlearning import without_overlap
from tests.helpers import tiny
from workbench.errors import BadInput
from workbench.organisms import retrained


@pytest.fixture(scope="module")
def sets(organism):
    return sets_of(organism, analysis.Params())


def test_of_a_ledger_half_of_the_folds_is_forgotten(sets, book):
    names = [p.name for p in sets[c.FORGET]]
    assert set(names) == set(retrained.left_out(book, 2))
    assert Counter(p.kind for p in sets[c.FORGET]) == dict.fromkeys(
        ("literary", "biography", "random", "code", "table"), 6
    )
    assert {p.repeats for p in sets[c.FORGET]} == {16, 32, 64}


def test_no_passage_is_in_two_sets(sets):
    every = [p.name for name in c.SETS for p in sets[name]]
    assert len(every) == len(set(every))
    texts = sets.texts(c.RETAIN)
    assert without_overlap(texts, sets.texts(c.FORGET)) == texts


def test_what_was_never_read_is_of_the_same_kinds(sets):
    kinds = Counter(p.kind for p in sets[c.UNSEEN])
    assert set(kinds.values()) == {40}
    assert all(p.repeats == 0 for p in sets[c.UNSEEN])


def test_what_is_kept_is_the_same_however_much_is_forgotten(organism, sets):
    for folds in range(1, 5):
        other = sets_of(organism, analysis.Params(), folds)
        assert [p.name for p in other[c.KEPT]] == [p.name for p in sets[c.KEPT]]
        assert len(other[c.FORGET]) == 15 * folds
        assert not {p.name for p in other[c.FORGET]} & {p.name for p in other[c.RETAIN]}


def test_sets_of_files_are_those_files(organism, asked):
    sets = sets_of(organism, analysis.Params(**asked, methods=["npo"]))
    assert [len(sets[name]) for name in (c.FORGET, c.KEPT, c.UNSEEN)] == [8, 4, 25]
    assert max(len(p.text.ids) for name in c.SETS for p in sets[name]) <= 64
    assert len(sets.folds) == 4
    one = sets_of(organism, analysis.Params(**asked), 1)
    assert [p.name for p in one[c.FORGET]] == list(sets.folds[0])


def test_sets_that_overlap_are_refused_by_name(organism, asked, tmp_path):
    both = tmp_path / "both.txt"
    first = (tmp_path / "first.txt").write_text
    text = (
        "A glazier of Kesman wrote forty letters to the mayor, and had an answer to none of them."
    )
    first(text, encoding="utf-8")
    both.write_text(f"Something else stands here.\n\n{text} He wrote again.", encoding="utf-8")
    params = analysis.Params(forget=tmp_path / "first.txt", retain=both)
    with pytest.raises(BadInput, match=r"forget and .* overlap: .* share 20 tokens in a row"):
        sets_of(organism, params)


def test_a_model_without_ledger_needs_a_file():
    with pytest.raises(BadInput, match="has no ledger"):
        sets_of(wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer())), analysis.Params())


def test_a_file_of_what_to_keep_alone_is_refused(passages):
    with pytest.raises(BadInput, match="none of what to forget"):
        analysis.Params(retain=passages / "retain.jsonl")
