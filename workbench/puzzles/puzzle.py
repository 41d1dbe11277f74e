"""A puzzle: what each of its people says, and who can be what then."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import permutations, product

from workbench.errors import BadInput
from workbench.puzzles.statements import Statement, fitting, statements_of

FEWEST, MOST = 2, 8
"""People of a puzzle."""
_TRIES = 200
"""Puzzles drawn in vain, one after the other, before a generator counts as exhausted."""


@dataclass(frozen=True)
class Puzzle:
    """What each person says, person 0 first.

    It is usable where it has one solution; `draw` makes only such.
    """

    statements: tuple[Statement, ...]

    @property
    def people(self) -> int:
        return len(self.statements)

    @property
    def solution(self) -> tuple[bool, ...]:
        """Of each person whether he is a knight.

        Raises:
            BadInput: there is not exactly one.
        """
        found = solutions(self.statements)
        if len(found) != 1:
            raise BadInput(
                f"This puzzle has {len(found) or 'no'} solutions.",
                "exactly one",
                "Change what one of its people says.",
            )
        return found[0]

    @property
    def key(self) -> tuple[Statement, ...]:
        """The same for puzzles that are the same up to names, the order of their people, and the
        order of two sides that may be changed over.
        """
        return min(_renamings(self.statements))


@dataclass(frozen=True)
class PosedPuzzle:
    """A puzzle as it is put to somebody.

    Attributes:
        names: which name each person has, as a place in the names of the language it is put in.
        order: the order in which people speak; they are asked about in that of the puzzle.
        flipped: knights lie here, and knaves tell the truth: each name of a role means the other.
        roles: which pair of words for the roles is used, as a place in those of the language.
        turned: statements whose sides are changed over, by person.
    """

    puzzle: Puzzle
    names: tuple[int, ...]
    order: tuple[int, ...]
    flipped: bool = False
    roles: int = 0
    turned: frozenset[int] = field(default_factory=frozenset)

    @property
    def answers(self) -> tuple[bool, ...]:
        """Of each person whether he is called by the first word of the pair of roles."""
        return tuple(one != self.flipped for one in self.puzzle.solution)

    def statement(self, person: int) -> Statement:
        """What a person says, as it is put."""
        given = self.puzzle.statements[person]
        return (given.turned() or given) if person in self.turned else given


def solutions(statements: tuple[Statement, ...]) -> list[tuple[bool, ...]]:
    """Every way in which all that is said fits who says it."""
    people = len(statements)
    fits = (1 << (1 << people)) - 1
    for speaker, statement in enumerate(statements):
        fits &= fitting(statement, speaker, people)
    return [
        tuple(bool(knights >> i & 1) for i in range(people))
        for knights in range(1 << people)
        if fits >> knights & 1
    ]


def draw(
    people: int, count: int, seed: int, used: Collection[tuple[Statement, ...]] = ()
) -> list[Puzzle]:
    """Puzzles with one solution each, no two the same up to names, all solutions as often as can
    be: one answer to all of them solves no more than guessing does.

    Args:
        used: keys of puzzles that must not be among them.

    Raises:
        BadInput: too few or too many people, or there are not so many different puzzles.
    """
    if not FEWEST <= people <= MOST:
        raise BadInput(
            f"A puzzle cannot have {people} people.",
            f"{FEWEST} to {MOST}",
            "Ask for another number.",
        )
    lot, taken, in_vain = random.Random(f"{seed} {people}"), set(used), 0
    found: list[Puzzle] = []
    most = -(-count // (1 << people))  # of each solution
    of_solution: Counter[int] = Counter()
    sayings = [statements_of(speaker, people) for speaker in range(people)]
    while len(found) < count:
        drawn = [lot.choice(each) for each in sayings]
        fits = drawn[0][1]
        for _, more in drawn[1:]:
            fits &= more
        if fits.bit_count() != 1 or of_solution[fits] == most:
            continue
        puzzle = Puzzle(tuple(statement for statement, _ in drawn))
        if (key := puzzle.key) not in taken:
            taken.add(key)
            found.append(puzzle)
            of_solution[fits] += 1
            in_vain = 0
            continue
        in_vain += 1
        if in_vain == _TRIES:
            raise BadInput(
                f"The generator repeats itself: of {count} puzzles of {people} people it made"
                f" {len(found)} and then {_TRIES} that were there before.",
                "fewer puzzles than there are different ones",
                "Ask for fewer puzzles, or for more people.",
            )
    return found


def _renamings(statements: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    """The puzzle with its people called otherwise, in every way that can matter.

    People of whom different things are said, or who say different things, get their numbers by
    that; only those that look alike so far are tried in every order.
    """
    people = range(len(statements))
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for person in people:
        alike[_looks(statements, person)].append(person)
    groups = [permutations(alike[look]) for look in sorted(alike, key=repr)]
    for chosen in product(*groups):
        order = [person for group in chosen for person in group]
        numbers = tuple(order.index(person) for person in people)
        yield tuple(statements[person].renamed(numbers) for person in order)


def _looks(statements: tuple[Statement, ...], person: int) -> tuple[object, ...]:
    """What of a person is the same whatever people are called."""
    own = statements[person]
    sides = [(who == person, knight) for who, knight in own.leaves]
    said_of = sorted(
        (one.connective, knight)
        for speaker, one in enumerate(statements)
        if speaker != person
        for who, knight in one.leaves
        if who == person
    )
    return own.connective, tuple(sorted(sides)), tuple(said_of)
