"""Progress of a long job, and how it is cancelled.

A job gets one callable: `progress(0.4, "Sweeping heads, fact 11 of 27")`. Whoever started the job
gives it a `show` function (a terminal bar, a web page) and may call `cancel()` from any thread; the
next report then raises `Cancelled` inside the job, so every batch that reports is a place where the
job can stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import Cancelled

if TYPE_CHECKING:
    from workbench.result import Result


@dataclass(frozen=True)
class Update:
    """One report.

    `fraction` is in [0, 1]; times are in seconds; `left` is None until it can be estimated.
    """

    fraction: float
    says: str
    elapsed: float
    left: float | None


class Progress:
    """What a job reports to.

    Args:
        show: called with every `Update`, in the job's own thread.
    """

    def __init__(self, show: Callable[[Update], None] | None = None) -> None:
        self._show = show
        self._started = time.monotonic()
        self._cancel = threading.Event()
        self._kept: Result | None = None
        self._expected: float | None = None

    def expect(self, seconds: float | None) -> None:
        """Say how long the job will take, for as long as its own pace does not tell."""
        self._expected = seconds

    def __call__(self, fraction: float, says: str = "") -> None:
        """Report, and stop here if somebody asked to. Raises `Cancelled`."""
        self.check()
        fraction = _inside(fraction)
        elapsed = time.monotonic() - self._started
        # Below 2 % an extrapolation says more about start-up than about the job.
        left = elapsed * (1 - fraction) / fraction if fraction > 0.02 else self._to_come(elapsed)
        if self._show is not None:
            self._show(Update(fraction, says, elapsed, left))

    def _to_come(self, elapsed: float) -> float | None:
        return None if self._expected is None else max(0.0, self._expected - elapsed)

    def check(self) -> None:
        """Raise `Cancelled` if somebody asked to stop; costs nothing otherwise."""
        if self._cancel.is_set():
            raise Cancelled(kept=self.kept)

    def cancel(self) -> None:
        """Ask the job to stop at its next report.

        Safe from any thread and from a signal handler.
        """
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    @property
    def kept(self) -> Result | None:
        """What was last handed over with `checkpoint`."""
        return self._kept

    def checkpoint(self, result: Result) -> None:
        """Hand over what would be worth keeping if the job were cancelled from here on."""
        self._kept = result

    def subprogress(self, start: float, end: float) -> Progress:
        """A progress for one stage: its 0…1 is this one's start…end."""
        return _Subprogress(self, start, end)


class _Subprogress(Progress):
    def __init__(self, whole: Progress, start: float, end: float) -> None:
        self._whole, self._start, self._end = whole, start, end

    def __call__(self, fraction: float, says: str = "") -> None:
        self._whole(self._start + (self._end - self._start) * _inside(fraction), says)

    def expect(self, seconds: float | None) -> None:
        pass  # the whole job's time is not that of a stage

    def check(self) -> None:
        self._whole.check()

    def cancel(self) -> None:
        self._whole.cancel()

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    @property
    def kept(self) -> Result | None:
        return self._whole.kept

    def checkpoint(self, result: Result) -> None:
        self._whole.checkpoint(result)

    def subprogress(self, start: float, end: float) -> Progress:
        return _Subprogress(self, start, end)


def _inside(fraction: float) -> float:
    # The constant comes first, so that not-a-number (nothing done of nothing) counts as 0 and never
    # reaches a bar.
    return min(max(0.0, float(fraction)), 1.0)
