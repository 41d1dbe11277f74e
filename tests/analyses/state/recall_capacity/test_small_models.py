"""Small models that are trained in a run: layers of attention, and transformers on chains."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses.state.recall_capacity import chain_order, chains, head_capacity, head_sets
from analyses.state.recall_capacity.constants import NAME
from analyses.state.recall_capacity.params import Params
from workbench.progress import Progress
from workbench.result import Result


def test_layers_side_by_side_are_attention_one_by_one():
    torch.manual_seed(0)
    layers = head_capacity._Layers(2, 3)
    context, query = torch.randn(2, 5, 4, 8), torch.randn(2, 5, 8)
    with torch.no_grad():
        logits, weights = layers(context, query)
    for m in range(2):
        for t in range(5):
            given = torch.zeros(head_capacity.LABELS)
            for h in range(3):
                q = query[m, t] @ layers.queries[m, h]
                scores = torch.stack([q @ (x @ layers.keys[m, h]) for x in context[m, t]])
                attention = scores.softmax(0)
                value = attention @ (context[m, t] @ layers.values[m, h])
                given = given + value @ layers.out[m, h]
                assert weights[m, t, h].tolist() == pytest.approx(attention.tolist(), abs=1e-5)
            assert logits[m, t].tolist() == pytest.approx(given.tolist(), abs=1e-4)


def test_a_small_set_is_fitted_and_far_too_large_a_set_is_not():
    small, large = head_capacity.fit(1, 4, [8, 400], seed=0, steps=400)
    assert small.right == 1
    assert large.right < 0.8
    assert 0 <= small.saturated <= 1


def test_a_set_learns_the_same_whatever_stands_beside_it():
    """But for rounding: random numbers of a set are its own only if the shape stays."""
    first = head_capacity.fit(2, 4, [10, 40], seed=1, steps=30)
    other = head_capacity.fit(2, 4, [20, 40], seed=1, steps=30)
    assert first[1].right == pytest.approx(other[1].right, abs=0.03)


def test_the_largest_set_is_the_last_before_a_failure():
    def rows(*fitted: bool) -> pd.DataFrame:
        return pd.DataFrame({"examples": [8, 16, 24, 32][: len(fitted)], "fitted": fitted})

    assert head_sets.largest(rows(True, True, False, True)) == 16
    assert head_sets.largest(rows(False, True, True)) == 0
    assert head_sets.largest(rows(True, True, True)) == 24


def test_capacity_that_doubles_with_the_heads_has_slope_one(monkeypatch):
    def linear(
        heads: int, context: int, sizes: list[int], seed: int, steps: int, report: Callable
    ) -> list[head_capacity.Fit]:
        top = heads * min(context, head_capacity.WIDTH) * (9 + seed)
        return [
            head_capacity.Fit(heads, context, size, seed, float(size <= top), 0.5) for size in sizes
        ]

    monkeypatch.setattr(head_sets, "fit", linear)
    result = Result(NAME)
    head_sets.measure(result, Params(), Progress())
    assert result.findings["heads"].value == pytest.approx(1.0, abs=0.1)
    table = result.tables["head_capacity"].set_index(["heads", "context"])["capacity"]
    assert table[2, 8] == table[2, 16] > table[2, 4] > table[2, 2]


@given(st.integers(1, 2), st.integers(0, 2**31))
def test_chains_lead_to_what_is_asked(count, seed):
    ids, labels, away = chains.rows(3, count, torch.Generator().manual_seed(seed))
    links = chains.LINKS
    n_pairs = count * links
    assert ids.shape == labels.shape == away.shape == (3, 2 * n_pairs + n_pairs * links)
    for row, wanted, distance in zip(ids.tolist(), labels.tolist(), away.tolist(), strict=True):
        following = dict(zip(row[: 2 * n_pairs : 2], row[1 : 2 * n_pairs : 2], strict=True))
        assert len(following) == n_pairs
        assert wanted[: 2 * n_pairs] == [-100] * (2 * n_pairs)
        for at in range(2 * n_pairs, len(row), links):
            node = row[at]
            for step in range(links):
                assert step == 0 or row[at + step] == chains.NEXT
                node = following.get(node, -100)
                assert wanted[at + step] == node
                assert distance[at + step] == (step + 1 if node >= 0 else 0)
    assert (labels != -100).sum() == 3 * n_pairs * (links + 1) // 2


def test_a_model_that_follows_only_direct_links_is_told_by_distance():
    class Direct(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Result:
            logits = torch.zeros(*input_ids.shape, chains.NEXT + 1)
            n = 2 * chains.CHAINS[-1] * chains.LINKS
            for row, ids in enumerate(input_ids.tolist()):
                following = dict(zip(ids[:n:2], ids[1:n:2], strict=True))
                for at, node in enumerate(ids):
                    if node in following:
                        logits[row, at, following[node]] = 1
            return type("Output", (), {"logits": logits})

    direct, second, third = chains.recall(Direct(), 0)
    assert direct == 1
    assert max(second, third) < 0.2


def test_what_is_learned_first_is_told(monkeypatch):
    curve = [(0, (0.0, 0.0, 0.0)), (50, (0.95, 0.3, 0.1)), (100, (1.0, 0.92, 0.2))]

    def trained(layers: int, seed: int, *_: object) -> chains.Learned:
        slow = [(step, tuple(0.1 * share for share in shares)) for step, shares in curve]
        return chains.Learned(layers, seed, curve if layers > 1 else slow)

    monkeypatch.setattr(chain_order, "train", trained)
    result = Result(NAME)
    chain_order.measure(result, Params(trainings=2), Progress())
    steps = result.tables["chain_steps"].set_index(["layers", "seed", "links"])["learned_at"]
    assert steps[2, 0, 1] == 50
    assert steps[2, 1, 2] == 100
    assert math.isnan(steps[2, 0, 3])
    assert math.isnan(steps[1, 0, 1])
    finding = result.findings["chains"]
    assert finding.values["direct_first"] == finding.values["trainings"] == 4
    assert "in 4 of 4 trainings that learn either" in finding.says
