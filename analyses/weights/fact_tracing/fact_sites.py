"""Whether a model has an early site at the last subject token and a late one at the last token.

The layer of a site is chosen on one half of the facts and measured on the other, both ways round,
so that the largest of many layers is not taken for an effect. What is measured there is how much
more the site's token gives back than the fact's other tokens do; the null deals the labels to each
fact's tokens at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.fact_tracing.constants import ATTENTION, DRAWS, LAST, MLP, STATE, SUBJECT
from analyses.weights.fact_tracing.maps import by_class

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.traced_facts import TracedFact


EARLY, ABOVE, LATE, EARLY_STATE = "early", "early, above", "late", "early state"
SITES = (
    (EARLY, MLP, SUBJECT),
    (ABOVE, MLP, SUBJECT),
    (LATE, ATTENTION, LAST),
    (EARLY_STATE, STATE, SUBJECT),
)
"""Name, what is restored, and where. The first layer's MLP does much of the embedding's work, so
that the early site is also looked for without it.
"""


@dataclass(frozen=True)
class FactSite:
    """A site, measured.

    Attributes:
        layers: where it was found, on each half of the facts.
        effect: mean IE at the site.
        contrast: how much more than at the fact's other tokens, with its 95 % interval over facts.
        null: the 95 % range of the contrast under permuted tokens.
        n: facts.
    """

    name: str
    kind: str
    tokens: str
    layers: tuple[int, int]
    effect: float
    contrast: float
    low: float
    high: float
    null: tuple[float, float]
    n: int

    @property
    def is_there(self) -> bool | None:
        """Above what permuted tokens give (True), not (False: the interval lies below the null's
        end), or not told.
        """
        if self.low != self.low:
            return None
        return True if self.low > self.null[1] else False if self.high < self.null[1] else None


def sites_of(maps: Maps, facts: Sequence[TracedFact], window: int, seed: int) -> list[FactSite]:
    """The early site, of MLPs and of states, and the late one, of attention; those of the kinds
    that were traced.

    Args:
        window: layers of a window.
    """
    found = []
    for name, kind, tokens in SITES:
        if kind in maps.effects:
            site = _site(
                maps, facts, (name, kind, tokens), 0 if kind == STATE else window // 2, seed
            )
            found += [site] if site is not None else []
    return found


def _site(
    maps: Maps,
    facts: Sequence[TracedFact],
    asked: tuple[str, str, str],
    lowest: int,
    seed: int,
) -> FactSite | None:
    """`lowest` is the highest layer whose window reaches the first one."""
    name, kind, tokens = asked
    layers = np.array(maps.layers[kind])
    middle = (max(layers) + 1) / 2
    half = layers >= middle if tokens == LAST else layers < middle
    if name in (ABOVE, EARLY_STATE):
        half &= layers > lowest  # what enters the first layer is the token itself
    own = by_class(maps, facts, kind)[tokens]
    rows = [n for n in range(len(own)) if _tells(facts[maps.facts[n]], kind)]
    if len(rows) < 2 or not half.any():
        return None
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    halves = order[::2], order[1::2]
    chosen = [
        int(np.flatnonzero(half)[np.nanmean(own[side][:, half], 0).argmax()]) for side in halves
    ]
    at = {int(n): chosen[1 - side] for side, each in enumerate(halves) for n in each}
    contrasts, dealt, effects = [], [], []
    for n in rows:
        values = maps.effects[kind][n][at[n]]
        fact = facts[maps.facts[n]]
        where = [fact.token_class(fact.first + p) for p in range(len(values))].index(tokens)
        each = np.array([values[p] - np.delete(values, p).mean() for p in range(len(values))])
        contrasts.append(each[where])
        effects.append(values[where])
        dealt.append(each[rng.integers(len(each), size=DRAWS)])
    contrast, (low, high) = mean_interval(np.array(contrasts))
    null = np.percentile(np.mean(dealt, axis=0), [2.5, 97.5])
    return FactSite(
        name, kind, tokens, (int(layers[chosen[0]]), int(layers[chosen[1]])),
        float(np.mean(effects)), contrast, low, high, (float(null[0]), float(null[1])), len(rows),
    )  # fmt: skip


def _tells(fact: TracedFact, kind: str) -> bool:
    """Whether a fact says anything of a site: of states only where the subject has several tokens,
    since what enters the first layer gives a subject of one token back by itself.
    """
    return fact.subject_tokens > 1 or kind != STATE
