"""What a person of a puzzle says: that somebody is a knight or a knave, its denial, or two of those
joined.

A person never says of himself that he is a knave: no knight could say it and no knave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Literal

Leaf = tuple[int, bool]
"""Who, and whether he is said to be a knight."""
Connective = Literal["is", "not", "and", "or", "implies", "iff"]
JOINING: tuple[Connective, ...] = ("and", "or", "implies", "iff")
SYMMETRIC = frozenset({"and", "or", "iff"})
"""Connectives that mean the same with their two sides changed over."""


@dataclass(frozen=True, order=True)
class Statement:
    """One or two leaves under a connective.

    Attributes:
        leaves: one for "is" and "not", two for the others.
    """

    connective: Connective
    leaves: tuple[Leaf, ...]

    def is_true(self, knights: int) -> bool:
        """Where bit i of `knights` says whether person i is a knight."""
        first, *more = [bool(knights >> who & 1) == knight for who, knight in self.leaves]
        if not more:
            return first if self.connective == "is" else not first
        second = more[0]
        if self.connective == "and":
            return first and second
        if self.connective == "or":
            return first or second
        return second or not first if self.connective == "implies" else first == second

    def renamed(self, numbers: tuple[int, ...]) -> Statement:
        """Person i is called `numbers[i]`; sides that may be changed over are put in order."""
        leaves = tuple((numbers[who], knight) for who, knight in self.leaves)
        if self.connective in SYMMETRIC:
            leaves = tuple(sorted(leaves))
        return Statement(self.connective, leaves)

    def turned(self) -> Statement | None:
        """With its two sides changed over, where that means the same; None elsewhere."""
        if self.connective not in SYMMETRIC:
            return None
        return Statement(self.connective, self.leaves[::-1])


@cache
def statements_of(speaker: int, people: int) -> tuple[tuple[Statement, int], ...]:
    """Everything a person can say, and who may be a knight then.

    Returns:
        Each statement with a number whose bit a is set where assignment a (its bit i: person i is
        a knight) fits: the speaker is a knight and it is true, or he is a knave and it is not.
        30 statements where there are two people, 90 where there are three.
    """
    leaves = [
        (who, knight)
        for who in range(people)
        for knight in (True, False)
        if (who, knight) != (speaker, False)
    ]
    single = [Statement(one, (leaf,)) for one in ("is", "not") for leaf in leaves]
    joined = [Statement(one, pair) for one in JOINING for pair in permutations(leaves, 2)]
    return tuple((one, fitting(one, speaker, people)) for one in (*single, *joined))


def fitting(statement: Statement, speaker: int, people: int) -> int:
    """The assignments that fit what a person says, as `statements_of` gives them."""
    return sum(
        1 << knights
        for knights in range(1 << people)
        if statement.is_true(knights) == bool(knights >> speaker & 1)
    )
