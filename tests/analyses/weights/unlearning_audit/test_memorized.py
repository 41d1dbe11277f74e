"""What is said by heart, against one forward pass per text and token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.weights.unlearning_audit.memorized import (
    exact_memorization,
    extraction_strength,
    first_choices,
)
from hooks.unlearning.texts import Text


def _by_hand(model, text):
    """One pass for each predicted token."""
    return [
        int(model.module(input_ids=torch.tensor([text.ids[:at]])).logits[0, -1].argmax())
        == text.ids[at]
        for at in range(text.first, len(text.ids))
    ]


def _half_said(model, seed, length, given):
    """A text of which the model says some: its own words after random ones, one replaced."""
    ids = torch.randint(1, 200, (given,), generator=torch.Generator().manual_seed(seed)).tolist()
    while len(ids) < length:
        ids.append(int(model.module(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if len(ids) == given + 4:
            ids[-1] = 5
    return Text(tuple(ids), given)


def test_equals_one_pass_per_token(model):
    texts = [_half_said(model, seed, 14 + seed, 3) for seed in range(4)]
    texts += [Text((1, 9, 2, 40, 7), 1)]
    want = [_by_hand(model, text) for text in texts]
    assert [hits.tolist() for hits in first_choices(model, texts, batch=2)] == want
    assert exact_memorization(model, texts) == pytest.approx([np.mean(hits) for hits in want])
    strengths = [
        max(1 - k / len(hits) for k in range(len(hits) + 1) if all(hits[k:])) for hits in want
    ]
    assert extraction_strength(model, texts) == pytest.approx(strengths)
    assert 0 < strengths[0] < 1
