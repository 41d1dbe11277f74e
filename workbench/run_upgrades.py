"""What older run folders call otherwise. A run is upgraded when it is opened; its files stay.

`UPGRADES[1]["extraction"]` is how an extraction run of format 1 becomes one of format 2: old name
to new name (`upgrades_to_2.py`). Whoever renames something raises `run_folder.FORMAT` and adds a
step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.errors import BadRun
from workbench.upgrade_step import Names, Upgrade, new_name
from workbench.upgrades_to_2 import (
    EXTRACTION,
    FUNCTION_TOKENS,
    KNOWLEDGE_CONFLICT,
    PARAGRAPH_MEMORIZATION,
    PARTS,
    SINGLE_PROMPT,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_T = TypeVar("_T")

UPGRADES: dict[int, dict[str, Upgrade]] = {
    1: {
        "extraction": EXTRACTION,
        "function-tokens": FUNCTION_TOKENS,
        "inside": SINGLE_PROMPT,
        "knowledge-conflict": KNOWLEDGE_CONFLICT,
        "paragraph-memorization": PARAGRAPH_MEMORIZATION,
    },
}
"""By the format that a folder has, then by analysis. An analysis without a step keeps its names."""


def steps(run: str, analysis: str, found: int, current: int) -> list[Upgrade]:
    """The upgrades from the format that was found to the current one, in order.

    Args:
        run: name of the run, for the error.

    Raises:
        BadRun: this version cannot upgrade from that format any more.
    """
    if any(step not in UPGRADES for step in range(found, current)):
        raise BadRun(
            f"The run {run!r} is of format {found}, which this version cannot upgrade any more.",
            f"format {min(UPGRADES, default=current)} to {current}",
            "Run the analysis again, or open it with an older memory-workbench.",
        )
    every = (UPGRADES[step].get(analysis) for step in range(found, current))
    return [upgrade for upgrade in every if upgrade is not None]


def upgrade_index(index: dict[str, Any], upgrade: Upgrade) -> dict[str, Any]:
    """`result.json` with its findings and parameters in the words of the next format.

    What it says of tables and arrays stays, since that describes the files.
    """
    findings = _renamed(index["findings"], upgrade.findings)
    for name, keys in upgrade.keys.items():
        if name in findings:
            finding = _renamed(findings[name], keys)
            if isinstance(finding.get("interval"), Mapping):
                finding["interval"] = _renamed(finding["interval"], keys)
            findings[name] = finding
    params = _renamed(index["params"], upgrade.params)
    for name, values in upgrade.param_values.items():
        if isinstance(params.get(name), str):
            params[name] = values.get(params[name], params[name])
    parts = PARTS.get(index["analysis"], {})
    return {**index, "findings": findings, "params": with_parts(params, parts)}


def with_parts(params: dict[str, Any], parts: Mapping[str, str | None]) -> dict[str, Any]:
    """Parameters that say which parts a run has; see `PARTS`.

    A switch goes, and so does what was 0 or empty to leave something out; a size stays.
    """
    if not parts or "parts" in params:
        return params
    had = [part for part, switch in parts.items() if switch is None or params.get(switch)]
    gone = {
        switch
        for switch in parts.values()
        if switch is not None and (isinstance(params.get(switch), bool) or not params.get(switch))
    }
    return {"parts": had} | {name: value for name, value in params.items() if name not in gone}


def upgrade_tables(tables: Mapping[str, pd.DataFrame], upgrade: Upgrade) -> dict[str, pd.DataFrame]:
    tables = _renamed(tables, upgrade.tables)
    for name, columns in upgrade.columns.items():
        if name in tables:
            _check(tables[name].columns, columns)
            tables[name] = tables[name].rename(columns=partial(new_name, names=columns))
    for name, by_column in upgrade.values.items():
        for column, values in by_column.items():
            if name in tables and column in tables[name]:
                new = [values.get(value, value) for value in tables[name][column]]
                tables[name] = tables[name].assign(**{column: new})
    return tables


def upgrade_arrays(arrays: Mapping[str, xr.DataArray], upgrade: Upgrade) -> dict[str, xr.DataArray]:
    arrays = _renamed(arrays, upgrade.arrays)
    for name, array in arrays.items():
        dims = {old: new for old, new in upgrade.dims.items() if old in array.dims}
        _check(map(str, array.dims), dims)
        array = array.rename(dims).rename(name)
        for dim, labels in upgrade.labels.items():
            if dim in array.coords:
                given = array.coords[dim].values.tolist()
                array = array.assign_coords({dim: [labels.get(label, label) for label in given]})
        arrays[name] = array
    return arrays


def _renamed(things: Mapping[str, _T], names: Names) -> dict[str, _T]:
    """The same things under their new names, in the same order."""
    _check(things, names)
    return {new_name(name, names): thing for name, thing in things.items()}


def _check(present: Iterable[str], names: Names) -> None:
    """Raises BadRun where a new name is taken: one of the two would be lost."""
    after = Counter(new_name(name, names) for name in present)
    if taken := next((name for name, times in after.items() if times > 1), None):
        raise BadRun(
            f"A run of an older format already has something called {taken[:80]!r}.",
            "the names of its format alone",
            "Do not trust this folder.",
        )
