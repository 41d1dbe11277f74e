"""Contexts say what they are said to say, where they are said to say it."""

from __future__ import annotations

import pytest

import workbench as wb
from analyses.measures import recall_contexts as contexts
from analyses.measures import recall_words as words
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench.errors import BadInput


@pytest.fixture(scope="module")
def model():
    return wb.load((tiny_llama(), tiny_tokenizer()))


def test_each_name_has_its_word_where_the_question_says() -> None:
    context = contexts.key_value(8, seed=3)
    assert len(context.questions) == len(context.items) == 8
    for n, (question, item) in enumerate(zip(context.questions, context.items, strict=True)):
        line = context.text[slice(*item)]
        assert question.evidence == item
        assert line == f"{question.ask}{question.answer}"
        assert question.candidates[n] == question.answer
        assert len(set(question.candidates)) == 16
        absent = question.candidates[8:]
        assert not any(each in context.text for each in absent)


def test_another_order_and_labels_keep_the_pairs() -> None:
    plain, moved = (
        contexts.key_value(5, seed=1),
        contexts.key_value(5, seed=1, order=[4, 3, 2, 1, 0]),
    )
    assert sorted(plain.text.splitlines()) == sorted(moved.text.splitlines())
    assert moved.text.splitlines() == plain.text.splitlines()[::-1]
    labelled = contexts.key_value(5, seed=1, labelled=True)
    assert [
        line.split(". ", 1)[1] for line in labelled.text.splitlines()
    ] == plain.text.splitlines()
    assert labelled.questions[2].ask.startswith("3. ")


def test_keys_and_values_are_drawn_by_the_seed() -> None:
    assert contexts.key_value(8, seed=1) == contexts.key_value(8, seed=1)
    assert contexts.key_value(8, seed=1).text != contexts.key_value(8, seed=2).text


@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("filler", words.FILLERS)
def test_a_needle_lies_among_whole_sentences(model, depth, filler) -> None:
    hidden = contexts.needles(1)[0]
    context = contexts.needle(model, hidden, 700, depth, filler=filler)
    start, end = context.questions[0].evidence
    assert context.text[start:end] == hidden.sentence()
    assert context.text.endswith(".")
    around = f"{context.text[:start]}{context.text[end:]}".split()
    known = [word for sentence in words.sentences(filler) for word in sentence.split()]
    assert around == (known * (1 + len(around) // len(known)))[: len(around)]
    tokens = len(model.tokens(context.text))
    assert 500 < tokens <= 700
    before = len(model.tokens(context.text[:start])) if start else 0
    if depth in (0, 1):
        assert (start == 0) == (depth == 0)
        assert (end == len(context.text)) == (depth == 1)
    else:
        assert abs(before / tokens - depth) < 0.15


def test_without_a_needle_nothing_says_it(model) -> None:
    hidden = contexts.needles(1)[0]
    context = contexts.needle(model, None, 500, 0.5, about=hidden)
    assert hidden.answer not in context.text
    assert {question.evidence for question in context.questions} == {(0, 0)}
    assert context.facts["task"] == "absent"
    assert not context.items


def test_needles_agree_and_disagree_with_what_is_known() -> None:
    found = contexts.needles(9)
    assert [each.kind for each in found[:3]] == ["made up", "agrees", "disagrees"]
    for each in found:
        assert each.answer in each.candidates
        assert len(set(each.candidates)) == len(each.candidates)
        assert (each.answer == each.fact.known) == (each.kind == "agrees")
        assert not each.fact.known or each.fact.known in each.candidates


def test_a_passkey_is_said_twice(model) -> None:
    context = contexts.passkey(model, 800, 0.5, seed=2)
    question = context.questions[0]
    said = context.text[slice(*question.evidence)]
    assert said.count(question.answer.strip()) == 2 == context.text.count(question.answer.strip())
    assert len(set(question.candidates)) == contexts.CANDIDATES


def test_what_cannot_be_made_is_refused(model) -> None:
    hidden = contexts.needles(1)[0]
    for wrong in (
        lambda: contexts.needle(model, hidden, 5, 0.5),
        lambda: contexts.needle(model, hidden, 500, 1.5),
        lambda: contexts.needle(model, hidden, 500, 0.5, filler="poems"),
        lambda: contexts.key_value(0),
        lambda: contexts.key_value(1000),
        lambda: contexts.needles(0),
    ):
        with pytest.raises(BadInput):
            wrong()
