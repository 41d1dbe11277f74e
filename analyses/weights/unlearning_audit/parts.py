"""The experiments of an unlearning-audit run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal[
    "criteria", "folds", "relearning", "rounding", "sampling", "lens", "probes", "restore",
    "prompts",
]  # fmt: skip
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
        "Whether longer or other prompts, also searched ones, bring the passages out.",
        stands_on=["criteria"],
        views=["Prompts"],
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
