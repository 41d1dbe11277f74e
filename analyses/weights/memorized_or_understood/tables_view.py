"""What the part `tables` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import tables_schema as schema
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_HUES = {
    "original": colour.MEMORY, "perturbed": colour.BLUE_STROKE, schema.REDEALT: colour.CONTEXT,
    "without a model": colour.OTHER,
}  # fmt: skip


def _tests(run: Result) -> pd.DataFrame:
    """Each test as a row of an interval plot, the best predictor without a model beside it."""
    table = run.tables["table_tests"]
    shown = table.assign(mean=table["right"], named=table["test"] + ", " + table["column"])
    rule = shown[shown["version"] == "original"].assign(
        version="without a model", mean=lambda t: t["chance"], low=float("nan"), high=float("nan")
    )
    return pd.concat([shown, rule], ignore_index=True)


def _versions(run: Result) -> pd.DataFrame:
    table = run.tables["table_versions"]
    return table.assign(right_low=table["low"], right_high=table["high"])


VIEWS = [
    v.View("Known tables", needs="table_tests", otherwise="the part `tables` was not run", parts=[
        v.finding("table_known", "table_missing", "table_versions", "table_order"),
        v.chart("intervals", _tests, "named", "version", _HUES, zero=False,
                title="What comes out of the table, and of tables like it", unit="share right"),
        v.says(schema.TESTS, small=True),
        v.chart("rate_bars", _versions, names="version", words={"right": colour.MEMORY}, of="rows",
                title="A column predicted from six rows (%)", needs="table_versions"),
        v.says(lambda run: schema.VERSIONS if "table_versions" in run.tables else None, small=True),
        v.table("table_tests", "All tests"),
        v.table("table_rows", "The rows that were asked for", order=["-cells_right"]),
    ]),
]  # fmt: skip
