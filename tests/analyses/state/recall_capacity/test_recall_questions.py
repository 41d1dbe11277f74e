"""Rows of pairs whose truth is known, and models whose recall is: one that looks the answer up, one
that was never trained.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import workbench as wb
from analyses.measures.pair_questions import (
    Vocabulary,
    draw,
    of_task,
    too_few_words,
    vocabulary_of,
)
from analyses.state.recall_capacity import measure
from analyses.state.recall_capacity.measure import ask
from tests.helpers import tiny
from workbench.errors import BadInput
from workbench.organisms.recall import task
from workbench.organisms.recall.families import FAMILIES

WORDS = Vocabulary(
    np.arange(10, 60), np.arange(100, 150), (1,), (2, 3), (4,), (5, 6, 7), asks_all=False
)
READINGS = st.sampled_from(["once", "twice", "shuffled"])


def reads(vocabulary: Vocabulary, ids: np.ndarray, end: int) -> list[tuple[int, int]]:
    """The pairs of a row in the order in which they are read, found by their tokens alone."""
    keys, values, found = set(vocabulary.keys.tolist()), set(vocabulary.values.tolist()), []
    last = None
    for token in ids[:end].tolist():
        if token in keys:
            last = token
        elif token in values:
            assert last is not None
            found.append((last, token))
            last = None
    return found


@given(
    st.sampled_from([of_task(), WORDS]),
    st.integers(2, 24),
    st.integers(4, 9),
    READINGS,
    st.sampled_from([0, 1, 5, 17]),
    st.integers(0, 2),
    st.integers(0, 2**31),
)
def test_the_answer_is_what_the_row_says_last(vocabulary, pairs, rows, reading, gap, rebound, seed):
    made = draw(vocabulary, pairs, rows, seed, reading=reading, gap=gap, rebound=rebound)
    passes = 1 if reading == "once" else 2
    total = pairs * passes + rebound
    assert made.ids.shape == (rows, vocabulary.length(pairs, reads=total, gap=gap))
    assert len(made.row) == (rows * pairs if vocabulary.asks_all else rows)
    for row, position, answer, place, old in zip(
        made.row, made.position, made.answer, made.place, made.old, strict=True
    ):
        ids = made.ids[row]
        asked_at = position - len(vocabulary.between)
        read = reads(vocabulary, ids, len(ids) if vocabulary.asks_all else asked_at)
        assert len(read) == total
        key = ids[asked_at]
        assert key == read[place][0]
        bound = [value for k, value in read if k == key]
        assert bound[-1] == answer
        assert old == (bound[0] if bound[0] != answer else -1)
        assert set(made.values[row]) == {value for _, value in read}
        # Nothing behind the pairs says a value.
        assert not set(ids[asked_at:].tolist()) & set(vocabulary.values.tolist())


@given(READINGS, st.integers(0, 2**31))
def test_however_they_are_read_the_questions_are_the_same(reading, seed):
    once, other = (draw(of_task(), 6, 5, seed, reading=how) for how in ("once", reading))
    for name in ("answer", "place", "row"):
        assert (getattr(once, name) == getattr(other, name)).all()
    shift = other.position - once.position
    assert len(set(shift.tolist())) == 1


@given(st.integers(2, 40), st.integers(8, 30))
def test_one_question_a_row_asks_evenly_for_early_and_late_pairs(pairs, rows):
    places = np.sort(draw(WORDS, pairs, rows, 0).place)
    apart = -(-pairs // rows)  # steps between places that are spread evenly
    assert 0 <= places[0] <= apart
    assert pairs - 1 - apart <= places[-1] < pairs
    assert np.diff(places).max() <= apart


def test_more_pairs_than_keys_are_refused():
    with pytest.raises(BadInput, match="1 to 50 pairs"):
        draw(WORDS, 51, 4, 0)
    with pytest.raises(BadInput, match="128"):
        draw(of_task(), 128, 4, 0)


class Oracle:
    """Answers by reading the row: the value that stands behind the last of the same keys."""

    def __init__(self, vocabulary: Vocabulary, is_first: bool = False) -> None:
        self.vocabulary, self.is_first = vocabulary, is_first
        self.module = torch.nn.Linear(1, 1)
        self.card = SimpleNamespace(name="oracle")
        self.shrunk = 0

    def batch(self, rows: list[list[int]]) -> Any:
        return SimpleNamespace(kwargs=lambda: {"input_ids": torch.tensor(rows)})

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int, **_: Any) -> Any:
        logits = torch.zeros(*input_ids.shape, task.VOCABULARY)
        keys = set(self.vocabulary.keys.tolist())
        for row, ids in enumerate(input_ids.tolist()):
            read = reads(self.vocabulary, np.array(ids), len(ids))
            for at, token in enumerate(ids):
                if token in keys:
                    bound = [value for key, value in read if key == token]
                    behind = at + len(self.vocabulary.between)
                    if bound and behind < len(ids):
                        logits[row, behind, bound[0 if self.is_first else -1]] = 1.0
        return SimpleNamespace(logits=logits[:, -logits_to_keep:])


@pytest.mark.parametrize("vocabulary", [of_task(), WORDS], ids=["task", "words"])
def test_a_model_that_looks_the_answer_up_recalls_all_and_shuffled_values_are_chance(vocabulary):
    for how in ({}, {"gap": 9}, {"reading": "shuffled"}, {"rebound": 3}):
        answers = ask(Oracle(vocabulary), vocabulary, 8, 40, range(3), **how)
        assert answers.right.all()
        assert answers.among.all()
        values = 8 + how.get("rebound", 0)
        assert answers.shuffled.mean() == pytest.approx(1 / values, abs=0.06)
        assert not answers.kept_old.any()
    assert len(np.unique(answers.row)) == 120


def test_a_model_that_never_forgets_keeps_the_old_value():
    answers = ask(Oracle(of_task(), is_first=True), of_task(), 8, 10, range(2), rebound=4)
    assert answers.old.mean() == 0.5
    assert answers.kept_old[answers.old].all()
    assert answers.right[~answers.old].all()
    assert not answers.right[answers.old].any()


def test_one_pass_gives_what_reading_row_by_row_gives():
    model = wb.load("organism/recall-mamba-8")
    vocabulary = vocabulary_of(model)
    assert vocabulary.asks_all
    made = draw(vocabulary, 4, 6, 3)
    found = ask(model, vocabulary, 4, 6, range(3, 4))
    for n, (row, position) in enumerate(zip(made.row, made.position, strict=True)):
        logits = model.next_logits([made.ids[row, : position + 1].tolist()])[0]
        assert found.right[n] == (int(logits.argmax()) == made.answer[n])


def test_an_untrained_model_guesses():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = FAMILIES["attention"].make().eval()
    model = wb.load((module, task.make_tokenizer()))
    answers = ask(model, vocabulary_of(model), 8, 60, range(3))
    assert answers.among.mean() == pytest.approx(1 / 8, abs=0.05)
    assert answers.all_tokens.mean() < 0.03


def test_a_small_batch_gives_the_same(monkeypatch):
    model = wb.load("organism/recall-mamba-8")
    whole = ask(model, of_task(), 8, 12, range(1))
    monkeypatch.setattr(measure, "BATCH", 100)
    assert (ask(model, of_task(), 8, 12, range(1)).right == whole.right).all()


def test_words_are_single_tokens_of_the_text_that_they_make(organism):
    vocabulary = vocabulary_of(organism)
    assert not vocabulary.asks_all
    assert not set(vocabulary.keys) & set(vocabulary.values)
    made = draw(vocabulary, 5, 4, 0, gap=12)
    beginning = len(vocabulary.beginning)
    for ids in made.ids.tolist():
        text = organism.text.decode_continuation(ids[beginning:])
        assert text.count(" ->") == 6
        assert organism.continuation_tokens(text) == ids[beginning:]


def test_a_tokenizer_without_words_is_refused():
    words = {"<unk>": 0, "a": 1, "b": 2, "house": 3, "tree": 4, "The": 5, "capital": 6}
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model = wb.load((tiny.tiny_llama(), PreTrainedTokenizerFast(tokenizer_object=raw)))
    assert "one token each" in str(too_few_words(model))
    with pytest.raises(BadInput, match="words of one token"):
        vocabulary_of(model)
