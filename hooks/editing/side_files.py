"""Memories beside the weights as files: the workbench alone knows how to ask them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.errors import BadInput, WorkbenchError

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

FORMAT = "workbench side memory 1"


@dataclass(frozen=True)
class SideMemoryFile:
    """What a file holds: its settings and tensors."""

    name: str
    head: dict[str, Any]
    tensors: Mapping[str, Tensor]

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """One of its tensors.

        Raises:
            BadInput: it is missing, of another shape, or holds what is no number.
        """
        found = self.tensors.get(name)
        if found is None or tuple(found.shape) != shape or not bool(torch.isfinite(found).all()):
            raise BadInput(
                f"{self.name} is damaged: {name} is missing, of another shape, or not finite.",
                f"finite numbers of shape {shape}",
                "Get the file again.",
            )
        return found


def check_made_on(base: str, model: InstrumentedModel) -> None:
    """Fail unless the memory was made beside this model."""
    if base != model.card.weight_hash:
        raise BadInput(
            f"This memory was made beside other weights than those of {model.card.name}.",
            f"the model whose fingerprint is {base}",
            "Open that one, in the same dtype.",
        )


def save_side_memory(
    path: str | Path, kind: str, base: str, head: str, tensors: Mapping[str, Tensor]
) -> Path:
    """Write a memory, whole or not at all.

    Raises:
        BadInput: the name does not end in .safetensors.
        WorkbenchError: it is there already, or cannot be written.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise BadInput(
            f"{target.name} cannot name a memory.",
            "a name that ends in .safetensors",
            "Rename it.",
        )
    if target.exists():
        raise WorkbenchError(
            f"{target} exists already.", "a new name", "Choose another, or remove it first."
        )
    part = target.with_name(f".{target.name}.part")
    about = {"format": FORMAT, "kind": kind, "weights": base, "head": head}
    try:
        save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, part, about)
        os.replace(part, target)
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(
            f"The memory could not be written to {target}: {error}.",
            "a folder with free space that you may write to",
            "Choose another place, or make room.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def read_side_memory(path: str | Path, kind: str, model: InstrumentedModel) -> SideMemoryFile:
    """What `save_side_memory` wrote, for this model.

    Raises:
        BadInput: it is damaged, something else, or of another model.
    """
    file = Path(path)
    try:
        with safe_open(file, "pt") as opened:
            about = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        fits = about.get("format") == FORMAT and about.get("kind") == kind
        head = json.loads(about["head"]) if fits else {}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadInput(
            f"{file.name} cannot be read: {error}.", "a complete file", "Get it again."
        ) from error
    if not fits:
        raise BadInput(
            f"{file.name} is no {kind} memory.",
            f"a file that {kind} saved",
            "Changes of weights open as MODEL+FILE.",
        )
    check_made_on(about["weights"], model)
    place = model.device
    return SideMemoryFile(file.name, head, {n: t.to(place) for n, t in tensors.items()})
