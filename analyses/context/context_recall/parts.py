"""The experiments of a context-recall run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "needles", "wordings", "position", "interference", "heads", "passkey", "contiguity",
    "documents", "ruler", "missing", "order", "repetition", "sessions", "own",
]  # fmt: skip


def no_attention(model: InstrumentedModel) -> str | None:
    """Why heads that read the context cannot be looked for, or None."""
    from hooks.sweeps.knockout import attention_layers

    if attention_layers(model) and "z" in model.sites:
        return None
    return (
        "it has no attention heads that could fetch an answer; the other parts ask it all the same"
    )


PARTS = [
    Part(
        "needles",
        "Needles",
        "How often a fact is found in other text, by its depth and the text's length.",
        views=["Needles", "Controls"],
    ),
    Part(
        "wordings",
        "Wordings",
        "Whether the fact, its wording, the question's wording, the text around it or its depth"
        " matter most.",
        views=["What matters"],
    ),
    Part(
        "position",
        "Serial position",
        "Which items of a list are found: the first, the last, those in between.",
        views=["Position"],
    ),
    Part(
        "interference",
        "Interference",
        "Whether further items or mere distance make it lose an item, and which items do.",
        views=["Interference"],
    ),
    Part(
        "heads",
        "Retrieval heads",
        "Which heads look at the answer when it is said, and what is lost without them.",
        unavailable_reason=no_attention,
        views=["Heads", "Without them"],
    ),
    Part(
        "passkey",
        "Passkey",
        "A number among repeated sentences, by depth and length: the easiest test.",
        views=["Passkey"],
    ),
    Part(
        "contiguity",
        "Free recall",
        "Which word of a list is recalled after which: its neighbours, and which of them first.",
        views=["Contiguity"],
    ),
    Part(
        "documents",
        "Documents",
        "Which of several passages is found that answers a question (Liu et al. 2023).",
        views=["Further tasks"],
    ),
    Part(
        "ruler",
        "Keys, values, variables",
        "Several keys, several values of one key, and chains of variables (RULER).",
        views=["Further tasks"],
    ),
    Part(
        "missing",
        "Missing number",
        "Which number of a shuffled range is missing, and how often a listed one is said instead.",
        views=["Further tasks"],
    ),
    Part(
        "order",
        "Order",
        "Which of two sentences came first, with the text and without it (SORT).",
        views=["Further tasks"],
    ),
    Part(
        "repetition",
        "Repetition",
        "What reading a pair twice gives, at once or apart.",
        views=["Further tasks"],
    ),
    Part(
        "sessions",
        "Sessions",
        "Conversations on several days: facts, updates, what was never said, a standing rule.",
        views=["Further tasks"],
    ),
    Part(
        "own",
        "Your own contexts",
        "The questions of your own file, each with what is said instead.",
        needs=["contexts_file"],
        views=["Your own"],
    ),
]
DEFAULT: list[Name] = ["needles", "wordings", "position", "interference", "heads", "own"]
PRESETS = {
    "quick": {
        "parts": ["needles", "position"],
        "lengths": "128, 256, 512",
        "lists": 12,
    },
    "paper": {
        "lengths": "256, 512, 1024, 2048, 4096",
        "depths": 11,
        "needles": 9,
        "lists": 200,
        "pairs": 20,
    },
}
