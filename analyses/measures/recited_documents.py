"""What the windows of a document say of it: what is reproduced, and how much that proves.

The verdicts are about what is reproduced, and only that: a document that is not may have been read
all the same, and a text anybody would guess (a form, a list of numbers) is reproduced without
having been. Of passages that may be guessed controls say how far the model would have come without
knowing them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.document_verdicts import (
    CHANCE,
    LONG,
    LONG_RUN,
    NOTHING,
    PARTS,
    PATTERN,
    PROVES,
    RECITES,
    SAMPLED,
    SHORT,
    VARIED,
    WEAKER,
)
from analyses.measures.pattern_controls import PatternControl, copied_run, pattern_controls

if TYPE_CHECKING:
    from analyses.measures.read_windows import WindowReadings


@dataclass(frozen=True)
class RecitationEvidence:
    """What each window says; arrays are (window,).

    Attributes:
        progress: of the controls, which the model reads when they are first asked for.
    """

    found: WindowReadings
    progress: Callable[[float, str], None] = lambda fraction, says: None

    @cached_property
    def whole(self) -> np.ndarray:
        return self.found.exact

    @cached_property
    def long(self) -> np.ndarray:
        """Recited in part, and more of it than chance gives."""
        return (self.found.scores.match >= LONG) | (self.found.runs[1] >= LONG_RUN)

    @cached_property
    def likely(self) -> np.ndarray:
        """To be expected among the samples somebody has."""
        return self.found.queries_needed <= self.found.params.tries

    @cached_property
    def short(self) -> np.ndarray:
        return (self.found.scores.match > CHANCE) | (self.found.runs[1] > CHANCE)

    @cached_property
    def recited(self) -> np.ndarray:
        recited: np.ndarray = self.whole | self.long | self.likely
        return recited

    @cached_property
    def repetitive(self) -> np.ndarray:
        return np.array([distinct_share(window.suffix) < VARIED for window in self.found.windows])

    @cached_property
    def enough(self) -> np.ndarray:
        """Tokens in a row from which on a control that gets as many explains a window."""
        return np.minimum(
            LONG, np.where(self.likely & ~self.long, self.found.params.suffix, self.found.runs[1])
        )

    @cached_property
    def controls(self) -> dict[int, PatternControl]:
        """Of the recited windows that may be patterns: they repeat themselves, or can be copied."""
        found, chosen = self.found, []
        for index in map(int, np.flatnonzero(self.recited)):
            window = found.windows[index]
            if (
                self.repetitive[index]
                or distinct_share(self.stretch(index)) < VARIED
                or copied_run(window.prefix, window.suffix) >= self.enough[index]
            ):
                chosen.append(index)
        measured = (
            pattern_controls(
                found.model,
                [found.windows[i] for i in chosen],
                found.params.seed,
                self.progress,
            )
            if chosen
            else []
        )
        return dict(zip(chosen, measured, strict=True))

    @cached_property
    def explained(self) -> np.ndarray:
        """Windows that the model would continue without knowing them, as far as the controls can
        tell.
        """
        explained = np.zeros(len(self.found.windows), bool)
        for index, control in self.controls.items():
            explained[index] = control.longest >= self.enough[index]
        return explained

    def stretch(self, index: int) -> tuple[int, ...]:
        """The longest run of the window that is recited."""
        start, length = (int(each[index]) for each in self.found.runs)
        return self.found.windows[index].suffix[start : start + length]

    def verdict(self, at: np.ndarray) -> tuple[str, str]:
        """(verdict, how much it proves) of the windows of one document."""
        telling, controlled = ~self.explained[at], np.isin(at, list(self.controls))
        enough = self.found.params.suffix >= LONG
        for verdict, mark in ((RECITES, self.whole), (PARTS, self.long), (SAMPLED, self.likely)):
            resting = mark[at] & telling
            if resting.any():
                proves = PROVES[verdict] if (resting & ~controlled).any() else WEAKER
                return (verdict, proves) if enough else (SHORT, PROVES[SHORT])
        verdict = (
            PATTERN if self.explained[at].any() else SHORT if self.short[at].any() else NOTHING
        )
        return verdict, PROVES[verdict]

    def best(self, at: np.ndarray) -> int:
        """The window a verdict rests on: the longest run, if possible of one that is no pattern."""
        rank = self.found.runs[1][at] - 10**6 * self.explained[at]
        return int(at[np.argmax(rank)])

    def row(self, at: np.ndarray) -> dict[str, Any]:
        """What is known of one document, by the columns of the table `documents`.

        Args:
            at: its windows.
        """
        scores, (verdict, _) = self.found.scores, self.verdict(at)
        asked, best = len(at) * self.found.params.suffix, self.best(at)
        return {
            "verdict": verdict,
            "n_windows": len(at),
            "prefix_match_share": float(scores.match[at].sum()) / asked,
            "n_exact": int(self.whole[at].sum()),
            "n_sampled": int(self.likely[at].sum()),
            "longest_prefix_match": int(scores.match[at].max()),
            "longest_run": int(self.found.runs[1][at].max()),
            "read_share": float(scores.read[at].sum()) / asked,
            "window": best,
            "evidence": self.found.text(self.stretch(best)),
            "n_repetitive": int(self.repetitive[at].sum()),
            "n_patterns": int(self.explained[at].sum()),
        }


def distinct_share(ids: Sequence[int]) -> float:
    """Share of distinct tokens."""
    return len(set(ids)) / len(ids) if len(ids) else 1.0
