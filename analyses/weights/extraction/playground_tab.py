"""The Playground's tab for whoever has documents and a question: can this model recite them?"""

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
        button="Can it recite them?",
        empty=(
            "<strong>Nothing was asked yet.</strong> Each document is cut into passages; the model"
            " is given the words before a passage, and what it says is compared with what stands"
            " there. Every document long enough for a passage gets a verdict, with the passage it"
            f" rests on. Files may be {', '.join(TEXTS[:3])} and other plain text, or .jsonl."
        ),
        frame="Can this model recite my documents? The run in the Explorer",
        params=params,
    )
)
