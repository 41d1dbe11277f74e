"""What an engine is: it hires workers and hears from them.

A task is any function of any room that can be named, with what it is given as JSON: a run of a
grid, a shard of a trace, a part of a text. A worker dies with its machine or by a signal; then its
engine says so, and whoever gave it a task gives that to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from workbench.errors import WorkbenchError

Kind = Literal["progress", "done", "failed", "cancelled", "died"]


@dataclass(frozen=True)
class Loading:
    """How a worker loads its model: as `wb.load` takes it."""

    device: str = "auto"
    dtype: str | None = None
    max_memory: str | None = None
    offload: str | None = None
    bits: int | None = None


@dataclass(frozen=True)
class WorkerTask:
    """What a worker is asked to do.

    Attributes:
        work: the function that does it, "module:name": of the model, `given`, `target` and a
            Progress (see `worker.Work`).
        model: reference of the model; it stays for the next task with the same.
        given: what the function is given, as JSON.
        target: the file or folder that the function makes, whole or not at all; None if it makes
            none. Its folder may be another than the one that is named here, on another machine.
        threads: of torch, for numbers that do not depend on how many workers there are; None takes
            what the engine gives.
    """

    work: str
    model: str
    given: Mapping[str, Any]
    target: Path | None = None
    loading: Loading = field(default_factory=Loading)
    threads: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What a worker on another process or machine is sent."""
        target = None if self.target is None else str(self.target)
        return {**vars(self), "target": target, "loading": asdict(self.loading)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> WorkerTask:
        target = None if raw["target"] is None else Path(raw["target"])
        return cls(**{**raw, "target": target, "loading": Loading(**raw["loading"])})


@dataclass(frozen=True)
class Event:
    """What is heard from a worker.

    Attributes:
        fraction, says: of the task that it works on.
        seconds: what the function gave back ("done"): that it took, or of an estimate, that it will
            take; None where nothing is stated.
        error: why it failed, or of what it died.
    """

    worker: int
    kind: Kind
    fraction: float = 0.0
    says: str = ""
    seconds: float | None = None
    error: WorkbenchError | None = None

    @classmethod
    def from_json(cls, worker: int, raw: Mapping[str, Any]) -> Event:
        """From what a worker told, see `told`."""
        error = raw.get("error")
        return cls(worker, **{**raw, "error": WorkbenchError(*error) if error else None})


def message_of(kind: Kind, **values: Any) -> dict[str, Any]:
    """What a worker tells, as JSON."""
    error = values.get("error")
    said = {**values, "error": [error.what, error.expected, error.do] if error else None}
    return {"kind": kind, **said}


class Engine(Protocol):
    """Workers, here or elsewhere. A context manager: leaving it ends all of them."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: Any) -> None: ...

    def hire(self) -> int:
        """A new worker's number. Raises WorkbenchError where none can be had."""
        ...

    def give(self, worker: int, task: WorkerTask) -> None:
        """Begin; a worker has one task at a time."""
        ...

    def hear(self, seconds: float) -> list[Event]:
        """What workers said since, after waiting so long at most for the first."""
        ...

    def stop(self) -> None:
        """Ask all workers to leave what they are doing at its next report."""
        ...
