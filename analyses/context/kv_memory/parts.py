"""The experiments of a kv-memory run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal["policies", "channels", "bits", "blocks", "episodes", "past-the-window"]


PAST = "past-the-window"


def no_window(model: InstrumentedModel) -> str | None:
    """Why nothing can be read past the window, or None."""
    if model.positions is not None:
        return f"its table of positions ends at {model.positions:,}"
    if model.card.context_length is None:
        return "its configuration does not say how long the texts were that it was trained on"
    return None


PARTS = [
    Part(
        "policies",
        "Policies and budgets",
        "How much is recalled when each policy keeps 5, 10, 25 or 50 % of the cache, beside the"
        " full one, chance and what knows the answer.",
        views=["Budgets", "What is kept", "Survival", "Turns"],
    ),
    Part(
        "channels",
        "Channels of the keys",
        "How many channels of the keys can go, chosen by ThinK's score, at random, or as the best"
        " truncation.",
        views=["Channels"],
    ),
    Part(
        "bits",
        "Fewer bits",
        "What is recalled from keys and values of 8, 4 and 2 bits.",
        views=["Bits"],
    ),
    Part(
        "blocks",
        "Blocks that are looked up",
        "Whether the block with the answer is fetched when each layer looks up a few blocks of the"
        " past (InfLLM).",
        views=["Blocks"],
    ),
    Part(
        "episodes",
        "Episodes",
        "The same with blocks that begin where the text surprises (EM-LLM), beside fixed and random"
        " ones.",
        views=["Episodes"],
    ),
    Part(
        "past-the-window",
        "Past the trained window",
        "Loss and recall beyond the length that the model was trained on, plainly and under"
        " LM-Infinite's mask.",
        unavailable_reason=no_window,
        views=["Past the window"],
    ),
]
DEFAULT: list[Name] = ["policies", "channels", "bits", "blocks", "episodes"]
PRESETS = {
    "quick": {"parts": ["policies"], "contexts": 3, "length": 256, "questions": 2},
    "paper": {"contexts": 40, "length": 1500, "questions": 5},
}
