"""What an audit is given, sorted: documents, facts and test items, from files or a pasted text.

What a file is, is told by what stands in it: rows with a question and options are test items, rows
with a prompt and an answer facts, all else documents. Documents are read one after the other, and
never all of them are held.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from analyses.weights.audit.table_rows import (
    EXPECTED,
    BenchmarkItem,
    FactQuestion,
    UnusableRow,
    fact_of,
    item_of,
    kind_of,
    rows_of,
)
from workbench import organisms, text_files, texts
from workbench.errors import BadInput
from workbench.organisms import ledger as ledgers
from workbench.text_files import FoundFiles, TextFile
from workbench.text_preview import TextPreview
from workbench.texts import Document
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel

_ROWS = (".jsonl", ".csv", ".tsv")
_MOST_ROWS = 100_000
"""Of one file: what is drawn by lot is drawn from these."""
PASTED = "your text"
_REST = "; what follows was not read"
_PREVIEW = "What is asked"
_Row = TypeVar("_Row")


class SkippedMaterial(NamedTuple):
    """What is not asked, why, and how many things it is."""

    name: str
    reason: str
    n: int = 1


@dataclass
class AuditMaterial:
    """What was given.

    Attributes:
        files: those of documents.
        pasted: a document that was pasted; "" if none.
        ledger: of the model, where nothing was given.
        facts, items: the rows that can be asked.
        left_out: what is not asked, with the reason.
    """

    files: list[TextFile] = field(default_factory=list)
    pasted: str = ""
    ledger: ledgers.Ledger | None = None
    facts: list[FactQuestion] = field(default_factory=list)
    items: list[BenchmarkItem] = field(default_factory=list)
    left_out: list[SkippedMaterial] = field(default_factory=list)
    _unread: set[str] = field(default_factory=set, init=False)

    @property
    def has_documents(self) -> bool:
        return bool(self.files or self.pasted or self.ledger)

    @property
    def size(self) -> int:
        """Bytes of the documents, about."""
        planted = self.ledger.entries if self.ledger is not None else []
        texts_here = len(self.pasted) + sum(len(entry.text) for entry in planted)
        return texts_here + sum(file.size for file in self.files)

    def leave_out(self, name: str, reason: str, n: int = 1) -> None:
        """Note what is not asked.

        Args:
            n: how many things it is.
        """
        self.left_out.append(SkippedMaterial(name, reason.rstrip("."), n))

    def drawn(self, rows: list[_Row], most: int, draw: random.Random, noun: str) -> list[_Row]:
        """So many rows by lot, in their order; that there are others is noted."""
        if len(rows) <= most:
            return rows
        left = len(rows) - most
        self.leave_out(counted(left, noun), f"not among the {most:,} drawn by lot", left)
        return [rows[i] for i in sorted(draw.sample(range(len(rows)), most))]

    def documents(self) -> Iterator[Document]:
        """Every document, a long one in pieces. What cannot be read is noted, once."""
        if self.pasted:
            yield Document(PASTED, self.pasted)
        if self.ledger is not None:
            yield from texts.from_ledger(self.ledger.entries)
        for file in self.files:
            began = False
            try:
                with file.on_disk() as copy:
                    for document in texts.from_path(copy, max(1, file.size)):
                        began = True
                        name = file.name
                        if document.name != copy.name:
                            name = f"{name}: {document.name}"
                        yield replace(document, name=name)
            except BadInput as problem:
                if file.name not in self._unread:
                    self._unread.add(file.name)
                    self.leave_out(file.name, f"{problem.what.rstrip('.')}{_REST if began else ''}")

    def nothing_to_ask(self) -> BadInput:
        """What to raise where all that was given is left out."""
        name, why, _ = (*self.left_out, SkippedMaterial("The folder", "it is empty"))[0]
        what = f"Nothing of what is given can be asked. {name}: {why}."
        return BadInput(what, EXPECTED, "Mend what is given, or give more of it.")

    @property
    def says(self) -> str:
        """What there is, in words."""
        there = []
        if self.ledger is not None:
            there.append("the texts that were planted in this model")
        if self.pasted:
            there.append("a pasted text")
        if self.files:
            there.append(f"{counted(len(self.files), 'file')} of texts")
        if self.facts:
            there.append(counted(len(self.facts), "fact"))
        if self.items:
            there.append(counted(len(self.items), "test item"))
        return ", ".join(there)


def material_of(model: InstrumentedModel, params: Params) -> AuditMaterial:
    """What the parameters name; without a text or path, what was planted in the model.

    Raises:
        BadInput: nothing is given, or nothing of it can be asked.
    """
    return _sorted_material(model, params, _files(params, text_files.find))


def recent_material(model: InstrumentedModel, params: Params) -> AuditMaterial:
    """As `material_of`; what was sorted last is not sorted again as long as files have the same
    names and sizes. For forms and estimates, which ask at every change and change nothing of it.

    Raises:
        BadInput: as `material_of`.
    """
    if not params.text.strip() and params.path is None:
        return material_of(model, params)
    files = _files(params, text_files.find_recent)
    key = (params.text, params.path, tuple((file.name, file.size) for file in files))
    found = _last.get(key)
    if found is None:
        found = _sorted_material(model, params, files)
        _last.clear()
        _last[key] = found
    return found


_last: dict[Hashable, AuditMaterial] = {}


def _files(params: Params, find: Callable[[Path], FoundFiles]) -> list[TextFile]:
    """Those that are asked for; a pasted text goes before a path."""
    return [] if params.text.strip() or params.path is None else find(params.path).files


def _sorted_material(
    model: InstrumentedModel, params: Params, files: Sequence[TextFile]
) -> AuditMaterial:
    found = AuditMaterial()
    if params.text.strip():
        _sort_pasted(found, params.text)
    elif params.path is not None:
        for file in files:
            _sort_file(found, file)
    else:
        home = organisms.home_of(model.module)
        if home is None:
            raise BadInput(
                "There is nothing to audit.",
                "files, or a pasted text",
                "Drop files, or paste a text. On the command line: --set path=FOLDER.",
            )
        found.ledger = texts.ledger_at(home)
        found.ledger.check(model.tokenizer)
    if not (found.has_documents or found.facts or found.items):
        raise found.nothing_to_ask()
    return found


def _sort_pasted(found: AuditMaterial, text: str) -> None:
    """A pasted text is rows where each of its lines is one, else a document."""
    raw = text.strip().encode("utf-8", "surrogatepass")
    for suffix in (".jsonl", ".csv"):
        try:
            first = next(rows_of(io.BytesIO(raw), suffix))[1]
        except (UnusableRow, StopIteration, UnicodeDecodeError):
            continue
        if (kind := kind_of(first)) in ("facts", "items"):
            file = TextFile(f"{PASTED}{suffix}", len(raw), lambda: io.BytesIO(raw))
            _read_rows(found, file, kind)
            return
    found.pasted = text


def _sort_file(found: AuditMaterial, file: TextFile) -> None:
    if file.suffix in _ROWS and file.base != ledgers.FILE:
        try:
            with file.open() as stream:
                first = next(rows_of(stream, file.suffix), None)
        except (UnicodeDecodeError, UnusableRow, OSError) as problem:
            found.leave_out(file.name, _reason(problem))
            return
        kind = "" if first is None else kind_of(first[1])
        if kind in ("facts", "items"):
            _read_rows(found, file, kind)
            return
        if file.suffix == ".jsonl" and kind != "documents":
            why = "it is empty" if first is None else "its rows are no texts, facts or test items"
            found.leave_out(file.name, why)
            return
    if file.suffix not in (*texts.TEXTS, ".jsonl"):
        why = f"{file.suffix} is not read; save it as text"
        found.leave_out(file.name, why)
        return
    found.files.append(file)


def _read_rows(found: AuditMaterial, file: TextFile, kind: str) -> None:
    """Add the rows of a file that can be asked; the others are left out, each with its line."""
    try:
        with file.open() as stream:
            for count, (line, row) in enumerate(rows_of(stream, file.suffix)):
                if count >= _MOST_ROWS:
                    found.leave_out(file.name, f"rows after the first {_MOST_ROWS:,}")
                    break
                name = f"{file.name}, line {line}"
                try:
                    if kind == "facts":
                        found.facts.append(fact_of(name, row))
                    else:
                        found.items.append(item_of(name, row))
                except UnusableRow as problem:
                    found.leave_out(name, str(problem))
    except (UnicodeDecodeError, UnusableRow, OSError) as problem:
        found.leave_out(file.name, f"{_reason(problem)}{_REST}")


def _reason(problem: Exception) -> str:
    """Why a file, or the rest of it, is not read."""
    if isinstance(problem, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(problem, OSError):
        return f"it cannot be read: {problem.strerror or problem}"
    return str(problem)


def preview(model: InstrumentedModel, params: Params) -> TextPreview | None:
    """What each file is taken for; None where nothing is given."""
    if not params.text.strip() and params.path is None and organisms.home_of(model.module) is None:
        return None
    try:
        found = recent_material(model, params)
    except BadInput as problem:
        return TextPreview(f"{problem.what} {problem.expected}".strip(), title=_PREVIEW)
    says = f"{found.says[:1].upper()}{found.says[1:]}."
    if found.left_out:
        name, why, _ = found.left_out[0]
        more = f", and {len(found.left_out) - 1:,} more" if len(found.left_out) > 1 else ""
        says += f" Left out: {name} ({why}){more}."
    return TextPreview(says, title=_PREVIEW)
