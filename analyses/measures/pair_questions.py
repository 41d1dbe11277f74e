"""Rows of pairs of a key and a value, and what is asked of them (MQAR, Arora et al. 2023).

A model that was trained on such rows reads them in its own tokens, all keys asked for one after the
other. Any other model reads lines of words, `key -> value`, and one last line without its value: it
has to find the format in the context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from analyses.measures.vocabulary import printable, reads_back
from workbench.errors import BadInput
from workbench.organisms.recall import task

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

ROW = 64
"""Tokens of a row of the organisms' own task, where its pairs need no more."""
_WORDS = 1024  # that are drawn from at most, the most frequent ones
_FEWEST = 24  # words that are a vocabulary
_LETTERS = 4  # of a word at least: shorter tokens are mostly parts of words
_FILLER = (
    " It was a mild day and the streets were quiet. Some people sat by the river and read the paper"
    " while others went home early, because there was nothing to do in the town."
)


# Half a second for a vocabulary of 49,152 tokens, and forms ask at every change what a run costs.
_words_of: WeakKeyDictionary[InstrumentedModel, np.ndarray] = WeakKeyDictionary()


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that rows are written in.

    Attributes:
        keys, values: token ids, none of them both.
        beginning: tokens before a row.
        between, after: tokens behind a key, and behind a value.
        filler: tokens of a gap, repeated as needed.
        asks_all: whether a row asks for all its keys one after the other; else for one.
    """

    keys: np.ndarray
    values: np.ndarray
    beginning: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    filler: tuple[int, ...]
    asks_all: bool

    @property
    def says(self) -> str:
        """For the provenance."""
        if self.asks_all:
            return "the tokens of the task that the model was trained on; all keys are asked for"
        return (
            f"lines “key -> value” of words that are one token each, {len(self.keys):,} keys and"
            f" {len(self.values):,} values; one key is asked for in the last line"
        )

    def length(self, pairs: int, *, reads: int | None = None, gap: int = 0) -> int:
        """Tokens of a row.

        Args:
            reads: pairs that are read in it, repeats counted; each once by default.
        """
        of_pair = 2 + len(self.between) + len(self.after)
        context = len(self.beginning) + (pairs if reads is None else reads) * of_pair + gap
        return context + (2 * slots(pairs) if self.asks_all else 1 + len(self.between))


@dataclass(frozen=True)
class Questions:
    """Rows and what is true of them.

    Attributes:
        ids: (row, token).
        row, position: of each question, the row and the token after which the value is expected.
        answer: the value's token, (question,).
        place: which pair of the row is asked for, from 0, (question,).
        old: the value that the key had before it was bound again, -1 where it was not, (question,).
        values: (row, value) all values of the row.
    """

    ids: np.ndarray
    row: np.ndarray
    position: np.ndarray
    answer: np.ndarray
    place: np.ndarray
    old: np.ndarray
    values: np.ndarray


def of_task() -> Vocabulary:
    """The tokens of the organisms of recall."""
    keys = np.arange(task.FIRST_KEY, task.FIRST_KEY + task.KEYS)
    values = np.arange(task.FIRST_VALUE, task.VOCABULARY)
    return Vocabulary(keys, values, (), (), (), (task.FILLER,), True)


def vocabulary_of(model: InstrumentedModel) -> Vocabulary:
    """The tokens that this model reads pairs in.

    Raises:
        BadInput: its tokenizer has too few words of one token.
    """
    if is_trained_on_pairs(model):
        return of_task()
    if why_not := too_few_words(model):
        raise BadInput(
            f"{model.card.name} cannot be asked for pairs: {why_not}",
            f"a tokenizer with at least {_FEWEST} words of one token",
            "Choose another model.",
        )
    words = _words(model)
    # Even and odd: keys and values are then equally frequent words.
    return Vocabulary(
        words[::2],
        words[1::2],
        tuple(model.text.beginning),
        tuple(model.continuation_tokens(" ->")),
        tuple(model.continuation_tokens("\n")),
        tuple(model.continuation_tokens(_FILLER)),
        False,
    )


def too_few_words(model: InstrumentedModel) -> str | None:
    """Why no pairs can be written for a model, or None."""
    if is_trained_on_pairs(model) or (n := len(_words(model))) >= _FEWEST:
        return None
    return f"only {n} words of its vocabulary are one token each."


def is_trained_on_pairs(model: InstrumentedModel) -> bool:
    """Whether the model has the tokens of an organism of recall."""
    known: dict[str, int] = model.tokenizer.get_vocab()
    return bool(known == task.make_tokenizer().get_vocab())


def _words(model: InstrumentedModel) -> np.ndarray:
    """Words that are one token inside a text, the most frequent first, as far as token ids say."""
    if model not in _words_of:
        _words_of[model] = _find_words(model)
    return _words_of[model]


def _find_words(model: InstrumentedModel) -> np.ndarray:
    ids = printable(model)
    pieces = model.token_strings(ids)
    found = [
        i
        for i, piece in zip(ids, pieces, strict=True)
        if piece[:1] == " " and piece[1:].isalpha() and len(piece) > _LETTERS
    ]
    if len(found) < _FEWEST:  # no spaces between words
        found = [i for i, piece in zip(ids, pieces, strict=True) if _is_bare_word(piece)]
    return np.array([i for i in found[:_WORDS] if reads_back(model, [i])], dtype=np.int64)


def _is_bare_word(piece: str) -> bool:
    return len(piece) > 1 and piece.isalpha()


def draw(
    vocabulary: Vocabulary,
    pairs: int,
    rows: int,
    seed: int,
    *,
    reading: str = "once",
    gap: int = 0,
    rebound: int = 0,
) -> Questions:
    """Rows of so many pairs; the same pairs and questions however they are read.

    Args:
        reading: "once", "twice", or "shuffled": twice, the second time in another order.
        gap: filler tokens between the pairs and the first question.
        rebound: how many of the pairs are read once more, behind all others, with another value;
            that is then the answer.

    Raises:
        BadInput: there are not so many keys or values.
    """
    have = min(len(vocabulary.keys), len(vocabulary.values) - rebound)
    if not 0 < pairs <= have:
        raise BadInput(
            f"{pairs} pairs cannot be drawn from {len(vocabulary.keys):,} keys and"
            f" {len(vocabulary.values):,} values.",
            f"1 to {have} pairs",
            "Ask for fewer pairs.",
        )
    rng = np.random.default_rng([seed, pairs])
    keys = _drawn(rng, vocabulary.keys, rows, pairs)
    values = _drawn(rng, vocabulary.values, rows, pairs + rebound)
    again = _drawn(rng, np.arange(pairs), rows, rebound)
    places = _drawn(rng, np.arange(slots(pairs)), rows, pairs)
    # One question a row asks for places evenly spread over the pairs, whatever their number.
    asked_place = rng.permutation(((np.arange(rows) + rng.random()) * pairs / rows).astype(int))
    in_order = np.tile(np.arange(pairs), (rows, 1))
    reads = [in_order]
    if reading != "once":
        shuffled = _drawn(rng, np.arange(pairs), rows, pairs)
        reads.append(in_order if reading == "twice" else shuffled)
    which = np.concatenate([*reads, again], 1)
    value_at = np.concatenate([*reads, np.tile(np.arange(pairs, pairs + rebound), (rows, 1))], 1)
    read = context(
        vocabulary,
        np.take_along_axis(keys, which, 1),
        np.take_along_axis(values, value_at, 1),
        gap,
    )
    last = np.tile(np.arange(pairs), (rows, 1))  # of each pair, which value it had last
    np.put_along_axis(last, again, np.arange(pairs, pairs + rebound)[None].repeat(rows, 0), 1)
    answers = np.take_along_axis(values, last, 1)
    old = np.where(last < pairs, -1, values[:, :pairs])
    if vocabulary.asks_all:
        tail = np.full((rows, 2 * slots(pairs)), vocabulary.filler[0])
        np.put_along_axis(tail, 2 * places, keys, 1)
        row = np.repeat(np.arange(rows), pairs)
        position = (read.shape[1] + 2 * places).ravel()
        place = in_order.ravel()
    else:
        row, place = np.arange(rows), asked_place
        behind = np.tile(np.array(vocabulary.between, dtype=np.int64), (rows, 1))
        tail = np.concatenate([keys[row, place][:, None], behind], 1)
        position = np.full(rows, read.shape[1] + tail.shape[1] - 1)
    ids = np.concatenate([read, tail], 1)
    return Questions(ids, row, position, answers[row, place], place, old[row, place], values)


def slots(pairs: int) -> int:
    """Places of two tokens at which the organisms' rows may ask."""
    return max(pairs, ROW // 2 - pairs)


def _drawn(rng: np.random.Generator, pool: np.ndarray, rows: int, count: int) -> np.ndarray:
    """So many of a pool in each row, without replacement, (row, count)."""
    return rng.permuted(np.tile(pool, (rows, 1)), axis=1)[:, :count]


def context(vocabulary: Vocabulary, keys: np.ndarray, values: np.ndarray, gap: int) -> np.ndarray:
    """The tokens before the first question, (row, token)."""
    rows, reads = keys.shape

    def same(tokens: tuple[int, ...]) -> np.ndarray:
        return np.tile(np.array(tokens, dtype=np.int64), (rows, reads, 1))

    pairs = np.concatenate(
        [keys[..., None], same(vocabulary.between), values[..., None], same(vocabulary.after)], 2
    ).reshape(rows, -1)
    before = np.tile(np.array(vocabulary.beginning, dtype=np.int64), (rows, 1))
    # A gap of text ends as a pair does, so that the question begins like one.
    end = vocabulary.after[: gap if gap else 0]
    between = np.resize(np.array(vocabulary.filler, dtype=np.int64), gap - len(end))
    between = np.concatenate([between, np.array(end, dtype=np.int64)])
    return np.concatenate([before, pairs, np.tile(between, (rows, 1))], 1)
