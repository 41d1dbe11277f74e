"""What is kept so that stages go on after a stop: weights, the optimizer's moments, the state of
the random numbers, the losses so far.

Between two stages all of it is one file ("stages"), within a stage what moves in it. So whoever is
killed, at any moment, loses the steps since the last file and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench import checkpointing
from workbench.errors import BadInput

_FILES = 8  # times along a stage that its state is kept
_ABOUT = "lab.json"


class WorkFolder:
    """The folder of a training that can go on; does nothing where there is none."""

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        """Raises: BadInput: the folder holds the beginnings of other stages."""
        self.folder = folder
        self.losses: dict[str, list[float | None]] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / _ABOUT
        if not about.is_file():
            checkpointing.replace(about, json.dumps({"stages": fingerprint}))
        elif json.loads(about.read_text(encoding="utf-8")).get("stages") != fingerprint:
            raise BadInput(
                f"{folder} holds the beginnings of other stages.",
                "the same stages, seed and model as before, or an empty folder",
                "Choose another folder, or delete it.",
            )

    def stages_done(self, module: Any, optimizer: Any, stages: int) -> int:
        """Put back how things stood after the last whole stage, and say how many are done."""
        if self.folder is None:
            return 0
        done = checkpointing.resume(module, optimizer, self.folder, "stages", stages)
        if done:
            self.losses = json.loads(self._losses_file(done).read_text(encoding="utf-8"))
        return done

    def save_stage(self, module: Any, optimizer: Any, done: int) -> None:
        """Keep everything after a whole stage; what was kept within it is no longer needed."""
        import torch

        if self.folder is None:
            return
        checkpointing.replace(self._losses_file(done), json.dumps(self.losses))
        # After a low-rank stage there are no moments; with a number of its own the file is there.
        more = {"stages": torch.tensor(done)}
        checkpointing.save_step(
            module, optimizer, self.folder, "stages", done, every=False, more=more
        )
        for old in self.folder.glob(f"stage-{done - 1}-*.safetensors"):
            old.unlink()

    def steps_done(self, module: Any, optimizer: Any, number: int, name: str, total: int) -> int:
        """Put back the last kept step of a stage, and say which it was."""
        import torch

        self.losses[name] = []
        if self.folder is None:
            return 0
        more: dict[str, Any] = {}
        done = checkpointing.resume(
            module, optimizer, self.folder, f"stage-{number}", total - 1, more
        )
        if done:
            set_random_state(module.device, more)
            self.losses[name] = [
                None if math.isnan(loss) else loss
                for loss in more["losses"].to(torch.float64).tolist()
            ]
        return done

    def save_within(
        self, module: Any, optimizer: Any, number: int, name: str, step: int, total: int
    ) -> None:
        """Keep the state of a stage, some times along it."""
        if self.folder is not None and step < total and step % max(1, total // _FILES) == 0:
            self.save_now(module, optimizer, number, name, step)

    def save_now(self, module: Any, optimizer: Any, number: int, name: str, step: int) -> None:
        """Keep the state of a stage."""
        import torch

        if self.folder is None or step == 0:
            return
        more = random_state(module.device)
        losses = self.losses[name]
        more["losses"] = torch.tensor(
            [math.nan if loss is None else loss for loss in losses], dtype=torch.float64
        )
        checkpointing.save_step(
            module, optimizer, self.folder, f"stage-{number}", step, every=False, more=more
        )

    def _losses_file(self, done: int) -> Path:
        assert self.folder is not None
        return self.folder / f"losses-{done}.json"


def random_state(device: Any) -> dict[str, Any]:
    """The state of torch's random numbers, here and on the model's card."""
    import torch

    state = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        state["random_card"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(device: Any, state: Mapping[str, Any]) -> None:
    import torch

    torch.set_rng_state(state["random"].to(torch.uint8))
    if device.type == "cuda" and "random_card" in state:
        torch.cuda.set_rng_state(state["random_card"].to(torch.uint8), device)


def loss_log(losses: Mapping[str, Sequence[float | None]]) -> dict[str, tuple[float | None, ...]]:
    return {name: tuple(values) for name, values in losses.items()}
