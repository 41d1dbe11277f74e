"""The changes of weights that a finished run holds: as controls of a model, and as deltas that can
be saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BadInput
from workbench.models.weight_delta import Delta, check
from workbench.reentrant import reentrant
from workbench.registry import Control

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.result import Result


def names(result: Result) -> dict[str, int]:
    """What each change is called (`unlearn_3`: passage 3), and which it is."""
    if "weight_edits" not in result.tables or "edit_index" not in result.arrays:
        return {}
    table = result.tables["weight_edits"]
    rows = table[table["mask"] == "contrast"]
    return {
        f"{aim}_{passage}": n
        for n, (aim, passage) in enumerate(zip(rows["aim"], rows["passage"], strict=True))
    }


def delta(result: Result, name: str) -> Delta:
    """A change of a run as a delta, which can be saved and opened with its model.

    Raises:
        BadInput: the run has no such change.
    """
    known = names(result)
    if name not in known:
        listed = ", ".join(known) or "none: this run edited no weights"
        raise BadInput(f"This run has no change {name!r}.", listed, "Choose one of those.")
    n = known[name]
    index = np.asarray(result.arrays["edit_index"].values[n], np.int64)
    values = np.asarray(result.arrays["edit_values"].values[n], np.float32)
    inside = {}
    for row in result.tables["parameters"].itertuples():
        mask = (index >= row.start) & (index < row.start + row.size)
        if mask.any():
            inside[str(row.name)] = (index[mask] - row.start, values[mask])
    edits = result.tables["weight_edits"]
    about = edits[edits["mask"] == "contrast"].iloc[n]
    return Delta(
        str(result.provenance.model.get("weight_hash", "")),
        f"{about['aim']} {about['name']}",
        {name: pair[0] for name, pair in inside.items()},
        {name: pair[1] for name, pair in inside.items()},
        str(result.provenance.model.get("source", "")),
    )


def file(result: Result, name: str) -> bytes:
    """A change of a run as a safetensors file.

    Raises:
        BadInput: as `delta`.
    """
    with tempfile.TemporaryDirectory() as folder:
        return delta(result, name).save(Path(folder) / f"{name}.safetensors").read_bytes()


def usage(result: Result) -> str | None:
    """Which changes there are and how to use one, in words; None where there is none."""
    known = names(result)
    if not known:
        return None
    first = next(iter(known))
    where = result.path.name if result.path is not None else "RUN"
    model = result.provenance.model.get("source", "MODEL")
    return (
        "The run holds the edits of the contrast mask"
        f" ({delta(result, first).size:,} weights each): {', '.join(known)}. To save one:"
        f" workbench changes {where} {first} -o {first}.safetensors. To load the edited model:"
        f" {model}+{first}.safetensors."
    )


def changes(result: Result) -> dict[str, Delta]:
    """Every change that is kept."""
    return {name: delta(result, name) for name in names(result)}


def controls(result: Result) -> dict[str, Control]:
    """One control per change: 0 leaves the model as it is, 1 changes it wholly."""
    return {name: _control(result, name) for name in names(result)}


def _control(result: Result, name: str) -> Control:
    aim, _, passage = name.partition("_")

    @reentrant
    def apply(model: InstrumentedModel, value: float) -> Iterator[Any]:
        change = delta(result, name)
        check(change, model.card.weight_hash, model.card.name)
        with change.applied(model.module, value):
            yield model

    return Control(
        f"{aim.capitalize()} passage {passage}", apply, 0.0, 1.0, 0.0, "original", "edited"
    )
