"""Texts from wherever a person has them: a text file, JSON lines, a folder (here or at an address),
or a model's ledger.

They are read a piece at a time, so a file of any size takes no more memory than a piece; of very
long ones an even sample is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from workbench import text_files
from workbench.errors import BadInput, NotFound
from workbench.organisms import ledger as ledgers
from workbench.text_files import FoundFiles, TextFile
from workbench.unicode import check_unicode

TEXTS = (".txt", ".md", ".rst", ".csv", ".tsv", ".py", ".html", ".xml", ".json", ".log", "")
_PIECE = 1 << 18  # bytes read at once
_COUNT = ("repeats", "duplicates", "count")


@dataclass(frozen=True)
class Document:
    """A text to look for.

    `repeats` is how often the model has read it, None where nobody knows; 0 is never.

    A document too long for memory comes as several with the same name; `start` is the byte each
    begins at.
    """

    name: str
    text: str
    kind: str = ""
    repeats: int | None = None
    timing: str = ""
    ids: tuple[int, ...] | None = None
    start: int = 0


def from_ledger(entries: Iterable[ledgers.Entry]) -> Iterator[Document]:
    for entry in entries:
        yield Document(entry.id, entry.text, entry.kind, entry.repeats, entry.timing, entry.ids)


def ledger_at(path: Path) -> ledgers.Ledger:
    """The ledger at a path (also a model's folder) or address.

    Raises:
        BadInput: there is none, or it is not one.
    """
    if not text_files.is_remote(path):
        return ledgers.read(path.expanduser())
    with text_files.one_file(path, "ledger", f"a file {ledgers.FILE}").on_disk() as copy:
        return ledgers.read(copy)


def size_of(path: Path) -> int:
    """Bytes of the texts at a path or address.

    Raises:
        BadInput: there are none.
        WorkbenchError: an address that does not answer.
    """
    return sum(file.size for file in _texts(path, text_files.find_recent(path)))


def from_path(
    path: Path, most: int, skipped: list[tuple[str, str]] | None = None
) -> Iterator[Document]:
    """The documents of a text file, a `.jsonl` file (`text`, and optionally `name`, `kind`,
    `repeats`), a ledger or a folder.

    Args:
        most: bytes to read in all; of more, pieces are read that lie evenly over each text.
        skipped: gets (name, why) of every file of a folder that is no text; a folder may hold
            anything. None raises instead.

    Raises:
        BadInput: nothing there, not text, not UTF-8, or JSON lines without a text.
    """
    found = text_files.find(path)
    files = _texts(path, found)
    share = min(1.0, most / max(1, sum(file.size for file in files)))
    if skipped is not None:
        read = {file.name for file in files}
        skipped += [
            (file.name, f"{file.suffix or 'its kind'} is not read; save it as text")
            for file in found.files
            if file.name not in read
        ]
    for file in files:
        try:
            yield from _documents(file, share, found.is_folder)
        except BadInput as problem:
            if skipped is None or not found.is_folder:
                raise
            skipped.append((file.name, problem.what))


def _documents(file: TextFile, share: float, in_folder: bool) -> Iterator[Document]:
    if file.base == ledgers.FILE:
        with file.on_disk() as copy:
            entries = ledgers.read(copy).entries
        # As text: whose tokens they are is only known to who opens a ledger by name and checks it.
        yield from (replace(document, ids=None) for document in from_ledger(entries))
    elif file.suffix == ".jsonl":
        for document in _from_lines(file, share):
            name = f"{file.name}: {document.name}"
            yield replace(document, name=name) if in_folder else document
    else:
        yield from _from_text(file, share)


def _texts(path: Path, found: FoundFiles) -> list[TextFile]:
    """The files that are read."""
    if not found.is_folder:
        if not found.files:
            raise BadInput(
                f"There is no file or folder {path}.",
                "a text file, .jsonl, or a folder of them",
                "Check the path.",
            )
        return found.files
    chosen = [file for file in found.files if file.suffix in (*TEXTS, ".jsonl")]
    if not chosen:
        raise BadInput(
            f"The folder {path} has no texts.",
            f"files such as {', '.join(TEXTS[:3])} or .jsonl",
            "Check the path.",
        )
    return chosen


def _from_text(file: TextFile, share: float) -> Iterator[Document]:
    any_text = False
    for start, piece in _pieces(file, share):
        if piece.strip():
            any_text = True
            yield Document(file.name, piece, start=start)
    if not any_text:
        raise BadInput(f"{file.name} is empty.", "some text", "Choose another file.")


def _pieces(file: TextFile, share: float) -> Iterator[tuple[int, str]]:
    """(byte it starts at, text) of a file, cut where a line ends; of a share below 1 only so
    much, evenly spread.
    """
    size = file.size
    many = max(1, round(size * share / _PIECE))
    gap = _PIECE if share >= 1 else max(_PIECE, size // many)
    try:
        with file.open() as stream:
            carried = b""
            for start in range(0, max(1, size), gap):
                stream.seek(start)
                raw = stream.read(_PIECE)
                if b"\0" in raw:
                    raise BadInput(
                        f"{file.base} is not text: it has zero bytes.",
                        "plain text in UTF-8",
                        "Convert it to text first.",
                    )
                if gap == _PIECE:
                    raw, begins = carried + raw, start - len(carried)
                    last = start + gap >= size
                    end = len(raw) if last else raw.rfind(b"\n") + 1 or _character_end(raw)
                    raw, carried = raw[:end], raw[end:]
                else:
                    first = raw.find(b"\n") + 1 if start else 0
                    begins, raw = (
                        start + first,
                        raw[first : raw.rfind(b"\n") + 1 or _character_end(raw)],
                    )
                if raw:
                    yield begins, raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{file.base} is not UTF-8: byte {error.object[error.start]:#04x} is no part of it.",
            "plain text in UTF-8",
            f"Convert it, for example: iconv -f latin1 -t utf-8 {file.base}",
        ) from error
    except OSError as error:
        raise BadInput(
            f"{file.base} cannot be read: {error.strerror or error}.",
            "a file you may read",
            "Check it.",
        ) from error


def _character_end(raw: bytes) -> int:
    """Where the last whole UTF-8 character ends, for a text without line breaks."""
    for back in range(1, min(4, len(raw)) + 1):
        byte = raw[-back]
        if byte & 0xC0 != 0x80:
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(raw) - back if length > back else len(raw)
    return len(raw)


def _from_lines(file: TextFile, share: float) -> Iterator[Document]:
    """Every line; of a share below 1 so many of them, evenly spread."""
    number = 0
    try:
        with file.open() as lines:
            for number, raw in enumerate(lines, 1):
                if int(number * share) > int((number - 1) * share) and raw.strip():
                    yield _document(raw, number, file.base)
    except OSError as error:
        raise BadInput(
            f"{file.base} cannot be read: {error.strerror or error}.",
            "a file you may read",
            "Check it.",
        ) from error
    if not number:
        raise BadInput(f"{file.base} is empty.", "JSON lines with a text", "Choose another file.")


def _document(line: bytes, number: int, file: str) -> Document:
    try:
        fields = json.loads(line)
        text = fields["text"]
        if not isinstance(text, str):
            raise TypeError
        given = next((fields[name] for name in _COUNT if fields.get(name) is not None), None)
        repeats = None if given is None else int(given)
        if repeats is not None and repeats < 0:
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"Line {number} of {file} cannot be used.",
            'JSON such as {"text": "…", "name": "…", "kind": "…", "repeats": 4}; only text is'
            " needed",
            "Mend that line.",
        ) from error
    name = str(fields.get("name") or fields.get("id") or fields.get("title") or f"line {number}")
    kind = str(fields.get("kind") or "")
    for each in (text, name, kind):
        check_unicode(each, f"Line {number} of {file}")
    return Document(name, text, kind, repeats)


def from_dataset(name: str) -> Iterator[str]:
    """The column `text` of a data set's training split, streamed, as `datasets` finds it: `NAME` or
    `NAME/CONFIGURATION`.

    Raises:
        NotFound: there is none of that name here or on the Hub.
        BadInput: it has no column of that name.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        rows = load_dataset(name, split="train", streaming=True)
    except (DatasetsError, OSError, ValueError) as error:
        raise NotFound(
            f"There is no file, folder or data set {name!r}: {str(error).splitlines()[0]}",
            "a text file, .jsonl, a folder of them, or the name of a data set on the Hugging"
            " Face Hub",
            "Check the path or the name, and the connection.",
        ) from error
    for row in rows:
        if "text" not in row:
            raise BadInput(
                f"The data set {name} has no column `text`.",
                f"one of {', '.join(row)} as text",
                "Choose another.",
            )
        yield row["text"]


def named(ref: str, most: int) -> Iterator[str]:
    """The texts at a path or address, or of a data set.

    Args:
        most: bytes to read of a path; a data set is read as far as it is asked for.

    Raises:
        BadInput: it holds no texts. NotFound: there is no such data set.
    """
    path = text_files.text_path(ref)
    if text_files.is_remote(path) or path.expanduser().exists():
        yield from (document.text for document in from_path(path, most))
    else:
        yield from from_dataset(ref)


def paragraphs(path: Path, most: int = 64 << 20) -> Iterator[Document]:
    """The documents of a path; those of a single text file one by one, parted by empty lines.

    Raises:
        BadInput: as `from_path`.
    """
    found = text_files.find(path)
    whole = found.is_folder or (found.files and found.files[0].suffix == ".jsonl")
    for document in from_path(path, most):
        if whole:
            yield document
            continue
        for part in re.split(r"\n\s*\n", document.text):
            if part.strip():
                yield replace(document, name=" ".join(part.split())[:40], text=part.strip())
