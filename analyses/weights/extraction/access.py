"""Is a memorized passage reached from its beginning only, or from anywhere in it?

A model that recites a text may hold it as a sequence, which has to be begun at its beginning, or so
that any stretch brings the next one (sequential and random access, Zhu et al. 2024, 2403.07805).
The model is given a stretch of the passage, from a *start* on and of some *context length*, and is
to say the tokens that follow it.

One teacher-forced pass from a start to the end of the passage answers for all context lengths from
there: token number `c` after the start is predicted from exactly `c` tokens of the passage, and
greedy decoding after them says the next tokens if and only if each is the first choice in that
pass (see `analyses.measures.scoring`).

Two nulls: passages that were never read, where that is known; and the same tokens after a stretch
of another passage, cut at the same place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, reading, score
from analyses.measures.windows import Window
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from analyses.measures.window_scores import Scores
    from analyses.weights.extraction.params import Params
    from analyses.weights.extraction.scored_windows import ScoredWindows
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

CONTEXTS = (0, 1, 5, 10, 25, 50, 100, 200, 500)
"""Tokens given; those that leave room in a passage."""
MOST = 400
"""Passages; of more an even sample, a third of them never read where that is known."""
_GREEDY = Sampler(temperature=0)


@dataclass(frozen=True)
class AccessGrid:
    """What is asked of passages of one length.

    Attributes:
        length: tokens of a passage.
        recited: tokens that are to follow, a quarter of the passage; at most the suffix.
        starts: tokens that are skipped before the stretch that is given.
    """

    length: int
    recited: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, params: Params) -> AccessGrid:
        length = max(params.context) + params.suffix
        recited = max(1, min(params.suffix, length // 4))
        starts = tuple(s for s in params.starts if s + 1 + recited <= length)
        return cls(length, recited, tuple(sorted({0, *starts})))

    def contexts(self, start: int) -> tuple[int, ...]:
        """Context lengths after which, from this start, enough of the passage is left."""
        return tuple(c for c in CONTEXTS if start + c + self.recited <= self.length)

    @property
    def middle(self) -> tuple[int, int]:
        """(start, context length) of the cell that stands for the middle of a passage: the last
        start with five tokens or more of context where there is one, and as many as fit.
        """
        start = max((s for s in self.starts if max(self.contexts(s)) >= 5), default=self.starts[-1])
        return start, max(self.contexts(start))


@dataclass(frozen=True)
class FromStart:
    """One pass over all passages from one start to their end.

    Attributes:
        greedy: whether the token after so many tokens of context is the first choice.
        logprob: ln p of it, nats.
        first: context length of the first column: 0, or 1 where nothing stands before a text.
    """

    greedy: Bool[np.ndarray, "passage context"]
    logprob: Float[np.ndarray, "passage context"]
    first: int

    def recited(self, context: int, tokens: int) -> Int[np.ndarray, " passage"]:
        """How many of the next `tokens` greedy decoding says after `context` tokens."""
        at = context - self.first
        said: np.ndarray = self.greedy[:, at : at + tokens].cumprod(-1).sum(-1)
        return said

    def loss(self, context: int, tokens: int) -> Float[np.ndarray, " passage"]:
        """Mean loss on these tokens, nats per token."""
        at = context - self.first
        mean: np.ndarray = -self.logprob[:, at : at + tokens].mean(-1)
        return mean

    def lock_on(self, tokens: int) -> Float[np.ndarray, " passage"]:
        """The least context after which greedy decoding says the passage to its end, `tokens` of it
        or more; NaN where it never does.
        """
        wrong = ~self.greedy
        reach = self.greedy.shape[1]
        # One past the last wrong token; argmax of all False is 0, which is right only if none is.
        least = np.where(wrong.any(-1), reach - wrong[:, ::-1].argmax(-1), 0)
        return np.where(reach - least >= tokens, (least + self.first).astype(float), math.nan)


@dataclass(frozen=True)
class Access:
    """What was measured.

    Attributes:
        rows: which windows of the run are the passages.
        own: start -> the pass from there.
        other: (start, context length) -> (tokens recited, mean loss) after another passage's
            stretch; empty where there is one passage only.
    """

    found: ScoredWindows
    grid: AccessGrid
    rows: Int[np.ndarray, " passage"]
    own: dict[int, FromStart]
    other: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]

    @cached_property
    def groups(self) -> dict[str, Bool[np.ndarray, " passage"]]:
        """All passages; and by how often they were read, where that is known."""
        repeats = self.found.repeats
        groups = {"all": np.ones(len(self.rows), bool)}
        if repeats is not None:
            mine = repeats[self.rows]
            groups |= {f"{count}×": mine == count for count in sorted(set(mine.tolist()))}
        return groups

    @cached_property
    def read(self) -> Bool[np.ndarray, " passage"]:
        """Passages that were read, or of which that is not known."""
        return ~self.groups.get("0×", np.zeros(len(self.rows), bool))


def openings(found: ScoredWindows) -> Int[np.ndarray, " passage"]:
    """Which windows open their document, `MOST` at most: elsewhere a text is read from where
    it begins.
    """
    rows = np.array(
        [
            index
            for index, window in enumerate(found.windows)
            if window.start == 0 and found.documents[window.document].start == 0
        ],
        dtype=int,
    )
    if len(rows) <= MOST:
        return rows
    never = np.zeros(len(rows), bool) if found.repeats is None else found.repeats[rows] == 0
    n_never = min(int(never.sum()), max(MOST - int((~never).sum()), MOST // 3))
    chosen = [_even(rows[~never], MOST - n_never), _even(rows[never], n_never)]
    return np.sort(np.concatenate(chosen))


def _even(rows: np.ndarray, many: int) -> np.ndarray:
    if len(rows) <= many:
        return rows
    chosen: np.ndarray = rows[np.linspace(0, len(rows) - 1, many).round().astype(int)]
    return chosen


def partners(found: ScoredWindows, rows: Sequence[int]) -> list[int] | None:
    """For each passage the number of another one in `rows`: of the same kind and never read, where
    there is one. None where there is a single passage.
    """
    if len(rows) < 2:
        return None
    documents = [found.documents[found.windows[row].document] for row in rows]
    numbers = range(len(rows))
    never = [i for i in numbers if documents[i].repeats == 0]
    chosen = []
    for i in numbers:
        alike = [j for j in numbers if documents[j].kind == documents[i].kind]
        pools = ([j for j in alike if j in set(never)], alike, never, numbers)
        pool = next(p for p in ([j for j in pool if j != i] for pool in pools) if p)
        chosen.append(pool[i % len(pool)])
    return chosen


def measure(found: ScoredWindows, progress: Progress) -> Access | None:
    """Read every passage once from every start, and its tokens after other passages' stretches.

    None where no window of the run opens a document.
    """
    grid, rows = AccessGrid.of(found.params), openings(found)
    if not len(rows):
        return None
    model = found.model
    beginning = tuple(model.text.beginning)
    ids = [(*found.windows[row].prefix, *found.windows[row].suffix) for row in rows]
    pairs = partners(found, rows.tolist())
    cells = [(s, c) for s in grid.starts for c in grid.contexts(s) if c] if pairs else []
    stages, done = len(grid.starts) + len(cells), 0

    def read(windows: list[Window]) -> Scores:
        nonlocal done
        part = progress.subprogress(done / stages, (done + 1) / stages)
        done += 1
        return score(model, windows, _GREEDY, progress=part)

    own = {}
    first = 0 if beginning else 1  # something has to stand before the first token that is predicted
    for start in grid.starts:
        windows = [
            Window(n, start, beginning, each[start : start + first], each[start + first :])
            for n, each in enumerate(ids)
        ]
        scores = read(windows)
        own[start] = FromStart(is_greedy(scores, windows), scores.logprob, first)
    other = {}
    for start, context in cells:
        end = start + context
        scores = read(
            [
                Window(n, start, beginning, ids[pair][start:end], each[end : end + grid.recited])
                for n, (each, pair) in enumerate(zip(ids, pairs or (), strict=True))
            ]
        )
        other[start, context] = scores.match, -scores.logprob.mean(-1)
    return Access(found, grid, rows, own, other)


def access_cost(model: InstrumentedModel, params: Params, n: int) -> Cost:
    """What `measure` costs on `n` windows that all open their document, as in a ledger."""
    grid, n = AccessGrid.of(params), min(n, MOST)
    own = [reading(model, n, 0, grid.length - s, whole=True) for s in grid.starts]
    other = [
        reading(model, n, c, grid.recited, whole=True)
        for s in grid.starts
        for c in grid.contexts(s)
        if c
    ]
    return total([*own, *other])
