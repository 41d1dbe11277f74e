"""Popularity: thresholds against trying every one, and what is known of popular facts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses.measures import evidence_popularity as popularity
from analyses.measures.fact_prompts import ids_of
from workbench import facts


def _table(known: str, n: int = 120, seed: int = 0) -> pd.DataFrame:
    """Two relations; `popular` facts are known, or any (`lot`)."""
    rng = np.random.default_rng(seed)
    size = 10 ** rng.uniform(2, 7, n)
    relation = np.array(["a", "b"])[np.arange(n) % 2]
    middle = np.where(relation == "a", 1e4, 1e5)
    chance = np.where(known == "popular", 1 / (1 + (middle / size) ** 2), 0.4)
    return pd.DataFrame({
        "relation": relation, "popularity": size, popularity.NONE: rng.random(n) < chance,
        popularity.RIGHT: rng.random(n) < 0.95, popularity.WRONG: rng.random(n) < 0.05,
    })  # fmt: skip


def test_a_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        size = rng.integers(1, 8, 12).astype(float)
        alone, looked = rng.integers(0, 2, 12).astype(float), rng.random(12)

        def right(threshold: float, size=size, alone=alone, looked=looked) -> float:
            return float(np.where(size < threshold, looked, alone).mean())

        found = popularity.best_threshold(size, alone, looked)
        tried = [-np.inf, np.inf, *(size + 0.5)]
        assert right(found) == pytest.approx(max(map(right, tried)))


def test_looking_up_what_is_unpopular_pays_only_where_popular_facts_are_known() -> None:
    pays = popularity.hybrid(_table("popular", 600), 0.6, seed=0)
    assert pays.gain[1] > 0
    assert all(1e3 < t < 1e6 for pair in pays.thresholds.values() for t in pair)
    lot = popularity.hybrid(_table("lot", 600), 0.6, seed=0)
    assert lot.gain[1] <= 0
    for found in (pays, lot):
        means = {name: mean for name, (mean, _, _) in found.accuracy.items()}
        assert means[popularity.ORACLE] >= max(means.values()) - 1e-12


def test_a_threshold_is_not_tried_on_the_facts_that_chose_it() -> None:
    """On noise a threshold that may look at the answers would gain; one that may not loses."""
    gains = []
    for seed in range(20):
        table = _table("lot", 40, seed)
        table[popularity.RIGHT] = table[popularity.WRONG] = (
            np.random.default_rng(seed + 1000).random(40) < 0.4
        )
        gains.append(popularity.hybrid(table, 0.5, seed).gain[0])
    assert np.mean(gains) <= 0


def test_known_by_popularity_and_its_slope() -> None:
    popular, lot = _table("popular", 400), _table("lot", 400)
    assert popularity.known_by_popularity(popular)[1] > 0.7
    low, high = popularity.known_by_popularity(lot)[1:]
    assert low < 0.5 < high
    slopes = popularity.slopes(popular, 0).set_index("term")
    assert slopes.loc["tenfold popularity", "low"] > 0.5
    assert slopes.loc["both together", "high"] < 0
    assert popularity.slopes(lot, 0).set_index("term").loc["tenfold popularity", "low"] < 0


def test_only_facts_of_one_relation_are_compared() -> None:
    """Against every pair, one by one; a relation of which all is known has none."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({
        "relation": ["a"] * 12 + ["b"] * 20 + ["c"] * 9,
        "popularity": np.concatenate([rng.integers(1, 9, 12), rng.integers(500, 900, 20),
                                      rng.integers(1, 9, 9)]).astype(float),
        popularity.NONE: [*(rng.random(12) < 0.2), *(rng.random(20) < 0.8), *[True] * 9],
    })  # fmt: skip
    wins, pairs = 0.0, 0
    for _, part in table.groupby("relation"):
        for known in part[part[popularity.NONE]]["popularity"]:
            for other in part[~part[popularity.NONE]]["popularity"]:
                wins, pairs = wins + (known > other) + 0.5 * (known == other), pairs + 1
    value, low, high = popularity.known_by_popularity(table)
    assert value == pytest.approx(wins / pairs)
    assert low < value < high
    # Known ones are nearly all of the relation whose subjects are better known: that is no effect.
    assert np.isnan(popularity.known_by_popularity(table[table["relation"] == "c"])).all()


def test_the_question_is_the_same_with_a_text_and_without() -> None:
    relation = facts.relation("capital")
    alone = popularity.without_text(relation, "France").text
    behind = facts.render(facts.find_format("question"), relation, "France", "Rome").text
    statement = relation.fill("statement", "France", "Rome").text
    assert behind == f"{statement}\n{alone}"


def test_what_is_read_is_what_greedy_decoding_says(llama) -> None:
    relation = facts.relation("capital")
    some = popularity.popular_facts(relation, 5, np.random.default_rng(0))
    sizes = [fact.popularity for fact in some]
    assert len(some) == 5
    assert sizes == sorted(sizes)
    found = popularity.read(llama, relation, some, np.random.default_rng(0), lambda at, says: None)
    for number, fact in enumerate(some):
        prompt = popularity.without_text(relation, fact.subject)
        ids, right = ids_of(llama, prompt), True
        for token in llama.continuation_tokens(prompt.continuation(fact.answer)):
            right &= int(llama.next_logits([ids])[0].argmax()) == token
            ids = [*ids, token]
        assert found[popularity.NONE][number] == right
