"""Which rows a family reads, for training and for measuring, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.organisms.recall import delay, task
from workbench.organisms.recall.families import Family

if TYPE_CHECKING:
    import torch

BESIDE = 8
"""Tokens of a row of delayed recall that the value can begin at."""


def shortest(family: Family, size: int, passes: int = 1) -> int:
    """Tokens of a row with so many pairs, or so long a delay."""
    if family.task == "delay":
        return size + BESIDE
    return (2 * passes + 2) * size + 2 * _rebound(family, size)


def _rebound(family: Family, pairs: int) -> int:
    return pairs // 2 if family.task == "rebound" else 0


def make_rows(
    family: Family,
    rows: int,
    size: int,
    length: int,
    generator: torch.Generator,
    passes: int = 1,
) -> task.Rows | delay.DelayedRows:
    """Rows of so many tokens, of more where they do not fit.

    Args:
        size: pairs in a row, or tokens between value and question.
        passes: see `task.make`.
    """
    length = max(length, shortest(family, size, passes))
    if family.task == "delay":
        return delay.make_delayed(rows, size, length, generator)
    return task.make(rows, size, length, generator, passes=passes, rebound=_rebound(family, size))


def tokenizer_for(family: Family) -> Any:
    """The tokenizer of its words."""
    return (delay if family.task == "delay" else task).make_tokenizer()
