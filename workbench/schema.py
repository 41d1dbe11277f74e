"""What the tables, arrays and findings of an analysis mean: said once, and checked when a result is
saved.

    SCHEMA = Schema(
        tables=[
            TableSchema("windows", "One row per window of text.", [
                Column("window", "Number of the window."),
                Column("match", "Leading tokens of the suffix that are said.", "tokens"),
            ]),
        ],
        findings=[FindingSchema("greedy", "Suffixes that greedy decoding reproduces whole")],
    )

Headings and tooltips of every shown table come from it, and the tables in docs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


class SchemaMismatch(UserWarning):
    """A result that is not as its analysis says: an error of the analysis, not of who runs it."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        says: one sentence.
        unit: of its numbers, "" for words and counts of what the sentence names.
        title: its heading; the name in words by default.
        optional: not every run has it.
    """

    name: str
    says: str
    unit: str = ""
    title: str = ""
    optional: bool = False

    @property
    def heading(self) -> str:
        title = self.title or self.name.replace("_", " ")
        return f"{title} ({self.unit})" if self.unit not in ("", title) else title


@dataclass(frozen=True)
class TableSchema:
    """A table.

    Args:
        open: it may have further columns, named by the run itself (e.g. one per relation).
    """

    name: str
    says: str
    columns: Sequence[Column]
    open: bool = False

    def problems(self, frame: pd.DataFrame) -> Iterator[str]:
        """What of a table is not as it is said here, one sentence each."""
        known = {c.name for c in self.columns}
        for column in frame.columns if not self.open else ():
            if column not in known:
                yield f"The column {column!r} of the table {self.name!r} is not in the schema."
        for c in self.columns:
            # What was stopped before its first row has no columns yet.
            if len(frame.columns) and not c.optional and c.name not in frame:
                yield f"The table {self.name!r} has no column {c.name!r}."


@dataclass(frozen=True)
class ArraySchema:
    """An array.

    Args:
        name: may end in * for all that begin so (one per site, say).
        dims: in order; those of arrays that differ in them are not said.
    """

    name: str
    says: str
    dims: Sequence[str] = ()
    unit: str = ""

    def fits(self, name: str) -> bool:
        return fits(self.name, name)


@dataclass(frozen=True)
class FindingSchema:
    """A finding: its name is for programs, its title for people.

    Args:
        name: may end in * for all that begin so (one per layer, say).
        chosen: it is a choice of the run (which heads, which layer), not a measured number.
    """

    name: str
    title: str
    unit: str = ""
    chosen: bool = False

    def fits(self, name: str) -> bool:
        return fits(self.name, name)


def fits(said: str, name: str) -> bool:
    """Whether a name is the one that is said, or begins so where that ends in *."""
    return name == said or (said.endswith("*") and name.startswith(said[:-1]))


@dataclass(frozen=True)
class Schema:
    """All that a run of an analysis may hold."""

    tables: Sequence[TableSchema] = field(default_factory=tuple)
    arrays: Sequence[ArraySchema] = field(default_factory=tuple)
    findings: Sequence[FindingSchema] = field(default_factory=tuple)

    def __add__(self, other: Schema) -> Schema:
        """What a run may hold by either of the two."""
        return Schema(
            [*self.tables, *other.tables],
            [*self.arrays, *other.arrays],
            [*self.findings, *other.findings],
        )

    def table(self, name: str) -> TableSchema | None:
        return next((t for t in self.tables if t.name == name), None)

    def title(self, finding: str) -> str:
        """What a person reads above a finding's number; where one title is that of several
        findings (of each layer, say), with what tells them apart.
        """
        for f in self.findings:
            if f.fits(finding):
                own = finding[len(f.name) - 1 :] if f.name.endswith("*") else ""
                return f"{f.title}: {own.replace('_', ' ')}" if own else f.title
        return finding.replace("_", " ")

    def headings(self, table: str) -> dict[str, tuple[str, str]]:
        """Heading and tooltip by column."""
        found = self.table(table)
        return {} if found is None else {c.name: (c.heading, c.says) for c in found.columns}

    def problems(self, result: Result) -> Iterator[str]:
        """What of a result is not as it is said here, one sentence each.

        An empty schema says nothing, so nothing differs from it.
        """
        if not (self.tables or self.arrays or self.findings):
            return
        for name, frame in result.tables.items():
            schema = self.table(name)
            if schema is None:
                yield f"The table {name!r} is not in the schema."
            else:
                yield from schema.problems(frame)
        for name, array in result.arrays.items():
            dims = next((tuple(a.dims) for a in self.arrays if a.fits(name)), None)
            if dims is None:
                yield f"The array {name!r} is not in the schema."
            elif dims and tuple(array.dims) != dims:
                yield f"The array {name!r} is {tuple(array.dims)}, not {dims}."
        for name in result.findings:
            if not any(f.fits(name) for f in self.findings):
                yield f"The finding {name!r} is not in the schema."


def markdown(schema: Schema) -> str:
    """The tables of a run as docs show them."""
    lines = ["| table | column | unit | what it is |", "| --- | --- | --- | --- |"]
    for table in schema.tables:
        lines.append(f"| **{table.name}** | | | {table.says} |")
        lines += [f"| | `{c.name}` | {c.unit} | {c.says} |" for c in table.columns]
    if schema.arrays:
        lines += ["", "| array | dims | unit | what it is |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{a.name}` | {', '.join(a.dims)} | {a.unit} | {a.says} |" for a in schema.arrays
        ]
    return "\n".join(lines)
