"""Methods that are done, kept until the run is: what was stopped or killed goes on behind them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.methods import Forgetting
from hooks.unlearning import Unlearned, UnlearningLog
from workbench import checkpointing, paths
from workbench.errors import WorkbenchError
from workbench.models import weight_delta
from workbench.models.card import weight_hash

if TYPE_CHECKING:
    from analyses.weights.unlearning_audit.sets import Sets
    from hooks.model import InstrumentedModel

_LONGEST = 7 * 24 * 3600
"""Seconds after which what a stopped run kept is removed by another run."""


class FinishedMethods:
    """A folder in the cache for the methods of one run: a change and how it came about, each.

    Which folder it is depends on all that decides what a method makes: the weights, the passages,
    the aim, the steps and the seed. Of the parts nothing depends on it, so a run that was stopped
    may also be started again with others.
    """

    def __init__(
        self, model: InstrumentedModel, sets: Sets, aim: float, steps: int, seed: int
    ) -> None:
        texts = [[text.ids for text in sets.texts(name)] for name in c.SETS]
        about = json.dumps([weight_hash(model.module), texts, aim, steps, seed])
        place = paths.cache_dir() / "unlearning-audit"
        self.folder = place / hashlib.sha256(about.encode()).hexdigest()[:16]
        self._base = model.card.weight_hash
        for old in place.glob("*"):
            if old != self.folder and _age(old) > _LONGEST:
                shutil.rmtree(old, ignore_errors=True)

    def get(self, method: str) -> Forgetting | None:
        """What this method made before the run was stopped, or None."""
        change, about = self._files(method)
        try:
            delta = weight_delta.read(change)
            title, seconds, path, log, names = json.loads(about.read_text(encoding="utf-8"))
        except (OSError, ValueError, WorkbenchError):
            return None
        # A file has its own order, and a random change of equal size is drawn matrix by matrix.
        delta = dataclasses.replace(
            delta,
            index={name: delta.index[name] for name in names if name in delta.index},
            left={name: delta.left[name] for name in names if name in delta.left},
        )
        done = Unlearned(method, self._base, delta, UnlearningLog.from_json(log))
        return Forgetting(title, done, seconds, path)

    def put(self, one: Forgetting) -> str:
        """Keep what a method made. The run itself needs none of it, so what cannot be written does
        not end it; gives why, "" where all is kept.
        """
        change, about = self._files(one.done.method)
        names = [*one.done.delta.index, *one.done.delta.left]
        log = dataclasses.asdict(one.done.log)
        says = json.dumps([one.title, one.seconds, one.path, log, names])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            change.unlink(missing_ok=True)
            one.done.save(change)
            checkpointing.replace(about, says)  # last: a method is kept once both files are there
        except (OSError, WorkbenchError) as error:
            return str(error).splitlines()[0]
        return ""

    def clear(self) -> None:
        """The run is done: nothing needs to be kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self, method: str) -> tuple[Path, Path]:
        return self.folder / f"{method}.safetensors", self.folder / f"{method}.json"


def _age(folder: Path) -> float:
    """Seconds since something was last put there; 0 where it is gone by now."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
