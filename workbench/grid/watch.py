"""What others see of a grid while it works: how far it is, and the page of what is done so far."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from workbench.errors import WorkbenchError
from workbench.grid import status
from workbench.grid.campaign import Campaign
from workbench.progress import Progress, Update

_OFTEN = 1.0  # seconds between two reports to the folder
_SHARE = 10  # the page may take one part in so many of the time


class WatchedProgress(Progress):
    """Reports to whoever started the grid, and to its folder; stops when it is asked to there.

    Args:
        whole: of whoever started it.
        show_page: writes the page of what is done so far.
    """

    def __init__(
        self, whole: Progress, campaign: Campaign, show_page: Callable[[], object]
    ) -> None:
        super().__init__(self._tell)
        self._whole, self._folder, self._show_page = whole, campaign.folder, show_page
        self._told = self._shown = -_OFTEN
        self._cost, self._is_new = 0.0, True

    def expect(self, seconds: float | None) -> None:
        super().expect(seconds)
        self._whole.expect(seconds)

    def run_ended(self) -> None:
        """There is more to show than before."""
        self._is_new = True

    def _tell(self, update: Update) -> None:
        self._whole(update.fraction, update.says)
        now = time.monotonic()
        if now - self._told < _OFTEN:
            return
        self._told = now
        # Whoever looks may miss one report: a full disk is told where runs are saved.
        with contextlib.suppress(OSError):
            status.write(self._folder, update)
        if status.is_stopping(self._folder):
            self.cancel()
        if self._is_new and now - self._shown > _SHARE * self._cost:
            with contextlib.suppress(WorkbenchError):
                self._show_page()
            self._shown, self._is_new = time.monotonic(), False
            self._cost = self._shown - now
