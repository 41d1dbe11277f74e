"""What an analysis found: findings, tables, arrays, and where they come from.

It is kept in a run folder, which opens without the model; `workbench.run_folder` has its files.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import remote, run_folder, run_labels, run_titles, run_writing
from workbench.errors import BadRun, NotFound, WorkbenchError
from workbench.run_labels import Labels
from workbench.selection import Selection

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.registry import Control

_FINDING_FIELDS = {"unit", "says", "interval"}


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
    cost: dict[str, Any] = field(default_factory=dict)  # estimate and actual, see workbench.account


@dataclass
class Result:
    """Findings, tables and arrays of one run of one analysis."""

    analysis: str
    question: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    arrays: dict[str, xr.DataArray] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    partial: bool = False
    path: Path | None = None  # the run folder, once saved or opened
    made_title: str = ""  # analysis, model and special parameters, as it was called when it ran
    labels: Labels = field(default_factory=Labels)  # what a person says of it, once opened

    @cached_property
    def selection(self) -> Selection:
        """What a person is looking at; every view of this result reads and writes it."""
        return Selection()

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings[finding.name] = finding

    @property
    def title(self) -> str:
        """What a person calls it, else what it was called when it ran."""
        model = str(self.provenance.model.get("name") or "")
        return self.labels.title or self.made_title or run_titles.plain_title(self.analysis, model)

    def to_json(self) -> dict[str, Any]:
        """What `result.json` holds, and `workbench run --json` prints."""
        return {
            "format": run_folder.FORMAT,
            "analysis": self.analysis,
            "question": self.question,
            "title": self.made_title,
            "partial": self.partial,
            "params": self.params,
            "findings": {name: finding.to_json() for name, finding in self.findings.items()},
            "tables": {
                name: {"rows": len(table), "columns": list(table.columns)}
                for name, table in self.tables.items()
            },
            "arrays": {name: run_writing.describe(array) for name, array in self.arrays.items()},
            "provenance": asdict(self.provenance),
        }

    def save(self, path: str | Path) -> Path:
        """Write the run folder; whole or not at all. An address (`s3://…`) gets a copy.

        Raises:
            WorkbenchError: the folder exists and is not empty, or cannot be written.
            ValueError: something that a run folder cannot hold (the analysis's mistake).
        """
        if isinstance(path, str) and remote.is_address(path):
            return self._save_elsewhere(path)
        target = Path(path)
        for name in [*self.findings, *self.tables, *self.arrays]:
            run_writing.check_name(name)
        run_writing.write(target, self.to_json(), self.tables, self.arrays)
        self.path = target
        return target

    def _save_elsewhere(self, address: str) -> Path:
        remote.check_free(address)
        with tempfile.TemporaryDirectory() as work:
            folder = self.save(Path(work) / "run")
            remote.publish(folder, address, "result.json")
        self.path = remote.fetch(address, remote.RUN)
        return self.path

    @classmethod
    def open(cls, path: str | Path) -> Result:
        """Read a run folder. One of an older format comes in the words of this version.

        Raises:
            BadRun: it is damaged, truncated, hostile, from a newer version, or older than what can
                be upgraded; the message says which.
        """
        folder = Path(path)
        index = run_folder.read_index(folder)
        again = "Run the analysis again, or get a fresh copy of the folder."
        try:
            findings = {
                name: Finding.from_json(name, raw) for name, raw in index["findings"].items()
            }
            about = index["provenance"]
            provenance = Provenance(
                **{key: about[key] for key in ("seed", *run_folder.PROVENANCE) if key in about}
            )
            tables, arrays = run_folder.read_contents(folder, index)
        except WorkbenchError:
            raise
        except Exception as error:  # every library below has its own way to say "damaged"
            raise BadRun(
                f"The run {folder.name!r} is damaged: {run_folder.first_line(error)}",
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
            made_title=run_titles.one_line(str(index.get("title") or "")),
            labels=run_labels.read(folder),
        )

    def control(self, name: str) -> Control:
        """A control that this run gives to the model: `result.control("dial")(model, 0.5)` is a
        context manager.

        Raises:
            NotFound: the run gives no such control; the message lists those that it gives.
        """
        from workbench import registry

        known = registry.get(self.analysis).controls(self)
        if name not in known:
            raise NotFound.named(
                f"control of this {self.analysis} run",
                name,
                known,
                do="" if known else "Choose another run: this one gives no controls.",
            )
        return known[name]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """In Jupyter: the analysis's views as widgets, with pictures for when there is no
        kernel.
        """
        from workbench.frontends import front_end

        return front_end("notebook")(self)

    def __repr__(self) -> str:
        model = self.provenance.model.get("name", "a model")
        lines = [f"Result of {self.analysis} on {model}" + (" (partial)" if self.partial else "")]
        lines += [f"  {f.name}: {f.says}" for f in self.findings.values()]
        return "\n".join(lines)


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
