"""Mixed evidence: what the context says, and who wins in models whose heads are known."""

from __future__ import annotations

import math

import pandas as pd
import pytest

import workbench as wb
from analyses.context import knowledge_conflict as conflict
from analyses.context.knowledge_conflict import mixed_evidence as mixed
from analyses.context.knowledge_conflict.cases import Case
from analyses.measures.statistics import rates_apart, wilson
from tests.helpers import planted
from workbench import facts
from workbench.errors import BadInput
from workbench.result import Result
from workbench.views import bound
from workbench.wording import percent

TEMPLATE = "The capital of {subject} is"
HALF_KNOWN = [1.6] * 8 + [0.0] * 8


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    file = planted.planted_facts(tmp_path_factory.mktemp("facts"))
    return {"facts_file": str(file), "template": TEMPLATE, "parts": ["evidence"]}


def _run(given, *memories):
    model = wb.load((planted.planted_module(*memories), planted.planted_tokenizer()))
    return wb.run("knowledge-conflict", model, given)


@pytest.fixture(scope="module")
def run(given):
    return _run(given)


@pytest.fixture(scope="module")
def half_known(given):
    return _run(given, HALF_KNOWN)


def test_every_sentence_is_another_wording() -> None:
    said = mixed.sentences(facts.relation("capital"), "France", "Paris")
    assert len(said) == len(set(said)) >= 4
    assert all("France" in each and each.endswith("Paris.") for each in said)


@pytest.mark.parametrize("mix", mixed.MIXES, ids=lambda mix: mix.name)
def test_the_context_has_so_many_sentences_in_this_order(llama, mix: mixed.Mix) -> None:
    relation, format = facts.relation("capital"), facts.find_format("question")
    fact = relation.facts[0]
    plain = facts.render(format, relation, fact.subject, "Rome")
    case = Case(fact, "Rome", "select", plain, llama.tokens(plain.text), [1], [2], [], [])
    text = mixed.evidence(relation, case, mix)
    places = [(text.index(s), "memory") for s in mixed.sentences(relation, case.fact.subject,
              case.fact.answer) if s in text]  # fmt: skip
    places += [(text.index(s), "counter") for s in mixed.sentences(relation, case.fact.subject,
               case.counterfactual) if s in text]  # fmt: skip
    sides = [side for _, side in sorted(places)]
    assert sides.count("memory") == mix.memory
    assert sides.count("counter") == mix.counter
    assert text.startswith(f"From a document of {mix.year}: ") == bool(mix.year)
    starts = {mixed.MEMORY_FIRST: "memory", mixed.COUNTER_FIRST: "counter"}
    assert sides[0] == starts.get(mix.order, sides[0])
    if mix.order == mixed.IN_TURN:
        assert sides == ["memory", "counter"] * mix.memory
    asked = mixed.with_evidence(llama, relation, format, case, mix)
    assert asked.prompt.text.startswith(text)
    assert llama.tokens(asked.prompt.text) == asked.ids
    assert (asked.memory, asked.context) == (case.memory, case.context)


def test_heads_that_are_known_decide(run) -> None:
    """Every second memory is stronger than a context that speaks against it alone; beside a
    sentence for it, the copying head sees both answers and memory decides.
    """
    table = run.tables["evidence"].set_index(["facts", "mix"]).loc[mixed.KNOWN]
    assert table.loc["0 : 1", ["memory", "context"]].tolist() == [0.5, 0.5]
    assert table.loc["1 : 0", "memory"] == 1
    assert table.loc["1 : 1, memory first", "ratio"] == 1
    assert table.loc["1 : 1, contradiction first", "ratio"] == 1
    assert run.findings["evidence_order"].value == 0
    assert "is not told apart" in run.findings["evidence_order"].says


def test_facts_that_are_not_known_are_the_null(run, half_known) -> None:
    assert set(run.tables["evidence"]["facts"]) == {mixed.KNOWN}
    table = half_known.tables["evidence"].set_index(["facts", "mix"])
    assert table.loc[(mixed.UNKNOWN, "0 : 1"), "context"] == 1
    assert table.loc[(mixed.KNOWN, "1 : 1, memory first"), "ratio"] == 1
    assert table.loc[(mixed.UNKNOWN, "1 : 1, memory first"), "ratio"] < 1
    assert table["n"].eq(8).all()
    assert "even_ratio_unknown" in half_known.findings["evidence"].value


def test_the_ratio_is_of_the_two_answers() -> None:
    value, low, high, decided = mixed.ratio(["memory"] * 3 + ["context"] + ["other"] * 6)
    assert (value, decided) == (0.75, 4)
    assert (low, high) == wilson(3, 4)
    assert math.isnan(mixed.ratio(["other"])[0])


@pytest.mark.parametrize(("known", "unknown"), [(6, 0), (0, 6), (5, 2), (0, 0)])
def test_what_is_not_decided_is_not_counted(known: int, unknown: int) -> None:
    """Of ten facts of either side, so many answers in each order are one of the two."""
    rows = []
    for side, decided in ((mixed.KNOWN, known), (mixed.UNKNOWN, unknown)):
        for mix in mixed.MIXES[:4]:
            memory = decided // 2
            shares = {"memory": memory / 10, "context": (decided - memory) / 10}
            rows.append({"facts": side, "mix": mix.name, **shares, "decided": decided, "n": 10})
    result = Result(conflict.name)
    result.tables["evidence"] = pd.DataFrame(rows)
    mixed._say_lone(result)
    found = result.findings["evidence"]
    assert found.says.startswith("A contradiction alone is followed in")
    assert "nan" not in found.says
    assert ("even_ratio" in found.values, "even_ratio_unknown" in found.values) == (
        known > 0,
        unknown > 0,
    )
    assert found.says.count("no answer is one of the two") == (known == 0) + (unknown == 0)
    if known and unknown:
        one, other = (known // 2) / known, (unknown // 2) / unknown
        low, high = rates_apart(one, known, other, unknown)
        assert f"95 %: {percent(low, sign=True)} to {percent(high, sign=True)}" in found.says
    else:
        assert "apart by" not in found.says


def test_a_format_without_the_statement_is_refused(given) -> None:
    model = wb.load((planted.planted_module(), planted.planted_tokenizer()))
    own = "Capital : {answer} . {lead_in}"
    with pytest.raises(BadInput, match="no place for several sentences"):
        wb.run("knowledge-conflict", model, {**given, "format": own})


def test_its_view_is_drawn(half_known) -> None:
    drawn = bound(conflict.VIEWS, half_known, conflict.SCHEMA)
    assert "cannot be drawn" not in " ".join(map(str, drawn["Evidence"].still()))
