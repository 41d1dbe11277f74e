"""The experiments of a knowledge-conflict run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["rates", "heads", "pruning", "side_effects", "dial", "transfer", "evidence"]
PARTS = [
    Part(
        "rates",
        "Memory or context",
        "How often the model gives the memorized answer, the answer in the context, or another.",
    ),
    Part(
        "heads",
        "Effect of every head",
        "Effect of every attention head on the memorized answer and on the answer in the context.",
        stands_on=["rates"],
        views=["Heads", "Depth"],
    ),
    Part(
        "pruning",
        "Zero ablation on held-out facts",
        "Whether heads selected on one half of the facts change the answers on the held-out half,"
        " against random heads.",
        stands_on=["heads"],
        views=["How many heads"],
    ),
    Part(
        "side_effects",
        "Side effects of zero ablation",
        "What zero ablation of these heads costs in closed-book accuracy and in loss on neutral"
        " text.",
        stands_on=["pruning"],
        views=["Cost"],
    ),
    Part(
        "dial",
        "Memory-to-context dial",
        "How the answers change while one number scales both groups of heads.",
        stands_on=["pruning"],
        views=["Dial"],
    ),
    Part(
        "transfer",
        "Transfer to other relations and formats",
        "Whether heads selected on one relation or format change the answers on others too.",
        stands_on=["pruning"],
        views=["Transfer"],
    ),
    Part(
        "evidence",
        "Mixed evidence",
        "Which answer wins where the context speaks for both, by how many sentences each side has"
        " and in what order.",
        stands_on=["rates"],
        views=["Evidence"],
    ),
]
DEFAULT: list[Name] = ["rates", "heads", "pruning", "side_effects", "dial"]
PRESETS = {
    "quick": {"parts": ["rates", "heads", "pruning"], "max_facts": 16, "k_grid": [1, 3, 5]},
    "paper": {"max_facts": 1000},
}
