"""Texts that are read once, and asked many times. That every family gives what whole passes give is
tested in tests/analyses/measures/test_recall_scores.py.
"""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks.read_once import read_each
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from tests.helpers.token_counter import counting


def test_contexts_that_begin_alike_are_read_once() -> None:
    model = wb.load((tiny_gpt2(), tiny_tokenizer()))
    start = list(range(1, 60))
    texts = [[*start, 5, 6, 7], [*start, 9, 8], start[:40], [*start, 5, 6, 7]]
    with counting(model) as read:
        order = [number for number, _ in read_each(model, texts)]
    assert sorted(order) == [0, 1, 2, 3]
    assert read.forward == pytest.approx(59 + 3 + 2)


def test_a_context_is_not_changed_by_what_was_asked_before() -> None:
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    for _, text in read_each(model, [list(range(1, 30))]):
        first = text.logits([[3, 4, 5]])
        text.logits([[7] * 12, [8]])
        assert torch.equal(first[0], text.logits([[3, 4, 5]])[0])
