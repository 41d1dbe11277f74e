"""Every number of a run's findings as one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench import registry
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.schema import Schema

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

    named = titles(result)
    rows = []
    for name, finding in result.findings.items():
        spans = finding.interval
        by_key = spans if isinstance(spans, Mapping) else {"value": spans}
        for key, number in finding.values.items():
            low, high = by_key.get(key) or (math.nan, math.nan)
            rows.append((name, named[name], key, number, finding.unit, low, high, finding.says))
    columns = ["finding", "title", "value", "number", "unit", "low", "high", "says"]
    return pd.DataFrame(rows, columns=columns)


def titles(result: Result) -> dict[str, str]:
    """What a person reads above the numbers of each finding, by its name; of an analysis that is
    not installed here the names must do.
    """
    try:
        schema = registry.get(result.analysis).schema
    except WorkbenchError:
        schema = Schema()
    return {name: schema.title(name) for name in result.findings}
