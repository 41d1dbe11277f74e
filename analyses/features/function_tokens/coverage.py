"""From graphs to numbers: coverage and degree of function tokens, each beside what would explain
it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.features.function_tokens import words
from analyses.features.function_tokens.constants import FIRST, STRONG
from analyses.features.function_tokens.graph import (
    coverage,
    coverage_at,
    degrees,
    degrees_at,
    pooled,
)
from analyses.measures.statistics import difference, spearman

if TYPE_CHECKING:
    import pandas as pd

    from analyses.features.function_tokens.graph import TokenFeatureEdges
    from analyses.features.function_tokens.scan import ScanResult


@dataclass(frozen=True)
class Types:
    """Token types by frequency.

    Attributes:
        occurrences: tokens counted of each type, (type,).
        order: all that occur, most frequent first.
        function: the function tokens, most frequent first.
        peers: as many content types, the most frequent ones.
        equal: occurrences that each of function tokens and peers has at least: what is drawn of
            each for a fair comparison.
    """

    occurrences: np.ndarray
    order: np.ndarray
    function: np.ndarray
    peers: np.ndarray
    equal: int

    @classmethod
    def of(cls, occurrences: np.ndarray, share: float) -> Types:
        order, function = words.by_frequency(occurrences), words.most_frequent(occurrences, share)
        peers = order[len(function) : 2 * len(function)]
        return cls(occurrences, order, function, peers, int(occurrences[[*function, *peers]].min()))

    @property
    def content(self) -> np.ndarray:
        return self.order[len(self.function) :]

    @property
    def is_function(self) -> np.ndarray:
        """(type,) bool."""
        found = np.zeros(len(self.occurrences), bool)
        found[self.function] = True
        return found


def coverage_table(seen: Sequence[ScanResult], labels: Sequence[str], types: Types) -> pd.DataFrame:
    """Share of the living features that the first n types activate: columns sae, n_types, and
    `CURVES`.

    NaN where one ends.
    """
    import pandas as pd

    frames = []
    last = len(types.function)
    for one, label in zip(seen, labels, strict=True):
        grid = _grid(last, len(types.order))
        inner = grid <= last
        frame = pd.DataFrame({"sae": label, "n_types": grid})
        for name, edges in {
            "coverage": one.edges,
            "above_5pct": one.edges.above(STRONG),
            "shuffled": one.mixed,
            "random_directions": one.chance,
        }.items():
            frame[name] = coverage(edges, types.order)[grid - 1]
        many = np.cumsum(types.occurrences[types.order])[grid[inner] - 1]
        frame.loc[inner, "content"] = pooled(one.edges, types.occurrences, types.content, many)
        for name, some in {"matched": types.function, "content_matched": types.peers}.items():
            reached = coverage_at(one.edges, types.occurrences, some, types.equal)
            mask = grid <= len(some)
            frame.loc[mask, name] = reached[grid[mask] - 1]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _grid(last: int, most: int) -> np.ndarray:
    """Every n up to the headline's and to twice the list, at most sixty; then evenly on a
    logarithmic scale; and the end.
    """
    inner = np.arange(1, min(60, max(FIRST, 2 * last), most) + 1)
    outer = np.geomspace(1, most, 60).round().astype(int)
    return np.unique([*inner, *outer, min(last, most)])


def untrained_table(
    seen: Sequence[ScanResult],
    twin: Sequence[TokenFeatureEdges],
    labels: Sequence[str],
    types: Types,
    of_twin: np.ndarray,
) -> pd.DataFrame:
    """Coverage of random directions in the trained model and in its untrained twin, on as much
    text.

    Args:
        of_twin: occurrences of each type in the text that the twin read.

    Returns:
        Columns sae, n_types, coverage, random_directions (both: expected for so much of the text),
        untrained_directions.
    """
    import pandas as pd

    share = of_twin.sum() / types.occurrences.sum()
    samples = np.floor(types.occurrences[types.function] * share).astype(int)
    frames = []
    for one, edges, label in zip(seen, twin, labels, strict=True):
        frames.append(
            pd.DataFrame(
                {
                    "sae": label,
                    "n_types": np.arange(1, len(types.function) + 1),
                    "coverage": coverage_at(one.edges, types.occurrences, types.function, samples),
                    "random_directions": coverage_at(
                        one.chance, types.occurrences, types.function, samples
                    ),
                    "untrained_directions": coverage(edges, types.function),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def tokens_table(
    seen: Sequence[ScanResult],
    labels: Sequence[str],
    types: Types,
    texts: Sequence[str],
    windows: np.ndarray,
) -> pd.DataFrame:
    """Every type that occurs, most frequent first.

    Args:
        texts: of each of `types.order`; windows: share of the windows that hold each type, (type,).

    Returns:
        Columns rank, id, token, class, word_class (its kind of function word), occurrences,
        frequency, window_frequency; then for each autoencoder degree, shuffled (with the tokens
        shuffled) and matched (expected in as few occurrences as `types.equal`; NaN for rarer
        ones).
    """
    import pandas as pd

    order, total = types.order, types.occurrences.sum()
    frame = pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "id": order,
            "token": list(texts),
            "class": np.where(types.is_function[order], "function", "content"),
            "word_class": [words.word_class(text) for text in texts],
            "occurrences": types.occurrences[order],
            "frequency": types.occurrences[order] / total,
            "window_frequency": windows[order],
        }
    )
    for one, label in zip(seen, labels, strict=True):
        frame[f"degree {label}"] = degrees(one.edges, len(types.occurrences))[order]
        frame[f"shuffled {label}"] = degrees(one.mixed, len(types.occurrences))[order]
        frame[f"matched {label}"] = degrees_at(one.edges, types.occurrences, types.equal)[order]
    return frame


def classes_table(seen: Sequence[ScanResult], labels: Sequence[str], types: Types) -> pd.DataFrame:
    """Mean degree in equally many occurrences, function tokens against their peers: columns sae,
    function_degree, content_degree, difference, difference_low, difference_high (95 %), spearman
    (of degree with frequency over all types), n_occurrences (of each type).
    """
    import pandas as pd

    rows = []
    for one, label in zip(seen, labels, strict=True):
        found = degrees_at(one.edges, types.occurrences, types.equal)
        function, content = found[types.function], found[types.peers]
        gap, (low, high) = difference(function, content)
        every = degrees(one.edges, len(types.occurrences))[types.order]
        rank = spearman(every, types.occurrences[types.order])
        rows.append(
            (
                label,
                function.mean(),
                content.mean() if len(content) else np.nan,
                gap,
                low,
                high,
                rank,
                types.equal,
            )
        )
    return pd.DataFrame(
        rows,
        columns=[
            "sae",
            "function_degree",
            "content_degree",
            "difference",
            "difference_low",
            "difference_high",
            "spearman",
            "n_occurrences",
        ],
    )


def sweep_table(
    seen: Sequence[ScanResult],
    labels: Sequence[str],
    occurrences: np.ndarray,
    shares: Sequence[float],
) -> pd.DataFrame:
    """The same for other shares of the text: columns function_share, n_types, sae, coverage,
    content, matched, content_matched: coverage at the end of each list, as in `CURVES`.
    """
    import pandas as pd

    rows = []
    for share in shares:
        types = Types.of(occurrences, share)
        n = len(types.function)
        for one, label in zip(seen, labels, strict=True):
            fair = [
                coverage_at(one.edges, occurrences, t, types.equal)[-1]
                for t in (types.function, types.peers)
                if len(t)
            ]
            many = np.array([occurrences[types.function].sum()])
            rows.append(
                {
                    "function_share": share,
                    "n_types": n,
                    "sae": label,
                    "coverage": coverage(one.edges, types.order[:n])[-1],
                    "content": pooled(one.edges, occurrences, types.content, many)[0],
                    "matched": fair[0],
                    "content_matched": fair[1] if len(fair) > 1 else np.nan,
                }
            )
    return pd.DataFrame(rows)


def reactivation_table(
    seen: Sequence[ScanResult], labels: Sequence[str], distances: Sequence[int]
) -> pd.DataFrame:
    """How much of a content token's features is active again, by what the later token is.

    Returns:
        Columns sae, distance, class, reactivated, baseline, above_baseline (the difference of the
        two), above_baseline_low, above_baseline_high (95 % over windows), n (windows).
    """
    import pandas as pd

    rows = []
    for one, label in zip(seen, labels, strict=True):
        for d, distance in enumerate(distances):
            for kind, name in enumerate(("content", "function")):
                more = one.again[:, d, kind] - one.by_chance[:, d, kind]
                more = more[np.isfinite(more)]
                n = len(more)
                half = 1.96 * more.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
                share, chance = (_mean(x[:, d, kind]) for x in (one.again, one.by_chance))
                mean = _mean(more)
                rows.append(
                    (label, distance, name, share, chance, mean, mean - half, mean + half, n)
                )
    return pd.DataFrame(
        rows,
        columns=[
            "sae",
            "distance",
            "class",
            "reactivated",
            "baseline",
            "above_baseline",
            "above_baseline_low",
            "above_baseline_high",
            "n",
        ],
    )


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
