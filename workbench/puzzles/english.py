"""Puzzles in English: an island, what its people say, and who they are."""

from __future__ import annotations

import random

from workbench.puzzles.perturb import Change
from workbench.puzzles.puzzle import PosedPuzzle, Puzzle
from workbench.puzzles.statements import Leaf, Statement

NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Julia", "Kevin", "Laura",
    "Mark", "Nina", "Oscar", "Paula", "Robert",
    "Zephyrine", "Thaddeus", "Isolde", "Caspian", "Ottoline", "Leocadia", "Evander", "Marcellus",
)  # fmt: skip
COMMON = 16
"""The first so many names are common; the change "names" takes uncommon ones."""
ROLES = (
    ("knight", "knave"), ("hero", "villain"), ("saint", "sinner"), ("sage", "fool"),
    ("pioneer", "laggard"),
)  # fmt: skip
CHANGES: tuple[Change, ...] = ("statement", "leaf", "names", "roles", "order", "flipped", "turned")
"""What can be changed of a puzzle in English."""


def posed(puzzle: Puzzle, seed: int) -> PosedPuzzle:
    """A puzzle with common names that were drawn. The same from the same seed."""
    lot = random.Random(f"{seed} names {puzzle.statements}")
    names = tuple(lot.sample(range(COMMON), puzzle.people))
    return PosedPuzzle(puzzle, names, tuple(range(puzzle.people)))


def prompt(one: PosedPuzzle) -> str:
    """The puzzle up to where the answer begins."""
    first, second = ROLES[one.roles]
    truthful, lying = (second, first) if one.flipped else (first, second)
    names = [NAMES[name] for name in one.names]
    says = " ".join(f"{names[i]} says: “{_statement(one.statement(i), one)}”" for i in one.order)
    rule = f"A {truthful} always tells the truth, a {lying} always lies."
    return (
        f"On an island everybody is either a {first} or a {second}. {rule} You meet"
        f" {', '.join(names[:-1])} and {names[-1]}. {says}\nQuestion: Who is a {first}, and who is"
        f" a {second}?\nAnswer:"
    )


def steps(one: PosedPuzzle) -> list[tuple[str, str, str]]:
    """The answer piece by piece: for each person what comes before the word that decides, that
    word, and the wrong one.
    """
    roles = ROLES[one.roles]
    found = []
    for number, (name, is_first) in enumerate(zip(one.names, one.answers, strict=True)):
        before = f"{',' if number else ''} {NAMES[name]} is a"
        right, wrong = roles if is_first else roles[::-1]
        found.append((before, f" {right}", f" {wrong}"))
    return found


def _statement(statement: Statement, one: PosedPuzzle) -> str:
    sides = [_leaf(leaf, one) for leaf in statement.leaves]
    match statement.connective:
        case "is":
            said = sides[0]
        case "not":
            said = _leaf(statement.leaves[0], one, " not")
        case "and" | "or":
            said = f"{sides[0]} {statement.connective} {sides[1]}"
        case "implies":
            said = f"If {sides[0]} then {sides[1]}"
        case _:
            said = f"{sides[0]} if and only if {sides[1]}"
    return f"{said}."


def _leaf(leaf: Leaf, one: PosedPuzzle, denied: str = "") -> str:
    who, knight = leaf
    word = ROLES[one.roles][0 if knight != one.flipped else 1]
    return f"{NAMES[one.names[who]]} is{denied} a {word}"
