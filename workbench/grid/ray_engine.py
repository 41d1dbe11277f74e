"""Workers on a Ray cluster: actors that keep their model. Optional: `pip install
'memory-workbench[scale]'`.

What a task made comes back as one archive, so the machines of a cluster need no folder in
common.
"""

from __future__ import annotations

import importlib.util
import io
import os
import queue
import shutil
import socket
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.errors import BadInput, WorkbenchError
from workbench.grid.engine import Event, WorkerTask, message_of
from workbench.grid.worker import Worker

_TOGETHER = (
    3  # calls that an actor answers at once: one that works, one that listens, one that stops
)
_ANSWER = 5.0  # seconds in which a head must take a connection
_LISTEN = 0.5  # seconds that one call waits for something to be said


def check(address: str | None = None) -> None:
    """Raises BadInput where Ray is not installed, or nothing listens at the address: Ray itself
    would try for minutes.
    """
    if importlib.util.find_spec("ray") is None:
        raise BadInput(
            "Ray is not installed here.",
            "the extra `scale`",
            "pip install 'memory-workbench[scale]', or use --engine local.",
        )
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), _ANSWER).close()
    except (OSError, ValueError) as error:
        raise _nobody(address, str(error)) from error


def start(address: str | None, workers: int | None, n_pieces: int) -> tuple[RayEngine, int]:
    """Connect to a cluster, or start one on this machine where none is found.

    Args:
        address: of its head, HOST:PORT; None takes one that runs here.
        workers: how many at a time; None is one for each card, or each processor, of the cluster.

    Returns:
        The engine, and how many workers it will have.

    Raises:
        BadInput: nobody answers at that address.
    """
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(address=address or "auto", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is not None:
            raise _nobody(address, str(error)) from error
        ray.init(address="local", include_dashboard=False, **quiet)
    has = ray.cluster_resources()
    cards, processors = has.get("GPU", 0.0), has.get("CPU", 1.0)
    many = max(1, min(workers or int(cards or processors), n_pieces))
    share = {"num_gpus": min(1.0, cards / many)} if cards else {}
    return RayEngine(max(1, int(processors // many)), share), many


def _nobody(address: str, why: str) -> BadInput:
    return BadInput(
        f"No Ray cluster answers at {address}: {why.splitlines()[0]}",
        "HOST:PORT of a head that runs (ray start --head says it)",
        "Start it, or leave out --address. If it wants a token: RAY_AUTH_MODE=token.",
    )


class RayEngine:
    """An engine of actors.

    Args:
        processors: that each worker has.
        share: of graphics cards that each has, as Ray takes it.
    """

    def __init__(self, processors: int, share: dict[str, float]) -> None:
        self._how = {"num_cpus": processors, "max_concurrency": _TOGETHER, **share}
        self._actors: dict[int, Any] = {}
        self._targets: dict[int, Path | None] = {}
        self._listening: dict[Any, int] = {}
        self._hired = 0

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: Any) -> None:
        import ray

        for actor in self._actors.values():
            ray.kill(actor)
        ray.shutdown()

    def hire(self) -> int:
        import ray

        self._hired += 1
        actor = ray.remote(Remote).options(**self._how).remote(__version__, os.getcwd())
        self._actors[self._hired] = actor
        self._listen(self._hired)
        return self._hired

    def _listen(self, worker: int) -> None:
        self._listening[self._actors[worker].hear.remote(_LISTEN)] = worker

    def give(self, worker: int, task: WorkerTask) -> None:
        self._targets[worker] = task.target
        self._actors[worker].do.remote(task.to_json())

    def hear(self, seconds: float) -> list[Event]:
        import ray

        ready, _ = ray.wait(list(self._listening), timeout=seconds)
        heard: list[Event] = []
        for call in ready:
            worker = self._listening.pop(call)
            try:
                for raw in ray.get(call):
                    event = Event.from_json(worker, raw)
                    target = self._targets.get(worker)
                    if event.kind == "done" and target is not None:
                        unpack(ray.get(self._actors[worker].fetch.remote()), target)
                    heard.append(event)
                self._listen(worker)
            except ray.exceptions.RayError as error:
                del self._actors[worker]
                heard.append(Event(worker, "died", error=_of_death(error)))
        return heard

    def stop(self) -> None:
        for actor in self._actors.values():
            actor.stop.remote()


class Remote:
    """What runs in an actor, perhaps on another machine.

    Args:
        version: of the workbench that asks.
        folder: where it works. Paths in parameters are relative to it, where this machine has it.

    Raises:
        WorkbenchError: this machine has another.
    """

    def __init__(self, version: str, folder: str) -> None:
        if version != __version__:
            raise WorkbenchError(
                f"The cluster has version {__version__} of the workbench.",
                version,
                "Install the same version everywhere.",
            )
        if Path(folder).is_dir():
            os.chdir(folder)
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._worker = Worker(self._tell)
        self._place: Path | None = None
        self._made = b""

    def do(self, raw: dict[str, Any]) -> None:
        """Do a task; what comes of it is heard."""
        task = WorkerTask.from_json(raw)
        with tempfile.TemporaryDirectory() as folder:
            self._place = None if task.target is None else Path(folder) / task.target.name
            self._worker.do(replace(task, target=self._place))

    def _tell(self, kind: Any, **values: Any) -> None:
        if kind == "done" and self._place is not None:
            self._made = packed(self._place)
        self._said.put(message_of(kind, **values))

    def hear(self, seconds: float) -> list[dict[str, Any]]:
        """What was said since; waits so long for the first."""
        try:
            said = [self._said.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._said.empty():
            said.append(self._said.get())
        return said

    def fetch(self) -> bytes:
        """What the task that was done last has made, as an archive."""
        return self._made

    def stop(self) -> None:
        self._worker.stop()


def packed(place: Path) -> bytes:
    """A file or folder as one archive."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for file in [place] if place.is_file() else sorted(place.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(place.parent).as_posix())
    return held.getvalue()


def unpack(archive: bytes, target: Path) -> None:
    """Write the file or folder, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as held:
            held.extractall(work)
        os.replace(work / target.name, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _of_death(error: Exception) -> WorkbenchError:
    return WorkbenchError(
        f"A worker on the cluster died: {str(error).strip().splitlines()[0]}",
        "machines with enough memory for their workers",
        "Use fewer --workers, or look at Ray's logs.",
    )
