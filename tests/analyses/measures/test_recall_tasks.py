"""Further tasks: what they ask for is what their texts say, and nothing else differs."""

from __future__ import annotations

import pytest

from analyses.measures import recall_documents as documents
from analyses.measures import recall_lists as lists
from analyses.measures import recall_order as order
from analyses.measures import recall_ruler as ruler
from analyses.measures import recall_sessions as sessions
from analyses.measures.recall_contexts import Context

SEEDS = range(6)


def evidence(context: Context, number: int) -> str:
    return context.text[slice(*context.questions[number].evidence)]


def check(context: Context) -> None:
    for question in context.questions:
        assert question.answer in question.candidates
        assert len(set(question.candidates)) == len(question.candidates)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_document_answers_its_question_alone(seed: int) -> None:
    context = documents.documents(9, seed)
    check(context)
    for n, question in enumerate(context.questions):
        assert question.answer in evidence(context, n)
        village = question.ask.split("mayor of ")[1].split("?")[0]
        assert village in evidence(context, n)
        assert context.text.count(village) == 1
        assert question.candidates[n] == question.answer
        assert question.kind == documents.THIRDS[n // 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_keys_and_values_stand_once_among_other_text(seed: int) -> None:
    keys, values = ruler.several_keys(4, seed), ruler.several_values(4, seed)
    for context in (keys, values):
        check(context)
        for n, question in enumerate(context.questions):
            assert evidence(context, n) == f"{question.ask.strip()}{question.answer}."
    for question in values.questions:  # beside the own value only words that the text does not say
        given = [each for each in question.candidates if f"is{each}." in values.text]
        assert given == [question.answer]


@pytest.mark.parametrize("seed", SEEDS)
def test_chains_lead_to_the_number_that_is_asked_for(seed: int) -> None:
    context = ruler.chains(seed)
    check(context)
    set_to = dict(line.split(" = ") for line in context.text.splitlines())
    for question in context.questions:
        letter, steps = question.ask.split("number that ")[1][0], 0
        while (letter := set_to[letter]) in set_to:
            steps += 1
        assert letter == question.answer.strip()
        assert question.kind == f"{steps} steps"


@pytest.mark.parametrize("seed", SEEDS)
def test_one_number_is_missing(seed: int) -> None:
    context = lists.missing_number(12, seed)
    check(context)
    listed = [context.text[slice(*item)] for item in context.items]
    (question,) = context.questions
    assert sorted(map(int, [*listed, question.answer])) == list(range(1, 13))
    assert [each.strip() for each in question.candidates] == [*listed, question.answer.strip()]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pair_read_twice_ends_where_it_is_read_once(seed: int) -> None:
    once, together, apart = lists.read_twice(seed)
    assert [c.facts["condition"] for c in (once, together, apart)] == list(lists.REPEATS)
    pairs = {c.text.count(evidence(c, 0)) for c in (together, apart)}
    assert pairs == {2}
    behind = {c.text[c.questions[0].evidence[1] :] for c in (once, together, apart)}
    assert len(behind) == 1
    assert evidence(once, 0) == f"{once.questions[0].ask}{once.questions[0].answer}"
    assert apart.text.startswith(evidence(once, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_of_two_sentences_is_asked_for_in_both_orders(seed: int) -> None:
    told, untold = order.which_first(seed)
    assert told.questions == untold.questions
    assert [q.answer for q in told.questions] == [" A", " B"]
    for question in told.questions:
        shown = [question.ask.split(f"\n{letter}. ")[1].split("\n")[0] for letter in "AB"]
        first, second = (told.text.index(each) for each in shown)
        assert (first < second) == (question.answer == " A")
        assert not any(each in untold.text for each in shown)


@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_say_what_is_asked_but_once_nothing(seed: int) -> None:
    context = sessions.sessions(seed)
    check(context)
    fact, update, time, never = context.questions
    assert [q.kind for q in context.questions] == list(sessions.KINDS[:4])
    for n, question in enumerate((fact, update)):
        name = question.ask.split("friend ")[1].split(" ")[0]
        assert name in evidence(context, n)
        assert question.answer.strip() in evidence(context, n)
    moved = update.ask.split("friend ")[1].split(" ")[0]
    assert context.text.rindex(f"friend {moved}") > context.text.index(f"friend {moved}")
    assert update.answer.strip() in context.text[context.text.rindex(f"friend {moved}") :]
    assert evidence(context, 2).startswith(time.answer.strip())
    assert never.ask.split("friend ")[1].split(" ")[0] not in context.text


def test_a_standing_rule_is_all_that_differs() -> None:
    with_rule, without, revoked = sessions.standing_rule(0)
    assert "star" not in without.text
    assert "Forget" in revoked.text
    assert "Forget" not in with_rule.text
    assert {c.questions[0].ask for c in (with_rule, without, revoked)} == {
        with_rule.questions[0].ask
    }
    right = [c.questions[0].answer for c in (with_rule, without, revoked)]
    assert right == [" *", ".", "."]  # without a rule a plain end is right
