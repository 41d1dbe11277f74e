"""The experiments of a function-tokens run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["coverage", "untrained", "retrieval", "training"]
PARTS = [
    Part(
        "coverage",
        "Coverage of the features",
        "Which tokens activate which features of the autoencoders, and the loss by transition.",
        views=["Coverage", "Tokens", "Features", "Prompts"],
    ),
    Part(
        "untrained",
        "Untrained twin",
        "Coverage of random directions in an untrained model of the same shape.",
        stands_on=["coverage"],
    ),
    Part(
        "retrieval",
        "Ablation and steering of reactivated features",
        "Whether features of the subject that are reactivated at the last token carry the answer"
        " to facts that the model knows.",
    ),
    Part(
        "training",
        "Along training",
        "Loss by transition, and the living features, at the checkpoints of another model.",
    ),
]
DEFAULT: list[Name] = ["coverage", "untrained", "retrieval", "training"]
PRESETS = {
    "quick": {"parts": ["coverage"], "tokens": 20_000},
    "paper": {"tokens": 5_000_000},
}
