"""What the experiments and the pages share: names, and how many passages each experiment takes
beside those that are asked for.
"""

from typing import Literal

NAME = "paragraph-memorization"

MEMORIZED, PARTLY, NOT = "memorized", "partly memorized", "not memorized"
GROUPS = (MEMORIZED, PARTLY, NOT)
"""Passages by how much of them is said."""

Mask = Literal["contrast", "gradient", "random", "all"]
Aim = Literal["unlearn", "rewrite"]
MASKS: tuple[Mask, ...] = ("contrast", "gradient", "random", "all")
"""Which weights an update may change, and what for."""

NEUTRAL, KEEP_NEUTRAL = 24, 6
"""Passages of neutral prose that are measured, and that updates are held to."""
KEEP_MEMORIZED, OTHERS = 10, 60
"""Memorized passages that updates are held to at most, and that are looked at for them."""
RARITY = 200
"""Passages over which attention and rarity are compared."""
TRIGGERS = 3
"""Tokens of a prefix that count as its trigger."""
