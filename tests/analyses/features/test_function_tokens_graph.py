"""Tokens × features by brute force and by drawing samples; lists of function tokens; losses by
transition and n-grams.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.features.function_tokens import coverage as measures
from analyses.features.function_tokens import graph, transitions, words
from analyses.features.function_tokens.constants import BINS
from analyses.features.function_tokens.graph import (
    Graph,
    coverage,
    coverage_at,
    degrees,
    degrees_at,
    missed,
    pooled,
)
from analyses.features.function_tokens.ngrams import NGrams
from analyses.features.function_tokens.top_examples import EXAMPLES, TopExamples
from hooks.features.sae import SKIP


class Drawn:
    """Tokens and activations drawn at random, and their graph both ways."""

    def __init__(
        self, seed: int, tokens: int = 400, types: int = 12, width: int = 25, density: float = 0.08
    ) -> None:
        rng = np.random.default_rng(seed)
        self.types = rng.choice(types, tokens, p=rng.dirichlet(np.ones(types)))
        self.active = rng.random((tokens, width)) * (rng.random((tokens, width)) < density)
        self.occurrences = np.bincount(self.types, minlength=types)
        made = Graph(width)
        for start in range(0, tokens, 64):
            at, feature = np.nonzero(self.active[start : start + 64])
            values = self.active[start : start + 64][at, feature]
            made.add(
                *(torch.as_tensor(x) for x in (self.types[start : start + 64][at], feature, values))
            )
        self.edges = made.edges()
        self.counts = np.zeros((types, width), int)
        for kind, row in zip(self.types, self.active, strict=True):
            self.counts[kind] += row > 0

    def draw(self, rng, kinds, m) -> np.ndarray:
        """Features seen in m occurrences of each type, (type, feature)."""
        seen = []
        for kind in kinds:
            at = rng.choice(np.flatnonzero(self.types == kind), m, replace=False)
            seen.append((self.active[at] > 0).any(0))
        return np.array(seen)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_graph_counts_what_a_loop_counts(seed):
    drawn = Drawn(seed)
    kinds, width = drawn.counts.shape
    assert np.array_equal(degrees(drawn.edges, kinds), (drawn.counts > 0).sum(1))
    for kind, feature, count, peak in zip(
        drawn.edges.type, drawn.edges.feature, drawn.edges.count, drawn.edges.peak, strict=True
    ):
        assert count == drawn.counts[kind, feature]
        assert peak == np.float32(drawn.active[drawn.types == kind, feature].max())
    order = words.by_frequency(drawn.occurrences)
    reached, seen = [], np.zeros(width, bool)
    for kind in order:
        seen |= drawn.counts[kind] > 0
        reached.append(seen.sum() / max(1, (drawn.counts.sum(0) > 0).sum()))
    found = coverage(drawn.edges, order)
    assert np.allclose(found, reached)
    assert (np.diff(found) >= 0).all()
    assert found[-1] == pytest.approx(1.0)


def test_a_graph_grows_with_its_edges_not_with_the_text(monkeypatch):
    monkeypatch.setattr(graph, "_WAITING", 1000)
    made, rng, held = Graph(25), np.random.default_rng(0), []
    for _ in range(100):
        types, features, values = (
            rng.integers(0, 12, 300),
            rng.integers(0, 25, 300),
            rng.random(300),
        )
        made.add(*(torch.as_tensor(x) for x in (types, features, values)))
        kept = 0 if made._keys is None else len(made._keys)
        held.append(kept + sum(len(part) for _, part in made._new))
    assert max(held) <= 12 * 25 + 1000 + 300
    edges = made.edges()
    assert len(edges.type) == 12 * 25
    assert edges.count.sum() == 30_000
    assert len(made.edges().type) == 0  # handed over


def test_edges_above_a_threshold_reach_it_somewhere():
    drawn = Drawn(3)
    strong = drawn.edges.above(0.7)
    most = drawn.active.max(0)
    expected = {
        (kind, feature)
        for kind in range(12)
        for feature in range(25)
        if drawn.counts[kind, feature]
        and drawn.active[drawn.types == kind, feature].max() > 0.7 * most[feature]
    }
    assert set(zip(strong.type.tolist(), strong.feature.tolist(), strict=True)) == expected
    assert 0 < len(expected) < len(drawn.edges.type)


def test_fewer_occurrences_are_what_drawing_them_gives():
    drawn, rng, m = Drawn(1), np.random.default_rng(0), 9
    order = np.array(
        [k for k in words.by_frequency(drawn.occurrences) if drawn.occurrences[k] >= m]
    )
    sampled = np.array([drawn.draw(rng, order, m) for _ in range(3000)])
    alive = (drawn.counts.sum(0) > 0).sum()
    found = degrees_at(drawn.edges, drawn.occurrences, m)
    assert np.allclose(found[order], sampled.sum(2).mean(0), atol=0.15)
    assert np.isnan(found[drawn.occurrences < m]).all()
    together = np.logical_or.accumulate(sampled, axis=1).sum(2).mean(0) / alive
    assert np.allclose(coverage_at(drawn.edges, drawn.occurrences, order, m), together, atol=0.005)
    whole = coverage_at(drawn.edges, drawn.occurrences, order, drawn.occurrences[order])
    assert np.allclose(whole, coverage(drawn.edges, order))


def test_as_many_tokens_of_some_types_are_what_drawing_them_gives():
    drawn, rng = Drawn(2), np.random.default_rng(0)
    kinds = np.array([1, 4, 7])
    pool = np.flatnonzero(np.isin(drawn.types, kinds))
    alive = (drawn.counts.sum(0) > 0).sum()
    sampled = [
        (drawn.active[rng.choice(pool, 15, replace=False)] > 0).any(0).sum() / alive
        for _ in range(4000)
    ]
    found = pooled(drawn.edges, drawn.occurrences, kinds, np.array([15, len(pool), len(pool) + 1]))
    assert found[0] == pytest.approx(np.mean(sampled), abs=0.006)
    assert found[1] == pytest.approx((drawn.counts[kinds].sum(0) > 0).sum() / alive)
    assert np.isnan(found[2])


def test_nothing_can_be_missed_in_a_sample_larger_than_there_is():
    assert missed(3, 10, 8) == 0.0  # only seven are without
    assert missed(0, 10, 10) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="cannot be larger"):
        missed(1, 10, 11)


def test_a_gallery_keeps_the_strongest_of_each_window():
    rng = np.random.default_rng(0)
    active = rng.random((40, 8, 5)) * (rng.random((40, 8, 5)) < 0.3)  # window, pos, feature
    gallery = TopExamples(5, 8, torch.device("cpu"))
    for start in range(0, 40, 7):
        window, pos, feature = np.nonzero(active[start : start + 7])
        values = active[start : start + 7][window, pos, feature]
        gallery.add(
            *(
                torch.as_tensor(x)
                for x in ((window + start) * 8 + pos, feature, values.astype("float32"))
            )
        )
    strength, where = gallery.strongest
    for feature in range(5):
        best = active[:, :, feature].max(1)
        order = np.argsort(-best, kind="stable")[:EXAMPLES]
        assert np.allclose(strength[feature], best[order])
        assert (where[feature] // 8).tolist() == order.tolist()
        assert (where[feature] % 8).tolist() == active[order, :, feature].argmax(1).tolist()
        expected, _ = np.histogram(active[..., feature][active[..., feature] > 0], BINS)
        assert gallery.histogram[feature].tolist() == expected.tolist()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any), st.floats(0.05, 0.95))
def test_function_tokens_are_the_fewest_that_reach_the_share(counts, share):
    occurrences = np.array(counts)
    found = words.most_frequent(occurrences, share)
    goal = share * occurrences.sum()
    assert occurrences[found].sum() >= goal
    assert occurrences[found[:-1]].sum() < goal
    rest = np.setdiff1d(np.arange(len(counts)), found)
    assert not len(rest) or occurrences[rest].max() <= occurrences[found].min()


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (" the", "determiner"),
        ("The", "determiner"),
        (" of", "preposition"),
        ("\n\n", "white space"),
        (" ", "white space"),
        (".", "punctuation"),
        ("',", "punctuation"),
        (" and", "conjunction"),
        ("'s", "auxiliary"),
        (" not", "particle"),
        (" thou", "pronoun"),
        (" France", ""),
        ("42", ""),
    ],
)
def test_function_words_of_grammar(token, kind):
    assert words.word_class(token) == kind


def test_a_fair_comparison_draws_no_more_than_each_type_has():
    occurrences = np.array([50, 40, 30, 7, 6, 5, 1])
    types = measures.Types.of(occurrences, 0.6)
    assert types.function.tolist() == [0, 1]
    assert types.peers.tolist() == [2, 3]
    assert types.equal == 7
    assert types.content.tolist() == [2, 3, 4, 5, 6]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 3))
@settings(deadline=None)
def test_ngrams_are_probabilities(ids, order):
    counted = NGrams([np.array(ids)], 6)
    for before in ([], [0], ids[-2:]):
        chances = [
            np.exp(-counted.losses(np.array([*before, kind]), order)[-1]) for kind in range(6)
        ]
        assert sum(chances) == pytest.approx(1.0)


def test_ngrams_learn_what_follows():
    rows = [np.array([1, 2, 3] * 50)]
    counted = NGrams(rows, 5)
    assert counted.losses(np.array([1, 2, 3]))[-1] < 0.1
    assert counted.losses(np.array([1, 2, 3]), 1)[-1] == pytest.approx(np.log(3), abs=0.1)


def test_losses_by_transition_add_up():
    rng = np.random.default_rng(0)
    ids, losses = rng.integers(0, 9, (20, 30)), rng.random((20, 30)).astype("float32")
    losses[:, 0] = np.nan
    losses[3] = np.nan
    function = np.arange(9) < 3
    rows = {row["transition"]: row for row in transitions.by_transition(losses, ids, function)}
    total = sum(row["loss"] * row["n"] for row in rows.values()) / sum(
        row["n"] for row in rows.values()
    )
    assert total == pytest.approx(np.nanmean(losses[:, SKIP + 1 :]), rel=1e-5)
    mine = [
        losses[w, p + 1]
        for w in range(20)
        for p in range(SKIP, 29)
        if w != 3 and function[ids[w, p]] and not function[ids[w, p + 1]]
    ]
    assert rows["F→C"]["loss"] == pytest.approx(np.mean(mine), rel=1e-5)
    assert rows["F→C"]["n"] == len(mine)
    assert rows["F→C"]["standard_error"] == pytest.approx(
        np.std(mine) / np.sqrt(len(mine)), rel=0.5
    )


@pytest.mark.parametrize(("last", "most"), [(1, 3), (3, 500), (64, 26_521), (5, 5)])
def test_a_curve_has_the_points_that_are_spoken_of(last, most):
    grid = measures._grid(last, most).tolist()
    assert grid == sorted(set(grid))
    assert {1, min(measures.FIRST, most), last, most} <= set(grid)
    assert grid[-1] == most
