"""Questions of two steps never name what links them, and their answers follow from both steps."""

from __future__ import annotations

import pytest

from workbench.facts import TWO_HOPS, relation, two_hop_questions


@pytest.mark.parametrize("hops", TWO_HOPS, ids=lambda hops: hops.second)
def test_the_answer_follows_from_the_two_steps_and_the_link_is_not_said(hops):
    first = {fact.subject: fact.answer for fact in relation(hops.first).facts}
    second = {fact.subject: fact.answer for fact in relation(hops.second).facts}
    questions = list(two_hop_questions(hops))
    assert len(questions) >= 100
    for each in questions:
        assert each.bridge == first[each.subject]
        assert each.answer == second[each.bridge]
        assert each.subject in each.prompt.text
        assert each.bridge not in each.prompt.text
