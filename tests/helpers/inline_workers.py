"""Workers without processes: an engine that does every task where it is given, through the same
JSON, and loses workers as it is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.grid import where
from workbench.grid.engine import Event, WorkerTask, message_of
from workbench.grid.worker import Worker


class InlineEngine:
    """Args: deaths: which tasks (0 is the first that is given) kill their worker."""

    def __init__(self, deaths: Sequence[int] = ()) -> None:
        self.deaths, self.given = deaths, list[tuple[int, WorkerTask]]()
        self._workers: dict[int, Worker] = {}
        self._heard: list[Event] = []

    def __enter__(self) -> InlineEngine:
        return self

    def __exit__(self, *_: Any) -> None:
        self._workers.clear()

    def hire(self) -> int:
        n = max((0, *(worker for worker, _ in self.given), *self._workers)) + 1

        def tell(kind: Any, **values: Any) -> None:
            raw = json.loads(json.dumps(message_of(kind, **values)))
            self._heard.append(Event.from_json(n, raw))

        self._workers[n] = Worker(tell)
        return n

    def give(self, worker: int, task: WorkerTask) -> None:
        task = WorkerTask.from_json(json.loads(json.dumps(task.to_json())))
        self.given.append((worker, task))
        if len(self.given) - 1 in self.deaths:
            del self._workers[worker]
            self._heard.append(Event(worker, "died", error=WorkbenchError("A worker died.")))
            return
        self._workers[worker].do(task)

    def hear(self, seconds: float) -> list[Event]:
        heard, self._heard = self._heard, []
        return heard

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()


def inline(monkeypatch: Any, deaths: Sequence[int] = ()) -> InlineEngine:
    """Let all workers of this test be of one such engine."""
    engine = InlineEngine(deaths)
    monkeypatch.setattr(where, "start", lambda asked, models, n: (engine, min(asked.workers, n)))
    return engine


@contextmanager
def one_thread() -> Iterator[None]:
    """A worker computes with one thread; inside, this process does so too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
