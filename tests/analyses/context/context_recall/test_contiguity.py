"""Free recall: lists, lags by hand, what always says the next word, and what guesses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from analyses.context import context_recall
from analyses.context.context_recall import contiguity
from analyses.context.context_recall.constants import FREE, FREE_CONDITIONS
from analyses.context.context_recall.params import Params
from analyses.measures.recall_contexts import Context
from analyses.measures.recall_scores import RecallScore
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench.progress import Progress
from workbench.result import Result


def test_a_list_is_asked_from_each_of_its_words() -> None:
    context, again, other = (contiguity.free_recall(6, 0, order) for order in (0, 0, 1))
    assert context == again
    words = context.text.splitlines()[1:]
    assert sorted(words) == sorted(other.text.splitlines()[1:])
    assert words != other.text.splitlines()[1:]
    assert len(set(words)) == 6
    for place, question in enumerate(context.questions):
        assert question.ask.endswith(f"in any order:\n{words[place]}\n")
        assert list(question.candidates) == words[:place] + words[place + 1 :]
        assert question.answer == words[(place + 1) % 6]
        start, end = question.evidence
        assert context.text[start:end] == words[place]


def test_lags_by_hand() -> None:
    # Of four items: 0 → 1, 1 → 2, 2 → 0, 3 → 0; candidates leave out the item itself.
    shares = contiguity.by_lag(np.array([[0, 1, 0, 0]]))
    assert {lag: float(each[0]) for lag, each in shares.items()} == {
        -3: 1.0, -2: 0.5, -1: 0.0, 1: pytest.approx(2 / 3), 2: 0.0, 3: 0.0,
    }  # fmt: skip


@given(st.integers(3, 12), st.integers(0, 10_000))
def test_transitions_are_all_counted(length: int, seed: int) -> None:
    chosen = np.random.default_rng(seed).integers(0, length - 1, (5, length))
    found = contiguity.by_lag(chosen)
    assert set(found) == set(range(1 - length, length)) - {0}
    counted = sum(found[lag] * (length - abs(lag)) for lag in found)
    assert np.allclose(counted, length)


def scored_by(choose: Any) -> Any:
    """`recall` of a model that chooses so, given a context and the number of a question."""

    def recall(
        model: Any, contexts: Sequence[Context], progress: Any, says: str = ""
    ) -> list[tuple[RecallScore, ...]]:
        found = []
        for context in contexts:
            rows = []
            for number, question in enumerate(context.questions):
                choice = choose(number, len(question.candidates))
                likely = tuple(-1.0 * (n != choice) for n in range(len(question.candidates)))
                rows.append(RecallScore(0.0, 0, False, "", "other", -1, likely))
            found.append(tuple(rows))
        return found

    return recall


def asked(monkeypatch: pytest.MonkeyPatch, choose: Any) -> Any:
    monkeypatch.setattr(contiguity, "recall", scored_by(choose))
    monkeypatch.setattr(contiguity, "untrained", lambda model, seed: model)
    table = contiguity.ask(None, Params(lists=40, pairs=8), Progress())  # type: ignore[arg-type]
    return table[table["condition"] == FREE].set_index("lag")


def test_what_says_the_next_word_has_all_at_lag_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = asked(monkeypatch, lambda number, many: min(number, many - 1))
    assert table.loc[1, "share"] == 1
    assert (table.drop(1)["share"] < 0.2).all()


def test_a_guess_is_the_same_at_all_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    table = asked(monkeypatch, lambda number, many: int(draw.integers(many)))
    inside = (table["low"] <= table["guess"]) & (table["guess"] <= table["high"])
    assert inside.mean() > 0.7
    assert ((table["low"] >= 0) & (table["high"] <= 1)).all()


def test_the_part_on_a_small_model() -> None:
    module = tiny_llama()
    module.config.max_position_embeddings = 1024
    model = wb.load((module, tiny_tokenizer()))
    params = Params(parts=["contiguity"], lists=6, pairs=6)
    result: Result = context_recall.run(model, params, Progress())
    assert not list(context_recall.SCHEMA.problems(result))
    table = result.tables["contiguity"]
    assert set(table["condition"]) == set(FREE_CONDITIONS)
    assert table.groupby("condition").size().tolist() == [10, 10, 10]
    assert "a guess gives 20" in result.findings["contiguity"].says
