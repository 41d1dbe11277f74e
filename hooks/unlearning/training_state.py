"""What an unlearning keeps in a folder so that the same call goes on there after a stop."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hooks.unlearning.settings import Settings
from hooks.unlearning.texts import Text
from hooks.unlearning.unlearning_log import UnlearningLog
from workbench import checkpointing
from workbench.errors import BadInput, WorkbenchError

if TYPE_CHECKING:
    from hooks.unlearning.trained_weights import TrainedWeights
    from hooks.unlearning.training_loop import Attempt

_RECIPE = "recipe.json"


class TrainingState:
    """A folder with one training for each rate.

    Args:
        folder: one that does not exist yet, or one that the same call began.

    Raises:
        BadInput: it holds something else.
        WorkbenchError: it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        weights: str,
        method: str,
        texts: Sequence[Sequence[Text]],
        settings: Settings,
    ) -> None:
        self.folder = folder
        read = hashlib.sha256(repr(texts).encode()).hexdigest()[:16]
        wanted = json.dumps([weights, method, read, asdict(settings)])
        recipe = folder / _RECIPE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if recipe.is_file() and recipe.read_text(encoding="utf-8") == wanted:
                return
            if any(folder.iterdir()):
                raise BadInput(
                    f"{folder} holds something else.",
                    "an empty folder, or one that this unlearning began",
                    "Choose another folder.",
                )
            checkpointing.replace(recipe, wanted)
        except OSError as error:
            raise WorkbenchError(
                f"{folder} cannot be written: {error.strerror or error}.",
                "a folder you may write to",
                "Choose another.",
            ) from error

    def keep(
        self,
        trained: TrainedWeights,
        adam: torch.optim.Optimizer,
        attempt: Attempt,
        step: int,
    ) -> None:
        """Keep a training before a step; each file appears whole."""
        from safetensors.torch import save_file

        rate = attempt.log.rate
        for number, snapshot in attempt.path.items():
            file = self._path(rate, number)
            if not file.is_file():
                self._save(file, {str(n): t for n, t in enumerate(snapshot)})
        tensors = {str(n): t.detach() for n, t in enumerate(trained.tensors)}
        for n, tensor in enumerate(trained.tensors):
            tensors |= {f"{n}.{key}": v for key, v in adam.state.get(tensor, {}).items()}
        log = json.dumps([step, sorted(attempt.path), asdict(attempt.log)])
        part = self.folder / ".part"
        save_file(tensors, part, metadata={"log": log})
        os.replace(part, self._now(rate))

    def resume(
        self,
        rate: float,
        trained: TrainedWeights,
        adam: torch.optim.Optimizer,
        attempt: Attempt,
    ) -> int:
        """Put back what was kept at this rate, and say before which step; 0 where nothing was."""
        from safetensors import safe_open
        from safetensors.torch import load_file

        file = self._now(rate)
        if not file.is_file():
            return 0
        with safe_open(file, "pt") as opened:
            step, path, log = json.loads(opened.metadata()["log"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        own = [tensors[str(n)].to(t.device) for n, t in enumerate(trained.tensors)]
        trained.restore(own)
        trained.write()
        for n, tensor in enumerate(trained.tensors):
            state = {
                name.partition(".")[2]: value
                for name, value in tensors.items()
                if name.startswith(f"{n}.")
            }
            if state:
                adam.state[tensor] = {
                    key: value if key == "step" else value.to(tensor.device)
                    for key, value in state.items()
                }
        for number in path:
            saved = load_file(self._path(rate, number))
            attempt.path[number] = [saved[str(n)].to(t.device) for n, t in enumerate(own)]
        attempt.log = UnlearningLog.from_json(log)
        return int(step)

    def clear(self) -> None:
        """Remove what was kept."""
        for file in [*self.folder.glob("*.safetensors"), self.folder / _RECIPE]:
            file.unlink(missing_ok=True)

    def _save(self, file: Path, tensors: dict[str, torch.Tensor]) -> None:
        from safetensors.torch import save_file

        part = self.folder / ".part"
        save_file({name: t.detach().contiguous() for name, t in tensors.items()}, part)
        os.replace(part, file)

    def _now(self, rate: float) -> Path:
        return self.folder / f"{rate:g}-now.safetensors"

    def _path(self, rate: float, step: int) -> Path:
        return self.folder / f"{rate:g}-step-{step}.safetensors"
