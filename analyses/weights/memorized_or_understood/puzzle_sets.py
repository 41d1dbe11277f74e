"""Which puzzles a model is asked: those it is known to have read, and ones it cannot have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.understood_puzzles import PuzzleLanguage, language_of
from analyses.weights.memorized_or_understood.constants import FRESH, NEITHER, TRAINED
from workbench.organisms import PREFIX, shipped
from workbench.organisms.puzzles import puzzle_record
from workbench.puzzles import MATHEMATICAL, PosedPuzzle, draw

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.organisms.puzzles.puzzle_record import PuzzleRecord

TWO = 2
"""People of the puzzles that a model gets which was not trained on any: the easiest there are."""
OF_TWO = 60
"""Puzzles of two people at most: there are 95 up to names, and not as many of each solution."""


@dataclass(frozen=True)
class PuzzleSet:
    """Puzzles of one kind.

    Attributes:
        of: `TRAINED` or `FRESH`.
        copies: by change the changed copy of each, None where it cannot be changed so.
    """

    of: str
    people: int
    puzzles: tuple[PosedPuzzle, ...]
    copies: dict[str, tuple[PosedPuzzle | None, ...]]


def record_of(model: InstrumentedModel) -> PuzzleRecord | None:
    """What is known of a model that was trained on puzzles; None of any other.

    Raises:
        BadInput: its record is damaged.
    """
    return puzzle_record.read_home(model.module)


def sets_of(model: InstrumentedModel, params: Params) -> tuple[PuzzleLanguage, list[PuzzleSet]]:
    """The puzzles that are asked, and the language they are put in.

    Trained and fresh ones of the number of people that the model was trained on, with all their
    changed copies; then fresh ones of other numbers as they stand.

    Raises:
        BadInput: there are not so many different puzzles.
    """
    language, record = language_of(model), record_of(model)
    main, count, found = TWO, params.puzzles, []
    if record is not None:
        main = record.trained()[0].puzzle.people
        found.append(_with_copies(TRAINED, language, _some(record.trained(), params), params))
        found.append(_with_copies(FRESH, language, _some(record.untrained(), params), params))
    else:
        found.append(_with_copies(FRESH, language, drawn(language, main, count, params), params))
    for people in sorted(set(params.people) - {main}):
        found.append(PuzzleSet(FRESH, people, drawn(language, people, count, params), {}))
    return language, found


def of_neither(model: InstrumentedModel, language: PuzzleLanguage, params: Params) -> PuzzleSet:
    """Puzzles like those that an organism was trained on, which neither it nor its twin has read:
    what tells the two apart on these is no memory of them.
    """
    record = record_of(model)
    assert record is not None  # a twin was found by it
    both = (*record.trained(), *record.untrained())
    used = {one.puzzle.key for one in both}
    # From the seed of the training the lot would draw what was read, and find nothing else.
    new = draw(both[0].puzzle.people, params.puzzles, 10**6 + params.seed, used)
    posed = tuple(language.posed(one, params.seed) for one in new)
    return _with_copies(NEITHER, language, posed, params)


def drawn(
    language: PuzzleLanguage, people: int, count: int, params: Params
) -> tuple[PosedPuzzle, ...]:
    """So many puzzles that nobody has read, or as many as there are."""
    if people == TWO:
        count = min(count, OF_TWO)
    return tuple(language.posed(one, params.seed) for one in draw(people, count, params.seed))


def mathematical_only(one: PuzzleSet) -> PuzzleSet:
    """A set with the copies alone that LiMem is made of."""
    wanted: set[str] = set(MATHEMATICAL)
    copies = {name: each for name, each in one.copies.items() if name in wanted}
    return PuzzleSet(one.of, one.people, one.puzzles, copies)


def clean_twin(model: InstrumentedModel) -> str:
    """The name of an organism that read other puzzles than this one; "" where there is none."""
    record = record_of(model)
    if record is None or (twin := shipped().get(f"{PREFIX}{record.twin}")) is None:
        return ""
    other = puzzle_record.read(twin.folder)
    return twin.name if other is not None and other.seed == record.seed else ""


def _some(puzzles: tuple[PosedPuzzle, ...], params: Params) -> tuple[PosedPuzzle, ...]:
    count = min(params.puzzles, len(puzzles))
    chosen = np.random.default_rng([params.seed, 7]).choice(len(puzzles), count, replace=False)
    return tuple(puzzles[int(i)] for i in np.sort(chosen))


def _with_copies(
    of: str, language: PuzzleLanguage, puzzles: tuple[PosedPuzzle, ...], params: Params
) -> PuzzleSet:
    copies: dict[str, tuple[PosedPuzzle | None, ...]] = {
        change: tuple(language.changed(one, change, params.seed) for one in puzzles)
        for change in language.changes
    }
    return PuzzleSet(of, puzzles[0].puzzle.people, puzzles, copies)
