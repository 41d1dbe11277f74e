"""What reading a text caused, told from what would have come anyway: difference-in-differences.

Memorisation profiles (Lesci et al. 2024, 2406.04327): the texts first read between two kept steps
are a cohort; how far they went beyond the step before, less how far texts that were never read went
in the same time, is what reading them caused. The step before stays the base for all later and
earlier ones ("universal"), so that what is seen before the reading is a check of the design and not
zero by itself.

One band for all cohorts and steps at once, by the multiplier bootstrap (Callaway and Sant'Anna
2021): signs are drawn for texts, so what goes together in one text stays together. It is never
narrower than what drawing the cohorts from texts that were never read gives. The means over cohorts
by steps since the reading have a band of their own, by signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import difference
from workbench.errors import BadInput

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NEVER = -1
FEWEST_NEVER = 10
"""Texts that were never read, without which there is no band."""
FEWEST = 8
"""Texts in a cohort; smaller ones are left out."""


@dataclass(frozen=True)
class CohortEffects:
    """Effects of being read first, by cohort and step, and by steps since then.

    Attributes:
        cohorts: number of the first kept step after the first reading.
        n: texts of each; n_never: texts that were never read.
        effect: difference-in-differences, in the unit of the values; 0 at the base.
        error: its standard error.
        critical: half-width of the band that covers all of `effect` at once (95 %), in standard
            errors.
        events: kept steps since the first one after the reading; -1 is the base.
        by_event: mean over cohorts, weighted by their size; event_error, event_critical: of it.
        plain: treated less never read at the same step, without the difference over time.
        plain_error: its standard error.
    """

    cohorts: Int[np.ndarray, " cohort"]
    n: Int[np.ndarray, " cohort"]
    n_never: int
    effect: Float[np.ndarray, "cohort step"]
    error: Float[np.ndarray, "cohort step"]
    critical: float
    events: Int[np.ndarray, " event"]
    by_event: Float[np.ndarray, " event"]
    event_error: Float[np.ndarray, " event"]
    event_critical: float
    plain: Float[np.ndarray, "cohort step"]
    plain_error: Float[np.ndarray, "cohort step"]

    def outside(self, *, before: bool) -> int:
        """Cells whose band does not hold zero, before the reading or from it on."""
        steps = np.arange(self.effect.shape[1])[None]
        is_before = steps < self.cohorts[:, None] - 1
        chosen = is_before if before else steps >= self.cohorts[:, None]
        return int((chosen & (np.abs(self.effect) > self.critical * self.error)).sum())

    def cells(self, *, before: bool) -> int:
        """How many such cells there are."""
        steps = np.arange(self.effect.shape[1])[None]
        is_before = steps < self.cohorts[:, None] - 1
        return int((is_before if before else steps >= self.cohorts[:, None]).sum())


def check_never(n: int) -> None:
    """Raises: BadInput: too few texts that were never read for a band."""
    if n < FEWEST_NEVER:
        raise BadInput(
            f"{n} texts of this ledger were never read.",
            f"at least {FEWEST_NEVER}, without which no band can be drawn",
            "Leave out the part `profiles`, or plant with more texts at 0 repeats.",
        )


def cohort_effects(
    values: Float[np.ndarray, "item step"],
    cohort: Int[np.ndarray, " item"],
    *,
    seed: int = 0,
    draws: int = 1000,
) -> CohortEffects:
    """Effects of the first reading.

    Args:
        values: of each text at each kept step; larger is more memory.
        cohort: number of the first kept step after its first reading, 1 or more; `NEVER` for texts
            that were never read.
        draws: of signs.

    Raises:
        BadInput: fewer than `FEWEST_NEVER` texts were never read, or no cohort has `FEWEST`.
    """
    never = cohort == NEVER
    check_never(int(never.sum()))
    found = [g for g in np.unique(cohort[~never]) if (cohort == g).sum() >= FEWEST and g > 0]
    if not found:
        raise BadInput(
            "No cohort is large enough: texts were first read between different kept steps.",
            f"at least {FEWEST} texts first read between two kept steps",
            "Keep fewer steps, or plant more texts.",
        )
    items, steps = values.shape
    effect, error, plain, plain_error = (np.zeros((len(found), steps)) for _ in range(4))
    influence = np.zeros((len(found), steps, items))
    for row, g in enumerate(found):
        own = cohort == g
        moved = values - values[:, g - 1 : g]
        effect[row], error[row] = _apart(moved[own], moved[never])
        plain[row], plain_error[row] = _apart(values[own], values[never])
        for part, way in ((own, 1.0), (never, -1.0)):
            influence[row][:, part] = way * (moved[part] - moved[part].mean(0)).T / part.sum()
        influence[row][:, own] *= _widened(moved[own], moved[never])[:, None]
    n = np.array([int((cohort == g).sum()) for g in found])
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(draws, items))
    place = np.arange(steps)[None] - np.array(found)[:, None]  # -1 is the base
    cells = influence[place != -1]
    events = np.unique(place)
    shares = [
        np.where(place == event, n[:, None], 0) / (place == event).T.dot(n).sum()
        for event in events
    ]
    by_event = np.array([(weights * effect).sum() for weights in shares])
    of_events = np.array([np.einsum("gs,gsi->i", weights, influence) for weights in shares])
    event_error = np.sqrt((of_events**2).sum(-1))
    told = events != -1
    null = _by_lot(values[never], np.array(found), n, rng, draws)
    return CohortEffects(
        cohorts=np.array(found),
        n=n,
        n_never=int(never.sum()),
        effect=effect,
        error=error,
        critical=max(_critical(signs, cells), null),
        events=events,
        by_event=by_event,
        event_error=event_error,
        event_critical=_critical(signs, of_events[told]),
        plain=plain,
        plain_error=plain_error,
    )


def _widened(
    own: Float[np.ndarray, "item step"], never: Float[np.ndarray, "twin step"]
) -> Float[np.ndarray, " step"]:
    """By how much a cohort counts as more spread out than it is, for the reason in `_apart`."""
    spread, noise = own.std(0, ddof=1), never.std(0, ddof=1)
    ratio = np.divide(noise, spread, out=np.ones_like(noise), where=spread > 0)
    wider: np.ndarray = np.maximum(1.0, ratio)
    return wider


def _apart(
    own: Float[np.ndarray, "item step"], never: Float[np.ndarray, "twin step"]
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Difference of means and its standard error. The variance of a small cohort may be tiny by
    chance, and one such cell alone breaks a band over all; so it counts as no smaller than that of
    the texts never read.
    """
    noise = never.var(0, ddof=1)
    error = np.sqrt(np.maximum(own.var(0, ddof=1), noise) / len(own) + noise / len(never))
    return own.mean(0) - never.mean(0), error


def _critical(
    signs: Float[np.ndarray, "draw item"], influence: Float[np.ndarray, "cell item"]
) -> float:
    """The 95 % quantile of the largest of all drawn cells, in standard errors of the draws."""
    error = np.sqrt((influence**2).sum(-1))
    known = error > 0
    largest = np.abs(signs @ influence[known].T / error[known]).max(-1)
    return float(np.quantile(largest, 0.95))


def _by_lot(
    never: Float[np.ndarray, "twin step"],
    cohorts: Int[np.ndarray, " cohort"],
    n: Int[np.ndarray, " cohort"],
    rng: np.random.Generator,
    draws: int,
) -> float:
    """The same quantile where nothing is caused: cohorts of these sizes drawn from the texts never
    read. Signs alone promise too much where a cohort is small and texts differ in kind.
    """
    largest = np.zeros(draws)
    for g, size in zip(cohorts, n, strict=True):
        moved = never - never[:, g - 1 : g]
        own, others = (
            moved[rng.integers(len(never), size=(draws, many))] for many in (size, len(never))
        )
        noise = others.var(1, ddof=1)
        error = np.sqrt(np.maximum(own.var(1, ddof=1), noise) / size + noise / len(never))
        apart = np.abs(own.mean(1) - others.mean(1))
        share = np.divide(apart, error, out=np.zeros_like(apart), where=error > 0)
        largest = np.maximum(largest, share.max(1))
    return float(np.quantile(largest, 0.95))


def beside_kind(
    values: Float[np.ndarray, "item step"],
    kinds: Int[np.ndarray, " item"],
    never: Float[np.ndarray, " item"],
) -> Float[np.ndarray, "item step"]:
    """Values less the mean of the never-read texts of the same kind at the same step: kinds differ
    more than readings do, and which text is read is by lot within each.
    """
    beside = values.copy()
    for kind in np.unique(kinds):
        twins = (kinds == kind) & never
        if twins.any():
            beside[kinds == kind] -= values[twins].mean(0)
    return beside


def placebo_coverage(
    values: Float[np.ndarray, "item step"],
    sizes: Int[np.ndarray, " cohort"],
    cohorts: Int[np.ndarray, " cohort"],
    *,
    seed: int = 0,
    rounds: int = 100,
) -> tuple[int, int]:
    """(rounds whose band held zero everywhere, rounds): texts that were never read are dealt into
    cohorts by lot, as if they had been. A 95 % band should hold in 95 of 100.

    Args:
        values: of texts that were never read.
        sizes: of the real cohorts, made smaller where not half as many texts are there. (0, 0)
            where there are too few even for one.
    """
    rng = np.random.default_rng(seed)
    room = min(len(values) // 2, len(values) - FEWEST_NEVER)
    fits = sizes if sizes.sum() <= room else np.maximum(FEWEST, sizes * room // sizes.sum())
    while len(fits) and fits.sum() > room:
        fits, cohorts = fits[:-1], cohorts[:-1]
    if not len(fits):
        return 0, 0
    dealt = np.repeat(cohorts, fits)
    held = 0
    for number in range(rounds):
        cohort = np.full(len(values), NEVER)
        cohort[rng.permutation(len(values))[: len(dealt)]] = dealt
        effects = cohort_effects(values, cohort, seed=seed + number, draws=200)
        held += effects.outside(before=True) + effects.outside(before=False) == 0
    return held, rounds


def stratified(
    one: Float[np.ndarray, " item"],
    other: Float[np.ndarray, " item"],
    of_one: Int[np.ndarray, " item"],
    of_other: Int[np.ndarray, " item"],
) -> tuple[float, tuple[float, float]]:
    """Mean of one less mean of the other within strata, weighted by their size; 95 % interval.

    Args:
        of_one, of_other: the stratum of each, e.g. how often it was read. Strata with fewer than
            two on either side are left out.
    """
    total, variance, weight = 0.0, 0.0, 0
    for stratum in np.intersect1d(of_one, of_other):
        left, right = one[of_one == stratum], other[of_other == stratum]
        if min(len(left), len(right)) < 2:
            continue
        n = len(left) + len(right)
        apart, _ = difference(left, right)
        total += n * apart
        variance += n**2 * (left.var(ddof=1) / len(left) + right.var(ddof=1) / len(right))
        weight += n
    if not weight:
        return np.nan, (np.nan, np.nan)
    mean, half = total / weight, 1.959964 * np.sqrt(variance) / weight
    return mean, (mean - half, mean + half)
