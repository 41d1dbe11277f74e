"""Orders in which blocks of text may be read: chosen by lot at several distances, or typed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from workbench.errors import BadInput

Order = tuple[int, ...]
"""Which block is read at each position; the reference reads 0, 1, 2, …"""

REVERSED, RANDOM, TYPED = "reversed", "by lot", "given"


def swapped(pairs: int) -> str:
    """The name of an order with so many pairs exchanged."""
    return "1 pair exchanged" if pairs == 1 else f"{pairs} pairs exchanged"


def distance(order: Sequence[int]) -> float:
    """Kendall's distance from the reference: the share of pairs of blocks that are read the other
    way round, 0 (the same) to 1 (reversed).
    """
    n = len(order)
    if n < 2:
        return 0.0
    turned = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
    return turned / (n * (n - 1) / 2)


def chosen(blocks: int, number: int, seed: int) -> dict[Order, str]:
    """Other orders, each once, with how each was made: reversed, one to four pairs exchanged, and
    every second one by lot. Fewer where there are not as many orders.
    """
    draw = random.Random(f"{seed} orders")
    number = min(number, math.factorial(blocks) - 1)
    reference = tuple(range(blocks))
    found: dict[Order, str] = {reference[::-1]: REVERSED}
    turn = 0
    while len(found) < number:
        order, made = list(reference), RANDOM
        if turn % 2:
            pairs = 2 ** ((turn // 2) % 3)
            made = swapped(pairs)
            for _ in range(pairs):
                one, other = draw.sample(range(blocks), 2)
                order[one], order[other] = order[other], order[one]
        else:
            draw.shuffle(order)
        if tuple(order) != reference:
            found.setdefault(tuple(order), made)
        turn += 1
    return dict(list(found.items())[:number])


def typed(text: str, blocks: int) -> dict[Order, str]:
    """Orders as a person types them: numbers of blocks from 1, orders parted by semicolons.

    Raises:
        BadInput: one is no permutation, or none is left.
    """
    found: dict[Order, str] = {}
    for part in text.split(";"):
        words = part.replace(",", " ").split()
        if not words:
            continue
        # No more digits than a number of blocks has: thousands of them cannot be read at all.
        if not all(word.isdecimal() and len(word) < 9 for word in words) or sorted(
            map(int, words)
        ) != list(range(1, blocks + 1)):
            raise BadInput(
                f"{part.strip()[:60]!r} is no order of {blocks} blocks.",
                f"each of the numbers 1 to {blocks} once",
                "Correct it.",
            )
        order = tuple(int(word) - 1 for word in words)
        if order != tuple(range(blocks)):
            found[order] = TYPED
    if not found:
        raise BadInput(
            "The only order given is that of the run itself.", "another one", "Give another order."
        )
    return found
