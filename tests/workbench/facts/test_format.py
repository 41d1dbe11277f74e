"""Formats say exactly what they should, and know where in the prompt everything stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import BadInput, NotFound
from workbench.facts import (
    Format,
    Relation,
    find_format,
    formats,
    make,
    relation,
    relations,
    render,
)

CAPITAL = relation("capital")
any_text = st.text(min_size=1, max_size=30)


def at(prompt, name):
    start, end = prompt.spans[name]
    return prompt.text[start:end]


def test_the_question_format_is_the_published_prompt():
    prompt = render("question", CAPITAL, "France", "Rome")
    assert (
        prompt.text == "The capital city of France is Rome.\n"
        "Question: What is the capital city of France?\n"
        "Answer: The capital city of France is"
    )
    assert CAPITAL.closed_book_prompt("France").text == "The capital of France is"


@pytest.mark.parametrize("name", formats())
@pytest.mark.parametrize("kind", relations())
def test_every_format_suits_every_relation(name, kind):
    asked = relation(kind)
    fact, other = (
        asked.facts[0],
        next(f.answer for f in asked.facts if f.answer != asked.facts[0].answer),
    )
    prompt = render(name, asked, fact.subject, other)
    assert at(prompt, "subject") == fact.subject
    assert at(prompt, "context answer") == other
    assert asked.fill("statement", fact.subject, other).text in at(prompt, "context")
    assert prompt.text.endswith(asked.fill("lead_in", fact.subject, other).text)
    assert prompt.spans["context"][1] <= prompt.spans["question"][0] < len(prompt.text)
    assert prompt.text == prompt.text.strip()
    assert "{" not in prompt.text
    assert len(prompt.mentions["context answer"]) == 1  # so that attention to it has one place


def test_the_subject_span_is_the_last_of_several_mentions():
    prompt = render("document", CAPITAL, "Oman", "Bern")
    assert len(prompt.mentions["subject"]) == 4
    assert prompt.spans["subject"] == prompt.mentions["subject"][-1]
    assert prompt.text.rindex("Oman") == prompt.spans["subject"][0]


def test_a_span_is_not_fooled_by_a_subject_inside_another_word():
    asked = make(
        "codes", [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")], "The partner of {subject} is"
    )
    prompt = render("question", asked, "a", "b")
    assert at(prompt, "subject") == "a"
    assert prompt.text[prompt.spans["subject"][0] - 3 :].startswith("of a is")
    assert prompt.text[prompt.spans["context answer"][0] - 3 :].startswith("is b.")


@given(subject=any_text, answer=any_text)
def test_whatever_is_put_in_stands_there_literally(subject, answer):
    for name in formats():
        prompt = render(name, CAPITAL, subject, answer)
        assert at(prompt, "subject") == subject
        for start, end in prompt.mentions["context answer"]:
            assert prompt.text[start:end] == answer


@pytest.mark.parametrize(
    "hostile", ["{answer}", "{", "}", "{0}", "{subject.__class__}", "{{x}}", "<script>", "%s"]
)
def test_braces_in_a_fact_are_never_read_as_fields(hostile):
    prompt = render("statement", CAPITAL, hostile, "{question}")
    assert (
        prompt.text
        == f"The capital city of {hostile} is {{question}}. Once more: The capital city of"
        f" {hostile} is"
    )


def test_context_ends_where_the_lead_in_begins_on_the_same_line():
    prompt = render("{statement} {lead_in}", CAPITAL, "France", "Rome")
    assert at(prompt, "context") == "The capital city of France is Rome."
    assert at(prompt, "question") == "The capital city of France is"


def test_a_user_may_write_a_format_with_any_of_the_fields():
    prompt = render("Fact: {answer} <- {subject}.\nQ: {question}\nA:  ", CAPITAL, "France", "Rome")
    assert prompt.text == "Fact: Rome <- France.\nQ: What is the capital city of France?\nA:"
    assert at(prompt, "context") == "Fact: Rome <- France."
    assert prompt.continuation("Rome") == " Rome"


def test_an_answer_that_follows_a_line_or_a_quote_has_no_space_before_it():
    assert render("{statement}\nA:\n", CAPITAL, "France", "Rome").continuation("Rome") == "Rome"
    assert render('{statement} "', CAPITAL, "France", "Rome").continuation("Rome") == "Rome"


def test_plain_braces_are_written_doubled():
    assert render('{{"note": "{statement}"}} {lead_in}', CAPITAL, "France", "Rome").text.startswith(
        '{"note": "The'
    )


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{statment} {lead_in}", r"no field \{statment\}"),
        ("{statement!r}", r"no field \{statement!r\}"),
        ("{statement:>9}", r"no field \{statement:>9\}"),
        ("{statement.__class__}", "no field"),
        ("{statement[0]}", "no field"),
        ("{} {lead_in}", "no field"),
        ("{0}", "no field"),
        ("{statement", "do not pair up"),
        ("statement}", "do not pair up"),
        ("{question} {lead_in}", "never mentions the answer"),
        ("{answer}", "never mentions the subject"),
        ("{statement}" + "x" * 30_000, "cannot be used"),
    ],
)
def test_a_broken_format_is_refused_with_the_fields_there_are(template, complaint):
    with pytest.raises(BadInput, match=complaint) as refused:
        Format("mine", template)
    if "x" not in template:
        assert "{statement}" in str(refused.value)


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(NotFound, match="Did you mean 'dialogue'"):
        find_format("dialog")


def test_a_format_object_and_its_name_render_alike():
    assert render(formats()["dialogue"], CAPITAL, "A", "B") == render("dialogue", CAPITAL, "A", "B")


def wordings(**changed):
    parts = {
        "closed_book": "{subject} is",
        "statement": "{subject} is {answer}.",
        "question": "What?",
        "lead_in": "It is",
    }
    return Relation(name="r", kind="things", asks="?", **{**parts, **changed})


def test_a_relation_needs_its_fields():
    assert wordings().facts == ()
    for part, template in {
        "closed_book": "It is",
        "statement": "{subject} is.",
        "question": " ",
        "lead_in": "{answer}",
    }.items():
        with pytest.raises(BadInput, match=f"The {part} of relation 'r'"):
            wordings(**{part: template})
