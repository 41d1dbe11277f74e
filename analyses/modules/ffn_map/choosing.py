"""Which neurons a capability's set is made of, and which others it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ALWAYS = 0.01
"""A neuron is always active if it is among this share of the largest contributions to every
capability.
"""
_NEAR = 10
"""Neurons of the same layer and about the same contribution that a control is drawn from."""


@dataclass(frozen=True)
class NeuronTable:
    """What is known of every neuron; rows are neurons, in order of layer and number.

    Attributes:
        layer, number: which it is.
        precision, silent: average precision of being more active, and less, (neuron, capability).
        contribution: mean |activation| times the length of its value, (neuron, capability).
        mean: mean signed activation over all prompts.
        threshold: by capability, what the best of all neurons reaches by chance (95 %).
    """

    capabilities: Sequence[str]
    layer: np.ndarray
    number: np.ndarray
    precision: np.ndarray
    silent: np.ndarray
    contribution: np.ndarray
    mean: np.ndarray
    threshold: np.ndarray

    @property
    def always(self) -> np.ndarray:
        """Which neurons are always active, (neuron,)."""
        n = max(1, round(ALWAYS * len(self.layer)))
        cut = -np.sort(-self.contribution, axis=0)[n - 1]
        found: np.ndarray = (self.contribution >= cut).all(1)
        return found

    @property
    def above(self) -> np.ndarray:
        """Whose precision is above chance, (neuron, capability)."""
        found: np.ndarray = self.precision > self.threshold
        return found

    def held(self, rows: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """By layer, numbers of these neurons and their mean activations."""
        found = {}
        for layer in np.unique(self.layer[rows]):
            chosen = rows[self.layer[rows] == layer]
            found[int(layer)] = (self.number[chosen], self.mean[chosen])
        return found


def top_sets(neurons: NeuronTable, k: int) -> dict[str, np.ndarray]:
    """By capability, the k neurons that tell it best, as rows of the table.

    Of neurons above chance that are not always active, the most precise; among equally precise ones
    (to three decimals) those first that contribute more here than elsewhere. A capability with
    fewer than k of them gets those it has; one with none is left out.
    """
    found = {}
    for number, name in enumerate(neurons.capabilities):
        able = np.flatnonzero(neurons.above[:, number] & ~neurons.always)
        own = neurons.contribution[able, number]
        others = np.delete(neurons.contribution[able], number, axis=1).mean(1)
        precise = np.round(neurons.precision[able, number], 3)
        order = np.lexsort((others - own, -precise))
        if len(order):
            found[name] = able[order[:k]]
    return found


def matched(
    neurons: NeuronTable, sets: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """By capability, as many neurons in the same layers that contribute about as much to its
    prompts, none of which is in any set or always active; in the order of the set, -1 where the
    layer has none left.
    """
    taken = np.zeros(len(neurons.layer), bool)
    for rows in sets.values():
        taken[rows] = True
    free = ~(taken | neurons.always)
    found = {}
    for name, rows in sets.items():
        rng = np.random.default_rng([seed, list(neurons.capabilities).index(name)])
        size = neurons.contribution[:, list(neurons.capabilities).index(name)]
        left = free.copy()
        chosen = np.full(len(rows), -1)
        # The largest first: there are fewest like them.
        for place in np.argsort(-size[rows]):
            row = rows[place]
            able = np.flatnonzero(left & (neurons.layer == neurons.layer[row]))
            if not len(able):
                continue
            near = able[np.argsort(np.abs(size[able] - size[row]), kind="stable")[:_NEAR]]
            chosen[place] = rng.choice(near)
            left[chosen[place]] = False
        found[name] = chosen
    return found
