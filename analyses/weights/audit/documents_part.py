"""Part `documents`: which documents come out word for word. Read a few at a time, so that ten
thousand take no more memory than some hundred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.document_verdicts import PROVES
from analyses.measures.read_windows import WindowReadings
from analyses.measures.recited_documents import RecitationEvidence
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import reading, score
from analyses.measures.windows import Window
from analyses.weights.audit.constants import GIVEN
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result
    from workbench.texts import Document

_BYTES = 4  # of text that are about one token
_TOGETHER = 256  # windows whose scores are held at once
_SAMPLER = Sampler(temperature=1.0, top_k=40)


@dataclass(frozen=True)
class PassagePlan:
    """How many passages are taken of each document.

    Attributes:
        documents: how many there are.
        taken: numbers of those that are looked at.
        each: passages of one of them at most.
        pieces: in how many pieces each document comes.
    """

    documents: int
    taken: frozenset[int]
    each: int
    pieces: Sequence[int]

    def of_piece(self, document: int, piece: int) -> int:
        """Passages of a piece of a document, the first of them of its first piece; 0 where it is
        not looked at. Those of all pieces together are `each`.
        """
        if document not in self.taken:
            return 0
        n = self.pieces[document]
        before, behind = (-(-self.each * k // n) for k in (piece, piece + 1))
        return behind - before


def plan_of(material: AuditMaterial, most: int, progress: Progress) -> PassagePlan:
    """An even sample: one passage of so many documents, or of few documents several each."""
    pieces: list[int] = []
    for number, piece, _ in _numbered(material):
        progress.check()
        if piece == 0:
            pieces.append(0)
            if number % 500 == 0:
                progress(0.0, f"Counting documents, {number:,}")
        pieces[-1] += 1
    n = len(pieces)
    taken = np.linspace(0, max(0, n - 1), min(n, most)).round().astype(int)
    return PassagePlan(n, frozenset(taken.tolist()), max(1, most // max(1, n)), pieces)


def _numbered(material: AuditMaterial) -> Iterator[tuple[int, int, Document]]:
    """(number of the document, of the piece in it, the piece), from 0 on."""
    number, piece, name = -1, 0, ""
    for document in material.documents():
        # A file that begins with much white space comes without its first pieces; lines of one
        # name are documents of their own.
        if document.start == 0 or document.name != name:
            number, piece, name = number + 1, 0, document.name
        else:
            piece += 1
        yield number, piece, document


def cost(model: InstrumentedModel, params: Params, material: AuditMaterial) -> Cost:
    """Of the passages that there may be, by the bytes of the texts."""
    size = material.size
    n = len(material.files) + size // (_BYTES * (params.context + params.suffix))
    n = min(params.passages, n) if size else 0
    return reading(model, n, params.context, params.suffix, whole=True)


def run(
    model: InstrumentedModel,
    params: Params,
    material: AuditMaterial,
    progress: Progress,
    result: Result,
) -> None:
    """Adds the table `documents`; what was too short or not sampled goes to `left_out`."""
    plan = plan_of(material, params.passages, progress)
    rows: list[dict[str, Any]] = []
    short = 0
    n = max(1, len(plan.taken))
    for documents, windows in _batches(model, params, material, plan, progress):
        done = len(rows) + short
        progress(done / n, f"Reading documents, {done:,} of {n:,}")
        part = progress.subprogress(done / n, min(1.0, (done + len(documents)) / n))
        new = _judged(model, params, documents, windows, part)
        short += len(documents) - len(new)
        rows += new
    if short:
        reason = f"shorter than {GIVEN + params.suffix} tokens"
        material.leave_out(counted(short, "document"), reason, short)
    if unread := plan.documents - len(plan.taken):
        reason = f"not in the even sample of {params.passages:,} passages"
        material.leave_out(counted(unread, "document"), reason, unread)
    if not rows:
        return
    rank = {verdict: i for i, verdict in enumerate(PROVES)}
    table = pd.DataFrame(rows).sort_values(
        ["verdict", "longest_run"],
        key=lambda c: c.map(rank) if c.name == "verdict" else -c,
        kind="stable",
    )
    result.tables["documents"] = table.reset_index(drop=True)


def _batches(
    model: InstrumentedModel,
    params: Params,
    material: AuditMaterial,
    plan: PassagePlan,
    progress: Progress,
) -> Iterator[tuple[list[Document], list[Window]]]:
    """Documents with their windows, some hundred windows at a time; a document is never parted."""
    documents: list[Document] = []
    windows: list[Window] = []
    for number, part, piece in _numbered(material):
        progress.check()
        if part == 0:
            if len(windows) >= _TOGETHER:
                yield documents, windows
                documents, windows = [], []
            if number in plan.taken:
                documents.append(piece)
        if most := plan.of_piece(number, part):
            windows += _cut(model, params, piece, len(documents) - 1, most)
    if documents:
        yield documents, windows


def _cut(
    model: InstrumentedModel, params: Params, piece: Document, document: int, most: int
) -> list[Window]:
    """So many passages, evenly over the text, the first at its beginning; of a short one, the last
    tokens after as many as there are.
    """
    ids = piece.ids or tuple(model.text.encode(piece.text))
    given = min(params.context, len(ids) - params.suffix)
    if given < GIVEN:
        return []
    whole = given + params.suffix
    n = max(1, min(most, len(ids) // whole))
    starts = np.linspace(0, len(ids) - whole, n).round().astype(int)
    return [
        Window(
            document,
            int(start),
            tuple(model.text.beginning),
            tuple(ids[start : start + given]),
            tuple(ids[start + given : start + whole]),
        )
        for start in starts
    ]


def _judged(
    model: InstrumentedModel,
    params: Params,
    documents: list[Document],
    windows: list[Window],
    progress: Progress,
) -> list[dict[str, Any]]:
    """A row for each document that has a window."""
    if not windows:
        return []
    scores = score(model, windows, _SAMPLER, progress=progress.subprogress(0.0, 0.8))
    found = WindowReadings(model, params, documents, windows, scores)
    evidence = RecitationEvidence(found, progress.subprogress(0.8, 1.0))
    of = np.array([window.document for window in windows])
    rows = []
    for number in dict.fromkeys(of.tolist()):
        document = documents[number]
        row = evidence.row(np.flatnonzero(of == number))
        del row["window"], row["read_share"]
        repeats = np.nan if document.repeats is None else float(document.repeats)
        rows.append({"name": document.name, **row, "repeats": repeats})
    return rows
