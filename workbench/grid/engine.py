"""What an engine is: it hires workers and hears from them.

A worker dies with its machine or by a signal; then its engine says so, and whoever gave it a cell
gives that to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from workbench.errors import WorkbenchError
from workbench.grid.plan import PlannedRun

Kind = Literal["progress", "estimate", "done", "failed", "cancelled", "died"]


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
    """What a worker is asked to do: run a cell into a folder, or only say how long that takes."""

    cell: PlannedRun
    target: Path
    loading: Loading = field(default_factory=Loading)
    only_estimate: bool = False

    def to_json(self) -> dict[str, Any]:
        """What a worker on another process or machine is sent."""
        return {**asdict(self), "target": str(self.target)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> WorkerTask:
        given = {
            "cell": PlannedRun(**raw["cell"]),
            "target": Path(raw["target"]),
            "loading": Loading(**raw["loading"]),
        }
        return cls(**{**raw, **given})


@dataclass(frozen=True)
class Event:
    """What is heard from a worker.

    Attributes:
        fraction, says: of the cell that it works on.
        seconds: that it will take ("estimate"; None where nothing is stated) or took ("done").
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
