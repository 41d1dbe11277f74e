"""Can anything be told? Where the answers have no room to move, no heads are named.

Switching off a group of heads is meant to hand the answer to the other side. If nearly all facts
are answered from that side already, or there are few facts, nothing that a head does can be seen in
the answers: all numbers of heads tie, and the first of them would be a head like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import paired_gain, sign, wilson
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.context.knowledge_conflict.answer_rates import Rates

# Pruning one group is meant to hand the answer to the other side.
WINS = {"context": "memory", "memory": "context"}
TOWARD = {"memory": "from memory", "context": "from the context"}
FEW = 6
"""Facts of a half below which even a change of all of them is no more than chance (sign test,
two-sided: 2 · 0.5⁵ > 0.05).
"""


def gain(before: Rates, after: Rates, wanted: str) -> tuple[float, tuple[float, float]]:
    """How much more often the same facts are answered as wanted, and the 95 % interval of that
    over facts.
    """
    pairs = zip(before.outcomes, after.outcomes, strict=True)
    return paired_gain(np.array([(b == wanted) - (a == wanted) for a, b in pairs], int))


def reason_no_headroom(already: int, n: int) -> str:
    """Why n facts, of which so many are answered as wanted already, could show no gain; "" if they
    could.

    They could if the gain's interval were above zero with all other facts answered as wanted, too:
    about four have to be left.
    """
    left = n - already
    if n < FEW:
        return (
            f"there are only {counted(n, 'fact')}; with fewer than {FEW} even a change of every"
            " answer could be chance"
        )
    _, (low, _) = paired_gain(np.array([0] * already + [1] * left))
    if sign(low, low):
        return ""
    least, most = wilson(already, n)
    rest = {
        0: "no fact is left whose answer could change",
        1: "a change of the one other answer could be chance",
    }
    return (
        f"the model without intervention already gives this answer for {already} of {n} facts"
        f" ({percent(already / n)}, 95 %: {percent(least)} to {percent(most)});"
        f" {rest.get(left, f'even a change of all other {left} answers could be chance')}"
    )


def groups_without_headroom(base: Mapping[str, Rates]) -> dict[str, str]:
    """For each group of heads whose absence could not be seen in either half of the facts: why.

    Args:
        base: what the unchanged model does, by half. Both need room: heads are chosen on one and
            proven on the other.
    """
    found: dict[str, str] = {}
    for group, wanted in WINS.items():
        for split, rates in base.items():
            why = reason_no_headroom(rates.counts[wanted], rates.n)
            if why:
                found.setdefault(
                    group, f"on the {'select' if split == 'select' else 'held-out'} half {why}"
                )
    return found


def pair_without_headroom(row: Mapping[str, Any]) -> str:
    """Why a row of the table `transfer` tells nothing: the facts it was tried on leave no room
    to move; "" if they do.
    """
    return reason_no_headroom(round(row[f"base_{WINS[row['group']]}"] * row["n"]), int(row["n"]))


def reason_no_gain(best: int, value: float, bounds: tuple[float, float], n: int) -> str:
    """Why a curve over numbers of heads chooses none: its best is no better than no head at all."""
    return (
        "on the select half no number of heads changes the answers beyond chance. The best number,"
        f" {counted(best, 'head')} off, gives {100 * value:+.0f} points on {counted(n, 'fact')}"
        f" (95 %: {100 * bounds[0]:+.0f} to {100 * bounds[1]:+.0f})"
    )


def advice(wanted: str) -> str:
    """What could be done about it, as a sentence."""
    other = TOWARD[WINS[wanted]]
    return (
        "What would help: more known facts, or a relation, wording or format in which the model"
        f" answers more often {other}."
    )
