"""Rows of pairs whose state is looked into and changed: which token is which, and what the model
answers where a key is asked for.

A pair stands at fixed places of its row, so what is written of it is found by how far behind its
key it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.pair_questions import Vocabulary, context, slots
from workbench.errors import BadInput
from workbench.wording import quoted

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from hooks.model import InstrumentedModel

GAP = 3
"""Filler behind the pairs of the organisms' rows: short convolutions write a pair a token late."""
TOGETHER = 64
"""Sequences that are read side by side."""
_NOT = -1


@dataclass(frozen=True)
class PairRows:
    """Rows, and the sequences in which their keys are asked for.

    Attributes:
        keys, values: token ids, (row, pair).
        ids: (sequence, token).
        sequence: which sequence asks for a pair, (row, pair); -1 where none does.
        asked: the token after which the value is expected, (row, pair).
        start: the first pair's key.
        stride: tokens from one key to the next.
        end: the last token before anything is asked.
        pairs_end: the last token before a stretch of other text, where there is one.
    """

    keys: Int[Tensor, "row pair"]
    values: Int[Tensor, "row pair"]
    ids: Int[Tensor, "sequence token"]
    sequence: Int[Tensor, "row pair"]
    asked: Int[Tensor, "row pair"]
    start: int
    stride: int
    end: int
    pairs_end: int = 0

    @property
    def n_rows(self) -> int:
        return len(self.keys)

    @property
    def n_pairs(self) -> int:
        return self.keys.shape[1]

    @property
    def is_asked(self) -> Tensor:
        """(row, pair)"""
        return self.sequence != _NOT

    def value_position(self, between: int) -> Tensor:
        """Where the values stand, (pair,)."""
        return self.start + self.stride * torch.arange(self.n_pairs) + 1 + between

    @property
    def offsets(self) -> range:
        """How far behind its key a pair may be written: from the key itself to the token behind the
        next key.
        """
        return range(self.stride + 2)

    def written(self, offset: int) -> Tensor:
        """The token so far behind each key, (pair,)."""
        places = self.start + self.stride * torch.arange(self.n_pairs) + offset
        return places.clamp(max=self.end)

    def parts(self) -> Iterator[PairRows]:
        """The same rows, few enough to be read side by side."""
        of_row = max(1, len(self.ids) // max(1, self.n_rows))
        step = max(1, TOGETHER // of_row)
        for first in range(0, self.n_rows, step):
            yield self.only(slice(first, first + step))

    def only(self, rows: slice) -> PairRows:
        """Some of the rows."""
        sequence = self.sequence[rows]
        wanted = sequence[sequence != _NOT].unique()
        new = torch.full((len(self.ids),), _NOT)
        new[wanted] = torch.arange(len(wanted))
        return replace(
            self,
            keys=self.keys[rows],
            values=self.values[rows],
            ids=self.ids[wanted],
            sequence=torch.where(sequence == _NOT, sequence, new[sequence]),
            asked=self.asked[rows],
        )

    def with_values(self, pair: Tensor, values: Tensor, between: int) -> PairRows:
        """The rows with another value of one pair in each.

        Args:
            pair: which, (row,).
            values: token ids, (row,).
        """
        ids, of_row = self.ids.clone(), self.row_of_sequence()
        ids[torch.arange(len(ids)), self.value_position(between)[pair[of_row]]] = values[of_row]
        changed = self.values.clone()
        changed[torch.arange(self.n_rows), pair] = values
        return replace(self, ids=ids, values=changed)

    def row_of_sequence(self) -> Tensor:
        """(sequence,)"""
        found = torch.zeros(len(self.ids), dtype=torch.long)
        rows = torch.arange(self.n_rows)[:, None].expand_as(self.sequence)
        found[self.sequence[self.is_asked]] = rows[self.is_asked]
        return found


def make(
    vocabulary: Vocabulary,
    keys: np.ndarray,
    values: np.ndarray,
    rng: np.random.Generator,
    ask: int | None = None,
    gap: int = 0,
) -> PairRows:
    """Rows of these pairs.

    Args:
        keys, values: token ids, (row, pair).
        ask: for how many pairs of a row it is asked, the first among them; all by default, and
            always where one sequence asks for all.
        gap: tokens of other text before anything is asked.
    """
    n, pairs = keys.shape
    own = GAP if vocabulary.asks_all else 0
    read = context(vocabulary, keys, values, own + gap)
    stride = 2 + len(vocabulary.between) + len(vocabulary.after)
    sequence, asked = np.full((n, pairs), _NOT), np.zeros((n, pairs), dtype=np.int64)
    if vocabulary.asks_all:
        places = rng.permuted(np.tile(np.arange(slots(pairs)), (n, 1)), axis=1)[:, :pairs]
        tail = np.full((n, 2 * slots(pairs)), vocabulary.filler[0])
        np.put_along_axis(tail, 2 * places, keys, 1)
        ids = np.concatenate([read, tail], 1)
        sequence[:] = np.arange(n)[:, None]
        asked = read.shape[1] + 2 * places
    else:
        count = pairs if ask is None else min(ask, pairs)
        rows = np.repeat(np.arange(n), count)
        which = np.tile(np.arange(count), n)
        behind = np.tile(np.array(vocabulary.between, dtype=np.int64), (len(rows), 1))
        ids = np.concatenate([read[rows], keys[rows, which][:, None], behind], 1)
        sequence[rows, which] = np.arange(len(rows))
        asked[:] = ids.shape[1] - 1
    return PairRows(
        keys=torch.as_tensor(keys),
        values=torch.as_tensor(values),
        ids=torch.as_tensor(ids),
        sequence=torch.as_tensor(sequence),
        asked=torch.as_tensor(asked),
        start=len(vocabulary.beginning),
        stride=stride,
        end=read.shape[1] - 1,
        pairs_end=read.shape[1] - 1 - gap,
    )


def draw(
    vocabulary: Vocabulary,
    pairs: int,
    rows: int,
    seed: int,
    ask: int | None = None,
    gap: int = 0,
) -> PairRows:
    """Rows of pairs drawn at random; no key and no value stands twice in a row.

    Raises:
        BadInput: there are not so many keys or values.
    """
    have = min(len(vocabulary.keys), len(vocabulary.values) - 1)
    if pairs > have:
        raise BadInput(
            f"{pairs} pairs cannot be drawn from {len(vocabulary.keys):,} keys and"
            f" {len(vocabulary.values):,} values.",
            f"at most {have} pairs",
            "Ask for fewer pairs.",
        )
    rng = np.random.default_rng([seed, pairs])

    def some(pool: np.ndarray) -> np.ndarray:
        return rng.permuted(np.tile(pool, (rows, 1)), axis=1)[:, :pairs]

    return make(vocabulary, some(vocabulary.keys), some(vocabulary.values), rng, ask, gap)


def typed(model: InstrumentedModel, vocabulary: Vocabulary, text: str, seed: int) -> PairRows:
    """One row of the pairs that somebody typed, separated by commas or lines.

    Raises:
        BadInput: a pair that is none, a word that is not one token, a key that stands twice.
    """
    pairs = [re.split(r"\s*(?:->|→|:|=|\s)\s*", part.strip(), maxsplit=1)
             for part in re.split(r"[,;\n]", text) if part.strip()]  # fmt: skip
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise BadInput(
                f"{quoted(' '.join(pair))} is no pair.",
                "a key and a value, and a comma or a new line between two pairs",
                f"For example {_example(vocabulary)}.",
            )
    if len(pairs) < 2:
        raise BadInput(
            "One pair alone was typed.",
            "at least two: what changes with one of them is held against the others",
            "Type another pair.",
        )
    keys = [token_of(model, vocabulary, key, "key") for key, _ in pairs]
    values = [token_of(model, vocabulary, value, "value") for _, value in pairs]
    if len(set(keys)) < len(keys):
        twice = next(pairs[n][0] for n, key in enumerate(keys) if key in keys[:n])
        raise BadInput(
            f"The key {quoted(twice)} stands twice.", "each key once", "Leave one of them out."
        )
    rng = np.random.default_rng(seed)
    return make(vocabulary, np.array([keys]), np.array([values]), rng)


def _example(vocabulary: Vocabulary) -> str:
    return "“k5 v7, k9 v1”" if vocabulary.asks_all else "“river: music, stone: paper”"


def token_of(model: InstrumentedModel, vocabulary: Vocabulary, word: str, what: str) -> int:
    """The one token of a word, "key" or "value".

    Raises:
        BadInput: a word of several tokens, or none that may be one.
    """
    ids = (
        model.tokenizer.encode(word, add_special_tokens=False)
        if vocabulary.asks_all
        else list(model.continuation_tokens(f" {word}"))
    )
    allowed = vocabulary.keys if what == "key" else vocabulary.values
    if len(ids) != 1 or (vocabulary.asks_all and ids[0] not in allowed):
        some = model.token_strings([int(i) for i in allowed[:4]])
        raise BadInput(
            f"{quoted(word)} is no {what} of one token in {model.card.name}.",
            f"words of one token, for example {', '.join(s.strip() for s in some)}",
            "Type another word.",
        )
    return int(ids[0])


@torch.no_grad()
def logits_at_questions(
    model: InstrumentedModel, rows: PairRows
) -> Float[Tensor, "row pair d_vocab"]:
    """Float32; NaN where a pair is not asked for. One pass; honours active interventions."""
    first = int(rows.asked[rows.is_asked].min())
    keep = rows.ids.shape[1] - first
    batch = model.batch(rows.ids.tolist())
    logits = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=keep).logits
    found = torch.full((*rows.sequence.shape, logits.shape[-1]), float("nan"))
    where = rows.is_asked
    at = (rows.sequence[where], rows.asked[where] - first)
    found[where] = logits[at].float().cpu()
    return found


def other_values(
    vocabulary: Vocabulary, rows: PairRows, rng: np.random.Generator
) -> Int[Tensor, " row"]:
    """For each row a value that does not stand in it."""
    found: Sequence[int] = [
        int(rng.choice(np.setdiff1d(vocabulary.values, own))) for own in rows.values.numpy()
    ]
    return torch.tensor(found)
