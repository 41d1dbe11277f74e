"""Gives pieces of work to workers until all are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from workbench.errors import Cancelled, WorkbenchError
from workbench.grid.engine import Engine, Event, WorkerTask
from workbench.wording import counted

TRIES = 3
"""How often a piece is begun whose worker dies; then it is the piece that kills them."""
_WAIT = 0.5  # seconds between two looks at whether the user wants to stop


@dataclass(frozen=True)
class WorkPiece:
    """A piece of work: a run of a grid, a shard of a trace.

    Attributes:
        key: no other piece has it.
        model: reference of the model that it needs. Those of one model go to the worker that holds
            it.
        says: what people call it.
        task: makes what a worker is given, when it is given: then it need not be held before.
        weight: its share of the bar, against the others; None is as much as they usually have.
    """

    key: str
    model: str
    says: str
    task: Callable[[], WorkerTask]
    weight: float | None = None


Ended = Callable[[WorkPiece, WorkbenchError | None], None]
"""Hears of each piece that is done, and of each that failed, with its error."""


@dataclass
class WorkOutcome:
    """What became of pieces."""

    done: list[str] = field(default_factory=list)
    """Keys, in the order in which they were done."""
    failed: dict[str, WorkbenchError] = field(default_factory=dict)
    """By key."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By key: what its function stated."""
    lost: int = 0
    """Workers that died."""


class Driver:
    """Hires workers as they are needed; they stay, with their models, for what is given next.

    Args:
        workers: pieces at a time.
    """

    def __init__(self, engine: Engine, workers: int) -> None:
        self._engine, self._workers = engine, workers
        self._free: list[int] = []
        self._has: dict[int, str] = {}  # the model that a worker holds

    def run(
        self,
        pieces: Sequence[WorkPiece],
        progress: Callable[[float, str], object],
        ended: Ended | None = None,
        doing: str = "",
    ) -> WorkOutcome:
        """Do all pieces; one that fails does not keep the others from being done.

        Args:
            progress: gets the share that is done and where all stand; a `Progress`, as a rule.
            ended: hears of each; what it raises ends all.
            doing: what the report says instead of how many are done.

        Raises:
            Cancelled: the user stopped; what was finished stays.
            WorkbenchError: no worker can be had any more.
        """
        batch, stopping = _Batch(pieces, ended, doing), False
        while batch.waiting or batch.working:
            while batch.waiting and len(batch.working) < self._workers:
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
        piece = batch.next(self._has.get(worker), {self._has[w] for w in batch.working})
        batch.working[worker], self._has[worker] = piece, piece.model
        self._engine.give(worker, piece.task())

    def _take(self, batch: _Batch, event: Event) -> None:
        if event.kind == "died":
            self._has.pop(event.worker, None)
            self._free = [worker for worker in self._free if worker != event.worker]
        elif event.kind != "progress":
            self._free.append(event.worker)
        if event.worker in batch.working:
            batch.take(event)


class _Batch:
    """Pieces that are under way."""

    def __init__(self, pieces: Sequence[WorkPiece], ended: Ended | None, doing: str) -> None:
        self._ended, self._doing = ended or (lambda piece, error: None), doing
        known = [piece.weight for piece in pieces if piece.weight is not None]
        usual = sum(known) / len(known) if known else 1.0
        self._weights = {
            piece.key: max(usual if piece.weight is None else piece.weight, 1e-3)
            for piece in pieces
        }
        self.waiting = list(pieces)
        self.working: dict[int, WorkPiece] = {}
        self.outcome = WorkOutcome()
        self._at: dict[str, float] = {}  # fraction of each piece, by key
        self._tries: dict[str, int] = {}
        self._says = ""

    def next(self, held: str | None, taken: set[str]) -> WorkPiece:
        """A piece of the model that the worker holds; else of one that no other worker holds."""
        models = _models_of(self.waiting)
        model = held if held in models else next((m for m in models if m not in taken), models[0])
        piece = next(piece for piece in self.waiting if piece.model == model)
        self.waiting.remove(piece)
        self._tries[piece.key] = self._tries.get(piece.key, 0) + 1
        return piece

    def take(self, event: Event) -> None:
        """What a worker that has one of the pieces said."""
        piece = self.working[event.worker]
        if event.kind == "progress":
            self._at[piece.key], self._says = event.fraction, f"{piece.says}: {event.says}"
            return
        del self.working[event.worker]
        if event.kind == "died":
            self._died(piece, event)
            return
        self._at[piece.key] = 1.0
        if event.kind == "done":
            self.outcome.done.append(piece.key)
            if event.seconds is not None:
                self.outcome.seconds[piece.key] = event.seconds
            self._ended(piece, None)
        elif event.error is not None:
            self._failed(piece, event.error)

    def _died(self, piece: WorkPiece, event: Event) -> None:
        self._at[piece.key] = 0.0
        self.outcome.lost += 1
        if self._tries[piece.key] < TRIES:
            self.waiting.insert(0, piece)
        elif event.error is not None:
            self._failed(piece, event.error)

    def _failed(self, piece: WorkPiece, error: WorkbenchError) -> None:
        self.outcome.failed[piece.key] = error
        self._ended(piece, error)

    def fraction(self) -> float:
        whole = sum(self._weights.values()) or 1.0
        return sum(self._weights[key] * at for key, at in self._at.items()) / whole

    def report(self) -> str:
        """Where all of them stand."""
        lost = f", {counted(self.outcome.lost, 'worker')} lost" if self.outcome.lost else ""
        if self._doing:
            return f"{self._doing}{lost}. {self._says}"
        finished = len(self.outcome.done) + len(self.outcome.failed)
        n = len(self._weights)
        return f"{finished} of {n} done, {len(self.working)} running{lost}. {self._says}"


def _models_of(pieces: Iterable[WorkPiece]) -> list[str]:
    return list(dict.fromkeys(piece.model for piece in pieces))
