"""Words and numbers of the parts that forget facts: read without torch."""

from __future__ import annotations

WRONG = 3
"""Wrong answers beside the right one."""
CHANCE = 1 / (1 + WRONG)
LEAST = 20
"""Facts that a model must know of a relation: half of fewer tell nothing."""
TRAINED, HELD_OUT, OTHERS = "trained on", "same relation, held out", "other relations"
LABELS, ELM = "random labels", "ELM"
"""What the two parts train, as tables have it."""
GROUPS = (TRAINED, HELD_OUT, OTHERS)
