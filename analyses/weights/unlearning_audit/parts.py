"""The experiments of an unlearning-audit run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from analyses.weights.unlearning_audit.constants import CONCEPT, SPREADING
from workbench import organisms
from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "criteria", "folds", "relearning", "rounding", "sampling", "lens", "probes", "restore",
    "prompts", "spreading", "concept",
]  # fmt: skip


def no_facts(model: InstrumentedModel) -> str | None:
    """Why a model cannot be asked facts of the world, or None."""
    if model.card.name.startswith(organisms.PREFIX):
        return "it was grown here, and has read no facts of the world; smollm2-135m knows some"
    return None


PARTS = [
    Part(
        "criteria",
        "What is left of the passages",
        "Each method forgets the same passages, and what comes out is measured beside the original"
        " and a model that never read them: verbatim, asked in other words, by how well it fits"
        " them, and by what else is lost.",
        views=["Audit", "Passages", "Path"],
    ),
    Part(
        "folds",
        "More to forget, and one after another",
        "The same methods on more passages at once, and on one fold after another.",
        stands_on=["criteria"],
        views=["Folds"],
    ),
    Part(
        "relearning",
        "Relearning",
        "Whether a few steps on some of the passages, on related text or on unrelated text bring"
        " the others back, and sooner than in the reference.",
        stands_on=["criteria"],
        views=["Relearning"],
    ),
    Part(
        "rounding",
        "Rounding",
        "Whether the passages come back when the weights are rounded to 8 or 4 bits.",
        stands_on=["criteria"],
        views=["Rounding"],
    ),
    Part(
        "sampling",
        "Sampling",
        "How many samples bring a passage out where greedy decoding no longer does.",
        stands_on=["criteria"],
        views=["Sampling"],
    ),
    Part(
        "lens",
        "Logit lens",
        "Where in the layers the forgotten tokens are still near.",
        stands_on=["criteria"],
        views=["Lens"],
    ),
    Part(
        "probes",
        "Probes",
        "Whether a linear probe of the states still tells forgotten passages from unread ones.",
        stands_on=["criteria"],
        views=["Probes"],
    ),
    Part(
        "restore",
        "Layers put back",
        "What a layer's states, or a module's weights, of the original bring back, and where the"
        " change sits.",
        stands_on=["criteria"],
        views=["Put back"],
    ),
    Part(
        "prompts",
        "Other prompts",
        "Whether longer or other prompts bring the passages out: behind other text, in a role, in"
        " small letters, and searched ones.",
        stands_on=["criteria"],
        views=["Prompts"],
    ),
    Part(
        SPREADING,
        "Spreading",
        "Half the facts of a relation are forgotten by random labels: whether others of the"
        " relation and of other relations go with them, and whether a probe still finds them.",
        views=["Spreading"],
        unavailable_reason=no_facts,
    ),
    Part(
        CONCEPT,
        "A concept erased",
        "ELM erases a relation as a concept: whether it knows no more of it, still speaks fluently,"
        " and keeps all else.",
        views=["Concept"],
        unavailable_reason=no_facts,
    ),
]
DEFAULT: list[Name] = ["criteria", "folds", "relearning", "rounding", "sampling", "lens"]
PRESETS = {
    "quick": {"parts": ["criteria", "rounding"], "methods": ["graddiff", "npo"]},
    "paper": {
        "parts": [part.name for part in PARTS],
        "methods": [
            "ga", "graddiff", "ga-klr", "npo", "npo-gdr", "npo-klr", "simnpo", "undial", "rmu",
            "task-vector", "random-labels", "mask", "elm",
        ],
        "relearning_steps": 32,
    },
}  # fmt: skip
