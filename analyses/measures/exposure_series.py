"""The kept steps of a training, as weights that are put into one model, one step after another.

A series is what a model's own folder keeps (organisms do), or folders that end in the number of
their step (`checkpoint-500`, `step_500`, `500`), as trainers and `workbench lab` write them, or
revisions of the hub. Weights are read as safetensors alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hooks.mixed_weights import put_back
from workbench.errors import BadInput
from workbench.organisms import checkpoints, record_file
from workbench.organisms.ledger import FILE, Ledger, read

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_NUMBERED = re.compile(
    r"^(?:(?:.*[-_])?(?:checkpoint|ckpt|global_?step|step|iter)[-_]?)?(\d{1,9})$", re.IGNORECASE
)
"""How trainers call a kept step. Other names with a number (`mamba-8`, `mamba-16`) are other
models.
"""
_FEWEST = 2


@dataclass(frozen=True)
class WeightSeries:
    """Kept steps of one training.

    Attributes:
        home: the folder they are of.
        steps: updates done at each, rising.
        folders: where each lies; None for those that a model's own folder keeps packed.
    """

    home: Path
    steps: tuple[int, ...]
    folders: tuple[Path, ...] | None

    def only(self, steps: Sequence[int]) -> WeightSeries:
        """Some of the steps."""
        chosen = [n for n, step in enumerate(self.steps) if step in set(steps)]
        folders = None if self.folders is None else tuple(self.folders[n] for n in chosen)
        return WeightSeries(self.home, tuple(self.steps[n] for n in chosen), folders)

    def weights(self, step: int) -> dict[str, Tensor]:
        """Parameters at a step, by the names they have in its file.

        Raises:
            BadInput: the step is damaged, or has no safetensors.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if self.folders is None:
            folder = checkpoints.open_step(self.home, step)
        else:
            folder = self.folders[self.steps.index(step)]
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise BadInput(
                f"Step {step} has no weights: {folder} holds no safetensors file.",
                "the weights of every step",
                "Bring its files back, or move that folder away: it is left out then.",
            )
        try:
            return {name: w for file in files for name, w in load_file(file).items()}
        except (OSError, SafetensorError) as error:
            raise BadInput(
                f"The weights of step {step} in {folder} cannot be read: {error}.",
                "complete safetensors files",
                "Copy them again, or move that folder away: it is left out then.",
            ) from error


def own_series(model: InstrumentedModel) -> WeightSeries | None:
    """The kept steps that belong to a model: in its folder, in folders beside it (of a trainer's
    `checkpoint-2000` the others), or revisions of the hub that are on this machine. None where
    these are fewer than two.
    """
    given = record_file.folder_of(model.module)
    if given is None:
        return None
    home = given
    steps = checkpoints.saved_steps(home)
    if len(steps) >= _FEWEST:
        return WeightSeries(home, tuple(steps), None)
    numbered = _numbered(home)
    if len(numbered) < _FEWEST and _NUMBERED.match(home.name) and "@" not in home.name:
        home = home.parent
        numbered = _numbered(home)
    if len(numbered) < _FEWEST:
        numbered = _revisions(given)
    return _of_folders(home, numbered) if len(numbered) >= _FEWEST else None


def series_ledger(series: WeightSeries) -> Ledger | None:
    """What was read when, where it is known: the ledger beside the steps, or in the last of them.

    Raises:
        BadInput: it cannot be read.
    """
    places = [series.home, *(series.folders[-1:] if series.folders else ())]
    found = next((place for place in places if (place / FILE).is_file()), None)
    return None if found is None else read(found)


def _revisions(snapshot: Path) -> list[tuple[int, Path]]:
    """Revisions called by a step (`step1000`) of a model in the hub's cache."""
    refs = snapshot.parent.parent / "refs"
    if snapshot.parent.name != "snapshots" or not refs.is_dir():
        return []
    found = []
    for ref in refs.iterdir():
        named = _NUMBERED.match(ref.name)
        if named and (folder := snapshot.parent / ref.read_text("utf-8").strip()).is_dir():
            found.append((int(named[1]), folder))
    return sorted(found)


def _numbered(place: Path) -> list[tuple[int, Path]]:
    return sorted(
        (int(found[1]), folder)
        for folder in place.iterdir()
        if folder.is_dir() and (found := _NUMBERED.match(folder.name))
    )


def _of_folders(place: Path, numbered: list[tuple[int, Path]]) -> WeightSeries:
    for (one, first), (other, second) in pairwise(numbered):
        if one == other:
            raise BadInput(
                f"{first.name} and {second.name} are both step {one} in {place}.",
                "one folder for every step",
                "Move one of them away.",
            )
    steps, folders = zip(*numbered, strict=True)
    return WeightSeries(place, steps, folders)


def along(
    model: InstrumentedModel, series: WeightSeries, progress: Progress
) -> Iterator[tuple[int, int, Progress]]:
    """Go through the steps, the model at each as it was then: (number, step, its progress).
    Afterwards its weights are what they were, bit for bit.

    Raises:
        BadInput: a step is of another model, or holds the weights of the step before.
    """
    parameters = dict(model.module.named_parameters(remove_duplicate=False))
    before: dict[str, Tensor] | None = None
    with put_back(list(model.module.parameters())):
        for number, step in enumerate(series.steps):
            share = number / len(series.steps), (number + 1) / len(series.steps)
            part = progress.subprogress(*share)
            part(0.0, f"Opening step {step:,}")
            weights = series.weights(step)
            _put_in(parameters, weights, step, model.card.name)
            if before is not None and _same(before, weights):
                raise BadInput(
                    f"Steps {series.steps[number - 1]} and {step} hold the same weights.",
                    "steps of one training, in order",
                    "Check whether a folder was copied under another number.",
                )
            before = weights
            yield number, step, part


@torch.no_grad()
def _put_in(
    parameters: dict[str, torch.nn.Parameter], weights: dict[str, Tensor], step: int, name: str
) -> None:
    """Tied parameters have several names in the model, and a file may have either of them."""
    fits = {n: w for n, w in weights.items() if n in parameters}
    shapes = [n for n, w in fits.items() if w.shape != parameters[n].shape]
    there = {id(parameters[n]) for n in fits}
    missing = [n for n, parameter in parameters.items() if id(parameter) not in there]
    if shapes or missing:
        wrong = shapes[0] if shapes else missing[0]
        raise BadInput(
            f"Step {step} is of another model than {name}: {wrong}"
            f" {'has another shape' if shapes else 'is missing'}.",
            "steps of the model that is asked",
            "Load the model they belong to, or name another folder.",
        )
    for parameter_name, weight in fits.items():
        parameters[parameter_name].copy_(weight)


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
