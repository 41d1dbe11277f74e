"""The Playground's tab for editing: a fact is typed and changed, anything is asked, and it is
undone.
"""

from __future__ import annotations

from typing import Any

from analyses.weights.edit_ledger.constants import METHODS
from workbench.playground import FactForm, Playground

_OFFERED = ("memit", "r-rome", "alphaedit", "lora")  # those whose change a run keeps


def params(subject: str, prompt: str, answer: str, method: str) -> dict[str, Any]:
    """One fact, by one method."""
    return {
        "parts": ["single"],
        "subject": subject,
        "prompt": prompt,
        "answer": answer,
        "methods": [method],
    }


playground = Playground(
    form=FactForm(
        tab="edit",
        title="Edit",
        button="Change this fact",
        empty=(
            "<strong>Nothing was changed yet.</strong> The fact is changed in the weights, and"
            " everything around it is asked before and after: other wordings, other subjects, other"
            " facts about this one. The model itself stays as it is: the change is put on only"
            " while it is asked."
        ),
        frame="What the change of this fact did: the run in the Explorer",
        view="Answers",
        prompt="The capital of {subject} is",
        subject="France",
        answer="Rome",
        methods={METHODS[name]: name for name in _OFFERED},
        params=params,
    )
)
