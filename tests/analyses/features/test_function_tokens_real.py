"""The autoencoders that ship, and function-tokens with them on the real model: what cards say,
and what facts need.
"""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from analyses.features.function_tokens import facts
from hooks.features.quality import explained, held_out
from workbench.autoencoders import shipped

pytestmark = pytest.mark.model


@pytest.mark.verify  # measures the figures of the cards again
def test_three_ship_and_explain_what_their_cards_say(smollm) -> None:
    assert sum(entry.bytes for entry in shipped().values()) < 30e6
    ours = {
        name: entry
        for name, entry in shipped().items()
        if entry.card["weight_hash"] == smollm.card.weight_hash
    }
    assert list(ours) == [f"smollm2-135m/resid_post-{layer}" for layer in ("06", "15", "24")]
    windows = held_out(smollm, 48)
    for name, entry in ours.items():
        features = wb.open_features(name, smollm)
        card = entry.card
        assert features.width >= 4096
        assert card["tokens_read"] >= 1_000_000
        found = explained(features, windows)
        assert found["explained_variance"] == pytest.approx(card["explained_variance"], abs=0.05)
        assert found["l0"] == pytest.approx(card["l0"], rel=0.15)


@pytest.fixture(scope="module")
def run(smollm):
    asked = {
        "tokens": 6000,
        "facts": 10,
        "parts": ["coverage", "retrieval"],
        "features": ["smollm2-135m/resid_post-15"],
    }
    return wb.run("function-tokens", smollm, asked)


@pytest.mark.verify  # a run of 40 s, and what the real list holds
def test_facts_are_known_and_lose_by_what_is_switched_off(run) -> None:
    ablated = run.tables["ablations"]
    assert set(ablated["wording"]) == {facts.SENTENCE, facts.QUESTION}
    assert ablated["fact"].nunique() == 10
    steered = run.tables["steerings"]
    own = steered[steered["condition"] == "identity"]
    assert np.allclose(
        own["logit_diff_before"], own["logit_diff_after"], atol=5e-3
    )  # set to what they are, nothing changes
    mean = ablated[ablated["wording"] == facts.SENTENCE].groupby("condition")["logprob_drop"].mean()
    assert mean["reactivated_at_subject"] > mean["others"]
    assert run.tables["wordings"]["last_token"].tolist()[:2] == [" is", ":"]


@pytest.mark.verify
def test_what_the_real_list_holds(run) -> None:
    tokens = run.tables["tokens"].set_index("token")
    for token in (
        " the",
        ",",
        ".",
    ):  # the text, and so the end of the list, depends on what is installed
        assert tokens.loc[token, "class"] == "function"
    assert run.findings["function_tokens"].values["grammar_overlap_frequency"] > 0.6
    assert 1.5 < run.findings["transitions"].values["all"] < 5
