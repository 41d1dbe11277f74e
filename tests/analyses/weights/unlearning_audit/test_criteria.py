"""Every criterion counted again, from its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import criteria
from analyses.weights.unlearning_audit.questions import rouge_l


def scored(forget, unseen):
    sets = [c.FORGET] * len(forget) + [c.UNSEEN] * len(unseen)
    return pd.DataFrame({"set": sets, "min_k": [*forget, *unseen]})


numbers = st.lists(st.integers(-20, 0).map(float), min_size=1, max_size=12)


@given(numbers, numbers, numbers, numbers)
def test_leakage_is_that_of_muse(forget, unseen, forget_ref, unseen_ref):
    def area(own, other):
        wins = [(u > f) + 0.5 * (u == f) for f in own for u in other]
        return sum(wins) / len(wins)

    reference = scored(forget_ref, unseen_ref)
    if len(forget) == len(forget_ref) and len(unseen) == len(unseen_ref):
        mine, theirs = area(forget, unseen), area(forget_ref, unseen_ref)
        value, low, high, n = criteria.leakage(scored(forget, unseen), reference, 0)
        assert value == pytest.approx(100 * (mine - theirs) / max(theirs, 1e-9))
        assert n == len(forget)
        assert low <= high
    alone = criteria.leakage(scored(forget, unseen), None, 0)[0]
    assert alone == pytest.approx(100 * (area(forget, unseen) - 0.5) / 0.5)


def test_leakage_is_below_0_where_passages_still_fit_and_above_where_they_fit_worse():
    unseen = np.linspace(-6, -4, 50)
    assert criteria.leakage(scored([-1.0] * 9, unseen), None, 0)[0] == -100
    assert criteria.leakage(scored([-9.0] * 9, unseen), None, 0)[0] == 100
    assert abs(criteria.leakage(scored(unseen, unseen), None, 0)[0]) < 1e-9


def test_min_k_is_the_mean_of_the_lowest_tokens():
    assert criteria.lowest(np.array([-5.0, -1.0, -3.0, -0.5, -2.0]), 0.4) == -4.0
    assert criteria.lowest(np.array([-5.0]), 0.4) == -5.0


@pytest.mark.parametrize(
    ("said", "true", "value"),
    [
        ("the cat sat", "the cat sat", 1.0),
        ("the cat", "the cat sat on", 2 * 2 / 6),
        ("sat the cat", "the cat sat", 2 * 2 / 6),
        ("", "the cat", 0.0),
        ("THE Cat!", "the cat", 1.0),
    ],
)
def test_rouge_l_is_the_longest_common_subsequence_of_words(said, true, value):
    assert rouge_l(said, true) == pytest.approx(value)


def test_one_pass_says_what_a_plain_pass_says(audited, organism):
    """Loss, first choice, Min-K and the continuation, of the original and of the reference."""
    import workbench as wb
    from analyses.weights import unlearning_audit as analysis
    from analyses.weights.unlearning_audit.sets import sets_of

    table = audited.tables["passages"]
    params = analysis.Params(**{k: v for k, v in audited.params.items() if k != "parts"})
    passage = sets_of(organism, params)[c.FORGET][0]
    other = wb.load("organism/planted-without-2")
    for name, model in ((c.ORIGINAL, organism), (c.REFERENCE, other)):
        row = table[(table["model"] == name) & (table["passage"] == passage.name)].iloc[0]
        ids = torch.tensor([passage.text.ids])
        with torch.no_grad():
            logits = model.module(input_ids=ids).logits[0, :-1].log_softmax(-1)
        true = ids[0, 1:]
        logs = logits.gather(1, true[:, None])[:, 0].numpy()
        assert row["nats"] == pytest.approx(-logs.mean(), abs=1e-4)
        assert row["exact"] == pytest.approx(
            float((logits.argmax(-1) == true).float().mean()), abs=1e-6
        )
        lowest = np.sort(logs)[: int(0.4 * len(logs))]
        assert row["min_k"] == pytest.approx(lowest.mean(), abs=1e-4)
        text = model.generate(
            model.text.decode(list(passage.text.ids[1:17])), max_new_tokens=len(true) - 16
        )
        assert row["says"].strip()[:20] in text


def test_forget_quality_is_a_plain_test_of_truth_ratios():
    draw = np.random.default_rng(0)
    ratios = {"one": draw.lognormal(0, 1, 40), c.REFERENCE: draw.lognormal(0.8, 1, 40)}
    asked = pd.concat(
        pd.DataFrame(
            {"model": name, "set": c.FORGET, "rouge": 0.1, "chosen": 1.0, "log_p": -1.0,
             "log_p_wrong": -2.0, "truth_ratio": each}
        )
        for name, each in ratios.items()
    )  # fmt: skip
    none = pd.DataFrame(
        {"model": list(ratios), "set": c.FORGET, "passage": "a", "exact": 0.5, "nats": 1.0,
         "strength": 0.1, "min_k": -1.0, "verbatim": 0.2, "fluency": 1.0}
    )  # fmt: skip
    table = criteria.audit(none, asked, c.REFERENCE, 0).set_index(["model", "criterion"])["value"]
    plain = ks_2samp(ratios["one"], ratios[c.REFERENCE])
    assert table["one", "forget_quality"] == pytest.approx(plain.pvalue)
    assert table["one", "ks"] == pytest.approx(plain.statistic)
    folded = np.minimum(ratios["one"], 1 / ratios["one"]).mean()
    assert table["one", "truth"] == pytest.approx(folded)
    assert table[c.REFERENCE, "forget_quality"] == 1.0
