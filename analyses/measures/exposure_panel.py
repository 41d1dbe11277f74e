"""What a model says of every text at every kept step: one pass over all of them at each.

One teacher-forced pass gives, for each token, whether greedy decoding says it after the text
before it, and its probability; recall after any prefix follows from that (see
`analyses.measures.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.exposure_series import WeightSeries, along
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, reading, score
from analyses.measures.windows import Window
from workbench.cost import Cost
from workbench.errors import BadInput

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from hooks.model import InstrumentedModel
    from workbench.organisms.ledger import Entry
    from workbench.progress import Progress

GREEDY = Sampler(temperature=0)


@dataclass(frozen=True)
class ExposurePanel:
    """Texts at steps.

    Attributes:
        entries: the texts, all of one length, and when each was read.
        steps: updates done at each kept step.
        right: whether greedy decoding says the token after those before it.
        logprob: ln p of it, nats.
        likeliest: the id it says instead, or the token itself.
        first: tokens of a text that are not predicted: 1 where nothing stands before it.
    """

    entries: tuple[Entry, ...]
    steps: Int[np.ndarray, " step"]
    right: Bool[np.ndarray, "item step pos"]
    logprob: Float[np.ndarray, "item step pos"]
    likeliest: Int[np.ndarray, "item step pos"]
    first: int

    @property
    def length(self) -> int:
        return len(self.entries[0].ids)

    @cached_property
    def repeats(self) -> Int[np.ndarray, " item"]:
        """How often each was read in all."""
        return np.array([entry.repeats for entry in self.entries])

    @cached_property
    def readings(self) -> Int[np.ndarray, "item step"]:
        """How often each had been read at each kept step."""
        return np.array(
            [np.searchsorted(np.array(entry.steps), self.steps) for entry in self.entries]
        ).reshape(len(self.entries), len(self.steps))

    @cached_property
    def since(self) -> Float[np.ndarray, "item step"]:
        """Updates since its last reading; 0 right behind it, NaN before the first."""
        rows = []
        for entry, readings in zip(self.entries, self.readings, strict=True):
            last = np.array([np.nan, *(step + 1 for step in entry.steps)])[readings]
            rows.append(self.steps - last)
        return np.array(rows).reshape(self.readings.shape)

    def match(self, prefix: int, tokens: int | None = None) -> Int[np.ndarray, "item step"]:
        """Leading tokens behind a prefix that greedy decoding says, at most so many."""
        at = prefix - self.first
        end = None if tokens is None else at + tokens
        said: np.ndarray = self.right[:, :, at:end].cumprod(-1).sum(-1)
        return said

    def loss(self, start: int = 0, end: int | None = None) -> Float[np.ndarray, "item step"]:
        """Mean loss from one token to another, nats per token."""
        cut = slice(max(0, start - self.first), None if end is None else end - self.first)
        mean: np.ndarray = -self.logprob[:, :, cut].mean(-1, dtype=np.float64)
        return mean


def windows_of(
    model: InstrumentedModel, entries: Sequence[Entry], start: int = 0
) -> tuple[list[Window], int]:
    """Each text from one token on, to be predicted whole; and how many tokens are given first."""
    beginning = tuple(model.text.beginning)
    first = 0 if beginning else 1
    return [
        Window(n, start, beginning, e.ids[start : start + first], e.ids[start + first :])
        for n, e in enumerate(entries)
    ], first


def check_fit(entries: Sequence[Entry], series: WeightSeries) -> None:
    """Fail where a ledger speaks of another training than these steps are of.

    Raises:
        BadInput: texts of several lengths, or read after the last kept step.
    """
    lengths = {len(entry.ids) for entry in entries}
    if len(lengths) != 1:
        raise BadInput(
            f"The texts of this ledger have {min(lengths)} to {max(lengths)} tokens."
            if lengths
            else "There are no texts in this ledger.",
            "texts of one length, so that steps and texts can be compared",
            "Plant texts that are cut to one length.",
        )
    last = max((entry.steps[-1] for entry in entries if entry.steps), default=-1)
    if last >= series.steps[-1]:
        raise BadInput(
            f"The ledger does not fit these steps: a text was read at step {last + 1}, and the last"
            f" kept one is {series.steps[-1]}.",
            "the ledger of the same training",
            "Name the folder that the ledger came with.",
        )


def measure_panel(
    model: InstrumentedModel,
    series: WeightSeries,
    entries: Sequence[Entry],
    progress: Progress,
) -> ExposurePanel:
    """Read all texts at every kept step.

    Raises:
        BadInput: see `check_fit` and `exposure_series.along`.
        Cancelled: from `progress`.
    """
    check_fit(entries, series)
    windows, first = windows_of(model, entries)
    shape = len(entries), len(series.steps), len(windows[0].suffix)
    right, likeliest = np.zeros(shape, bool), np.zeros(shape, np.int64)
    logprob = np.zeros(shape, np.float32)
    for number, step, part in along(model, series, progress):
        part(0.02, f"Reading {len(entries):,} texts at step {step:,}")
        scores = score(model, windows, GREEDY, progress=_at_step(part, step))
        right[:, number] = is_greedy(scores, windows)
        logprob[:, number], likeliest[:, number] = scores.logprob, scores.likeliest
    return ExposurePanel(tuple(entries), np.array(series.steps), right, logprob, likeliest, first)


def _at_step(progress: Progress, step: int) -> Callable[[float, str], None]:
    def tell(share: float, says: str) -> None:
        progress(share, f"Step {step:,}: {says[:1].lower()}{says[1:]}")

    return tell


def panel_cost(model: InstrumentedModel, texts: int, length: int, steps: int) -> Cost:
    """What `measure_panel` costs."""
    return reading(model, texts, 0, length, whole=True) * steps
