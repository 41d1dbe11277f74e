"""Whether a linear probe of a state tells which answer belongs to a fact: taught on one half of the
facts, asked of the other, both ways (Learn or Recall, 2312.07887).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

PENALTY = 1.0
"""Added to the diagonal of the states' products, which are about 1 there."""


def can_be_taught(labels: Sequence[str], second: Bool[np.ndarray, " fact"]) -> bool:
    """Whether some answer is in both halves; without one nothing could be learned."""
    names = np.array(labels)
    return bool(set(names[second]) & set(names[~second]))


def probe_hits(
    states: Float[np.ndarray, "fact d_model"],
    labels: Sequence[str],
    second: Bool[np.ndarray, " fact"],
) -> Float[np.ndarray, " fact"]:
    """Of each fact, 1 where the probe taught on the other half names its answer; 0 also where no
    fact of the other half has that answer.

    Args:
        labels: what is to be told, of each fact.
        second: which facts are in the second half.
    """
    hits, names = np.zeros(len(labels)), np.array(labels)
    for test in (second, ~second):
        hits[test] = _named(states[~test], names[~test], states[test]) == names[test]
    return hits


def shuffled_hits(
    states: Float[np.ndarray, "fact d_model"],
    labels: Sequence[str],
    second: Bool[np.ndarray, " fact"],
    times: int,
    seed: int,
) -> Float[np.ndarray, " fact"]:
    """The null: the share of hits of each fact where the labels that are taught are shuffled."""
    draw, names = np.random.default_rng(seed), np.array(labels)
    hits = np.zeros(len(names))
    for _ in range(times):
        for test in (second, ~second):
            taught = draw.permutation(names[~test])
            hits[test] += _named(states[~test], taught, states[test]) == names[test]
    return hits / times


def _named(train: np.ndarray, names: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Ridge regression on one-hot answers, solved on the facts' products: there are fewer facts
    than numbers in a state.
    """
    mean, spread = train.mean(0), np.maximum(train.std(0), 1e-8)
    own, other = ((each - mean) / spread / train.shape[1] ** 0.5 for each in (train, asked))
    classes = np.unique(names)
    wanted = (names[:, None] == classes[None]).astype(float)
    offset = wanted.mean(0)
    dual = np.linalg.solve(own @ own.T + PENALTY * np.eye(len(own)), wanted - offset)
    found: np.ndarray = classes[(other @ own.T @ dual + offset).argmax(1)]
    return found
