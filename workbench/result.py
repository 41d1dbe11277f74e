"""What an analysis found, and the run folder it is kept in.

A run folder holds `result.json`, `tables/NAME.parquet` and `arrays.safetensors`, and opens without
the model. It may come from a stranger, so it is only data: names are checked before they become
paths, sizes before anything is read, and text is left as text (whoever shows it escapes it).
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadRun, NotFound, WorkbenchError
from workbench.selection import Selection

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_JSON = 64 * 2**20
MAX_FILE = 2 * 2**30
MAX_ROWS = 20_000_000
MAX_CELLS = 2**28
_FINDING_FIELDS = {"unit", "says", "interval"}
_PROVENANCE = {
    "model": dict,
    "versions": dict,
    "started": str,
    "duration": int | float,
    "machine": str,
    "notes": dict,
}
_DTYPES = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}


@dataclass(frozen=True)
class Finding:
    """A named number (or a few that belong together) with its sentence.

    `value` is one number, or names to numbers (`{"memory": 0.9, "context": 0.1}`). `interval` gives
    95 % bounds: a pair for one number, or names to pairs. `unit` says what the numbers are in.
    """

    name: str
    value: float | Mapping[str, float]
    says: str
    unit: str = ""
    interval: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None

    @property
    def values(self) -> dict[str, float]:
        return dict(self.value) if isinstance(self.value, Mapping) else {"value": self.value}

    def to_json(self) -> dict[str, Any]:
        """As in `result.json`.

        Raises ValueError if a value is named like one of the other fields.
        """
        if taken := self.values.keys() & _FINDING_FIELDS:
            raise ValueError(f"finding {self.name!r} cannot call a value {sorted(taken)[0]!r}")
        out: dict[str, Any] = {**self.values, "unit": self.unit, "says": self.says}
        if self.interval is not None:
            spans = (
                self.interval if isinstance(self.interval, Mapping) else {"value": self.interval}
            )
            out["interval"] = {k: list(v) for k, v in spans.items()}
        return out

    @classmethod
    def from_json(cls, name: str, raw: Mapping[str, Any]) -> Finding:
        values = {k: _number(name, v) for k, v in raw.items() if k not in _FINDING_FIELDS}
        spans = {
            k: (_number(name, low), _number(name, high))
            for k, (low, high) in (raw.get("interval") or {}).items()
        }
        single = set(values) == {"value"}
        return cls(
            name,
            values["value"] if single else values,
            str(raw.get("says", "")),
            str(raw.get("unit", "")),
            (spans.get("value") if single else spans) or None,
        )


@dataclass
class Provenance:
    """Where a result comes from: enough to make it again, and to see that two runs are
    comparable.
    """

    model: dict[str, Any] = field(
        default_factory=dict
    )  # the model's card, see workbench.models.ModelCard
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""  # ISO 8601, UTC
    duration: float = 0.0  # seconds
    machine: str = ""  # processor kind and threads; no host name, no paths
    notes: dict[str, str] = field(default_factory=dict)  # e.g. attention implementation, BOS policy


@dataclass
class Result:
    """Findings, tables and arrays of one run of one analysis.

    Knobs that the analysis gives to a finished run are attributes: `result.dial(model, 0.5)` for
    `knowledge-conflict`.
    """

    analysis: str
    question: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    arrays: dict[str, xr.DataArray] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    partial: bool = False
    path: Path | None = None  # the run folder, once saved or opened

    @cached_property
    def selection(self) -> Selection:
        """What a person is looking at; every view of this result reads and writes it."""
        return Selection()

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings[finding.name] = finding

    @property
    def title(self) -> str:
        return f"{self.analysis} on {self.provenance.model.get('name', 'a model')}"

    def to_json(self) -> dict[str, Any]:
        """What `result.json` holds, and `workbench run --json` prints."""
        return {
            "format": FORMAT,
            "analysis": self.analysis,
            "question": self.question,
            "partial": self.partial,
            "params": self.params,
            "findings": {name: finding.to_json() for name, finding in self.findings.items()},
            "tables": {
                name: {"rows": len(table), "columns": list(table.columns)}
                for name, table in self.tables.items()
            },
            "arrays": {name: _describe(array) for name, array in self.arrays.items()},
            "provenance": asdict(self.provenance),
        }

    def save(self, path: str | Path) -> Path:
        """Write the run folder; whole or not at all.

        Raises:
            WorkbenchError: the folder exists and is not empty, or cannot be written.
            ValueError: something that a run folder cannot hold (the analysis's mistake).
        """
        from safetensors import SafetensorError

        target = Path(path)
        for name in [*self.findings, *self.tables, *self.arrays]:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} cannot name a finding, a table or an array: {NAME.pattern}"
                )
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
                self._write(work)
                if (
                    os.name == "nt" and target.exists()
                ):  # elsewhere an empty folder is replaced in the same step
                    target.rmdir()
                os.replace(work, target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except (
            OSError,
            SafetensorError,
        ) as error:  # the latter is how a full disk shows while arrays are written
            raise WorkbenchError(
                f"The run could not be written to {target}:"
                f" {getattr(error, 'strerror', None) or _first_line(error)}.",
                "a folder with free space that you may write to",
                "Choose another place with --out DIR (or WORKBENCH_RUNS), or make room.",
            ) from error
        self.path = target
        return target

    def _write(self, folder: Path) -> None:
        import numpy as np
        from safetensors.numpy import save_file

        folder.chmod(0o755)
        # NaN is not JSON: a number that could not be measured is written as null.
        text = json.dumps(_no_nan(self.to_json()), indent=1, ensure_ascii=False, allow_nan=False)
        if self.tables:
            (folder / "tables").mkdir()
        for name, table in self.tables.items():
            table.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
        if self.arrays:
            save_file(
                # Not ascontiguousarray: it turns a lone number into an array of one.
                {name: np.asarray(array.values, order="C") for name, array in self.arrays.items()},
                folder / "arrays.safetensors",
            )
            # safetensors makes its files for the owner alone; a run folder is there to be passed
            # on.
            (folder / "arrays.safetensors").chmod(0o644)
        (folder / "result.json").write_text(text, encoding="utf-8")

    @classmethod
    def open(cls, path: str | Path) -> Result:
        """Read a run folder.

        Raises:
            BadRun: it is damaged, truncated, hostile or from a newer version; the message says
                which.
        """
        folder = Path(path)
        index = read_index(folder)
        again = "Run the analysis again, or get a fresh copy of the folder."
        try:
            findings = {
                name: Finding.from_json(name, raw) for name, raw in index["findings"].items()
            }
            provenance = Provenance(
                **{k: v for k, v in index["provenance"].items() if k == "seed" or k in _PROVENANCE}
            )
            tables = {name: _read_table(folder, name) for name in index["tables"]}
            arrays = _read_arrays(folder, index["arrays"])
        except WorkbenchError:
            raise
        except Exception as error:  # every library below has its own way to say "damaged"
            raise BadRun(
                f"The run {folder.name!r} is damaged: {_first_line(error)}",
                "a complete run folder",
                again,
            ) from error
        return cls(
            analysis=str(index["analysis"]),
            question=str(index["question"]),
            params=dict(index["params"]),
            findings=findings,
            tables=tables,
            arrays=arrays,
            provenance=provenance,
            partial=bool(index.get("partial", False)),
            path=folder,
        )

    def control(self, name: str) -> Any:
        """A knob of this result by name: callable as `control(model, value)`, giving a context
        manager.

        Raises:
            NotFound: the analysis gives no such knob.
        """
        from workbench import registry

        known = registry.get(self.analysis).controls(self)
        if name not in known:
            raise NotFound.named(f"control of {self.analysis}", name, known)
        return known[name]

    def __getattr__(self, name: str) -> Any:
        # Only reached for what a Result does not have itself: the analysis's own knobs.
        if name.startswith("_") or name in type(self).__dataclass_fields__:
            raise AttributeError(name)
        try:
            return self.control(name)
        except WorkbenchError as error:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. {error}"
            ) from error

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """In Jupyter: the analysis's views as widgets, with pictures for when there is no
        kernel.
        """
        from workbench.frontends import front_end

        return front_end("notebook")(self)

    def __repr__(self) -> str:
        lines = [f"Result of {self.title}" + (" (partial)" if self.partial else "")]
        lines += [f"  {f.name}: {f.says}" for f in self.findings.values()]
        return "\n".join(lines)


def read_index(folder: Path) -> dict[str, Any]:
    """`result.json` of a run folder, checked; cheap enough to list hundreds of runs.

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
        index = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRun(
            f"result.json of {folder.name!r} cannot be read: {error.strerror or error}.",
            "a file you may read",
            "Check its permissions.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadRun(
            f"result.json of {folder.name!r} is damaged: {_first_line(error)}",
            "complete JSON",
            "Run the analysis again, or get a fresh copy of the folder.",
        ) from error
    kinds = {
        "analysis": str,
        "question": str,
        "params": dict,
        "findings": dict,
        "tables": dict,
        "arrays": dict,
        "provenance": dict,
    }
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
    for key, kind in kinds.items():
        if not isinstance(index.get(key), kind):
            raise BadRun(
                f"result.json of {folder.name!r} has no proper {key!r}.",
                f"a {kind.__name__}",
                "Run the analysis again.",
            )
    about = index["provenance"]
    for key, proper in _PROVENANCE.items():
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
    for key in ("findings", "arrays", "tables"):
        for name, value in index[key].items():
            if not NAME.fullmatch(name) or not isinstance(value, dict):
                raise BadRun(
                    f"The run {folder.name!r} names one of its {key} {name[:80]!r}, which is not"
                    " allowed.",
                    "lower-case letters, digits, - and _",
                    "Do not trust this folder.",
                )
    return index


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


def _read_table(folder: Path, name: str) -> pd.DataFrame:
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


def _read_arrays(
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


def _number(finding: str, value: Any) -> float:
    """A finding's number; null stands for one that could not be measured."""
    if value is None:
        return math.nan
    # JSON has whole numbers of any length; one that no float can hold is nobody's measurement.
    if not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise BadRun(
            f"Finding {finding!r} holds something that is not a number.",
            "numbers",
            "Run the analysis again.",
        )
    return value


def _describe(array: xr.DataArray) -> dict[str, Any]:
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


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
