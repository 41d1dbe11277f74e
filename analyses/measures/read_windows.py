"""Windows that were read, their scores, and what follows from both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from analyses.measures.sampling import queries_needed, rounded_queries
from analyses.measures.scoring import is_greedy, longest_runs
from analyses.measures.vocabulary import textless
from analyses.measures.windows import Window
from workbench.wording import percent

if TYPE_CHECKING:
    from analyses.measures.window_scores import Scores
    from hooks.model import InstrumentedModel
    from workbench.texts import Document


class WindowParams(Protocol):
    """What was asked of the windows.

    Attributes:
        suffix: tokens of a passage that have to be reproduced.
        tries: samples that somebody may draw of each.
        seed: of the pattern controls.
    """

    @property
    def suffix(self) -> int: ...

    @property
    def tries(self) -> int: ...

    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class WindowReadings:
    """What was read, with everything needed to say what it means."""

    model: InstrumentedModel
    params: WindowParams
    documents: Sequence[Document]
    windows: Sequence[Window]
    scores: Scores

    @cached_property
    def exact(self) -> np.ndarray:
        whole = np.array([len(window.suffix) for window in self.windows])
        exact: np.ndarray = self.scores.match == whole
        return exact

    @cached_property
    def repeats(self) -> np.ndarray | None:
        """How often each window was read in training; None unless it is known of all of them."""
        counts = [self.documents[window.document].repeats for window in self.windows]
        return None if any(count is None for count in counts) else np.array(counts)

    @cached_property
    def suffixes(self) -> list[str]:
        return [self.text(window.suffix) for window in self.windows]

    @cached_property
    def is_greedy(self) -> np.ndarray:
        """(window, suffix token): whether greedy decoding says it, given all of the text before
        it.
        """
        return is_greedy(self.scores, self.windows)

    @cached_property
    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """(first suffix token, length) of each window's longest run of such tokens; the start of
        the suffix or inside it.
        """
        return longest_runs(self.is_greedy)

    @property
    def unread(self) -> str:
        """What to add where something is said of all tokens and windows were dropped before
        their ends.
        """
        share = self.scores.read.sum() / sum(len(window.suffix) for window in self.windows)
        return f" (only {percent(share)} of the suffix tokens were read)" if share < 1 else ""

    @cached_property
    def queries_needed(self) -> np.ndarray:
        """Samples, a whole number, that contain the suffix at least once with a probability of
        one half or more.
        """
        return np.array(
            [
                rounded_queries(queries_needed(p, 0.5)) if p == p else math.inf
                for p in self.scores.log_p
            ]
        )

    @cached_property
    def textless(self) -> frozenset[int]:
        return frozenset(textless(self.model))

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids; those that no text has are left out."""
        return self.model.text.decode_continuation([i for i in ids if i not in self.textless])
