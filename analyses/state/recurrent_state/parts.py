"""The experiments of a recurrent-state run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from analyses.state.recurrent_state.layers import no_kernels, no_router
from workbench.errors import BadInput, SiteNotFound
from workbench.parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from hooks.model import InstrumentedModel

    Reason = Callable[[InstrumentedModel], str | None]

Name = Literal[
    "reading",
    "pairs",
    "interference",
    "probes",
    "fading",
    "router",
    "wiping",
    "spans",
    "patching",
    "kernels",
]


def no_curves(model: InstrumentedModel) -> str | None:
    """Why neither decay nor gates can be read, or None."""
    from hooks.gates import gated_layers

    return None if gated_layers(model) else no_kernels(model)


def with_pairs(reason: Reason) -> Reason:
    """A reason, or why no pairs can be written for a model."""

    def unavailable_reason(model: InstrumentedModel) -> str | None:
        from analyses.measures.pair_questions import too_few_words

        return reason(model) or too_few_words(model)

    return unavailable_reason


def no_states_to_change(model: InstrumentedModel) -> str | None:
    """Why no state of this model can be put in, or None."""
    from hooks.state_changes import changeable_states

    if why_not := no_kernels(model):
        return why_not
    try:
        changeable_states(model, None)
    except (BadInput, SiteNotFound) as error:
        return error.what
    return None


PARTS = [
    Part(
        "reading",
        "What is held, token by token",
        "Implicit attention, what every token writes and loses, and how long it lasts.",
        views=["Reading", "Ledger", "Damage", "Spectrum"],
    ),
    Part(
        "pairs",
        "Rewriting a pair",
        "Whether the answer follows when one pair in the state is erased or rewritten, against a"
        " random rewrite of equal size.",
        unavailable_reason=with_pairs(no_states_to_change),
        views=["Pairs"],
    ),
    Part(
        "interference",
        "What is forgotten",
        "Whether what a question reads out of a crowded state tells which pairs are not recalled.",
        unavailable_reason=with_pairs(no_kernels),
        views=["Forgotten"],
    ),
    Part(
        "probes",
        "What can be decoded",
        "Which of the past values a linear probe finds in the state, with its controls.",
        unavailable_reason=with_pairs(no_kernels),
        views=["Probes"],
    ),
    Part(
        "fading",
        "How it fades",
        "How many pairs are recalled behind other text, and whether renewing the state cures it.",
        unavailable_reason=with_pairs(no_states_to_change),
        views=["Fading"],
    ),
    Part(
        "router",
        "Which memory",
        "Of a mixture of memories: which one pairs are written to and asked from, and what"
        " silencing one takes away.",
        unavailable_reason=with_pairs(no_router),
        views=["Memories"],
    ),
    Part(
        "wiping",
        "Where the answer is held",
        "What wiping each layer's state after each token does to the answer.",
        unavailable_reason=no_states_to_change,
        views=["Wiping"],
    ),
    Part(
        "spans",
        "What a stretch gives",
        "What freezing or wiping a stretch of the text does to the answer, against all other"
        " stretches of its length.",
        unavailable_reason=no_states_to_change,
        views=["Spans"],
    ),
    Part(
        "patching",
        "Another prompt's states",
        "How far the state of another prompt, put in at each layer and token, moves the answer,"
        " against states of prompts at random.",
        unavailable_reason=no_states_to_change,
        views=["Patching"],
    ),
    Part(
        "kernels",
        "Kernels and gates",
        "How long each channel remembers by itself, and when its gates open.",
        unavailable_reason=no_curves,
        views=["Kernels", "Gates"],
    ),
]
DEFAULT: list[Name] = ["reading", "pairs", "interference", "probes"]
PRESETS = {
    "quick": {"parts": ["reading", "pairs"], "rows": 16},
    "paper": {"rows": 200, "sequences": 6000, "lags": [0, 1, 2, 3, 5, 7]},
}
