"""Rows of multi-query associative recall (Arora et al. 2023, "Zoology", MQAR), and what is true of
them.

A row holds pairs, `key value key value …`, then slots of two tokens; in some of them a key is asked
for, the rest is filler. The answer to a key is not written into the row. With a vocabulary of 256 a
random filler would often be a key of the row, so filler is one token of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput

if TYPE_CHECKING:
    import torch

VOCABULARY, KEYS = 256, 127
FILLER, FIRST_KEY, FIRST_VALUE = 0, 1, 128
VALUES = VOCABULARY - FIRST_VALUE
"""A guess among all values is right once in so many times."""
NOT_ASKED = -100
"""Label of a token that no answer is expected at, as `cross_entropy` skips it."""


@dataclass(frozen=True)
class Rows:
    """Rows and their truth.

    Attributes:
        ids: (row, token).
        labels: (row, token): at a key that is asked for, its value; elsewhere `NOT_ASKED`.
        keys, values: tokens of each pair, (row, pair), in the order in which they are read first.
            A key that is rebound is with its last value: that is the pair that is live.
        written: position of a pair's key where it is read last, (row, pair).
        asked: position where it is asked for, (row, pair).
        replaced: value that the key had before it was rebound, (row, pair); `NOT_ASKED` where it
            was not.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    written: torch.Tensor
    asked: torch.Tensor
    replaced: torch.Tensor


def make(
    rows: int,
    pairs: int,
    length: int,
    generator: torch.Generator,
    *,
    passes: int = 1,
    power: float = 1.0,
    rebound: int = 0,
) -> Rows:
    """Rows of so many pairs and tokens.

    Args:
        passes: how often all pairs are read before the first question.
        power: a slot is asked at with a probability ∝ (its number)^(power − 1): 1 asks anywhere,
            0.01, as in the paper, soon after the pairs.
        rebound: so many keys, drawn anew in each row, are read once more behind all pairs, with
            another value; the answer to them is the last one.

    Raises:
        BadInput: the pairs and a question for each do not fit into the row, or there are not so
            many keys or values, or so many keys to rebind.
    """
    import torch

    first = 2 * pairs * passes
    context = first + 2 * rebound
    slots = (length - context) // 2
    if not 0 < pairs <= min(KEYS, slots) or not 0 <= rebound <= min(pairs, VALUES - pairs):
        raise BadInput(
            f"{pairs} pairs read {passes} times, {rebound} of them rebound, do not fit into a row"
            f" of {length} tokens.",
            f"1 to {KEYS} pairs, for each {2 * passes + 2} tokens and for each that is rebound two"
            " more, and no value twice",
            f"Ask for {(2 * passes + 2) * pairs + 2 * rebound} tokens or more, or for fewer pairs.",
        )

    def drawn(weights: torch.Tensor, count: int) -> torch.Tensor:
        """Without replacement, one after the other (Gumbel top-k), (row, count)."""
        noise = -torch.empty(rows, len(weights)).exponential_(generator=generator).log()
        return (weights + noise).topk(count, dim=-1).indices

    keys = FIRST_KEY + drawn(torch.zeros(KEYS), pairs)
    drawn_values = FIRST_VALUE + drawn(torch.zeros(VALUES), pairs + rebound)
    values = drawn_values[:, :pairs]
    slot = drawn((power - 1) * torch.arange(1.0, slots + 1).log(), pairs)
    ids = torch.full((rows, length), FILLER)
    ids[:, :first] = torch.stack([keys, values], -1).flatten(1).repeat(1, passes)
    asked = context + 2 * slot
    ids.scatter_(1, asked, keys)
    written = (first - 2 * pairs + 2 * torch.arange(pairs)).repeat(rows, 1)
    replaced = torch.full((rows, pairs), NOT_ASKED)
    if rebound:
        again, last = drawn(torch.zeros(pairs), rebound), drawn_values[:, pairs:]
        ids[:, first:context] = torch.stack([keys.gather(1, again), last], -1).flatten(1)
        replaced.scatter_(1, again, values.gather(1, again))
        values = values.scatter(1, again, last)
        written.scatter_(1, again, (first + 2 * torch.arange(rebound)).expand(rows, rebound))
    labels = torch.full((rows, length), NOT_ASKED).scatter_(1, asked, values)
    return Rows(ids, labels, keys, values, written, asked, replaced)


def make_tokenizer() -> Any:
    """A tokenizer of words between spaces: `.` is filler, then `k1` … `k127` and `v0` … `v127`."""
    keys, values = (f"k{n}" for n in range(1, KEYS + 1)), (f"v{n}" for n in range(VALUES))
    return tokenizer_of([".", *keys, *values])


def tokenizer_of(words: list[str]) -> Any:
    """A tokenizer of these words between spaces; the first is filler, and stands for all others."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=words[FILLER])
    )
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token=words[FILLER],
        pad_token=words[FILLER],
        clean_up_tokenization_spaces=False,
    )
