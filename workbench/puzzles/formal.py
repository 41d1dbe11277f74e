"""Puzzles in a language of one token per symbol, in Polish notation.

`a : & + b - c ; b : ~ - a ; c : + b ; ? a + b - c + .` reads: a says that b is a knight and c a
knave; b says that it is not so that a is a knave; c says that b is a knight. What is a? A knight; b
is a knave, c a knight.
"""

from __future__ import annotations

import random

from workbench.puzzles.perturb import Change
from workbench.puzzles.puzzle import PosedPuzzle, Puzzle
from workbench.puzzles.statements import Statement

NAMES = tuple("abcdefgh")
KNIGHT, KNAVE = ROLES = ("+", "-")
_CONNECTIVES = {"is": "", "not": "~", "and": "&", "or": "|", "implies": ">", "iff": "="}
PAD, ASKS, END, SAYS, STOP = "<pad>", "?", ".", ":", ";"
WORDS = (PAD, ASKS, END, SAYS, STOP, *ROLES, "~", "&", "|", ">", "=", *NAMES)
CHANGES: tuple[Change, ...] = ("statement", "leaf", "names", "order", "turned")
"""What can be changed of a puzzle in this language (`perturb.Change`)."""


def posed(puzzle: Puzzle, seed: int) -> PosedPuzzle:
    """A puzzle with names that were drawn; everybody speaks in order. The same from the same
    seed.
    """
    lot = random.Random(f"{seed} names {puzzle.statements}")
    names = tuple(lot.sample(range(len(NAMES)), puzzle.people))
    return PosedPuzzle(puzzle, names, tuple(range(puzzle.people)))


def prompt(one: PosedPuzzle) -> str:
    """What is said, and that an answer is wanted."""
    lines = [
        f"{NAMES[one.names[i]]} {SAYS} {_statement(one.statement(i), one)} {STOP}"
        for i in one.order
    ]
    return " ".join([*lines, ASKS])


def answer(one: PosedPuzzle) -> str:
    """The answer behind the prompt."""
    return "".join(before + right for before, right, _ in steps(one)).strip()


def steps(one: PosedPuzzle) -> list[tuple[str, str, str]]:
    """The answer piece by piece: for each person what comes before the symbol that decides, that
    symbol, and the wrong one.
    """
    found = []
    for name, knight in zip(one.names, one.answers, strict=True):
        right, wrong = ROLES if knight else ROLES[::-1]
        found.append((f" {NAMES[name]}", f" {right}", f" {wrong}"))
    return found


def line(one: PosedPuzzle) -> str:
    """A puzzle and its answer."""
    return f"{prompt(one)} {answer(one)} {END}"


def _statement(statement: Statement, one: PosedPuzzle) -> str:
    words = list(filter(None, [_CONNECTIVES[statement.connective]]))
    for who, knight in statement.leaves:
        words += [ROLES[0 if knight != one.flipped else 1], NAMES[one.names[who]]]
    return " ".join(words)
