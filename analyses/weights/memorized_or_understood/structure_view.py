"""What the part `structure` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import structure_schema
from analyses.weights.memorized_or_understood.constants import CLEAN, MODEL, UNTRAINED
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_HUES = {
    MODEL: colour.MEMORY, CLEAN: colour.CONTEXT, UNTRAINED: colour.OTHER,
    "by chance": colour.BLUE_STROKE,
}  # fmt: skip
_KNOWN = {"single item answered": colour.MEMORY, "not answered": colour.OTHER}


def _forms(run: Result) -> pd.DataFrame:
    table = run.tables["structure"]
    rows = table.assign(mean=100 * table["rate"], low=100 * table["low"], high=100 * table["high"])
    own = rows[rows["model"] == MODEL]
    base = 100 * own["chance"]
    return pd.concat([rows, own.assign(model="by chance", mean=base, low=base, high=base)])


def _present(run: Result) -> dict[str, str]:
    """Of those that there are, for a legend without gaps."""
    there = set(_forms(run)["model"])
    return {who: hue for who, hue in _HUES.items() if who in there}


def _known(run: Result) -> pd.DataFrame:
    table = run.tables["structure"]
    own = table[(table["model"] == MODEL) & (table["form"] != table["form"].iloc[0])]
    sides = []
    for name, called in zip(("known", "unknown"), _KNOWN, strict=True):
        columns = {f"{name}_low": "low", f"{name}_high": "high", name: "mean"}
        side = own[own[f"{name}_n"] > 0][["form", *columns]].rename(columns=columns)
        sides.append(side.assign(of=called, **{k: 100 * side[k] for k in columns.values()}))
    return pd.concat(sides, ignore_index=True)


VIEWS = [
    v.View("Structure", needs="structure", otherwise="the part `structure` was not run", parts=[
        v.finding("structure", "structure_against_clean"),
        v.row(
            v.chart("intervals", _forms, "form", "model", hues=_present, zero=False,
                    unit="facts (%)", title="Answered rightly, by the form of the question"),
            v.chart("intervals", _known, "form", "of", _KNOWN, zero=False, unit="facts (%)",
                    title="The same, by whether the single item is answered"),
            widths=(420, 420),
        ),
        v.says(structure_schema.FORMS, small=True),
        v.table("structure", "By form"), v.table("structure_items", "Every fact in every form"),
    ]),
]  # fmt: skip
