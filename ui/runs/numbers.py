"""Every number of a run's findings as one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench import registry
from workbench.errors import WorkbenchError
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd

HEADINGS = {
    "finding": ("name", "The finding's name in programs: result.findings[name]"),
    "title": ("finding", "What was measured"),
    "value": ("number of it", "The number's name in programs: result.findings[name].values[…]"),
    "number": ("number", "As measured"),
    "unit": ("unit", "What it counts or measures"),
    "low": ("95 % from", "Lower end of its 95 % interval, where it has one"),
    "high": ("to", "Upper end"),
    "says": ("in words", "The finding's sentence"),
}
"""Heading and tooltip by column of `table`."""


def table(result: Result) -> pd.DataFrame:
    """One row per number: finding, title, value, number, unit, low, high (95 % interval), says."""
    import pandas as pd

    try:
        schema = registry.get(result.analysis).schema
    except WorkbenchError:
        schema = None  # of an analysis that is not installed here the names must do
    rows = []
    for name, finding in result.findings.items():
        spans = finding.interval
        by_key = spans if isinstance(spans, Mapping) else {"value": spans}
        for key, number in finding.values.items():
            low, high = by_key.get(key) or (math.nan, math.nan)
            title = schema.title(name) if schema is not None else name
            rows.append((name, title, key, number, finding.unit, low, high, finding.says))
    columns = ["finding", "title", "value", "number", "unit", "low", "high", "says"]
    return pd.DataFrame(rows, columns=columns)
