"""The experiments of a knowledge-conflict run."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["rates", "heads", "pruning", "side_effects", "dial", "transfer"]
PARTS = [
    Part(
        "rates",
        "Memory or context",
        "How often the model answers from memory, from the context, or otherwise.",
    ),
    Part(
        "heads",
        "Effect of every head",
        "What every attention head adds to the memory answer and to the context answer.",
        stands_on=["rates"],
        views=["Heads", "Depth"],
    ),
    Part(
        "pruning",
        "Zero ablation on held-out facts",
        "Whether the heads found on one half of the facts change the answers on the other half,"
        " beside random heads.",
        stands_on=["heads"],
        views=["How many heads"],
    ),
    Part(
        "side_effects",
        "Side effects of zero ablation",
        "What switching these heads off costs in closed-book accuracy and in loss on neutral text.",
        stands_on=["pruning"],
        views=["Cost"],
    ),
    Part(
        "dial",
        "Memory-to-context dial",
        "How the answers move while one number scales both groups of heads.",
        stands_on=["pruning"],
        views=["Dial"],
    ),
    Part(
        "transfer",
        "Transfer to other relations and formats",
        "Whether heads found on one relation or format decide on the others too.",
        stands_on=["pruning"],
        views=["Transfer"],
    ),
]
DEFAULT: list[Name] = ["rates", "heads", "pruning", "side_effects", "dial"]
PRESETS = {"paper": {"max_facts": 1000}}
