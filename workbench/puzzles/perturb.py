"""Puzzles that were changed a little: mathematically, so that the solution changes, or in their
words, so that it stays (Xie et al. 2024).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from workbench.puzzles.puzzle import PosedPuzzle, Puzzle, solutions
from workbench.puzzles.statements import Leaf, Statement, statements_of

Change = Literal["statement", "leaf", "names", "roles", "order", "flipped", "turned"]
MATHEMATICAL: tuple[Change, ...] = ("statement", "leaf")
VERBAL: tuple[Change, ...] = ("names", "roles", "order", "flipped", "turned")


def perturbed(
    posed: PosedPuzzle, change: Change, seed: int, *, names: Sequence[int], role_pairs: int = 1
) -> PosedPuzzle | None:
    """A copy changed in one way; None where it cannot be changed so.

    "statement" draws anew what one person says, "leaf" one side of it: the copy has one solution,
    another one. "names" gives other names, "roles" another pair of words for knight and knave,
    "order" lets people speak in another order, "flipped" lets knights lie and knaves tell the
    truth, "turned" changes over the two sides of what is said, where that means the same.

    Args:
        names: places of the names that the change "names" may give.
        role_pairs: how many pairs of words for knight and knave the language has.
    """
    lot = random.Random(f"{seed} {change} {posed.puzzle.statements}")
    if change in MATHEMATICAL:
        changed = _mathematical(posed.puzzle, change, lot)
        return None if changed is None else replace(posed, puzzle=changed)
    return _verbal(posed, change, lot, names, role_pairs)


def _verbal(
    posed: PosedPuzzle,
    change: Change,
    lot: random.Random,
    names: Sequence[int],
    role_pairs: int,
) -> PosedPuzzle | None:
    if change == "names":
        left = [name for name in names if name not in posed.names]
        if len(left) < posed.puzzle.people:
            return None
        return replace(posed, names=tuple(lot.sample(left, posed.puzzle.people)))
    if change == "roles":
        left = [pair for pair in range(role_pairs) if pair != posed.roles]
        return replace(posed, roles=lot.choice(left)) if left else None
    if change == "order":
        return replace(posed, order=tuple(_other_order(posed.order, lot)))
    if change == "flipped":
        return replace(posed, flipped=not posed.flipped)
    people = range(posed.puzzle.people)
    can = frozenset(i for i in people if posed.puzzle.statements[i].turned() is not None)
    return replace(posed, turned=can) if can else None


def _other_order(order: Sequence[int], lot: random.Random) -> list[int]:
    changed = list(order)
    while changed == list(order):
        lot.shuffle(changed)
    return changed


def _mathematical(puzzle: Puzzle, change: Change, lot: random.Random) -> Puzzle | None:
    """The first of all such changes, in random order, that has one solution, another one."""
    ways = list(_changes(puzzle, change))
    lot.shuffle(ways)
    for speaker, statement in ways:
        changed = (*puzzle.statements[:speaker], statement, *puzzle.statements[speaker + 1 :])
        found = solutions(changed)
        if len(found) == 1 and found[0] != puzzle.solution:
            return Puzzle(changed)
    return None


def _changes(puzzle: Puzzle, change: Change) -> Iterator[tuple[int, Statement]]:
    for speaker, given in enumerate(puzzle.statements):
        if change == "statement":
            for statement, _ in statements_of(speaker, puzzle.people):
                if statement != given:
                    yield speaker, statement
        elif change == "leaf":
            for side in range(len(given.leaves)):
                yield from ((speaker, one) for one in _other_leaf(puzzle, speaker, side))


def _other_leaf(puzzle: Puzzle, speaker: int, side: int) -> Iterator[Statement]:
    given = puzzle.statements[speaker]
    for who in range(puzzle.people):
        for knight in (True, False):
            leaf: Leaf = (who, knight)
            if leaf in given.leaves or leaf == (speaker, False):
                continue
            leaves = (*given.leaves[:side], leaf, *given.leaves[side + 1 :])
            yield replace(given, leaves=leaves)
