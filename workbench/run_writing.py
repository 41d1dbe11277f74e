"""Writing a run folder: whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.run_folder import NAME, first_line

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_DTYPES = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}


def check_name(name: str) -> None:
    """Raises ValueError for what cannot name a finding, a table or an array."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a finding, a table or an array: {NAME.pattern}")


def write(
    target: Path,
    index: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, xr.DataArray],
) -> None:
    """Write a run folder; whole or not at all.

    Raises:
        WorkbenchError: the folder exists and is not empty, or cannot be written.
        ValueError: a number that JSON cannot hold.
    """
    from safetensors import SafetensorError

    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise WorkbenchError(
                f"{target} exists already and is not empty.",
                "a new folder",
                "Choose another --out, or remove it first.",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
        try:
            _write_files(work, index, tables, arrays)
            # Elsewhere an empty folder is replaced in the same step.
            if os.name == "nt" and target.exists():
                target.rmdir()
            os.replace(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        # The latter is how a full disk shows while arrays are written.
        raise WorkbenchError(
            f"The run could not be written to {target}:"
            f" {getattr(error, 'strerror', None) or first_line(error)}.",
            "a folder with free space that you may write to",
            "Choose another place with --out DIR (or WORKBENCH_RUNS), or make room.",
        ) from error


def put(folder: Path, index: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> None:
    """Write `result.json` and tables into a folder that holds other things too, in place of what
    it had of them. The index comes last: until then it names tables that are there.

    Raises OSError where it cannot be written.
    """
    work = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        _write_files(work, index, tables, {})
        (folder / "tables").mkdir(exist_ok=True)
        for table in tables:
            file = Path("tables", f"{table}.parquet")
            os.replace(work / file, folder / file)
        os.replace(work / "result.json", folder / "result.json")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_files(
    folder: Path,
    index: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, xr.DataArray],
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    folder.chmod(0o755)
    # NaN is not JSON: a number that could not be measured is written as null.
    text = json.dumps(_no_nan(index), indent=1, ensure_ascii=False, allow_nan=False)
    if tables:
        (folder / "tables").mkdir()
    for name, table in tables.items():
        table.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
    if arrays:
        save_file(
            # Not ascontiguousarray: it turns a lone number into an array of one.
            {name: np.asarray(array.values, order="C") for name, array in arrays.items()},
            folder / "arrays.safetensors",
        )
        # safetensors makes its files for the owner alone; a run folder is there to be passed on.
        (folder / "arrays.safetensors").chmod(0o644)
    (folder / "result.json").write_text(text, encoding="utf-8")


def describe(array: xr.DataArray) -> dict[str, Any]:
    """An array as `result.json` names it. Raises ValueError for what a run folder cannot hold."""
    if str(array.dtype) not in _DTYPES:
        raise ValueError(
            f"array {array.name!r} has dtype {array.dtype}; a run folder holds {sorted(_DTYPES)}"
        )
    for dim in array.dims:
        if dim in array.coords and array.coords[dim].dtype.kind not in "OTUbiuf":
            raise ValueError(
                f"axis {dim!r} of array {array.name!r} has labels that are neither texts nor"
                " numbers"
            )
    return {
        "dims": [str(d) for d in array.dims],
        "shape": list(array.shape),
        "coords": {
            str(d): array.coords[d].values.tolist() for d in array.dims if d in array.coords
        },
        "attrs": {
            str(k): v for k, v in array.attrs.items() if isinstance(v, str | int | float | bool)
        },
    }


def _no_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _no_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_no_nan(v) for v in value]
    if hasattr(value, "item"):  # a number of numpy's or torch's
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
