"""Does one task after the other. The model stays while tasks share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import Cancelled, WorkbenchError
from workbench.grid.engine import WorkerTask
from workbench.progress import Progress, Update
from workbench.terminal import complaint_of

Tell = Callable[..., None]
"""Called with a kind of event and its values (see `engine.Event`)."""


class Work(Protocol):
    """What a task's function takes; it gives back the seconds that it states, or None.

    It may raise what it likes: the driver hears it. Text from a stranger is never the name of one.
    """

    def __call__(
        self, model: Any, given: Any, target: Path | None, progress: Progress
    ) -> float | None: ...


class Worker:
    """Args: tell: hears what is to be passed on."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._loaded: tuple[Any, ...] = ()
        self._model: Any = None
        self._progress = Progress()
        self._stopped = False

    def stop(self) -> None:
        """Leave what is done now at its next report, and begin nothing more; from any thread."""
        self._stopped = True
        self._progress.cancel()

    def do(self, task: WorkerTask) -> None:
        """Do a task; whatever comes out is told, errors too."""
        self._progress = Progress(self._show)
        if self._stopped:  # since before this was made
            self._progress.cancel()
        try:
            self._tell("done", seconds=self._done(task))
        except Cancelled:
            self._tell("cancelled")
        except Exception as error:
            # A task that cannot be done says why; the others are done all the same.
            known = complaint_of(error)
            self._tell("failed", error=known if known is not None else _of_bug(error))

    def _done(self, task: WorkerTask) -> float | None:
        import torch

        if task.threads is not None:
            torch.set_num_threads(task.threads)
        module, _, name = task.work.partition(":")
        work: Work = getattr(import_module(module), name)
        return work(self._loaded_for(task), task.given, task.target, self._progress)

    def _show(self, update: Update) -> None:
        self._tell("progress", fraction=update.fraction, says=update.says)

    def _loaded_for(self, task: WorkerTask) -> Any:
        import workbench as wb

        wanted = (task.model, task.loading)
        if wanted != self._loaded:
            self._model, self._loaded = None, ()  # two at once may not fit
            self._progress(0.0, f"Loading {task.model}")
            self._model = wb.load(task.model, **asdict(task.loading))
            self._loaded = wanted
        return self._model


def _of_bug(error: Exception) -> WorkbenchError:
    return WorkbenchError(
        f"The workbench made a mistake: {type(error).__name__}: {error}", do="Tell its developers."
    )
