"""What the part `probes` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import probes_schema
from analyses.weights.memorized_or_understood.constants import MODEL
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_HUES = {
    "trained": colour.MEMORY, "fresh": colour.CONTEXT, "untrained twin": colour.OTHER,
    "shuffled labels": colour.FUNCTION,
}  # fmt: skip


def _curves(run: Result) -> pd.DataFrame:
    table = run.tables["probes"]
    return table.assign(curve=table["of"].where(table["model"] == MODEL, table["model"]))


VIEWS = [
    v.View("Probes", needs="probes", otherwise="the part `probes` was not run", parts=[
        v.finding("probes"),
        v.chart("curves", _curves, "layer", "auc", "curve", interval=("low", "high"), hues=_HUES,
                xlabel="layer", ylabel="AUC", level={"chance": 0.5}, height=340,
                title="Whether a statement is true, read off the MLP of a layer"),
        v.says(probes_schema.PROBES, small=True),
        v.table("probes"),
    ]),
]  # fmt: skip
