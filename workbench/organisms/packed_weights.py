"""Weights at one byte a number: how models that are kept beside an organism travel with it.

A matrix is kept in steps of a 127th of its row's largest number: off by half a percent of a row's
spread, which is less than what float16 and a second training change. Vectors keep float16.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput, WorkbenchError
from workbench.paths import cache_dir, samples_dir

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedConfig

    from workbench.organisms.ledger import Ledger

    Weights = dict[str, np.ndarray]

_HIGHEST_LEVEL = 127
_CONFIG = "config"
SAMPLES = "memory-workbench-samples"
"""The distribution that brings those models which do not come with the workbench."""


def pack(weights: Weights) -> Weights:
    """Tensors by name, any float -> for each matrix (…, rows, columns) its int8 `NAME/levels` and
    its float16 `NAME/scale` (…, rows, 1); each vector as float16 under its own name.
    """
    import numpy as np

    packed: Weights = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            packed[name] = weight.astype(np.float16)
            continue
        scale = (np.abs(weight).max(-1, keepdims=True) / _HIGHEST_LEVEL).astype(np.float16)
        levels = np.round(weight / np.maximum(scale.astype(np.float32), 1e-12))
        packed[f"{name}/levels"] = levels.clip(-_HIGHEST_LEVEL, _HIGHEST_LEVEL).astype(np.int8)
        packed[f"{name}/scale"] = scale
    return packed


def unpack(packed: Weights) -> Weights:
    """What `pack` made, as float32 tensors by name.

    Raises:
        KeyError: the scale of a matrix is missing.
    """
    import numpy as np

    return {
        name.removesuffix("/levels"): (
            value.astype(np.float32) * packed[f"{name.removesuffix('/levels')}/scale"]
            if name.endswith("/levels")
            else value.astype(np.float32)
        )
        for name, value in packed.items()
        if not name.endswith("/scale")
    }


def save_packed(weights: Weights, file: Path, config: PreTrainedConfig) -> None:
    """Weights of a model kept beside an organism, and its own settings."""
    from safetensors.numpy import save_file

    metadata = {"format": "1", _CONFIG: config.to_json_string()}
    save_file(pack(weights), file, metadata=metadata)


def packed_file(home: Path, name: str, *, further: bool = False) -> Path:
    """Where the weights of a model belong that is grown beside the organism in `home`.

    Args:
        further: in the distribution of samples, where that is there (in a checkout it always is).
    """
    samples = samples_dir() if further else None
    place = home / "beside" if samples is None else samples / "organisms"
    return place / f"{name}.safetensors"


def open_packed(file: Path, home: Path, name: str, ledger: Ledger | None = None) -> Path:
    """A folder that holds this model, with all else that the organism in `home` has (its settings
    too, where the file brings none); put together in the cache the first time.

    Args:
        file: its weights, as `pack` or `save_packed` made them.
        ledger: of the model, where it is not that of the organism.

    Raises:
        BadInput: its file is damaged.
        WorkbenchError: the cache cannot be written.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import load_file, save_file

    try:
        target = cache_dir() / "organisms" / _digest_of(file, ledger) / name
        if target.is_dir():
            return target
        weights = unpack(load_file(file))
        with safe_open(file, framework="np") as opened:
            config = (opened.metadata() or {}).get(_CONFIG)
    except (OSError, SafetensorError, KeyError) as error:
        raise BadInput(
            f"{file.name} cannot be read.", "a complete copy of the workbench", "Install it again."
        ) from error
    work = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".packed-", dir=target.parent))
        for each in home.iterdir():
            if each.is_file() and each.suffix != ".safetensors":
                shutil.copy2(each, work / each.name)
        save_file(weights, work / "model.safetensors", metadata={"format": "pt"})
        if config is not None:
            (work / "config.json").write_text(config, encoding="utf-8")
        if ledger is not None:
            ledger.save(work)
        try:
            os.replace(work, target)
        except OSError:  # another process was first, with the same numbers
            if not target.is_dir():
                raise
    except OSError as error:
        raise WorkbenchError(
            f"{target.parent} cannot be written: {error.strerror or error}.",
            "a cache folder with free space that you may write to",
            "Make room, or point WORKBENCH_CACHE at another folder.",
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _digest_of(file: Path, ledger: Ledger | None) -> str:
    digest = hashlib.sha256(file.read_bytes())
    digest.update("".join(f"{e.id}{e.repeats}" for e in ledger.entries).encode() if ledger else b"")
    return digest.hexdigest()[:16]
