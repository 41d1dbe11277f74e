"""Runs in the background: one worker, a queue, and a state that any page can ask for at any time.

A job belongs to the server, not to the page that started it: a reloaded page finds it, closing the
page does not stop it, and cancelling is a flag that the job sees at its next report, so the model
is free within one batch.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ui.model_shelf import ModelShelf
from ui.model_slot import ModelSlot
from workbench import disk_space, paths, registry, runs
from workbench.errors import Cancelled, NotFound, WorkbenchError
from workbench.progress import Progress, Update

if TYPE_CHECKING:
    from pydantic import BaseModel

    from workbench.result import Result

JobState = Literal["waiting", "running", "done", "cancelled", "failed"]
KEPT = 20
UPLOADS = "workbench-uploads-"
"""How folders with uploaded files begin, which nobody finds again."""
log = logging.getLogger(__name__)


@dataclass
class Job:
    """One run that was asked for.

    Written by the worker, read by pages; `says` and `fraction` are its latest report. It keeps the
    model that was current when it was asked for, whatever is chosen afterwards.
    """

    analysis: str
    params: BaseModel
    slot: ModelSlot
    seed: int | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    state: JobState = "waiting"
    fraction: float = 0.0
    says: str = "Waiting for its turn"
    left: float | None = None
    error: WorkbenchError | None = None
    run_id: str | None = None
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    finished: threading.Event = field(default_factory=threading.Event)
    started: float | None = None
    ended: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds it has been at work."""
        if self.started is None:
            return 0.0
        return (self.ended if self.ended is not None else time.monotonic()) - self.started

    @property
    def title(self) -> str:
        """What a person calls its analysis."""
        try:
            return registry.get(self.analysis).title
        except WorkbenchError:  # it is not installed any more
            return self.analysis

    @property
    def model(self) -> str:
        """The name of the model it asks."""
        return self.slot.name

    @property
    def cancelling(self) -> bool:
        return self.progress.cancelled and not self.finished.is_set()

    def heard(self, update: Update) -> None:
        self.fraction, self.says, self.left = update.fraction, update.says or self.says, update.left


class Jobs:
    """The queue and its worker thread.

    Args:
        shelf: where the models are.
        root: the runs folder; None is the user's.
        saved: told the folder of every run that was saved.
    """

    def __init__(
        self,
        shelf: ModelShelf,
        root: Path | None = None,
        saved: Callable[[Path], object] = lambda _: None,
    ) -> None:
        self._shelf = shelf
        self._root = root
        self._saved = saved
        self._all: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._worker: threading.Thread | None = None

    def submit(self, analysis: str, values: Mapping[str, Any], seed: int | None = None) -> Job:
        """Queue a run; bad names and values are refused here, before anything waits.

        Raises:
            NotFound, BadInput: see `Analysis.parse`.
            WorkbenchError: the analysis cannot be loaded, the run could not be saved, or the server
                is stopping.
        """
        asked = registry.get(analysis)
        disk_space.check_writable(
            (self._root or paths.runs_dir()) / ".new", "--runs DIR (or WORKBENCH_RUNS)"
        )
        job = Job(asked.name, asked.parse(values), self._shelf.current, seed)
        job.progress = Progress(job.heard)
        with self._changed:
            if self._stopping:
                raise WorkbenchError("The server is stopping.", do="Start it again.")
            self._shelf.hold(job.slot)
            self._all.append(job)
            while len(self._all) > KEPT and self._all[0].finished.is_set():
                self._all.popleft()
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="runs", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return job

    def get(self, job_id: str) -> Job:
        """Raises `NotFound` for a job that is not remembered any more."""
        for job in self.recent():
            if job.id == job_id:
                return job
        raise NotFound(
            "That run is not in the queue any more.", do="Home lists the runs that finished."
        )

    def recent(self) -> list[Job]:
        """Newest first."""
        with self._changed:
            return list(reversed(self._all))

    def running(self) -> Job | None:
        """The job that has the model now, if any."""
        return next((job for job in self.recent() if job.state == "running"), None)

    def cancel(self, job_id: str) -> None:
        """Ask one job to stop. One that still waits is dropped at once."""
        job = self.get(job_id)
        job.progress.cancel()
        with self._changed:
            if job.state == "waiting":
                self._end(job, "cancelled", "Cancelled before it began")

    def stop(self, timeout: float = 15.0) -> list[Job]:
        """Cancel everything and wait until the worker has let go of the model.

        Returns what was cancelled by this.
        """
        with self._changed:
            self._stopping = True
            stopped = [job for job in self._all if not job.finished.is_set()]
            for job in self._all:
                job.progress.cancel()
                if job.state == "waiting":
                    self._end(job, "cancelled", "The server stopped")
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.join(timeout)
        return stopped

    def _end(self, job: Job, state: JobState, says: str) -> None:
        job.state, job.says, job.left, job.ended = state, says, None, time.monotonic()
        self._shelf.release(job.slot)
        job.finished.set()

    def _next(self) -> Job | None:
        with self._changed:
            while True:
                if self._stopping:
                    return None
                for job in self._all:
                    if job.state == "waiting":
                        job.state, job.started, job.says = "running", time.monotonic(), "Starting"
                        return job
                self._changed.wait()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._one(job)
            except WorkbenchError as error:
                job.error = error
                self._end(job, "failed", error.what)
            except Exception as error:
                # An analysis may come from a third party: what it raises is shown, and the queue
                # goes on.
                log.exception("run of %s failed", job.analysis)
                job.error = WorkbenchError(
                    f"{job.analysis} stopped with {type(error).__name__}: {error}",
                    do=(
                        "Details are in the server's log. If the parameters are unusual, try the"
                        " defaults."
                    ),
                )
                self._end(job, "failed", job.error.what)

    def _one(self, job: Job) -> None:
        job.says = "Waiting for the model"
        while not job.slot.wait(0.2):
            if job.progress.cancelled:
                self._end(job, "cancelled", "Cancelled before it began")
                return
        model = job.slot.need()
        state: JobState = "done"
        with model.lock:
            try:
                result = runs.run(
                    job.analysis, model, job.params, seed=job.seed, progress=job.progress
                )
            except Cancelled as stop:
                if stop.kept is None:
                    self._end(job, "cancelled", "Cancelled; there was nothing to keep yet")
                    return
                result, state = stop.kept, "cancelled"  # type: ignore[assignment]
        job.says = "Saving"
        result.params = {key: _lasting(value) for key, value in result.params.items()}
        folder = self._save(result)
        job.run_id = folder.name
        self._saved(folder)
        job.findings = {name: finding.to_json() for name, finding in result.findings.items()}
        job.fraction = 1.0 if state == "done" else job.fraction
        self._end(
            job,
            state,
            (
                "Finished"
                if state == "done"
                else "Cancelled; what was found so far is kept as a partial run"
            ),
        )

    def _save(self, result: Result) -> Path:
        try:
            return runs.save_new(result, self._root)
        except WorkbenchError as error:
            where = runs.rescue(result, error)
            raise WorkbenchError(
                error.what,
                "",
                f"The run is saved in {where} instead. Open it from there: on the page"
                " Runs, press Open a folder.",
            ) from error


def _lasting(value: Any) -> Any:
    """A parameter as the run keeps it: of uploaded files, which go when the server ends, the
    name.
    """
    return Path(value).name if isinstance(value, str) and UPLOADS in value else value
