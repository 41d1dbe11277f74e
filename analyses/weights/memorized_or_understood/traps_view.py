"""What the part `traps` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import traps_schema as schema
from workbench import views as v
from workbench.result import Result


def _cells(run: Result) -> pd.DataFrame:
    table = run.tables["trap_cells"]
    return table.assign(long=table["length"].astype(str) + " tokens")


VIEWS = [
    v.View("Copyright traps", needs="trap_cells", otherwise="the part `traps` was not run", parts=[
        v.finding("traps", "trap_trends"),
        v.chart("curves", _cells, "repeats", "ratio", "long", per="level", abreast=2,
                scale="doublings", xlabel="times put in", ylabel="AUC", level={"chance": 0.5},
                title="Told from others, {} perplexity"),
        v.says(schema.TRAPS, small=True),
        v.table("trap_cells", "Cell by cell"),
        v.table("traps", "All sequences", order=["-gain"]),
    ]),
]  # fmt: skip
