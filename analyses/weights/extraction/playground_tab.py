"""The Playground's tab for documents: can this model reproduce them?"""

from __future__ import annotations

from typing import Any

from workbench.playground import DocumentsForm, Playground
from workbench.texts import TEXTS


def params(given: int, wanted: int, passages: int) -> dict[str, Any]:
    """Passages side by side, and no test of membership, which needs texts to compare with."""
    return {
        "context": [given],
        "suffix": wanted,
        "stride": wanted,
        "max_windows": passages,
        "parts": ["verbatim", "near_verbatim"],
    }


playground = Playground(
    form=DocumentsForm(
        tab="documents",
        title="My documents",
        button="Can it reproduce them?",
        empty=(
            "<strong>No documents were tested yet.</strong> Each document is cut into passages. The"
            " model is given the text before a passage, and its continuation is compared with the"
            " passage. Every document long enough for a passage gets a verdict, with the passage it"
            f" rests on. Files may be {', '.join(TEXTS[:3])} and other plain text, or .jsonl."
        ),
        frame="Can this model reproduce my documents? The run in the Explorer",
        params=params,
        view="Documents",
    )
)
