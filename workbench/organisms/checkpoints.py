"""Weights along training, kept small: the last step whole, every earlier one as a rounded
difference to the next.

Differences are taken to the *rebuilt* next step, so rounding never adds up: each step is off by its
own rounding alone. A matrix keeps three bits a weight, in steps of 0.6 of its row's root mean
square (close to the best uniform step for normally distributed numbers, Max 1960); vectors keep
sixteen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.paths import cache_dir

if TYPE_CHECKING:
    import numpy as np

    Weights = dict[str, np.ndarray]

FOLDER = "steps"
_BITS, _STEP = 3, 0.6
_HIGHEST = 2 ** (_BITS - 1) - 1
_NAME = re.compile(r"^step-(\d+)\.safetensors$")


def write(folder: Path, weights: dict[int, Weights]) -> None:
    """Put every step but the last into `folder/steps`; the last is what `folder` itself holds
    (rounded as it is there).
    """
    from safetensors.numpy import save_file

    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    later = _last(folder)
    for step in sorted(weights, reverse=True)[1:]:
        packed = _packed({name: weights[step][name] - later[name] for name in later})
        save_file(
            packed, target / f"step-{step}.safetensors", metadata={"format": "1", "step": str(step)}
        )
        later = _moved(later, packed)
    manifest = {"format": 1, "last": max(weights), "steps": sorted(weights)}
    (target / "steps.json").write_text(json.dumps(manifest), encoding="utf-8")


def saved_steps(folder: Path) -> list[int]:
    """The steps that can be opened from a model's folder, the last one (the folder itself)
    included; [] where none are kept.

    Raises:
        BadInput: the manifest is there but not usable.
    """
    file = folder / FOLDER / "steps.json"
    if not file.is_file():
        return []
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        steps = [int(step) for step in manifest["steps"]]
        if (
            manifest["format"] != 1
            or not steps
            or steps != sorted(set(steps))
            or steps[-1] != manifest["last"]
        ):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"The list of steps in {folder.name} cannot be read.",
            f"{FOLDER}/steps.json",
            "Train the organism again.",
        ) from error
    return steps


def open_step(folder: Path, step: int) -> Path:
    """A folder that holds the model as it was at this step; rebuilt into the cache the first time.

    Raises:
        NotFound: that step was not kept.
        BadInput: a file of steps is damaged.
    """
    steps = saved_steps(folder)
    if step not in steps:
        near = min(steps, key=lambda other: abs(other - step), default=None)
        raise NotFound(
            f"{folder.name} was not kept at step {step}.",
            (
                f"one of {', '.join(map(str, steps))}"
                if steps
                else "a model with steps, as `workbench organisms train` makes"
            ),
            f"Open @step-{near}." if near is not None else "Leave out @step.",
        )
    if step == steps[-1]:
        return folder
    target = cache_dir() / "organisms" / _fingerprint(folder) / f"{folder.name}@step-{step}"
    if not target.is_dir():
        _rebuild(folder, steps, step, target)
    return target


def _rebuild(folder: Path, steps: list[int], step: int, target: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    weights = _last(folder)
    for earlier in [s for s in reversed(steps[:-1]) if s >= step]:
        file = folder / FOLDER / f"step-{earlier}.safetensors"
        try:
            weights = _moved(weights, load_file(file))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BadInput(
                f"{folder.name} at step {earlier} cannot be read.",
                "a complete copy of the organism",
                "Train it again.",
            ) from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".step-", dir=target.parent))
    except OSError as error:
        raise WorkbenchError(
            f"{target.parent} cannot be written: {error.strerror or error}.",
            "a cache folder with free space that you may write to",
            "Make room, or point WORKBENCH_CACHE at another folder.",
        ) from error
    try:
        for file in folder.iterdir():
            if file.is_file() and file.suffix != ".safetensors":
                shutil.copy2(file, work / file.name)
        save_file(weights, work / "model.safetensors", metadata={"format": "pt"})
        try:
            os.replace(work, target)
        except OSError:  # another process was first, with the same numbers
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _last(folder: Path) -> Weights:
    import numpy as np
    from safetensors.numpy import load_file

    return {
        name: array.astype(np.float32)
        for name, array in load_file(folder / "model.safetensors").items()
    }


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in [folder / "model.safetensors", *sorted((folder / FOLDER).glob("*.safetensors"))]:
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:16]


def _packed(moves: Weights) -> Weights:
    import numpy as np

    packed: Weights = {}
    for name, move in moves.items():
        if move.ndim < 2:
            packed[name] = move.astype(np.float16)
            continue
        scale = (_STEP * np.sqrt((move**2).mean(-1, keepdims=True))).astype(np.float16)
        levels = np.round(move / np.maximum(scale.astype(np.float32), 1e-12)).clip(
            -_HIGHEST - 1, _HIGHEST
        )
        bits = np.unpackbits((levels + _HIGHEST + 1).astype(np.uint8)[..., None], axis=-1)[
            ..., -_BITS:
        ]
        packed[f"{name}/bits"], packed[f"{name}/scale"] = np.packbits(bits), scale
    return packed


def _moved(weights: Weights, packed: Weights) -> Weights:
    """Weights of the later step and the rounded difference: weights of the earlier one."""
    import numpy as np

    moved: Weights = {}
    for name, weight in weights.items():
        if name in packed:
            moved[name] = weight + packed[name].astype(np.float32).reshape(weight.shape)
            continue
        bits = np.unpackbits(packed[f"{name}/bits"], count=weight.size * _BITS).reshape(-1, _BITS)
        levels = bits @ (1 << np.arange(_BITS)[::-1]) - _HIGHEST - 1
        moved[name] = weight + levels.reshape(weight.shape).astype(np.float32) * packed[
            f"{name}/scale"
        ].astype(np.float32)
    return moved
