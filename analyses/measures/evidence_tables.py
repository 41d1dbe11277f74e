"""Tables as a model reads them: from a file, and the versions that tell memory from prediction.

After Bordt et al. 2024 (2404.06209). A table that was read in training can be continued word for
word; the same table with changed values, a row order of its own, or values drawn anew cannot,
though it looks the same.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path

from workbench.errors import BadInput
from workbench.text_files import one_file

ORIGINAL, PERTURBED, TASK, STATISTICAL = "original", "perturbed", "task", "statistical"
VERSIONS = (ORIGINAL, PERTURBED, TASK, STATISTICAL)
FEWEST = 12
"""Rows of a table."""
_MOST_BYTES = 20 * 2**20
_MOST_ROWS = 2_000  # rows are compared each with each
_DELIMITERS = ",;\t|"
_CSV = "a CSV file in UTF-8 with a header line, two columns or more, and rows as long as the header"


@dataclass(frozen=True)
class DataTable:
    """Cells as they stand in the file.

    Attributes:
        rows: (row, column), as text.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    delimiter: str = ","

    def line(self, row: int) -> str:
        """A row as it stands in the file, without its end."""
        return self.joined(self.rows[row])

    @property
    def heading(self) -> str:
        return self.joined(self.header)

    def joined(self, cells: Sequence[str]) -> str:
        """Cells as one line; those with a delimiter or a quote in them are quoted."""
        return self.delimiter.join(map(self.quoted, cells))

    def quoted(self, cell: str) -> str:
        """A cell as it stands in a line."""
        if self.delimiter in cell or '"' in cell:
            doubled = cell.replace('"', '""')
            return f'"{doubled}"'
        return cell

    def column(self, number: int) -> list[str]:
        return [row[number] for row in self.rows]

    def number_of(self, name: str) -> int:
        """Of the column with this name; of the last where it is empty.

        Raises:
            BadInput: there is no such column.
        """
        if not name.strip():
            return len(self.header) - 1
        stripped = [each.strip() for each in self.header]
        if name.strip() not in stripped:
            raise BadInput(f"{self.name} has no column {name.strip()!r}.",
                           f"one of {', '.join(stripped)}",
                           "Name a column as it stands in the header.")  # fmt: skip
        return stripped.index(name.strip())


def check_shots(table: DataTable, shots: int) -> None:
    """Raises BadInput where a table is too short to show so many rows and ask another."""
    if len(table.rows) <= shots:
        raise BadInput(
            f"{table.name} has {len(table.rows)} rows, too few to show {shots} and ask one.",
            f"at least {shots + 1} rows",
            "Show fewer rows.",
        )


def from_file(path: Path) -> DataTable:
    """The table in a file, or at an address: its first 2,000 rows.

    Raises:
        BadInput: no table, one of one column, lines of different lengths, another encoding than
            UTF-8, or too few rows.
    """
    file = one_file(path, "table", _CSV)
    with file.open() as opened:
        raw = opened.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise BadInput(f"{file.base} is larger than {_MOST_BYTES >> 20} MB.", "a smaller table",
                       "Keep the first rows; order matters, so take no sample.")  # fmt: skip
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        mixed = " Text before it is UTF-8, so the file mixes encodings." * (not before.isascii())
        raise BadInput(
            f"{file.base} is not UTF-8: line {before.count(chr(10)) + 1} has the byte"
            f" 0x{raw[error.start]:02x}.{mixed}",
            _CSV,
            "Save it again with the encoding UTF-8.",
        ) from error
    return from_text(text, file.base)


def from_text(text: str, name: str) -> DataTable:
    """A table from the text of its file; raises as `from_file`."""
    if "\0" in text:
        raise BadInput(f"{name} holds zero bytes: it is no text.", _CSV, "Save it as CSV in UTF-8.")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadInput(f"{name} is empty.", _CSV, "Add a header and rows.")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    if not lines[0].count(delimiter):
        raise BadInput(
            f"{name} has one column: its first line is {lines[0][:60]!r}.",
            _CSV,
            "Part the columns by commas, or choose a table with more of them: what stands beside a"
            " value is what its memory is asked with.",
        )
    try:
        read = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadInput(f"{name} cannot be read as a table: {error}.", _CSV,
                       "Look for a quote that is not closed.") from error  # fmt: skip
    header, *rows = read
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise BadInput(
                f"Row {number} of {name} has {len(row)} cells, the header {len(header)}.",
                _CSV,
                "Complete the row, or quote cells that hold the delimiter.",
            )
    if len(rows) < FEWEST:
        raise BadInput(f"{name} has {len(rows)} rows.", f"at least {FEWEST}",
                       "Give a longer table.")  # fmt: skip
    return DataTable(name, tuple(header), tuple(map(tuple, rows[:_MOST_ROWS])), delimiter)


def perturbed(table: DataTable, seed: int, keep: int = -1) -> DataTable:
    """The same table with the last digit of every number moved by 1 or 2, and columns of words
    dealt anew: like it in every statistic that matters, and never read.

    Args:
        keep: a column that stays as it is.
    """
    rng = random.Random(f"{seed} perturbed {table.name}")
    columns: list[list[str]] = []
    for k in range(len(table.header)):
        cells = table.column(k)
        if k == keep:
            columns.append(cells)
        elif any(map(is_number, cells)):
            columns.append([_moved(cell, rng) for cell in cells])
        else:
            columns.append(rng.sample(cells, len(cells)))
    return replace(table, rows=tuple(zip(*columns, strict=True)))


def redealt(table: DataTable, seed: int) -> DataTable:
    """The same rows in another order: what no file has."""
    rng = random.Random(f"{seed} rows {table.name}")
    return replace(table, rows=tuple(rng.sample(table.rows, len(table.rows))))


def statistical(table: DataTable, keep: int = -1) -> DataTable:
    """Columns without names, numbers standardized to two decimals, words as numbered groups: only
    what can be learned from the table itself is left (Bordt et al.).

    Args:
        keep: a column whose numbers stay as they are, e.g. one that is to be said: 1.34 is harder
            to say than 3, whatever was remembered.
    """
    columns = []
    for k, cells in enumerate(map(table.column, range(len(table.header)))):
        if all(map(is_number, cells)):
            if k == keep:
                columns.append(cells)
                continue
            values = [float(cell) for cell in cells]
            mean = sum(values) / len(values)
            spread = (sum((x - mean) ** 2 for x in values) / len(values)) ** 0.5 or 1.0
            columns.append([f"{(x - mean) / spread:.2f}" for x in values])
        else:
            groups = {cell: f"group {n}" for n, cell in enumerate(dict.fromkeys(cells))}
            columns.append([groups[cell] for cell in cells])
    names = tuple(f"X{n}" for n in range(1, len(table.header) + 1))
    return replace(table, header=names, rows=tuple(zip(*columns, strict=True)))


def _moved(cell: str, rng: random.Random) -> str:
    if not is_number(cell) or not cell[-1].isdigit():
        return cell
    digit = int(cell[-1])
    step = rng.choice([s for s in (-2, -1, 1, 2) if 0 <= digit + s <= 9])
    return cell[:-1] + str(digit + step)


def is_number(cell: str) -> bool:
    """Whether a cell is a finite decimal number."""
    try:
        return abs(float(cell)) < float("inf")
    except ValueError:
        return False


def surprise(cells: Sequence[str]) -> dict[str, float]:
    """Bits that each value of a column takes to say: −log2 of how often it stands there."""
    counts = Counter(cells)
    return {cell: -log2(count / len(cells)) for cell, count in counts.items()}
