"""The changes of weights that a run holds: as controls of a model (a dial from the original to the
unlearned one), and as files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.models.weight_delta import Delta, check
from workbench.reentrant import reentrant
from workbench.registry import Control

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.weights.unlearning_audit.methods import Forgetting
    from hooks.model import InstrumentedModel
    from hooks.unlearning import Unlearned
    from workbench.result import Result

_MOST = 40 * 10**6
"""Numbers that a run keeps at most: a change of every weight of a large model is no small file."""
_SIDES = ("values", "left", "right")


def change_size(model: InstrumentedModel, done: Unlearned) -> float:
    """Size of a change over that of the matrices it is in (Frobenius)."""
    from analyses.weights.unlearning_audit.block_weights import changed

    names = [*done.delta.index, *done.delta.left]
    before = {n: model.module.get_parameter(n).detach().to("cpu", copy=True) for n in names}
    with done.applied(model):
        after = {n: model.module.get_parameter(n).detach().to("cpu", copy=True) for n in names}
    moved = changed(before, after)
    squares = sum(_square(new.double() - old.double()) for old, new in moved.values())
    whole = sum(_square(old.double()) for old in before.values())
    return math.sqrt(squares / whole) if whole else 0.0


def _square(each: Tensor) -> float:
    return float(each.square().sum())


def keep(result: Result, made: Sequence[Forgetting]) -> None:
    """Table `changes` and arrays `numbers` and `places`, of as many methods as fit."""
    import pandas as pd
    import xarray as xr

    rows: list[dict[str, Any]] = []
    numbers: list[np.ndarray] = []
    places: list[np.ndarray] = []
    at = at_place = 0
    for one in made:
        delta = one.done.delta
        parts = {"values": delta.values, "left": delta.left, "right": delta.right}
        if at + sum(a.size for side in parts.values() for a in side.values()) > _MOST:
            continue
        for side in _SIDES:
            for name, array in parts[side].items():
                where = delta.index[name] if side == "values" else np.zeros(0, np.int64)
                # Where every number of a matrix changes, its places need not be kept.
                whole = bool(np.array_equal(where, np.arange(len(where))))
                kept = np.zeros(0, np.int64) if whole else where
                rows.append(
                    {
                        "model": one.title, "method": one.done.method, "about": delta.about,
                        "weights": delta.weights, "parameter": name, "side": side,
                        "rows": array.shape[0], "columns": array.shape[1] if array.ndim > 1 else 0,
                        "at": at, "places": -1 if whole else at_place,
                    }
                )  # fmt: skip
                numbers.append(np.asarray(array, np.float32).ravel())
                places.append(np.asarray(kept, np.int64))
                at, at_place = at + array.size, at_place + len(kept)
    if rows:
        result.tables["changes"] = pd.DataFrame(rows)
        result.arrays["numbers"] = xr.DataArray(np.concatenate(numbers), dims=("number",))
        result.arrays["places"] = xr.DataArray(np.concatenate(places), dims=("place",))


def changes(result: Result) -> dict[str, Delta]:
    """Every change that is kept, by the name of its method."""
    if "changes" not in result.tables:
        return {}
    groups = result.tables["changes"].groupby("method", sort=False)
    return {str(method): _delta(result, rows) for method, rows in groups}


def _delta(result: Result, rows: Any) -> Delta:
    numbers, places = (np.asarray(result.arrays[n].values) for n in ("numbers", "places"))
    found: dict[str, dict[str, np.ndarray]] = {side: {} for side in (*_SIDES, "index")}
    for row in rows.itertuples():
        size = row.rows * max(1, row.columns)
        array = numbers[row.at : row.at + size]
        found[row.side][row.parameter] = array.reshape(row.rows, -1) if row.columns else array
        if row.side == "values":
            found["index"][row.parameter] = (
                np.arange(size) if row.places < 0 else places[row.places : row.places + size]
            )
    first = rows.iloc[0]
    source = str(result.provenance.model.get("source", ""))
    return Delta(
        first["weights"], first["about"], found["index"], found["values"], source,
        left=found["left"], right=found["right"],
    )  # fmt: skip


def controls(result: Result) -> dict[str, Control]:
    """One control per change: 0 leaves the model as it is, 1 unlearns wholly."""
    return {name: _control(result, name) for name in changes(result)}


def _control(result: Result, name: str) -> Control:
    table = result.tables["changes"]
    title = str(table[table["method"] == name].iloc[0]["model"])

    @reentrant
    def apply(model: InstrumentedModel, value: float) -> Iterator[Any]:
        change = changes(result)[name]
        check(change, model.card.weight_hash, model.card.name)
        with change.applied(model.module, value):
            yield model

    return Control(f"Unlearned by {title}", apply, 0.0, 1.0, 0.0, "original", "unlearned")
