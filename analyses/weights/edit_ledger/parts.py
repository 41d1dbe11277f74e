"""The experiments of an edit-ledger run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["single", "layers", "robust", "ledger"]
PARTS = [
    Part(
        "single",
        "One edit at a time",
        "Each fact is edited alone, by each method, and everything else is asked again: other"
        " wordings, neighbours, negation, two steps, neutral text; beside no edit, a random"
        " direction and a random layer.",
        views=["Methods", "Answers"],
    ),
    Part(
        "layers",
        "Which layer to edit",
        "The same facts edited in several layers, one at a time.",
        views=["Layers"],
    ),
    Part(
        "robust",
        "Asked otherwise",
        "Whether an edit holds behind other text, at the end of a dialogue, and when it is"
        " doubted, and how often the old answer comes back.",
        stands_on=["single"],
        views=["Robust"],
    ),
    Part(
        "ledger",
        "Edit after edit",
        "Edits follow each other in one model, and after each batch all earlier ones are asked"
        " again; any one is then taken out.",
        views=["Ledger", "Drift"],
    ),
]
DEFAULT: list[Name] = ["single"]
PRESETS = {
    "quick": {"parts": ["single"], "methods": ["memit", "in-context"], "facts": 4},
    "paper": {
        "parts": ["single", "layers", "robust", "ledger"],
        "methods": [
            "r-rome",
            "rome",
            "memit",
            "alphaedit",
            "fine-tune",
            "fine-tune-bounded",
            "lora",
            "grace",
            "wise",
            "in-context",
        ],
        "facts": 40,
        "edits": 200,
        "sequences": ["r-rome", "rome", "memit", "alphaedit"],
    },
}
