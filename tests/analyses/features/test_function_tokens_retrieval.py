"""Ablation and steering at the last token: each change as the hook layer makes it, and what the
tables say of them.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analyses.features.function_tokens import facts, reactivation
from analyses.measures.statistics import mean_interval
from tests.helpers.autoencoders import features_of

_SUBJECTS = {
    "France": "Paris",
    "Italy": "Rome",
    "Peru": "Lima",
    "Spain": "Madrid",
    "Chile": "Santiago",
}


def asked(model) -> list[facts.FactPrompt]:
    return [facts._fact_prompt(model, f"The capital of {s} is", s, a) for s, a in _SUBJECTS.items()]


def test_the_subject_is_where_it_stands(llama):
    for one, subject in zip(asked(llama), _SUBJECTS, strict=True):
        text = llama.tokenizer.decode([one.ids[place] for place in one.subject])
        assert subject in text
        assert len(text) <= len(subject) + 2


@pytest.mark.parametrize(
    ("site", "layer"), [("resid_post", 1), ("resid_pre", 1), ("mlp_out", 0), ("z", 1)]
)
def test_a_change_is_what_the_hook_layer_does_with_a_whole_pass(llama, site, layer):
    features = features_of(llama, layer, 48, site)
    read_ = reactivation.Facts(features, asked(llama))
    goal = torch.where(read_.again, 0.0, torch.nan)
    steered = torch.where(read_.again, 3.0, torch.nan)
    changes = [
        reactivation.FeatureChange(goal, "last"),
        reactivation.FeatureChange(goal, "subject"),
        reactivation.FeatureChange(goal, -2),
        reactivation.FeatureChange(steered, "last"),
    ]
    found = read_.answers(changes)
    wanted = [a.answer for a in read_.asked]
    for i, one in enumerate(read_.asked):
        which = read_.again[i].nonzero().flatten().tolist()
        assert which
        places = [[-1], list(one.subject), [-2], [-1]]
        contexts = [features.ablate(which, positions=at) for at in places[:3]]
        contexts.append(features.steer(dict.fromkeys(which, 3.0), positions=[-1]))
        for k, context in enumerate(contexts):
            with context:
                own = llama.next_logits([list(one.ids)])[0].log_softmax(-1)[wanted]
            assert torch.allclose(own, found[1 + k, i], atol=1e-4)


def test_ablations_take_as_many_features_as_they_say(llama):
    features = features_of(llama)
    read_ = reactivation.Facts(features, asked(llama))
    table = reactivation.ablations(read_, 0).pivot(
        index="fact", columns="condition", values="n_features"
    )
    assert table["reactivated"].tolist() == read_.again.sum(1).tolist()
    assert (table["reactivated_subset"] == table["others"]).all()
    assert (table["strongest_at_subject"] <= table["reactivated"]).all()
    steered = reactivation.steerings(read_, 0)
    own = steered[steered["condition"] == "identity"]
    assert np.allclose(
        own["logit_diff_before"], own["logit_diff_after"], atol=1e-4
    )  # set to what they are, nothing changes
    along = reactivation.steering_by_position(read_)
    assert set(along["pos"]) == set(range(-read_.tail, 0))


def test_facts_are_compared_with_another_answer():
    given_ = [SimpleNamespace(answer=a) for a in (1, 1, 2, 1)]
    assert [given_[j].answer != given_[i].answer for i, j in enumerate(facts.pairs(given_))] == [
        True
    ] * 4


def test_an_interval_of_a_mean():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    mean, (low, high) = mean_interval(values)
    assert mean == 2.5
    assert low < 2.5 < high
    assert high - mean == pytest.approx(3.182 * values.std(ddof=1) / 2, rel=1e-3)
    assert np.isnan(mean_interval(np.array([1.0]))[1][0])
