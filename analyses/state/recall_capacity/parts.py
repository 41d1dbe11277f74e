"""The experiments of a recall-capacity run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "recall",
    "state_size",
    "outer_product",
    "memories",
    "heads",
    "chains",
    "eidetic",
    "tasks",
    "recitation",
    "vocabulary",
    "sentences",
]


def _too_few_words(model: InstrumentedModel) -> str | None:
    from analyses.measures.pair_questions import too_few_words

    return too_few_words(model)


def _lacks_a_memory(model: InstrumentedModel) -> str | None:
    from analyses.state.recall_capacity.memories import lacks_a_memory

    return _too_few_words(model) or lacks_a_memory(model)


def _no_errors(model: InstrumentedModel) -> str | None:
    from analyses.state.recall_capacity.exact_pairs import unavailable_reason

    return unavailable_reason(model)


PARTS = [
    Part(
        "recall",
        "Recall of pairs",
        "How many pairs of a key and a value this model recalls from its context, by their number,"
        " their order, after a gap, read twice, and bound again.",
        views=["Pairs", "Order and gap", "Read twice, bound again"],
        unavailable_reason=_too_few_words,
    ),
    Part(
        "state_size",
        "Recall against bytes of state",
        "What the stored organisms of recall hold, by the bytes of state that they carry from token"
        " to token.",
        views=["State size"],
    ),
    Part(
        "outer_product",
        "Outer-product memory",
        "How the error of the simplest memory, a sum of outer products, falls with its dimension,"
        " beside the theory.",
        views=["Outer product"],
    ),
    Part(
        "memories",
        "Attention and state",
        "What a model with both still recalls when its state is wiped before the questions, or"
        " its attention is off.",
        views=["Attention and state"],
        unavailable_reason=_lacks_a_memory,
    ),
    Part(
        "heads",
        "Heads as memory",
        "How the largest set of random examples that a layer of attention fits grows with its"
        " heads and its context.",
        views=["Heads"],
    ),
    Part(
        "chains",
        "Chains of associations",
        "Whether small transformers that read A–B and B–C answer B from A before C from A, by"
        " their number of layers.",
        views=["Chains"],
    ),
    Part(
        "eidetic",
        "Pairs kept exactly",
        "Whether a few pairs that are kept beside the state help more when the state's own error"
        " chooses them than at random.",
        views=["Kept pairs"],
        unavailable_reason=_no_errors,
    ),
    Part(
        "tasks",
        "By heart or looked up",
        "What stored trainings learned from few tasks and from many, by the size of their state.",
        views=["Tasks"],
    ),
    Part(
        "recitation",
        "Texts recited",
        "How many texts of which length a small transformer recites.",
        views=["Recitation"],
    ),
    Part(
        "vocabulary",
        "Vocabulary and random labels",
        "Whether a larger vocabulary of byte pairs fits random labels sooner, and whether shorter"
        " texts are why.",
        views=["Vocabulary"],
    ),
    Part(
        "sentences",
        "The vector of a sentence",
        "What one vector between a small encoder and its decoder holds of words and their order,"
        " read forward and backward.",
        views=["Sentences"],
    ),
]
DEFAULT: list[Name] = ["recall", "state_size", "outer_product"]
PRESETS = {
    "quick": {"parts": ["recall"], "pairs": [4, 16], "gaps": [0, 32], "rows": 8},
    "paper": {"rows": 256, "pairs": [4, 8, 16, 32, 64]},
}
