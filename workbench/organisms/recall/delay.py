"""Rows of delayed recall: filler, in it one value, and so many tokens later a question; the answer
is the value. Nothing is stored under a key, so that a model can answer whose state is written the
same way at every token (S4D), and one sees when a gate opens (LSTM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.organisms.recall.task import NOT_ASKED, tokenizer_of

if TYPE_CHECKING:
    import torch

VALUES = 16
"""A guess among all values is right once in so many times."""
FILLER, QUESTION, FIRST_VALUE = range(3)
VOCABULARY = FIRST_VALUE + VALUES


@dataclass(frozen=True)
class DelayedRows:
    """Rows and their truth.

    Attributes:
        ids: (row, token).
        labels: (row, token): at the question the value, elsewhere `task.NOT_ASKED`.
        values: (row).
        written, asked: positions of value and question, (row).
    """

    ids: torch.Tensor
    labels: torch.Tensor
    values: torch.Tensor
    written: torch.Tensor
    asked: torch.Tensor


def make_delayed(rows: int, delay: int, length: int, generator: torch.Generator) -> DelayedRows:
    """Rows with a value anywhere and the question `delay` tokens behind it.

    Raises:
        BadInput: they do not fit into a row.
    """
    import torch

    if not 0 < delay < length:
        raise BadInput(
            f"A question {delay} tokens behind its value does not fit into a row of {length}.",
            f"1 to {length - 1} tokens",
            f"Ask for {delay + 1} tokens or more, or for a shorter delay.",
        )
    values = FIRST_VALUE + torch.randint(VALUES, (rows,), generator=generator)
    written = torch.randint(length - delay, (rows,), generator=generator)
    each = torch.arange(rows)
    ids = torch.full((rows, length), FILLER)
    ids[each, written] = values
    ids[each, written + delay] = QUESTION
    labels = torch.full((rows, length), NOT_ASKED)
    labels[each, written + delay] = values
    return DelayedRows(ids, labels, values, written, written + delay)


def make_tokenizer() -> Any:
    """A tokenizer of words between spaces: `.` is filler, `?` asks, values are `a0` … `a15`."""
    return tokenizer_of([".", "?", *(f"a{n}" for n in range(VALUES))])
