"""Average precision, its null, sets and controls, and groups, each beside a plain formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.modules.ffn_map.choosing import NeuronTable, matched, top_sets
from analyses.modules.ffn_map.coactivation import Moments, nearest_graph
from analyses.modules.ffn_map.partitions import adjusted_rand, groups_of, modularity, rewired
from analyses.modules.ffn_map.precision import NullOfMaximum, average_precision, ranks


def by_hand(scores: np.ndarray, members: set[int]) -> float:
    """Mean over members of the share of members among all that score as high."""
    order = sorted(range(len(scores)), key=lambda n: -scores[n])
    hits, total = 0, 0.0
    for place, n in enumerate(order, 1):
        if n in members:
            hits += 1
            total += hits / place
    return total / len(members)


def test_average_precision_is_the_textbooks() -> None:
    scores = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    members = np.arange(5, 17)
    found = average_precision(ranks(scores, 0), members)
    wanted = [by_hand(scores[:, k], set(members.tolist())) for k in range(7)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_neuron_that_is_always_silent_tells_nothing() -> None:
    scores = np.zeros((200, 1), np.float32)
    ranked = ranks(scores, 0)
    for members in np.split(np.arange(200), 4):
        assert average_precision(ranked, members)[0] < 0.5
    assert sorted(ranked[0]) == list(range(1, 201))


def test_the_null_is_the_best_of_all_neurons_and_blocks_make_no_difference() -> None:
    scores = np.random.default_rng(1).normal(size=(60, 300)).astype(np.float32)
    ranked = ranks(scores, 0)
    whole, parts = (NullOfMaximum([20, 20, 20], 90, 5) for _ in range(2))
    assert len(list(whole.add(ranked))) == len(whole) == 30
    for part in (ranked[:100], ranked[100:]):
        list(parts.add(part))
    assert whole.threshold(0) == parts.threshold(2)
    one = average_precision(ranked, np.arange(20)).max()
    assert 1 / 3 < one < whole.threshold(0) + 0.1
    few = NullOfMaximum([20, 20, 20], 90, 5)
    list(few.add(ranked[:5]))
    assert few.threshold(0) < whole.threshold(0)


def test_unequal_capabilities_have_a_null_each() -> None:
    scores = np.random.default_rng(1).normal(size=(60, 50)).astype(np.float32)
    null = NullOfMaximum([10, 50], 40, 0)
    list(null.add(ranks(scores, 0)))
    assert null.threshold(0) < null.threshold(1)


def table(n: int = 400) -> NeuronTable:
    rng = np.random.default_rng(2)
    contribution = rng.lognormal(size=(n, 2))
    contribution[:4] = 1000.0  # always active, and perfectly precise
    precision = rng.uniform(0, 0.6, size=(n, 2))
    precision[:24, 0] = 1.0
    contribution[10:14, 0] = 50.0
    return NeuronTable(
        ["one", "other"], np.arange(n) // 100, np.arange(n) % 100, precision, precision * 0,
        contribution, rng.normal(size=n), np.array([0.8, 0.8]),
    )  # fmt: skip


def test_a_set_is_precise_contributes_and_is_not_always_active() -> None:
    neurons = table()
    assert np.flatnonzero(neurons.always).tolist() == [0, 1, 2, 3]
    sets = top_sets(neurons, 4)
    assert set(sets) == {"one"}  # no neuron of the other is above chance
    assert sorted(sets["one"].tolist()) == [10, 11, 12, 13]
    assert len(top_sets(neurons, 100)["one"]) == 20
    held = neurons.held(sets["one"])
    assert held[0][0].tolist() == sets["one"].tolist()


def test_controls_are_of_the_same_layer_and_contribution() -> None:
    neurons = table()
    sets = {"one": np.array([20, 120, 220])}
    found = matched(neurons, sets, 0)["one"]
    assert (neurons.layer[found] == neurons.layer[sets["one"]]).all()
    assert not set(found) & {0, 1, 2, 3, 20, 120, 220}
    own = neurons.contribution[:, 0]
    apart = np.abs(own[found] - own[sets["one"]])
    assert (apart < np.quantile(np.abs(own[None] - own[:, None]), 0.3)).all()
    assert (matched(neurons, sets, 0)["one"] == found).all()


def test_moments_give_the_correlation_of_a_plain_array() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 9, 6, generator=rng)
    counted = torch.ones(4, 9, dtype=torch.bool)
    counted[1, :3] = False
    moments = Moments.of_nothing(6)
    for rows in ([0, 1], [2, 3]):
        moments.add(moments.of_batch(x[rows], counted[rows], rows))
    plain = np.corrcoef(x.abs()[counted].numpy().T)
    np.testing.assert_allclose(moments.correlation(), plain, atol=1e-5)
    half = np.corrcoef(x.abs()[[0, 2]].flatten(0, 1).numpy().T)
    np.testing.assert_allclose(moments.correlation(0), half, atol=1e-5)


def test_planted_groups_are_found_and_rewired_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    planted = np.repeat(np.arange(4), 15)
    common = rng.normal(size=(4, 500))
    values = common[planted] + 0.8 * rng.normal(size=(60, 500))
    graph = nearest_graph(np.corrcoef(values))
    groups = groups_of(graph, 0)
    assert adjusted_rand(groups, planted) > 0.9
    other = rewired(graph, 0)
    assert sorted(dict(graph.degree).values()) == sorted(dict(other.degree).values())
    assert modularity(graph, groups) > modularity(other, groups_of(other, 0)) + 0.2
    assert abs(adjusted_rand(rng.permutation(planted), planted)) < 0.1
    assert adjusted_rand(planted, 3 - planted) == pytest.approx(1.0)
