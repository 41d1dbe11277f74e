"""What the part `recited` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import recited_schema as schema
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_LAYERS = {
    "auc": ("recited or not", colour.MEMORY),
    "null_high": ("labels dealt anew, 95 %", colour.OTHER),
}


def _features(run: Result) -> pd.DataFrame | None:
    table = run.tables.get("recited_features")
    return None if table is None else table.assign(mean=table["auc"], of=".5: alike")


VIEWS = [
    v.View("Recited or not", needs="recited_windows", otherwise="the part `recited` was not run",
           parts=[
        v.finding("recited", "recited_states"),
        v.row(
            v.chart("intervals", _features, "feature", "of", zero=False, unit="AUC",
                    title="Recited against others"),
            v.chart("lines", "recited_layers", "layer", _LAYERS, bands={"auc": ("low", "high")},
                    ylabel="AUC", title="Told from hidden states, by layer"),
            widths=(420, 420),
        ),
        v.says(schema.RECITED, small=True),
        v.table("recited_features"),
        v.table("recited_windows", "All windows", order=["-recited", "-match"]),
    ]),
    v.View("Near copies", needs="near_copies", otherwise="the part `recited` was not run", parts=[
        v.finding("near_copies", "style"),
        v.says(schema.NEAR, small=True),
        v.table("near_copies", "What is said instead", order=["prompt", "edits"]),
    ]),
]  # fmt: skip
