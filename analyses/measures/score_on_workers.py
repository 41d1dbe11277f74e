"""Windows read by the workers of a run: a batch each, the same batches as without them.

Every worker computes with one thread, so the numbers do not depend on how many there are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.measures.sampler import Sampler
from analyses.measures.window_scores import Pass, Scores, read_windows
from analyses.measures.windows import Window
from hooks.backends import active_interventions
from workbench.errors import BadInput, WorkbenchError
from workbench.grid.drive import WorkPiece
from workbench.wording import counted

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.grid.engine import WorkerTask
    from workbench.progress import Progress
    from workbench.run_workers import RunWorkers

_TEXT = ("beginning", "prefix", "suffix")


def read(
    crew: RunWorkers,
    model: InstrumentedModel,
    ref: str,
    windows: Sequence[Window],
    batches: Sequence[Sequence[int]],
    plan: Pass,
    scores: Scores,
    progress: Callable[[float, str], None],
) -> None:
    """Have every batch read, and put what comes of it into `scores`.

    Args:
        ref: by which workers load the model; "" is the model of the run.
        batches: which windows are read together.

    Raises:
        BadInput: something is switched on in the model.
        Cancelled: the user stopped.
        WorkbenchError: a batch could not be read, or no worker can be had.
    """
    from safetensors.numpy import load_file

    if active_interventions.any_active(model):
        raise BadInput(
            "Something is switched on or hooked in this model, and workers load their own.",
            "no active intervention",
            "Run without workers.",
        )
    given = {**asdict(plan), "weights": model.card.weight_hash}
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"{number}.safetensors" for number in range(len(batches))]

        def ended(piece: WorkPiece, error: WorkbenchError | None) -> None:
            if error is not None:
                raise WorkbenchError(f"{piece.says}: {error.what}", error.expected, error.do)
            number = int(piece.key)
            scores.put(batches[number], load_file(places[number]))
            places[number].unlink()

        def task(number: int) -> WorkerTask:
            some = [[getattr(windows[i], name) for name in _TEXT] for i in batches[number]]
            about = {**given, "windows": some}
            return crew.workers.task(f"{__name__}:read_part", about, places[number], ref)

        pieces = [
            WorkPiece(
                str(number),
                ref or crew.workers.model,
                counted(len(batch), "window"),
                partial(task, number),
                float(len(batch)),
            )
            for number, batch in enumerate(batches)
        ]
        crew.driver.run(pieces, progress, ended)


def read_part(model: InstrumentedModel, given: Any, target: Path, progress: Progress) -> None:
    """What a worker does: read one batch.

    Raises:
        WorkbenchError: its model has other weights than the one that the run is about.
    """
    from safetensors.numpy import save_file

    if model.card.weight_hash != given["weights"]:
        raise WorkbenchError(
            f"The worker's {model.card.name} has other weights than that of the run.",
            "the same model on every machine",
            "Fetch it anew where it differs.",
        )
    windows = [
        Window(0, 0, tuple(beginning), tuple(prefix), tuple(suffix))
        for beginning, prefix, suffix in given["windows"]
    ]
    plan = Pass(Sampler(**given["sampler"]), given["whole"], given["floor"])
    progress(0.0, "reading")
    save_file(vars(read_windows(model, windows, plan)), target)
