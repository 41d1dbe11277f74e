"""A model whose training can be followed: the steps that it keeps, and their autoencoders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import organisms
from workbench.autoencoders import CARD, WEIGHTS, Shipped, card_of, shipped
from workbench.errors import BadInput, NotFound
from workbench.organisms import checkpoints


@dataclass(frozen=True)
class TrainingSteps:
    """A model whose training can be followed.

    Attributes:
        name: an organism, or a folder that keeps steps.
        steps: those it keeps, the last one is the model itself.
        autoencoders: trained on the model as it was at a step, by step.
    """

    name: str
    steps: list[int]
    autoencoders: Mapping[int, Sequence[Shipped]]

    @classmethod
    def of(cls, name: str, folders: Sequence[str]) -> TrainingSteps:
        """Args: folders of autoencoders; none takes those that come with the workbench.

        Raises:
            BadInput: it keeps no steps, or a folder's card names none of them.
            NotFound: there is no such model, or no such folder.
        """
        kept = saved_steps(name)
        found: dict[int, list[Shipped]] = {}
        for entry in [_in_folder(f) for f in folders] or shipped().values():
            model = str(entry.card.get("model", ""))
            step = next(
                (
                    s
                    for s in kept
                    if model == f"{name}@step-{s}" or (s == kept[-1] and model == name)
                ),
                None,
            )
            if step is not None:
                found.setdefault(step, []).append(entry)
            elif folders:
                raise BadInput(
                    f"{entry.name} was trained on"
                    f" {model or 'a model that its card does not name'}.",
                    f"a card.json that names a step of {name}: {', '.join(f'{s:,}' for s in kept)}",
                    f"Train it there: workbench sae train --model {name}@step-{kept[-1]}"
                    " --layer N.",
                )
        return cls(name, kept, found)

    @property
    def size(self) -> int:
        """Bytes of the model's weights."""
        return sum(file.stat().st_size for file in _folder(self.name).glob("model*.safetensors"))

    @property
    def fingerprint(self) -> str:
        """Of all weights that decide the numbers: the model's, and the autoencoders'."""
        files = sorted(_folder(self.name).rglob("*.safetensors"))
        files += [
            entry.folder / WEIGHTS
            for step in sorted(self.autoencoders)
            for entry in self.autoencoders[step]
        ]
        found = hashlib.sha256()
        for file in files:
            with file.open("rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
        return found.hexdigest()[:16]


def _in_folder(name: str) -> Shipped:
    if name in shipped():
        return shipped()[name]
    folder = Path(name).expanduser()
    if not (folder / WEIGHTS).is_file() or not card_of(folder):
        raise NotFound(
            f"{name} is no folder of an autoencoder with {WEIGHTS} and {CARD}.",
            "one that `workbench sae train` wrote",
            "Check the path.",
        )
    return Shipped(name, folder)


def _folder(name: str) -> Path:
    return (
        organisms.folder_of(name) if name.startswith(organisms.PREFIX) else Path(name).expanduser()
    )


def saved_steps(name: str) -> list[int]:
    """The steps of training that a model keeps.

    Raises:
        BadInput: none.
        NotFound: there is no such model.
    """
    folder = _folder(name)
    found = checkpoints.saved_steps(folder) if folder.is_dir() else []
    if not found:
        raise BadInput(
            f"{name} keeps no steps of its training.",
            "an organism, or a folder that keeps steps",
            "Try organism/planted.",
        )
    return found
