"""Unlearning where the model lies elsewhere: nothing is left on the CPU."""

from __future__ import annotations

import pytest

import workbench as wb
from hooks.unlearning import Settings, random_change, unlearn
from hooks.unlearning.texts import nats_of_all
from tests.helpers import card
from tests.helpers.card import on_card
from tests.helpers.tiny import tiny_llama, tiny_tokenizer


@pytest.fixture(scope="module")
def here():
    return wb.load((tiny_llama(), tiny_tokenizer()))


CASES = [
    ("npo-klr", "all"),
    ("npo-klr", "lora"),
    ("undial", "lora"),
    ("rmu", "all"),
    ("mask", "all"),
    ("elm", "all"),
    ("task-vector", "all"),
    ("random-labels", "lora"),
]


@pytest.mark.parametrize(("method", "scope"), CASES)
def test_a_method_does_the_same_on_a_card(here, forget, retain, method, scope, monkeypatch):
    monkeypatch.setattr("hooks.unlearning.task_vector.MOST", 2)
    monkeypatch.setattr("hooks.unlearning.concept_erasure.LENGTH", 2)
    settings = Settings(1000.0, steps=2, rates=(0.02,), weights=scope, share=0.02)
    expected = unlearn(here, method, forget[:2], retain[:2], settings)
    with card.card():
        there = wb.load((on_card(tiny_llama()), tiny_tokenizer()))
        found = unlearn(there, method, forget[:2], retain[:2], settings)
        with found.applied(there):
            said = float(nats_of_all(there, forget[:2]).mean())
        random_change(there, found, 0)
    assert found.log.total == pytest.approx(expected.log.total, rel=1e-3)
    assert said == pytest.approx(expected.log.whole[-1][1], rel=1e-3)
