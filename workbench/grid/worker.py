"""Does one cell after the other. The model stays while cells share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from workbench.errors import Cancelled, WorkbenchError
from workbench.grid.engine import WorkerTask
from workbench.progress import Progress, Update
from workbench.terminal import complaint_of

Tell = Callable[..., None]
"""Called with a kind of event and its values (see `engine.Event`)."""


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
        """Run, or estimate; whatever comes out is told, errors too."""
        self._progress = Progress(self._show)
        if self._stopped:  # since before this was made
            self._progress.cancel()
        try:
            seconds = self._estimate(task) if task.only_estimate else self._run(task)
            self._tell("estimate" if task.only_estimate else "done", seconds=seconds)
        except Cancelled:
            self._tell("cancelled")
        except Exception as error:
            # A cell that cannot be run says why; the others are run all the same.
            known = complaint_of(error)
            self._tell("failed", error=known if known is not None else _of_bug(error))

    def _show(self, update: Update) -> None:
        self._tell("progress", fraction=update.fraction, says=update.says)

    def _loaded_for(self, task: WorkerTask) -> Any:
        import workbench as wb

        wanted = (task.cell.model, task.loading)
        if wanted != self._loaded:
            self._model, self._loaded = None, ()  # two at once may not fit
            self._progress(0.0, f"Loading {task.cell.model}")
            self._model = wb.load(task.cell.model, **asdict(task.loading))
            self._loaded = wanted
        return self._model

    def _estimate(self, task: WorkerTask) -> float | None:
        from workbench import account, registry
        from workbench.cost import estimate

        asked = registry.get(task.cell.analysis)
        model, params = self._loaded_for(task), asked.parse(task.cell.params)
        account.check_parts(asked, model, params)
        whole = estimate(asked, model, params)
        return None if whole is None else whole.seconds

    def _run(self, task: WorkerTask) -> float:
        from workbench import runs

        cell = task.cell
        result = runs.run(
            cell.analysis, self._loaded_for(task), cell.params, progress=self._progress
        )
        result.save(task.target)
        return result.provenance.duration


def _of_bug(error: Exception) -> WorkbenchError:
    return WorkbenchError(
        f"The workbench made a mistake: {type(error).__name__}: {error}", do="Tell its developers."
    )
