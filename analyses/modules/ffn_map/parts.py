"""The experiments of a map of the feed-forward layers."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["map", "ablation", "key-value", "sparsity", "partitions", "untrained"]

PARTS = [
    Part(
        "map",
        "Map",
        "Which neurons tell a capability's prompts from all others, and what the best would reach"
        " by chance; all else stands on it.",
        views=["Map"],
    ),
    Part(
        "ablation",
        "Ablation matrix",
        "What each capability loses without its own neurons, without another's, and without"
        " matched ones.",
        stands_on=["map"],
        views=["Ablation"],
    ),
    Part(
        "key-value",
        "Keys and values",
        "What single neurons fire on, and which tokens they promote.",
        stands_on=["map"],
    ),
    Part(
        "sparsity",
        "Sparsity",
        "How many activations a capability needs: the smallest are masked, beside random ones.",
        views=["Sparsity"],
    ),
    Part(
        "partitions",
        "Partitions",
        "Groups of neurons that are active together, and whether capabilities keep to a few.",
        stands_on=["map"],
        views=["Partitions"],
    ),
    Part(
        "untrained",
        "Untrained twin",
        "The same map of the same network before training: what different words alone give.",
        stands_on=["map"],
    ),
]
DEFAULT: list[Name] = ["ablation", "key-value", "sparsity"]
PRESETS = {
    "quick": {
        "parts": ["ablation"], "capabilities": "arithmetic, translation, code",
        "prompts": 30, "held_out": 8, "permutations": 60,
    },
    "paper": {"prompts": 200, "tokens": 64, "held_out": 50, "neurons": "50, 200, 800",
              "controls": 3},
}  # fmt: skip
