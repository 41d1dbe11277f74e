"""The user's own facts: a CSV, TSV or JSONL file of subject and answer, read with suspicion.

Every refusal names the file, the line where it can, what was expected and what to do.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.facts.relation import Relation, make
from workbench.text_files import is_remote, one_file, text_path
from workbench.unicode import check_unicode

MAX_BYTES = 50 * 2**20
MAX_CELL = 500
COLUMNS = ("subject", "answer")
POPULARITY = "popularity"  # a column that may be there
Row = tuple[str, str, float | None]


def from_file(
    path: str | Path,
    template: str | None = None,
    *,
    closed_book: str | None = None,
    statement: str | None = None,
    question: str | None = None,
    lead_in: str | None = None,
    name: str | None = None,
) -> Relation:
    """Facts from a file with the columns `subject` and `answer`.

    A `.jsonl` (or `.ndjson`) file holds one JSON object a line; every other file is a table parted
    by commas, semicolons or tabs with a header line. A column `popularity` (how well known the
    subject is: a number) is read where there is one, further ones are ignored, and case and order
    of the columns do not matter. The text is UTF-8, with or without a byte order mark. Lines that
    repeat a fact are merged.

    Args:
        path: the file, or its address (`s3://…`).
        template: a beginning that the model completes with the answer, "The capital of {subject}
            is". It is enough.
        closed_book, statement, question, lead_in: the wordings one by one, see `Relation` and
            `make`.
        name: what to call the relation; the file's name if left out.

    Raises:
        BadInput: the file or a template cannot be used.
    """
    file = text_path(path)
    text = _text(file)
    lines = file.suffix.lower() in {".jsonl", ".ndjson"} or text.lstrip().startswith("{")
    rows = list(_from_json_lines(file, text) if lines else _from_table(file, text))
    if not rows:
        raise BadInput(
            f"{file.name} holds no facts.", "a line for each fact after the header", "Add facts."
        )
    return make(
        name or file.stem,
        rows,
        template,
        closed_book=closed_book,
        statement=statement,
        question=question,
        lead_in=lead_in,
        source=file.name,
    )


def _bytes(file: Path) -> bytes:
    """At most one more than a file may have."""
    if is_remote(file):
        with one_file(file, "file", "a CSV or JSONL file of subject,answer").open() as opened:
            return opened.read(MAX_BYTES + 1)
    if not file.exists():
        raise BadInput(
            f"There is no file {str(file)!r}.",
            "a CSV or JSONL file of subject,answer",
            "Check the path.",
        )
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "no regular file"
        raise BadInput(
            f"{str(file)!r} is {kind}.",
            "a CSV or JSONL file of subject,answer",
            "Name the file itself.",
        )
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(
            f"{file.name} cannot be read: {error.strerror or error}.",
            "a file you may read",
            "Check its permissions.",
        ) from error


def _text(file: Path) -> str:
    raw = _bytes(file)
    if len(raw) > MAX_BYTES:
        raise BadInput(
            f"{file.name} is larger than {MAX_BYTES >> 20} MB.",
            "some hundreds of facts",
            "Keep the columns and rows needed.",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{file.name} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; it looks"
            f" like {_likely(raw)}.",
            "a text file in UTF-8",
            "Save it again with the encoding UTF-8.",
        ) from error
    if "\0" in text:
        raise BadInput(
            f"{file.name} holds zero bytes (the first is byte {raw.index(0)}); it looks like"
            f" {_likely(raw)}.",
            "a text file in UTF-8",
            "Save it again with the encoding UTF-8.",
        )
    if not text.strip():
        raise BadInput(
            f"{file.name} is empty.",
            "a header subject,answer and a line for each fact",
            "Add facts.",
        )
    return text


def _likely(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or raw[:200].count(0) > len(raw[:200]) // 4:
        return "UTF-16, which spreadsheets call “Unicode text”"
    if 0 in raw[:1000]:
        return "a binary file"
    return "Windows-1252 or Latin-1, which spreadsheets write as plain “CSV”"


def _from_table(file: Path, text: str) -> Iterator[Row]:
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    where: dict[str, int] = {}
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not where:
                where = _columns(file, cells)
                continue
            missing = [name for name in COLUMNS if where[name] >= len(cells)]
            if missing:
                raise BadInput(
                    f"Line {reader.line_num} of {file.name} has no {missing[0]}.",
                    "subject and answer",
                    "Complete the line.",
                )
            subject, answer = (
                _cell(file, reader.line_num, name, cells[where[name]]) for name in COLUMNS
            )
            at = where.get(POPULARITY, len(cells))
            given = cells[at] if at < len(cells) else ""
            yield subject, answer, _popularity(file, reader.line_num, given)
    except csv.Error as error:
        raise BadInput(
            f"Line {reader.line_num} of {file.name} cannot be read: {error}.",
            "cells parted by commas; a cell with a comma or a quote in it stands in double quotes",
            "Look for a quote that is not closed.",
        ) from error


def _delimiter(text: str) -> str:
    header = text.lstrip().splitlines()[0].casefold()
    for delimiter in (",", ";", "\t"):
        if set(COLUMNS) <= {cell.strip(' "') for cell in header.split(delimiter)}:
            return delimiter
    return ","


def _columns(file: Path, header: list[str]) -> dict[str, int]:
    found = [cell.strip().casefold() for cell in header]
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        near = [
            f"{close[0]!r} for {name}"
            for name in missing
            if (close := get_close_matches(name, found, n=1, cutoff=0.5))
        ]
        shown = ", ".join(repr(cell[:40]) for cell in header[:8])
        raise BadInput(
            f"{file.name} has no column {' and no column '.join(missing)}; its first line holds"
            f" {shown}.",
            "a first line with the columns subject,answer",
            (
                f"Did you mean {' and '.join(near)}? Rename it."
                if near
                else "Name the columns in the first line."
            ),
        )
    twice = [name for name in COLUMNS if found.count(name) > 1]
    if twice:
        raise BadInput(
            f"{file.name} has the column {twice[0]} twice.",
            "each column once",
            "Rename one of them.",
        )
    return {name: found.index(name) for name in (*COLUMNS, POPULARITY) if name in found}


def _from_json_lines(file: Path, text: str) -> Iterator[Row]:
    # Not splitlines(): a JSON string may hold U+2028 and its like unescaped.
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise BadInput(
                f"Line {number} of {file.name} is not JSON: {reason}.",
                'one object a line: {"subject": "France", "answer": "Paris"}',
                "Correct the line.",
            ) from error
        if not isinstance(row, dict):
            raise BadInput(
                f"Line {number} of {file.name} holds a {type(row).__name__}.",
                'an object: {"subject": "France", "answer": "Paris"}',
                "Correct the line.",
            )
        where = _columns_of_object(file, number, row)
        subject, answer = (_cell(file, number, name, row[where[name]]) for name in COLUMNS)
        given = row[where[POPULARITY]] if POPULARITY in where else ""
        yield subject, answer, _popularity(file, number, given)


def _columns_of_object(file: Path, number: int, row: dict[str, Any]) -> dict[str, str]:
    named = {key.strip().casefold(): key for key in row}
    missing = [name for name in COLUMNS if name not in named]
    if missing:
        close = get_close_matches(missing[0], named, n=1, cutoff=0.5)
        shown = ", ".join(repr(key[:40]) for key in list(row)[:8]) or "nothing"
        raise BadInput(
            f"Line {number} of {file.name} has no {missing[0]!r}; it holds {shown}.",
            "the keys subject and answer",
            f"Did you mean {close[0]!r}? Rename it." if close else "Add it.",
        )
    return named


def _popularity(file: Path, line: int, value: Any) -> float | None:
    """A number, or None where the cell is blank."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise BadInput(
            f"Line {line} of {file.name}: the popularity is {value!r:.40}.",
            "a number, such as inhabitants, or nothing",
            "Correct the line.",
        )
    return number


def _cell(file: Path, line: int, column: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        value = str(value)
    if not isinstance(value, str):
        raise BadInput(
            f"Line {line} of {file.name}: the {column} is {value!r:.40}.",
            "a text or a number",
            "Correct the line.",
        )
    check_unicode(value, f"Line {line} of {file.name}: the {column}")
    value = value.strip()
    if not value or len(value) > MAX_CELL:
        came = f"{len(value):,} characters long" if value else "blank"
        raise BadInput(
            f"Line {line} of {file.name}: the {column} is {came}.",
            f"1 to {MAX_CELL} characters",
            "Fill it in, or remove the line." if not value else "Shorten it.",
        )
    return str(value)
