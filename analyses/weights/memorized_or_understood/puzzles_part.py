"""Part `puzzles`: knights and knaves, and their changed copies (Xie et al. 2024)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.statistics import auc, wilson
from analyses.measures.understood_consistency import LocalConsistency, consistency
from analyses.measures.understood_puzzles import PuzzleLanguage, PuzzleScores, puzzle_scores
from analyses.measures.untrained_twin import untrained
from analyses.weights.memorized_or_understood import puzzle_sets, puzzles_findings
from analyses.weights.memorized_or_understood.constants import (
    BETWEEN,
    BOTH,
    CLEAN,
    FRESH,
    IN_OTHER_WORDS,
    LIKELY,
    MODEL,
    NEITHER,
    NULL,
    ORIGINAL,
    SOLVED_LESS,
    TRAINED,
    UNTRAINED,
    WITHIN,
)
from analyses.weights.memorized_or_understood.puzzle_sets import PuzzleSet
from hooks.model import load
from workbench.cost import Cost
from workbench.puzzles import MATHEMATICAL, VERBAL, PosedPuzzle

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_BASE, _PERSON = 60, 28  # tokens of a puzzle in English
_FORMAL = 11  # tokens of a person in the formal language
_LOADED = 1.0  # seconds for a clean twin
Reads = dict[str, PuzzleScores]
"""By version, `ORIGINAL` or a change, what a model makes of a set; NaN and False where a puzzle has
no such copy."""


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of every puzzle with its copies read by the model, its untrained and its clean twin."""
    record = puzzle_sets.record_of(model)
    main = puzzle_sets.TWO if record is None else record.trained()[0].puzzle.people

    def tokens(people: int) -> int:
        return _FORMAL * people if record is not None else _BASE + _PERSON * people

    math_copies, verbal = len(MATHEMATICAL), len(VERBAL) - (2 if record is not None else 0)
    own = (2 if record is not None else 1) * (1 + math_copies + verbal)
    readers = own + (1 + math_copies) * (2 if record is not None else 1)
    others = sum(tokens(people) for people in set(params.people) - {main})
    each = tokens(main) * (readers + (2 * own if record is not None else 0)) + others
    passes = params.puzzles / 32 * (readers + len(params.people))
    return Cost(forward=params.puzzles * each, passes=passes,
                seconds=_LOADED if record is not None else 0.0)  # fmt: skip


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `puzzles`, `limem`, `puzzle_items` and `told_apart`, and their findings.

    Raises:
        BadInput: not so many different puzzles, or one longer than the model reads.
        Unfit: the tokenizer does not tell the words for the roles apart.
    """
    language, sets = puzzle_sets.sets_of(model, params)
    reads = {MODEL: read_sets(model, language, sets, progress.subprogress(0.0, 0.6))}
    twin = untrained(model, params.seed)
    fewer = [puzzle_sets.mathematical_only(one) for one in sets if one.copies]
    reads[UNTRAINED] = read_sets(twin, language, fewer, progress.subprogress(0.6, 0.8))
    del twin
    named, both = puzzle_sets.clean_twin(model), dict[tuple[str, str], Reads]()
    if named:
        clean = load(named, device=str(model.device))
        extra = puzzle_sets.of_neither(model, language, params)
        own = [one for one in sets if one.copies]
        reads[CLEAN] = read_sets(clean, language, own, progress.subprogress(0.8, 0.9))
        both = {
            (who, NEITHER): read_sets(asked, language, [extra], progress.subprogress(0.9, 1.0))[0]
            for who, asked in {MODEL: model, CLEAN: clean}.items()
        }
    by_model: dict[str, Pairs] = {
        who: list(zip(_matching(sets, who), each, strict=True)) for who, each in reads.items()
    }
    result.tables["puzzles"] = _solved(by_model)
    result.tables["limem"] = _limem(by_model, params.seed)
    result.tables["puzzle_items"] = _items(by_model[MODEL], language)
    told = _told_apart(by_model, both)
    if len(told):
        result.tables["told_apart"] = told
    result.provenance.notes["puzzles"] = f"put in {language.name}"
    puzzles_findings.add(result, model.card.name)


def read_sets(
    model: InstrumentedModel,
    language: PuzzleLanguage,
    sets: Sequence[PuzzleSet],
    progress: Progress,
) -> list[Reads]:
    """Every puzzle and every copy once, all in one go."""
    rows = [
        (number, version, at, posed)
        for number, one in enumerate(sets)
        for version, puzzles in {ORIGINAL: one.puzzles, **one.copies}.items()
        for at, posed in enumerate(puzzles)
        if posed is not None
    ]
    scores = puzzle_scores(model, language, [row[3] for row in rows], progress)
    found: list[Reads] = []
    for one in sets:
        n = len(one.puzzles)
        found.append({version: _nothing(n) for version in (ORIGINAL, *one.copies)})
    for row, (number, version, at, _) in enumerate(rows):
        own = found[number][version]
        own.right[at], own.solved[at] = scores.right[row], scores.solved[row]
        own.log_p[at] = scores.log_p[row]
    return found


def _nothing(n: int) -> PuzzleScores:
    return PuzzleScores(np.full(n, np.nan), np.zeros(n, bool), np.full(n, np.nan))


Pairs = Sequence[tuple[PuzzleSet, Reads]]


def _matching(sets: Sequence[PuzzleSet], who: str) -> list[PuzzleSet]:
    return [one for one in sets if one.copies or who == MODEL]


def majority(puzzles: Sequence[PosedPuzzle]) -> float:
    """Share of puzzles that one answer, the commonest, solves."""
    return max(Counter(one.answers for one in puzzles).values()) / len(puzzles)


def _solved(by_model: Mapping[str, Pairs]) -> pd.DataFrame:
    """How many are solved, by set and version."""
    rows = []
    for who, pairs in by_model.items():
        for one, reads in pairs:
            for version, scores in reads.items():
                there = ~np.isnan(scores.right)
                n, hits = int(there.sum()), int(scores.solved[there].sum())
                if not n:
                    continue
                low, high = wilson(hits, n)
                puzzles = one.puzzles if version == ORIGINAL else one.copies[version]
                rows.append({
                    "model": who, "of": one.of, "people": one.people, "version": version,
                    "solved": hits / n, "low": low, "high": high,
                    "right": float(scores.right[there].mean()), "chance": 0.5**one.people,
                    "majority": majority([each for each in puzzles if each is not None]), "n": n,
                })  # fmt: skip
    return pd.DataFrame(rows)


def changed_share(reads: Reads, changes: Sequence[str]) -> np.ndarray:
    """Of each puzzle the share of its changed copies that are solved; NaN without one."""
    solved = np.array([
        np.where(np.isnan(reads[c].right), np.nan, reads[c].solved) for c in changes
    ])  # fmt: skip
    there = ~np.isnan(solved)
    counts = there.sum(0)
    return np.where(counts > 0, np.nansum(solved, 0) / np.maximum(counts, 1), np.nan)


def consistency_of(reads: Reads, changes: Sequence[str], seed: int) -> LocalConsistency:
    """LiMem of a set, over the puzzles that have such a copy."""
    copies = changed_share(reads, changes)
    there = ~np.isnan(copies)
    return consistency(reads[ORIGINAL].solved[there], copies[there], seed)


def _limem(by_model: Mapping[str, Pairs], seed: int) -> pd.DataFrame:
    """LiMem by set and change, beside what it is by chance."""
    rows = []
    for who, pairs in by_model.items():
        for one, reads in pairs:
            for change in (*MATHEMATICAL, BOTH) if one.copies else ():
                found = consistency_of(reads, MATHEMATICAL if change == BOTH else [change], seed)
                rows.append({"model": who, "of": one.of, "people": one.people, "change": change,
                             **limem_row(found)})  # fmt: skip
    return pd.DataFrame(rows)


def limem_row(found: LocalConsistency) -> dict[str, Any]:
    """The numbers of a `LocalConsistency` as columns."""
    return {
        "accuracy": found.accuracy, "accuracy_low": found.accuracy_interval[0],
        "accuracy_high": found.accuracy_interval[1], "changed": found.changed,
        "consistent": found.consistent, "limem": found.limem, "low": found.limem_interval[0],
        "high": found.limem_interval[1], "null": found.null, "excess": found.excess,
        "excess_low": found.excess_interval[0], "excess_high": found.excess_interval[1],
        "n": found.n,
    }  # fmt: skip


def score(reads: Reads, by: str) -> np.ndarray:
    """Of each puzzle how much likelier its answer is than those of its copies; or how likely."""
    own = reads[ORIGINAL].log_p
    if by == LIKELY:
        return own
    changes = VERBAL if by == IN_OTHER_WORDS else MATHEMATICAL
    copies = np.array([reads[c].log_p for c in changes if c in reads])
    there = ~np.isnan(copies)
    mean: np.ndarray = np.nansum(copies, 0) / np.maximum(there.sum(0), 1)
    return np.where(there.any(0), own - mean, np.nan)


def _told_apart(
    by_model: Mapping[str, Pairs], both: Mapping[tuple[str, str], Reads]
) -> pd.DataFrame:
    """Whether scores tell trained puzzles from fresh ones, and a model that read them from one
    that did not; with the same of puzzles that neither has read.
    """
    rows: list[dict[str, Any]] = []
    sides = dict(both) | {
        (who, one.of): reads
        for who, pairs in by_model.items()
        for one, reads in pairs
        if one.copies and who != UNTRAINED
    }
    contrasts = [
        (WITHIN, MODEL, (MODEL, TRAINED), (MODEL, FRESH)),
        (WITHIN, CLEAN, (CLEAN, TRAINED), (CLEAN, FRESH)),
        (BETWEEN, MODEL, (MODEL, TRAINED), (CLEAN, TRAINED)),
        (NULL, MODEL, (MODEL, NEITHER), (CLEAN, NEITHER)),
    ]
    for contrast, who, one, other in contrasts:
        if one not in sides or other not in sides:
            continue
        for by in (IN_OTHER_WORDS, SOLVED_LESS, LIKELY):
            own, others = score(sides[one], by), score(sides[other], by)
            own, others = own[~np.isnan(own)], others[~np.isnan(others)]
            value, low, high = auc(own, others)
            rows.append({
                "contrast": contrast, "model": who, "score": by, "auc": value, "low": low,
                "high": high, "n": len(own), "others": len(others),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _items(pairs: Pairs, language: PuzzleLanguage) -> pd.DataFrame:
    """Every puzzle as it stands, and how its copies went."""
    rows: list[dict[str, Any]] = []
    for one, reads in pairs:
        for at, posed in enumerate(one.puzzles):
            others = [c for c in VERBAL if c in reads]
            copies = changed_share(reads, MATHEMATICAL)[at] if one.copies else math.nan
            worded = changed_share(reads, others)[at] if one.copies else math.nan
            rows.append({
                "item": len(rows), "of": one.of, "people": one.people,
                "solved": bool(reads[ORIGINAL].solved[at]),
                "p": float(np.exp(reads[ORIGINAL].log_p[at])), "copies": copies,
                "other_words": worded,
                "text": language.prompt(posed),
                "answer": "".join(before + right for before, right, _ in language.steps(posed)),
            })  # fmt: skip
    return pd.DataFrame(rows)
