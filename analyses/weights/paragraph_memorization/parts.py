"""The experiments of a paragraph-memorization run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["passages", "triggers", "gradients", "patching", "heads", "edits"]
PARTS = [
    Part(
        "passages",
        "Memorized passages",
        "Which passages greedy decoding reproduces, and similar passages that it does not.",
    ),
    Part(
        "triggers",
        "Trigger tokens",
        "Which tokens of the prefix trigger the suffix: each is replaced in turn.",
        stands_on=["passages"],
        views=["Triggers"],
    ),
    Part(
        "gradients",
        "Gradients of weights and activations",
        "On which weights, layers and tokens the loss of a passage depends.",
        stands_on=["passages"],
        views=["Weights"],
    ),
    Part(
        "patching",
        "Activation patching",
        "At which layer and token a passage and its perturbed twin diverge.",
        stands_on=["triggers"],
        views=["Patching"],
    ),
    Part(
        "heads",
        "Attention heads",
        "Which heads attend to rare tokens and to triggers, and whether zero ablation of the"
        " strongest stops held-out passages from being reproduced, against random heads.",
        stands_on=["triggers"],
        views=["Heads"],
    ),
    Part(
        "edits",
        "Unlearning and rewriting",
        "Whether changing a thousandth of the weights unlearns a passage, or rewrites it.",
        stands_on=["triggers"],
        views=["Removal"],
    ),
]
DEFAULT: list[Name] = ["passages", "triggers", "gradients", "patching", "heads", "edits"]
PRESETS = {
    "quick": {"parts": ["passages", "gradients"], "passages": 4, "max_windows": 200},
    "paper": {"passages": 100, "traced": 50, "edits": 50},
}
