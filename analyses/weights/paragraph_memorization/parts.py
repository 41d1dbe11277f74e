"""The experiments of a paragraph-memorization run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["passages", "triggers", "gradients", "patching", "heads", "edits"]
PARTS = [
    Part(
        "passages",
        "Memorized passages",
        "Which passages greedy decoding reproduces, and others like them to compare with.",
    ),
    Part(
        "triggers",
        "Trigger tokens",
        "Which tokens of the prefix bring a passage back: each is replaced.",
        stands_on=["passages"],
        views=["Triggers"],
    ),
    Part(
        "gradients",
        "Gradients of weights and activations",
        "Which weights, and which layers at which tokens, the loss of a passage depends on.",
        stands_on=["passages"],
        views=["Weights"],
    ),
    Part(
        "patching",
        "Activation patching",
        "Where a passage and its copy with one token replaced part, layer by layer.",
        stands_on=["triggers"],
        views=["Patching"],
    ),
    Part(
        "heads",
        "Attention heads",
        "Which heads attend to rare tokens and to triggers, and without which the passage is not"
        " reproduced, beside random heads on held-out passages.",
        stands_on=["triggers"],
        views=["Heads"],
    ),
    Part(
        "edits",
        "Unlearning and rewriting",
        "Whether a passage can be removed, or replaced, by changing a thousandth of the weights.",
        stands_on=["triggers"],
        views=["Removal"],
    ),
]
DEFAULT: list[Name] = ["passages", "triggers", "gradients", "patching", "heads", "edits"]
PRESETS = {"paper": {"passages": 100, "traced": 50, "edits": 50}}
