"""Gives the cells of a grid to workers until all are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.errors import Cancelled, WorkbenchError
from workbench.grid.campaign import Campaign
from workbench.grid.engine import Engine, Event, Loading, WorkerTask
from workbench.grid.plan import PlannedRun, models_of
from workbench.progress import Progress
from workbench.wording import counted

TRIES = 3
"""How often a cell is begun whose worker dies; then it is the cell that kills them."""
_WAIT = 0.5  # seconds between two looks at whether the user wants to stop


@dataclass(frozen=True)
class Settings:
    """How cells are run: so many at a time, and how their models are loaded."""

    workers: int
    loading: Loading = field(default_factory=Loading)


@dataclass
class GridOutcome:
    """What became of cells."""

    done: list[PlannedRun] = field(default_factory=list)
    failed: dict[str, WorkbenchError] = field(default_factory=dict)
    """By key of the cell."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By key: that it took, or will take."""
    lost: int = 0
    """Workers that died."""


class Driver:
    """Hires workers as they are needed; they stay, with their models, for what is given next."""

    def __init__(self, campaign: Campaign, engine: Engine, settings: Settings) -> None:
        self._campaign, self._engine, self._settings = campaign, engine, settings
        self._free: list[int] = []
        self._has: dict[int, str] = {}  # the model that a worker holds

    def estimates(self, cells: Sequence[PlannedRun], progress: Progress) -> dict[str, float]:
        """Seconds that each cell takes on one worker, by key; only of those that state it.

        One model stands for all steps of its training, one seed for all.

        Raises:
            Cancelled: the user stopped.
            WorkbenchError: no worker can be had.
        """
        alike: dict[tuple[str, str], list[PlannedRun]] = {}
        for cell in cells:
            same = (cell.model.partition("@")[0], str({**cell.params, "seed": 0}))
            alike.setdefault(same, []).append(cell)
        first = [group[0] for group in alike.values()]
        found = self._work(first, {}, True, progress).seconds
        return {
            cell.key: found[group[0].key]
            for group in alike.values()
            if group[0].key in found
            for cell in group
        }

    def run(
        self,
        cells: Sequence[PlannedRun],
        expected: Mapping[str, float],
        progress: Progress,
        ended: Callable[[PlannedRun, WorkbenchError | None], None] | None = None,
    ) -> GridOutcome:
        """Run cells.

        Args:
            expected: seconds of each, by key, as far as they are known: its share of the bar.
            ended: hears of each cell that is done, and of each that failed, with its error.

        Raises:
            Cancelled: the user stopped; what was finished stays.
            WorkbenchError: no worker can be had any more.
        """
        return self._work(cells, expected, False, progress, ended)

    def _work(
        self,
        cells: Sequence[PlannedRun],
        expected: Mapping[str, float],
        only_estimate: bool,
        progress: Progress,
        ended: Callable[[PlannedRun, WorkbenchError | None], None] | None = None,
    ) -> GridOutcome:
        batch, stopping = _Batch(cells, expected, only_estimate, ended), False
        while batch.waiting or batch.working:
            while batch.waiting and len(batch.working) < self._settings.workers:
                self._give(batch)
            for event in self._engine.hear(_WAIT):
                self._take(batch, event)
            try:
                progress(batch.fraction(), batch.report())
            except Cancelled:
                if not stopping:
                    self._engine.stop()
                stopping, batch.waiting = True, []
        if stopping:
            raise Cancelled
        return batch.outcome

    def _give(self, batch: _Batch) -> None:
        worker = self._free.pop() if self._free else self._engine.hire()
        cell = batch.next(self._has.get(worker), {self._has[w] for w in batch.working})
        batch.working[worker], self._has[worker] = cell, cell.model
        place, how = self._campaign.place(cell), self._settings
        if not batch.only_estimate:
            self._campaign.clear(cell)
        self._engine.give(worker, WorkerTask(cell, place, how.loading, batch.only_estimate))

    def _take(self, batch: _Batch, event: Event) -> None:
        if event.kind == "died":
            self._has.pop(event.worker, None)
            self._free = [worker for worker in self._free if worker != event.worker]
        elif event.kind != "progress":
            self._free.append(event.worker)
        if event.worker in batch.working:
            batch.take(event)


class _Batch:
    """Cells that are under way."""

    def __init__(
        self,
        cells: Sequence[PlannedRun],
        expected: Mapping[str, float],
        only_estimate: bool,
        ended: Callable[[PlannedRun, WorkbenchError | None], None] | None,
    ) -> None:
        self._ended = ended or (lambda cell, error: None)
        known = [expected[cell.key] for cell in cells if cell.key in expected]
        usual = sum(known) / len(known) if known else 1.0
        self._weights = {cell.key: max(expected.get(cell.key, usual), 1e-3) for cell in cells}
        self.waiting, self.only_estimate = list(cells), only_estimate
        self.working: dict[int, PlannedRun] = {}
        self.outcome = GridOutcome()
        self._at: dict[str, float] = {}  # fraction of each cell, by key
        self._tries: dict[str, int] = {}
        self._says = ""

    def next(self, held: str | None, taken: set[str]) -> PlannedRun:
        """A cell of the model that the worker holds; else of one that no other worker holds."""
        models = models_of(self.waiting)
        model = held if held in models else next((m for m in models if m not in taken), models[0])
        cell = next(cell for cell in self.waiting if cell.model == model)
        self.waiting.remove(cell)
        self._tries[cell.key] = self._tries.get(cell.key, 0) + 1
        return cell

    def take(self, event: Event) -> None:
        """What a worker that has one of the cells said."""
        cell = self.working[event.worker]
        if event.kind == "progress":
            self._at[cell.key], self._says = event.fraction, f"{cell.says}: {event.says}"
            return
        del self.working[event.worker]
        if event.kind == "died":
            self._died(cell, event)
            return
        self._at[cell.key] = 1.0
        if event.kind in ("done", "estimate"):
            self.outcome.done.append(cell)
            if event.seconds is not None:
                self.outcome.seconds[cell.key] = event.seconds
            self._ended(cell, None)
        elif event.error is not None:
            self._failed(cell, event.error)

    def _died(self, cell: PlannedRun, event: Event) -> None:
        self._at[cell.key] = 0.0
        self.outcome.lost += 1
        if self._tries[cell.key] < TRIES:
            self.waiting.insert(0, cell)
        elif event.error is not None:
            self._failed(cell, event.error)

    def _failed(self, cell: PlannedRun, error: WorkbenchError) -> None:
        self.outcome.failed[cell.key] = error
        self._ended(cell, error)

    def fraction(self) -> float:
        whole = sum(self._weights.values()) or 1.0
        return sum(self._weights[key] * at for key, at in self._at.items()) / whole

    def report(self) -> str:
        """Where all of them stand."""
        lost = f", {counted(self.outcome.lost, 'worker')} lost" if self.outcome.lost else ""
        if self.only_estimate:
            return f"Measuring how long it takes{lost}. {self._says}"
        finished = len(self.outcome.done) + len(self.outcome.failed)
        n = len(self._weights)
        return f"{finished} of {n} done, {len(self.working)} running{lost}. {self._says}"
