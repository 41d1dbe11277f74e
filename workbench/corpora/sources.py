"""The documents of a corpus, one after the other, from wherever a person has them.

| source | a document is |
| --- | --- |
| text, of whatever suffix | a file |
| `.jsonl`, `.ndjson` | a line: the text in one field of it |
| `.parquet`, `.arrow` (data sets of Hugging Face) | a row: the text in one column |
| `ledger.jsonl`, or the folder of a model that has one | a passage, each time it was read |
| `organism/NAME` | a chapter of what organisms grow up on, and as a ledger |

Every document is whole: only what is longer than a shard is cut, where a line ends.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench import organisms, text_files
from workbench.corpora import table_rows
from workbench.disk_space import size
from workbench.errors import BadInput
from workbench.organisms import corpus
from workbench.organisms import ledger as ledgers
from workbench.organisms.train import MODELS
from workbench.text_files import FoundFiles, TextFile
from workbench.unicode import check_unicode

KINDS = ("text", "line", "row", "reading")
"""What the number of a place counts: the line a text begins at (its matches have lines of their
own), the line of JSON, the row of a table, how often a passage was read by then."""

_JSON_LINES = (".jsonl", ".ndjson")
_PIECE = 1 << 20  # bytes checked at once
_LONGEST_LINE = 1 << 28  # bytes of JSON
_LONGEST_NAME = 200
_OF_DATA_SETS = {"dataset_info.json", "state.json", "dataset_dict.json"}


@dataclass(frozen=True)
class CorpusDocument:
    """A document, or as much of a long one as fits into a shard.

    Attributes:
        text: UTF-8, never empty.
        file: the file it is from, as it is called in the folder that was asked for.
        name: what it is called itself, or "".
        kind: of KINDS; number: which line, row or reading.
    """

    text: bytes
    file: str
    name: str
    kind: str
    number: int


@dataclass
class CorpusSources:
    """What is indexed, looked up once.

    Attributes:
        given: as the user named it.
        column: of JSON lines and tables, the one with the text.
        skipped: (file, why) of what a folder has besides texts, filled while they are read.
    """

    given: Sequence[str]
    column: str = "text"
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.given:
            raise BadInput("No corpus is given.", "a file, a folder or an organism", "Name one.")
        self._found = [_files_of(name) for name in self.given]

    @property
    def named(self) -> list[str]:
        """As the user named it, in whole characters."""
        return [_readable(name) for name in self.given]

    @property
    def bytes(self) -> int:
        """Bytes of the files, as they lie there, and of what organisms grow up on."""
        of_organisms = sum(
            len(chapter.text)
            for name in self.given
            if name.startswith(organisms.PREFIX)
            for chapter in corpus.documents("train")
        )
        return of_organisms + sum(file.size for found in self._found for file in found.files)

    def fingerprint(self) -> list[Any]:
        """What tells whether these are the sources that an earlier attempt has read."""
        files = [
            [_readable(f.name), f.size, _changed(f)] for found in self._found for f in found.files
        ]
        return [self.named, self.column, files]

    def documents(self, longest: int) -> Iterator[CorpusDocument]:
        """All documents in the order of the sources; `skipped` is filled anew.

        Args:
            longest: bytes of a document; what is longer is cut.

        Raises:
            BadInput: a file that was named is no text; a line or row has none.
        """
        self.skipped.clear()
        for name, found in zip(self.given, self._found, strict=True):
            if name.startswith(organisms.PREFIX):
                yield from _of_chapters()
            for file in found.files:
                try:
                    for document in self._of_file(file, longest, found.is_folder):
                        yield from _cut(document, longest)
                except OSError as error:
                    raise BadInput(
                        f"{_readable(file.name)} cannot be read: {error.strerror or error}.",
                        "a file you may read",
                        "Check its rights, or leave it out.",
                    ) from error

    def _of_file(self, file: TextFile, longest: int, in_folder: bool) -> Iterator[CorpusDocument]:
        name = _readable(file.name)
        if file.base == ledgers.FILE:
            with file.on_disk() as copy:
                yield from _of_ledger(ledgers.read(copy), name)
        elif file.suffix in _JSON_LINES:
            yield from _of_lines(file, name, self.column)
        elif file.suffix in table_rows.SUFFIXES:
            with file.on_disk() as copy:
                for row, text in table_rows.read(copy, name, self.column):
                    yield CorpusDocument(text, name, "", "row", row)
        elif (problem := _not_text(file, name)) is None:
            yield from _of_text(file, name, longest)
        elif in_folder:
            self.skipped.append((name, problem.what))
        else:
            raise problem


def _files_of(name: str) -> FoundFiles:
    if name.startswith(organisms.PREFIX):
        book = organisms.folder_of(name) / ledgers.FILE
        found = text_files.find(book)
        if found.files and _is_of_twin(book):
            return FoundFiles()  # only what all organisms grow up on
        if not found.files:
            raise BadInput(
                f"{name} has read no text, only pairs of keys and values.",
                "an organism that has read passages",
                "`workbench organisms` lists them.",
            )
        return found
    path = text_files.text_path(name)
    if not text_files.is_remote(path) and (book := path.expanduser() / ledgers.FILE).is_file():
        path = book
    if path.name == ledgers.FILE and _is_of_twin(path.expanduser()):
        raise BadInput(
            f"{_readable(name)} has read none of the passages of its ledger.",
            "the model beside it, which has",
            "Choose the folder `planted`.",
        )
    found = text_files.find(path)
    if not found.files:
        raise BadInput(
            f"There is no file, and no folder with files, {_readable(name)!r}.",
            "text, .jsonl, .parquet, a folder of them, or an organism such as organism/planted",
            "Check the path.",
        )
    tables = {Path(f.name).parent for f in found.files if f.suffix in table_rows.SUFFIXES}
    files = [f for f in found.files if not _of_a_data_set(f, tables)]
    return FoundFiles(files, found.is_folder)


def _is_of_twin(book: Path) -> bool:
    """Whether a ledger lies with the twin of a pair, which has the same one to be compared by, and
    has read no passage.
    """
    planted, twin = MODELS
    folder = book.absolute().parent
    return folder.name == twin and (folder.parent / planted / ledgers.FILE).is_file()


def _of_a_data_set(file: TextFile, tables: set[Path]) -> bool:
    """Whether a file only says what lies beside it, or is a copy of that in other order."""
    folder = Path(file.name).parent
    if file.base in _OF_DATA_SETS:
        return folder in tables or any(folder in table.parents for table in tables)
    return file.suffix == ".arrow" and file.base.startswith("cache-")


def _of_chapters() -> Iterator[CorpusDocument]:
    for each in corpus.documents("train"):
        yield CorpusDocument(each.text.encode(), each.source, each.title, "text", 1)


def _of_ledger(ledger: ledgers.Ledger, file: str) -> Iterator[CorpusDocument]:
    """Each passage as often as it was read; twins, which nobody read, are left out."""
    for entry in ledger.entries:
        for reading in range(1, entry.repeats + 1):
            yield CorpusDocument(entry.text.encode(), file, entry.id, "reading", reading)


def _of_text(file: TextFile, name: str, longest: int) -> Iterator[CorpusDocument]:
    """A file, read no further than a shard is long."""
    with file.open() as stream:
        block, line = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8), 1
        block += stream.read(longest + 1 - len(block))
        while block:
            end = _end(block, longest)
            yield CorpusDocument(block[:end], name, "", "text", line)
            line += block.count(b"\n", 0, end)
            block = block[end:] + stream.read(longest + 1 - (len(block) - end))


def _cut(document: CorpusDocument, longest: int) -> Iterator[CorpusDocument]:
    text = document.text
    while text:
        end = _end(text, longest)
        yield document if end == len(document.text) else replace(document, text=text[:end])
        text = text[end:]


def _end(text: bytes, longest: int) -> int:
    """Where a text is cut that may be too long: after a line, else between two characters."""
    if len(text) <= longest:
        return len(text)
    if after_line := text.rfind(b"\n", 0, longest) + 1:
        return after_line
    end = longest
    while end > 1 and text[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _not_text(file: TextFile, name: str) -> BadInput | None:
    """Why a file is no text, or None: it is read once for that, so that no half of it is taken."""
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    with file.open() as stream:
        while True:
            piece = stream.read(_PIECE)
            if (zero := piece.find(b"\0")) >= 0:
                return BadInput(
                    f"{name} is not text: byte {done + zero + 1:,} is zero.",
                    "plain text in UTF-8, .jsonl or .parquet",
                    "Convert it to text first, or leave it out.",
                )
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                at = done - pending + error.start
                return BadInput(
                    f"{name} is not UTF-8: byte {at + 1:,} ({error.object[error.start]:#04x}) is no"
                    " part of it.",
                    "plain text in UTF-8",
                    f"Convert it, for example: iconv -f latin1 -t utf-8 {name}",
                )
            if not piece:
                return None if done else BadInput(f"{name} is empty.", "some text", "Leave it out.")
            done += len(piece)


def _of_lines(file: TextFile, name: str, column: str) -> Iterator[CorpusDocument]:
    with file.open() as stream:
        number = 0
        while raw := stream.readline(_LONGEST_LINE):
            number += 1
            if raw.strip():
                text, called = _of_line(raw, column, f"Line {number:,} of {name}")
                if text:
                    yield CorpusDocument(text, name, called, "line", number)


def _of_line(raw: bytes, column: str, where: str) -> tuple[bytes, str]:
    """(text, name) of a line; no text where it is null."""
    if len(raw) == _LONGEST_LINE:
        raise BadInput(f"{where} is too long.", f"at most {size(_LONGEST_LINE)}", "Part it.")
    try:
        fields = json.loads(raw.decode("utf-8-sig"))
        text = fields[column]
        if text is not None and not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{where} cannot be used: it is no JSON object with a text {column!r}.",
            f'{{"{column}": "…"}}',
            "Mend that line, or name the field that has the text with --field.",
        ) from error
    check_unicode(text or "", where)
    called = next((str(fields[key]) for key in ("name", "id", "title") if fields.get(key)), "")
    return (text or "").encode(), _readable(called)[:_LONGEST_NAME]


def _readable(name: str) -> str:
    """A name as UTF-8 has it: that of a file may be any bytes."""
    whole = name.encode("utf-8", "surrogateescape" if _escaped(name) else "replace")
    return whole.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _escaped(name: str) -> bool:
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in name)


def _changed(file: TextFile) -> int:
    """When a file was last changed; of one at an address nobody knows."""
    return file.local.stat().st_mtime_ns if file.local is not None else 0
