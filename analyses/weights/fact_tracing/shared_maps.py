"""What maps of the same facts in other words, or in other languages, have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from analyses.weights.fact_tracing import corruption
from analyses.weights.fact_tracing.constants import CLASSES, FEWEST
from analyses.weights.fact_tracing.maps import Maps, restored_parts, trace
from analyses.weights.fact_tracing.traced_facts import known_facts_of

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.params import Params
    from analyses.weights.fact_tracing.traced_facts import TracedFact
    from hooks.model import InstrumentedModel
    from workbench.facts import Relation
    from workbench.progress import Progress

_DRAWS = 500  # of bootstraps for each pair
_DEALT = 200  # of permutations
_COLUMNS = ["by", "one", "other", "kind", "r", "low", "high", "null_low", "null_high",
            "facts", "other_facts"]  # fmt: skip


def wordings_of(relations: Sequence[Relation]) -> dict[str, list[Relation]]:
    """The relations in each of their wordings, by a name for it: the closed-book one, then the
    paraphrases.
    """
    most = max((len(relation.paraphrases) for relation in relations), default=0)
    named = {"first wording": list(relations)}
    for n in range(most):
        named[f"paraphrase {n + 1}"] = [
            replace(relation, closed_book=relation.paraphrases[n])
            for relation in relations
            if n < len(relation.paraphrases)
        ]
    return named


def known_in(
    model: InstrumentedModel,
    named: Mapping[str, Sequence[Relation]],
    params: Params,
    progress: Progress,
) -> dict[str, list[TracedFact]]:
    """The facts that the model knows in each wording or language, at most as many as a run has."""
    found = {}
    for n, (name, relations) in enumerate(named.items()):
        part = progress.subprogress(n / len(named), (n + 1) / len(named))
        found[name] = known_facts_of(model, relations, params, part).facts
    return found


def compare(
    model: InstrumentedModel,
    groups: Mapping[str, Sequence[TracedFact]],
    kinds: Sequence[str],
    params: Params,
    by: str,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How alike the maps of groups of facts are, and the maps.

    Maps are means over facts by class of token and layer, from one draw of noise. Alike is their
    correlation, with its 95 % interval over facts; the null deals the labels of the second one's
    tokens at random. Groups of fewer than `FEWEST` facts are left out.

    Args:
        by: "wording" or "language".
    """
    import pandas as pd

    parts = restored_parts(model, kinds, params.window, params.step)
    large = {name: list(facts) for name, facts in groups.items() if len(facts) >= FEWEST}
    maps: dict[str, Maps] = {}
    for n, (name, facts) in enumerate(large.items()):
        part = progress.subprogress(n / len(large), (n + 1) / len(large))
        sigma = corruption.subject_sigma(model, facts)
        noisy = corruption.noisy(model, facts, params.noise * sigma, 1, params.seed)
        maps[name] = trace(model, {k: [one] for k, one in enumerate(noisy)}, parts, part)
    rng, rows, shown = np.random.default_rng(params.seed), [], []
    for kind in parts:
        values = {name: _grid(each, large[name], kind) for name, each in maps.items()}
        for name, grid in values.items():
            total = maps[name].total.mean()
            for c, tokens in enumerate(CLASSES):
                shown += [
                    (by, name, kind, tokens, layer, float(np.nanmean(grid[:, c, k])) / total)
                    for k, layer in enumerate(maps[name].layers[kind])
                    if not np.isnan(grid[:, c]).all()
                ]
        for one, other in combinations(values, 2):
            dealt = [_grid(maps[other], large[other], kind, rng) for _ in range(_DEALT)]
            rows.append((by, one, other, kind, *_alike(values[one], values[other], dealt, rng),
                         len(large[one]), len(large[other])))  # fmt: skip
    columns = ["by", "name", "kind", "tokens", "layer", "share"]
    return pd.DataFrame(rows, columns=_COLUMNS), pd.DataFrame(shown, columns=columns)


def _grid(
    maps: Maps, facts: Sequence[TracedFact], kind: str, rng: np.random.Generator | None = None
) -> np.ndarray:
    """IE by class, (fact, class, layer), NaN for facts without such a token; with `rng` each
    fact's tokens are dealt their labels at random.
    """
    made = []
    for effect, fact in zip(maps.effects[kind], facts, strict=True):
        names = [fact.token_class(fact.first + p) for p in range(effect.shape[1])]
        shares = np.array([[name == other for name in names] for other in CLASSES], float)
        with np.errstate(invalid="ignore"):
            shares /= shares.sum(1, keepdims=True)
        made.append((shares if rng is None else shares[:, rng.permutation(len(names))]) @ effect.T)
    return np.array(made)


def _alike(
    one: np.ndarray, other: np.ndarray, dealt: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[float, float, float, float, float]:
    """(r, low, high, null low, null high) of two groups' maps."""
    drawn = [_drawn_means(grid, rng) for grid in (one, other)]
    found = [_correlation(a, b) for a, b in zip(*drawn, strict=True)]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    mean = _mean(one)
    null = np.nanpercentile([_correlation(mean, _mean(grid)) for grid in dealt], [2.5, 97.5])
    r = _correlation(mean, _mean(other))
    return r, float(low), float(high), float(null[0]), float(null[1])


def _drawn_means(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means of facts drawn again, (draw, class, layer)."""
    weights = rng.multinomial(len(grid), np.full(len(grid), 1 / len(grid)), size=_DRAWS)
    return _weighted(grid, weights.astype(float))


def _mean(grid: np.ndarray) -> np.ndarray:
    """Over facts, NaN where no fact has such a token, (class, layer)."""
    found: np.ndarray = _weighted(grid, np.ones((1, len(grid))))[0]
    return found


def _weighted(grid: np.ndarray, weights: np.ndarray) -> np.ndarray:
    known = ~np.isnan(grid)
    with np.errstate(invalid="ignore"):
        found: np.ndarray = np.tensordot(weights, np.where(known, grid, 0), 1) / np.tensordot(
            weights, known.astype(float), 1
        )
    return found


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of two maps over the classes and layers that both have."""
    a, b = one.ravel(), other.ravel()
    both = ~np.isnan(a) & ~np.isnan(b)
    if both.sum() < 3 or a[both].std() == 0 or b[both].std() == 0:
        return float("nan")
    return float(np.corrcoef(a[both], b[both])[0, 1])
