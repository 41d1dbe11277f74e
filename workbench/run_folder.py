"""Reading a run folder: `result.json`, `tables/NAME.parquet` and `arrays.safetensors`.

It may come from a stranger, so it is only data: names are checked before they become paths, sizes
before anything is read, and text is left as text (whoever shows it escapes it).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import run_upgrades
from workbench.errors import BadRun

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FORMAT = 2
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What can name a finding, a table or an array."""
MAX_JSON = 64 * 2**20
MAX_FILE = 2 * 2**30
MAX_ROWS = 20_000_000
MAX_CELLS = 2**28
_INDEX = {
    "analysis": str,
    "question": str,
    "params": dict,
    "findings": dict,
    "tables": dict,
    "arrays": dict,
    "provenance": dict,
}
PROVENANCE = {
    "model": dict,
    "versions": dict,
    "started": str,
    "duration": int | float,
    "machine": str,
    "notes": dict,
    "cost": dict,
}


def read_index(folder: Path) -> dict[str, Any]:
    """`result.json` of a run folder, checked; cheap enough to list hundreds of runs.

    Findings and parameters are in the words of this version; the format, tables and arrays are
    those of the files.

    Raises:
        BadRun: see `Result.open`.
    """
    file = folder / "result.json"
    if not file.is_file():
        raise BadRun(
            f"{folder} is not a run folder: it has no result.json.",
            "a folder written by `workbench run`",
            "`workbench runs` lists the runs there are.",
        )
    if _size(folder, file) > MAX_JSON:
        raise BadRun(
            f"{file.name} of {folder.name!r} is absurdly large.",
            f"at most {MAX_JSON >> 20} MB",
            "Do not trust this folder.",
        )
    try:
        index: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRun(
            f"result.json of {folder.name!r} cannot be read: {error.strerror or error}.",
            "a file you may read",
            "Check its permissions.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadRun(
            f"result.json of {folder.name!r} is damaged: {first_line(error)}",
            "complete JSON",
            "Run the analysis again, or get a fresh copy of the folder.",
        ) from error
    _check_fields(folder, index)
    _check_provenance(folder, index["provenance"])
    _check_names(folder, index)
    for upgrade in _upgrades(folder, index):
        index = run_upgrades.upgrade_index(index, upgrade)
    return index


def read_contents(
    folder: Path, index: Mapping[str, Any]
) -> tuple[dict[str, pd.DataFrame], dict[str, xr.DataArray]]:
    """The tables and arrays that the index of a folder names, in the words of this version."""
    tables = {name: read_table(folder, name) for name in index["tables"]}
    arrays = read_arrays(folder, index["arrays"])
    for upgrade in _upgrades(folder, index):
        tables = run_upgrades.upgrade_tables(tables, upgrade)
        arrays = run_upgrades.upgrade_arrays(arrays, upgrade)
    return tables, arrays


def _upgrades(folder: Path, index: Mapping[str, Any]) -> list[run_upgrades.Upgrade]:
    return run_upgrades.steps(folder.name, index["analysis"], index["format"], FORMAT)


def _check_fields(folder: Path, index: Any) -> None:
    if not isinstance(index, dict) or type(index.get("format")) is not int or index["format"] < 1:
        raise BadRun(
            f"result.json of {folder.name!r} is not a run's.",
            "a format number and a run's fields",
            "Check the folder.",
        )
    if index["format"] > FORMAT:
        raise BadRun(
            f"The run {folder.name!r} was written by a newer version (format {index['format']}).",
            f"format {FORMAT} or older",
            "Upgrade: pip install --upgrade memory-workbench",
        )
    for key, proper in _INDEX.items():
        if not isinstance(index.get(key), proper):
            raise BadRun(
                f"result.json of {folder.name!r} has no proper {key!r}.",
                f"a {proper.__name__}",
                "Run the analysis again.",
            )


def _check_provenance(folder: Path, about: Mapping[str, Any]) -> None:
    for key, proper in PROVENANCE.items():
        if key in about and (not isinstance(about[key], proper) or isinstance(about[key], bool)):
            raise BadRun(
                f"The provenance of {folder.name!r} has no proper {key!r}.",
                "what a run writes",
                "Run the analysis again.",
            )
    if not abs(about.get("duration", 0)) < 1e12:  # also refuses not-a-number
        raise BadRun(
            f"The run {folder.name!r} took an impossible time.",
            "seconds",
            "Do not trust this folder.",
        )


def _check_names(folder: Path, index: Mapping[str, Mapping[str, Any]]) -> None:
    for key in ("findings", "arrays", "tables"):
        for name, value in index[key].items():
            if not NAME.fullmatch(name) or not isinstance(value, dict):
                raise BadRun(
                    f"The run {folder.name!r} names one of its {key} {name[:80]!r}, which is not"
                    " allowed.",
                    "lower-case letters, digits, - and _",
                    "Do not trust this folder.",
                )


def _size(folder: Path, file: Path) -> int:
    """Size in bytes of a file that really lies in the folder (a link to elsewhere is refused)."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise BadRun(
            f"{file.name} of {folder.name!r} leads outside its folder.",
            "plain files",
            "Do not trust this folder.",
        )
    if not file.is_file():
        raise BadRun(
            f"The run {folder.name!r} lacks {file.name}.",
            "every file its result.json names",
            "Get a complete copy of the folder.",
        )
    return file.stat().st_size


def read_table(folder: Path, name: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = folder / "tables" / f"{name}.parquet"
    size = _size(folder, file)
    meta = pq.read_metadata(file)
    # A few KB of parquet can unpack to terabytes: the declared sizes are checked before any page is
    # read.
    unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    too_large = BadRun(
        f"Table {name!r} of {folder.name!r} is absurdly large.",
        f"at most {MAX_ROWS:,} rows",
        "Do not trust this folder.",
    )
    if (
        size > MAX_FILE
        or unpacked > MAX_FILE
        or meta.num_rows > MAX_ROWS
        or meta.num_rows * meta.num_columns > MAX_CELLS
    ):
        raise too_large
    # The declared sizes may lie too (one long text, named by millions of rows), so what is unpacked
    # is counted as it comes.
    batches, held = [], 0
    with pq.ParquetFile(file) as stored:
        for batch in stored.iter_batches(batch_size=4096):
            batches.append(batch)
            held += batch.nbytes
            if held > MAX_FILE:
                raise too_large
        return pa.Table.from_batches(batches, schema=stored.schema_arrow).to_pandas()


def read_arrays(
    folder: Path, described: Mapping[str, Mapping[str, Any]]
) -> dict[str, xr.DataArray]:
    if not described:
        return {}
    import xarray as xr
    from safetensors import safe_open

    file = folder / "arrays.safetensors"
    if _size(folder, file) > MAX_FILE:
        raise BadRun(
            f"The arrays of {folder.name!r} are absurdly large.",
            f"at most {MAX_FILE >> 30} GB",
            "Do not trust this folder.",
        )
    arrays = {}
    with safe_open(file, framework="numpy") as stored:
        held = set(stored.keys())
        for name, about in described.items():
            if name not in held:
                raise BadRun(
                    f"The run {folder.name!r} lacks its array {name!r}.",
                    "every array named",
                    "Get a complete copy.",
                )
            values, dims = stored.get_tensor(name), about.get("dims")
            if (
                not isinstance(dims, list)
                or len(dims) != values.ndim
                or not all(isinstance(d, str) for d in dims)
                or len(set(dims)) != len(dims)
                or list(values.shape) != about.get("shape")
            ):
                raise BadRun(
                    f"Array {name!r} of {folder.name!r} does not have the shape its result.json"
                    " says.",
                    f"{len(values.shape)} different axis names and the shape {list(values.shape)}",
                    "Run the analysis again, or get a fresh copy of the folder.",
                )
            coords = {
                d: _coord(name, about["coords"][d]) for d in dims if d in about.get("coords", {})
            }
            arrays[name] = xr.DataArray(
                values, dims=dims, coords=coords, name=name, attrs=about.get("attrs", {})
            )
    return arrays


def _coord(array: str, values: Any) -> Any:
    """Labels along an axis: texts, or numbers (of which null is one that could not be measured)."""
    if isinstance(values, list) and all(isinstance(v, str) for v in values):
        return values
    if isinstance(values, list) and all(isinstance(v, int | float | None) for v in values):
        return [math.nan if v is None else v for v in values]
    raise BadRun(
        f"An axis of array {array!r} has labels that are neither texts nor numbers.",
        "texts or numbers",
        "Run it again.",
    )


def first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
