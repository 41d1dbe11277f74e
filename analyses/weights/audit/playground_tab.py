"""The Playground's tab *Audit this model*."""

from __future__ import annotations

from typing import Any

from analyses.weights.audit.constants import FIELDS
from workbench.playground import DocumentsForm, Playground

_SIZES = {
    "quick": {"passages": 300, "values": 100, "facts": 200, "items": 100},
    "thorough": {"passages": 5000, "values": 1000, "facts": 2000, "items": 1000},
}


def params(fields: list[str], depth: str) -> dict[str, Any]:
    """How much is looked at, and which personal data."""
    return {"fields": fields, **_SIZES[depth]}


playground = Playground(
    form=DocumentsForm(
        tab="audit",
        title="Audit this model",
        button="Audit",
        empty=(
            "<strong>Nothing was audited yet.</strong> Drop what the model must not give away, or"
            " should not have read: <b>documents</b> (plain text), <b>facts</b> (a table with the"
            " columns prompt and answer), <b>test items</b> (JSON lines with question and"
            " options), all together. What each file is, is told by what stands in it. <b>Personal"
            " data</b> is looked for in the documents. You get a verdict for each kind, what it"
            " proves and what it does not, and a PDF."
        ),
        frame="Audit of this model: the run in the Explorer",
        fields=FIELDS,
        depths=(("Quick: minutes on a small model", "quick"), ("Thorough", "thorough")),
        params=params,
        view="",
    )
)
