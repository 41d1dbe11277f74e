"""What a model writes about a subject, compared with texts about its answers."""

from __future__ import annotations

import math
import random

import pytest

import workbench as wb
from analyses.weights.edit_ledger import cases, consistency, constants, params
from hooks import editing
from tests.helpers import trained_facts
from workbench import facts


@pytest.fixture
def relation(asked):
    return params.relation_of(params.Params(**asked))


@pytest.fixture
def case(asked, relation):
    fact = next(f for f in relation.facts if f.subject == "Land3")
    given = params.Params(**asked)
    return cases._case(given, relation, fact, "City0", relation.facts, [], random.Random(0))


def test_the_texts_are_about_the_answer_and_others_that_truly_have_it(case):
    assert case.writing == "Land3 is"
    assert case.about_new[0] == "City0 is"
    assert [p.split()[-2] for p in case.about_new[1:]] == [
        "Land6",
        "Land0",
    ]  # the better known first
    assert all("City0" in p for p in case.about_new)
    # Its own subject is no text about the old answer: that would be what is to change.
    assert [p.split()[-2] for p in case.about_old[1:]] == ["Land9"]


def test_texts_are_what_plain_generation_writes(knowing, case):
    prompts = list(case.about_new)
    plain = [knowing.generate(p, max_new_tokens=consistency.WRITTEN) for p in prompts]
    assert consistency.write(knowing, prompts) == plain


def test_the_cosine_is_that_of_a_plain_count(knowing, case):
    """tf-idf written out again, over the same texts."""
    references = consistency.References(knowing, [case])
    text = "sea sea road City0"
    texts = {
        p: knowing.generate(p, max_new_tokens=consistency.WRITTEN)
        for p in (*case.about_new, *case.about_old)
    }
    documents = [*facts.neutral_text().split("\n\n"), *texts.values()]
    split = [consistency._words(each) for each in documents]

    def vector(words, vocabulary):
        n = len(split)
        return [
            words.count(w) * math.log((1 + n) / (1 + sum(w in each for each in split)))
            for w in vocabulary
        ]

    new = [w for p in case.about_new for w in consistency._words(texts[p])]
    mine = consistency._words(text)
    vocabulary = sorted({*new, *mine})
    a, b = vector(mine, vocabulary), vector(new, vocabulary)
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    size = math.hypot(*a) * math.hypot(*b)
    assert references.of(case, text).new == pytest.approx(dot / size if size else 0.0)
    assert references.of(case, "").new == 0.0
    whole = " ".join(texts[p] for p in case.about_new)
    assert references.of(case, whole).new == pytest.approx(1.0)


def test_trained_and_said_is_both_at_once(knowing, asked):
    run = wb.run(
        "edit-ledger", knowing,
        {**asked, "facts": 2, "methods": ["fine-tune", "in-context", "fine-tune-in-context"]},
    )  # fmt: skip
    edits = run.tables["edits"].set_index(["fact", "method"])
    both, trained, said = (
        constants.METHODS[m] for m in ("fine-tune-in-context", "fine-tune", "in-context")
    )
    fact = run.tables["facts"].iloc[0]
    request = editing.EditRequest(trained_facts.PROMPT, fact["subject"], fact["new"])
    prompt = editing.in_context([request], f"{fact['subject']} is")
    with editing.fine_tune(knowing, [request], 0).applied(knowing):
        written = knowing.generate(prompt, max_new_tokens=consistency.WRITTEN)
    assert edits.loc[(0, both), "writes"] == written.strip()
    # Neutral text is read without the sentence: there it is the trained model.
    assert edits.loc[(0, both), "loss_change"] == edits.loc[(0, trained), "loss_change"]
    assert edits.loc[(0, said), "loss_change"] == 0.0
    assert (
        edits.loc[(0, said), "writes"]
        == knowing.generate(prompt, max_new_tokens=consistency.WRITTEN).strip()
    )
    finding = run.findings["writing"]
    assert set(finding.values) == {both, trained, said}
    assert finding.values[both] == edits["consistency"].xs(both, level="method").mean()
