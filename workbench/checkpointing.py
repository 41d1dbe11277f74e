"""What a training keeps so that it can go on after a stop, and the folder it owns while it runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, WorkbenchError

WORK = ".training"
_MORE = "more"


def claim_folder(
    out: Path, recipe: Mapping[str, Any], room: int, about: str = "organism.json"
) -> bool:
    """Make `out` the folder of this training, or find that it is already.

    True if the training there is finished.

    Args:
        recipe: everything that decides what comes out, as JSON has it.
        room: bytes that the training takes at its largest.
        about: the file that says, once all is done, what lies in `out`.

    Raises:
        BadInput: `out` holds anything else; it is left as it is.
        WorkbenchError: no room or no permission.
    """
    own, wanted = out / WORK / "recipe.json", json.loads(json.dumps(recipe))
    try:
        if (out / about).is_file():
            if _json(out / about).get("recipe") == wanted:
                return True
            raise BadInput(
                f"{out} holds what another training made.",
                "an empty folder, or one this command began",
                "Choose another --out.",
            )
        if own.is_file():
            if _json(own) == wanted:
                return False
            raise BadInput(
                f"{out} holds the beginnings of another training.",
                "an empty folder, or the same model, texts and settings as before",
                f"Choose another --out, or delete {out}.",
            )
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadInput(
                f"{out} is not empty.",
                "a folder that does not exist yet, or is empty",
                "Choose another --out.",
            )
        (out / WORK).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
        if free < room:
            raise WorkbenchError(
                f"{free / 1e6:,.0f} MB are free where {out} lies.",
                f"{room / 1e6:,.0f} MB while training",
                "Make room.",
            )
        replace(own, json.dumps(wanted, indent=1))
    except OSError as error:
        raise WorkbenchError(
            f"{out} cannot be written: {error.strerror or error}.",
            "a folder you may write to",
            "Choose another --out.",
        ) from error
    return False


def finish(out: Path, says: Mapping[str, Any], about: str = "organism.json") -> None:
    """Say what lies in `out`, and remove what was kept for going on."""
    replace(out / about, json.dumps(says, indent=1))
    shutil.rmtree(out / WORK)


def save_step(
    model: Any,
    optimizer: Any,
    work: Path,
    name: str,
    step: int,
    *,
    every: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Keep what is trained as it is at this step, and the optimizer's state; each file appears
    whole.

    Args:
        every: keep the weights of earlier steps too. The optimizer's state is only ever kept for
            the last.
        more: other tensors that are kept beside the optimizer's state.
    """
    from safetensors.torch import save_file

    part = work / f".{name}.part"
    state = {
        f"{number}.{key}": value
        for number, parameter in enumerate(_trained(model).values())
        for key, value in optimizer.state.get(parameter, {}).items()
    } | {f"{_MORE}.{key}": value for key, value in (more or {}).items()}
    if state:
        save_file(state, part, metadata={"step": str(step)})
        os.replace(part, work / f"{name}-optimizer-{step}.safetensors")
    save_file(
        {key: p.detach().contiguous() for key, p in _trained(model).items()},
        part,
        metadata={"format": "pt"},
    )
    os.replace(part, step_path(work, name, step))
    for old in work.glob(f"{name}-*.safetensors"):
        own = old.name.endswith(f"-{step}.safetensors")
        if not own and (not every or old.name.startswith(f"{name}-optimizer-")):
            old.unlink()


def resume(
    model: Any,
    optimizer: Any,
    work: Path,
    name: str,
    steps: int,
    more: dict[str, Any] | None = None,
) -> int:
    """Put the last kept step back and say which it was; 0 if nothing was kept.

    Args:
        more: gets the other tensors that were kept.
    """
    from safetensors.torch import load_file

    done = max(
        (step for step in range(steps + 1) if step_path(work, name, step).is_file()), default=0
    )
    if done == 0:
        return 0
    model.load_state_dict(load_file(step_path(work, name, done)), strict=False)
    state = load_file(work / f"{name}-optimizer-{done}.safetensors")
    for number, parameter in enumerate(_trained(model).values()):
        optimizer.state[parameter] = {
            key.partition(".")[2]: value
            for key, value in state.items()
            if key.startswith(f"{number}.")
        }
    if more is not None:
        more |= {
            key.partition(".")[2]: value
            for key, value in state.items()
            if key.startswith(f"{_MORE}.")
        }
    return done


def step_path(work: Path, name: str, step: int) -> Path:
    """Where the weights of a step are kept while training."""
    return work / f"{name}-{step}.safetensors"


def replace(file: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    import platform

    import torch
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _trained(model: Any) -> dict[str, Any]:
    """What is trained, each tied tensor once."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
