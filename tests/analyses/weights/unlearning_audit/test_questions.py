"""Questions in other words: from biographies of a ledger, and from a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analyses.weights import unlearning_audit as analysis
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.questions import WRONG, ask_all, questions_of
from analyses.weights.unlearning_audit.sets import sets_of
from workbench.errors import BadInput


def test_people_are_asked_about_and_wrong_answers_are_other_peoples(organism):
    sets = sets_of(organism, analysis.Params())
    asked = questions_of(organism, sets, None, 0)
    people = {p.name: p.string for name in (c.FORGET, c.KEPT) for p in sets[name]
              if p.kind == "biography"}  # fmt: skip
    assert {q.passage for q in asked} == set(people)
    for q in asked:
        assert q.answer in people[q.passage]
        assert len(q.wrong) == WRONG
        assert not any(wrong in people[q.passage] for wrong in q.wrong if q.field != "home town")


def test_a_file_asks_what_it_says(organism, asked, tmp_path):
    sets = sets_of(organism, analysis.Params(**asked))
    file = tmp_path / "questions.jsonl"
    lines = [
        {"prompt": "In the beginning God created the", "answer": "heaven", "wrong": ["xq zz"]},
        {"set": "kept", "prompt": "And the LORD said unto", "answer": "Moses"},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = questions_of(organism, sets, file, 0)
    answers = ask_all(organism, found)
    assert [q.in_set for q in found] == [c.FORGET, c.KEPT]
    assert answers.chosen[0] == 1.0
    assert answers.truth_ratio[0] < 1
    assert np.isnan(answers.chosen[1])
    said = organism.generate("And the LORD said unto", max_new_tokens=2)
    assert answers.says[1].split()[0] in said


@pytest.mark.parametrize(
    "line", ['{"prompt": "a"}', "no json", '{"set": "x", "prompt": "a", "answer": "b"}']
)
def test_a_line_that_asks_nothing_is_named(organism, asked, tmp_path, line):
    sets = sets_of(organism, analysis.Params(**asked))
    file = tmp_path / "questions.jsonl"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(BadInput, match=r"Line 1 of questions.jsonl is no question"):
        questions_of(organism, sets, file, 0)
