"""Groups of neurons that are active together, layer by layer, and whether a capability keeps to a
few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.modules.ffn_map.coactivation import HALVES, Moments, nearest_graph

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

    from analyses.modules.ffn_map.choosing import NeuronTable
    from workbench.progress import Progress

_REWIRED = 5
"""Graphs of the same degrees that a modularity is compared with."""
_SWAPS = 3
"""Exchanges per edge until a graph is taken as rewired."""
_TOP = 0.01
"""Of a layer's neurons: those that tell a capability best (MoEfication: 1 %)."""
_P = 0.001
"""Below this chance, a group has more of them than its share (hypergeometric)."""
_RANDOM = 20
"""Random groups of the same sizes."""


def groups_of(graph: nx.Graph, seed: int) -> np.ndarray:
    """Which group each neuron is in, from the largest on: the partition of highest modularity that
    Louvain's method finds (Blondel et al. 2008), (neuron,).
    """
    import networkx as nx

    found = sorted(nx.community.louvain_communities(graph, seed=seed), key=len, reverse=True)
    groups = np.zeros(graph.number_of_nodes(), int)
    for number, members in enumerate(found):
        groups[list(members)] = number
    return groups


def modularity(graph: nx.Graph, groups: np.ndarray) -> float:
    """Share of the edges' weight within groups, less what their degrees alone give."""
    import networkx as nx

    members = [set(np.flatnonzero(groups == number).tolist()) for number in np.unique(groups)]
    return float(nx.community.modularity(graph, members))


def rewired(graph: nx.Graph, seed: int) -> nx.Graph:
    """The same degrees and the same weights, tied at random."""
    import networkx as nx

    weights = [weight for *_, weight in graph.edges.data("weight")]
    other = nx.Graph(graph.edges)
    other.add_nodes_from(graph)
    n = _SWAPS * other.number_of_edges()
    nx.double_edge_swap(other, nswap=n, max_tries=20 * n, seed=seed)
    np.random.default_rng(seed).shuffle(weights)
    tied = nx.Graph()
    tied.add_nodes_from(graph)
    tied.add_weighted_edges_from((*edge, w) for edge, w in zip(other.edges, weights, strict=True))
    return tied


def adjusted_rand(one: np.ndarray, other: np.ndarray) -> float:
    """How far two partitions of the same things agree: 1 if they are one, 0 as chance would have it
    (Hubert and Arabie 1985).
    """
    counts = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(counts, (one, other), 1)

    def pairs(n: Any) -> float:
        return float((n * (n - 1) / 2).sum())

    both, rows, columns = pairs(counts), pairs(counts.sum(1)), pairs(counts.sum(0))
    expected = rows * columns / max(1.0, pairs(np.array([float(len(one))])))
    top = (rows + columns) / 2
    return 1.0 if top == expected else (both - expected) / (top - expected)


def partition(
    layer: int, moments: Moments, neurons: NeuronTable, seed: int, progress: Progress
) -> tuple[dict[str, Any], list[dict[str, Any]], np.ndarray]:
    """(how good the layer's partition is, the functional experts in it, the group of each neuron
    that was counted).
    """
    graph = nearest_graph(moments.correlation())
    groups = groups_of(graph, seed)
    nulls = []
    for n in range(_REWIRED):
        progress(n / (_REWIRED + 2), f"Layer {layer}: rewired graph {n + 1} of {_REWIRED}")
        other = rewired(graph, seed + n)
        nulls.append(modularity(other, groups_of(other, seed)))
    halves = [groups_of(nearest_graph(moments.correlation(half)), seed) for half in range(HALVES)]
    quality = {
        "layer": layer,
        "neurons": len(groups),
        "groups": int(groups.max()) + 1,
        "modularity": modularity(graph, groups),
        "rewired": float(np.mean(nulls)),
        "rewired_high": float(np.max(nulls)),
        "agreement": adjusted_rand(*halves),
    }
    rows = np.flatnonzero(neurons.layer == layer)[:: moments.step]
    return quality, list(_experts(layer, groups, neurons, rows, seed)), groups


def _experts(
    layer: int, groups: np.ndarray, neurons: NeuronTable, rows: np.ndarray, seed: int
) -> Any:
    """For each capability and group: how many of the layer's best neurons are in it."""
    from scipy.stats import hypergeom

    n = max(1, round(_TOP * len(rows)))
    sizes = np.bincount(groups)
    rng = np.random.default_rng([seed, layer])
    for number, name in enumerate(neurons.capabilities):
        best = np.argsort(-neurons.precision[rows, number], kind="stable")[:n]
        counts = np.bincount(groups[best], minlength=len(sizes))
        chance = hypergeom.sf(counts - 1, len(rows), sizes, n)
        dealt = [
            np.bincount(rng.permutation(groups)[best], minlength=len(sizes)) for _ in range(_RANDOM)
        ]
        at_random = [hypergeom.sf(c - 1, len(rows), sizes, n).min() < _P for c in dealt]
        for group in np.flatnonzero(counts):
            yield {
                "layer": layer,
                "capability": name,
                "group": int(group),
                "size": int(sizes[group]),
                "neurons": int(counts[group]),
                "expected": float(n * sizes[group] / len(rows)),
                "p": float(chance[group]),
                "expert": bool(chance[group] < _P),
                "random": float(np.mean(at_random)),
            }


def partition_layers(layers: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Layers to be partitioned: those that are wanted, or an early, a middle and a late one."""
    if wanted:
        return [layer for layer in layers if layer in wanted]
    return sorted({layers[round(share * (len(layers) - 1))] for share in (0.2, 0.5, 0.8)})


def group_frame(layer: int, groups: np.ndarray, step: int) -> pd.DataFrame:
    """The group of every counted neuron of a layer."""
    import pandas as pd

    numbers = np.arange(len(groups)) * step
    return pd.DataFrame({"layer": layer, "neuron": numbers, "group": groups})
