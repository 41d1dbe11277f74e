"""The changes of weights that a finished run holds: as controls of a model (a dial from the
original to the edited one), and as files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.weights.edit_ledger.constants import METHODS
from workbench.models.weight_delta import Delta, check
from workbench.reentrant import reentrant
from workbench.registry import Control

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.result import Result


def changes(result: Result) -> dict[str, Delta]:
    """Every change that is kept and was made on the untouched model, by name
    (`Munich_r-rome`).
    """
    if "factors" not in result.tables:
        return {}
    subjects = _subjects(result)
    base = str(result.provenance.model.get("weight_hash", ""))
    found: dict[str, Delta] = {}
    for (fact, method), rows in result.tables["factors"].groupby(["fact", "method"], sort=False):
        if set(rows["weights"]) == {base}:
            name = f"{subjects.get(fact, fact)}_{method}".replace(" ", "-").replace("/", "-")
            found[name] = _delta(result, rows)
    return found


def _subjects(result: Result) -> dict[int, str]:
    if "facts" in result.tables:
        table = result.tables["facts"]
        return dict(zip(table["fact"], table["subject"], strict=True))
    table = result.tables["ledger"]
    return dict(zip(table["edit"], table["subject"], strict=True))


def _delta(result: Result, rows: Any) -> Delta:
    left, right = (np.asarray(result.arrays[name].values) for name in ("left", "right"))
    lefts, rights = {}, {}
    for row in rows.itertuples():
        size, other = row.rows * row.rank, row.rank * row.columns
        lefts[row.parameter] = left[row.at_left : row.at_left + size].reshape(row.rows, row.rank)
        rights[row.parameter] = right[row.at_right : row.at_right + other].reshape(
            row.rank, row.columns
        )
    first = rows.iloc[0]
    source = str(result.provenance.model.get("source", ""))
    return Delta(first["weights"], first["about"], {}, {}, source, left=lefts, right=rights)


def controls(result: Result) -> dict[str, Control]:
    """One control per change: 0 leaves the model as it is, 1 changes it wholly."""
    return {name: _control(result, name) for name in changes(result)}


def _control(result: Result, name: str) -> Control:
    subject, _, method = name.rpartition("_")

    @reentrant
    def apply(model: InstrumentedModel, value: float) -> Iterator[Any]:
        change = changes(result)[name]
        check(change, model.card.weight_hash, model.card.name)
        with change.applied(model.module, value):
            yield model

    label = f"{subject}: {METHODS.get(method, method)}"
    return Control(label, apply, 0.0, 1.0, 0.0, "original", "edited")
