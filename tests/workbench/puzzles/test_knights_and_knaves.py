"""Puzzles of knights and knaves: solved by brute force, drawn, changed, and put into words."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from workbench.errors import BadInput
from workbench.puzzles import (
    MATHEMATICAL,
    VERBAL,
    PosedPuzzle,
    Puzzle,
    draw,
    english,
    formal,
    perturbed,
)
from workbench.puzzles.puzzle import solutions
from workbench.puzzles.statements import Statement, statements_of


def is_true(statement: Statement, world: tuple[bool, ...]) -> bool:
    """By the words' meaning, apart from how the package evaluates."""
    sides = [world[who] if knight else not world[who] for who, knight in statement.leaves]
    return {
        "is": lambda: sides[0],
        "not": lambda: not sides[0],
        "and": lambda: all(sides),
        "or": lambda: any(sides),
        "implies": lambda: sides[1] if sides[0] else True,
        "iff": lambda: sides[0] == sides[1],
    }[statement.connective]()


def by_brute_force(statements: tuple[Statement, ...]) -> list[tuple[bool, ...]]:
    return [
        world
        for world in product((False, True), repeat=len(statements))
        if all(is_true(one, world) == world[i] for i, one in enumerate(statements))
    ]


def test_solutions_are_those_of_brute_force() -> None:
    lot = random.Random(0)
    for people in (2, 3, 4, 5):
        for _ in range(40):
            drawn = tuple(
                lot.choice(statements_of(speaker, people))[0] for speaker in range(people)
            )
            assert sorted(solutions(drawn)) == sorted(by_brute_force(drawn))


def test_as_many_puzzles_as_were_counted() -> None:
    assert [len(statements_of(0, people)) for people in (2, 3)] == [30, 90]
    pairs = product(*(statements_of(speaker, 2) for speaker in range(2)))
    alone = [p for p in pairs if len(by_brute_force(tuple(one for one, _ in p))) == 1]
    assert len(alone) == 399
    fits = [[fitting for _, fitting in statements_of(speaker, 3)] for speaker in range(3)]
    assert sum((a & b & c).bit_count() == 1 for a, b, c in product(*fits)) == 304_276


def test_nobody_says_of_himself_that_he_lies() -> None:
    for statement, _ in statements_of(1, 3):
        assert (1, False) not in statement.leaves


def test_puzzles_differ_by_more_than_names_and_every_solution_is_as_frequent() -> None:
    drawn = draw(3, 160, seed=4)
    assert len({one.key for one in drawn}) == 160
    assert set(Counter(one.solution for one in drawn).values()) == {20}
    assert drawn == draw(3, 160, seed=4) != draw(3, 160, seed=5)
    others = draw(3, 50, 6, {one.key for one in drawn})
    assert not {one.key for one in drawn} & {one.key for one in others}


def test_a_puzzle_with_other_names_is_the_same_one() -> None:
    lot = random.Random(1)
    for puzzle in draw(4, 30, 0):
        numbers = lot.sample(range(4), 4)
        renamed = [Statement("is", ((0, True),))] * 4
        for person, statement in enumerate(puzzle.statements):
            leaves = tuple((numbers[who], knight) for who, knight in statement.leaves)
            renamed[numbers[person]] = Statement(statement.connective, leaves)
        assert puzzle.key == Puzzle(tuple(renamed)).key
    one, other = draw(4, 2, 1)
    assert one.key != other.key


def test_a_generator_that_repeats_itself_is_said() -> None:
    with pytest.raises(BadInput, match=r"repeats itself: of 96 puzzles .* \d+ and then"):
        draw(2, 96, 0)
    with pytest.raises(BadInput, match="cannot have 9 people"):
        draw(9, 1, 0)
    with pytest.raises(BadInput, match="has no solutions"):
        _ = Puzzle((Statement("is", ((1, True),)), Statement("is", ((0, False),)))).solution


@pytest.mark.parametrize("language", [english, formal])
def test_changes_change_what_they_should(language) -> None:
    names = range(english.COMMON, len(english.NAMES)) if language is english else range(8)
    made = Counter()
    for puzzle in draw(3, 24, 2):
        posed = language.posed(puzzle, 0)
        for change in language.CHANGES:
            copy = perturbed(posed, change, 3, names=names, role_pairs=len(english.ROLES))
            if copy is None:
                continue
            made[change] += 1
            assert language.prompt(copy) != language.prompt(posed)
            changed = copy.puzzle.solution != puzzle.solution
            assert changed == (change in MATHEMATICAL)
            assert by_brute_force(copy.puzzle.statements) == [copy.puzzle.solution]
            said = sum(
                one != other
                for one, other in zip(copy.puzzle.statements, puzzle.statements, strict=True)
            )
            assert said == (1 if change in MATHEMATICAL else 0)
            again = perturbed(posed, change, 3, names=names, role_pairs=len(english.ROLES))
            assert copy == again
    assert set(made) == set(language.CHANGES)
    assert set(language.CHANGES) <= {*MATHEMATICAL, *VERBAL}
    assert made["statement"] == 24


def answered(posed: PosedPuzzle) -> str:
    """All steps of the right answer."""
    return "".join(before + right for before, right, _ in english.steps(posed)).strip()


def test_english_says_what_the_puzzle_says() -> None:
    puzzle = Puzzle((Statement("not", ((1, True),)), Statement("implies", ((0, False), (1, True)))))
    posed = replace(english.posed(puzzle, 0), names=(0, 1))
    assert puzzle.solution == (False, True)
    assert english.prompt(posed) == (
        "On an island everybody is either a knight or a knave. A knight always tells the truth, a"
        " knave always lies. You meet Anna and Ben. Anna says: “Ben is not a knight.” Ben says:"
        " “If Anna is a knave then Ben is a knight.”\nQuestion: Who is a knight, and who is a"
        " knave?\nAnswer:"
    )
    assert answered(posed) == "Anna is a knave, Ben is a knight"
    flipped = replace(posed, flipped=True)
    assert "A knave always tells the truth, a knight always lies." in english.prompt(flipped)
    assert "“Ben is not a knave.”" in english.prompt(flipped)
    assert answered(flipped) == "Anna is a knight, Ben is a knave"
    assert "hero" in english.prompt(replace(posed, roles=1))
    turned = replace(posed, order=(1, 0))
    assert english.prompt(turned).index("Ben says") < english.prompt(turned).index("Anna says")
    assert answered(turned) == answered(posed)


def test_formal_lines_are_known_words() -> None:
    for puzzle in draw(4, 20, 0):
        words = formal.line(formal.posed(puzzle, 1)).split()
        assert set(words) <= set(formal.WORDS)
        assert [w == "+" for w in words[words.index("?") + 2 : -1 : 2]] == list(puzzle.solution)
