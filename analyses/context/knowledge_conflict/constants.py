"""What measuring and showing a run share."""

from typing import Literal

NAME = "knowledge-conflict"

Head = tuple[int, int]
"""(layer, head)."""

OUTCOMES = ("memory", "context", "other")
"""What an answer can be."""
ANSWERS = ("memory", "context")
"""The two answers whose logits are measured."""

RankBy = Literal["zero_all_positions", "zero", "mean", "path"]
"""What ranks heads; see rank_heads.py."""
Breadth = Literal["candidates", "every head"]
"""Which heads are measured at all positions."""
