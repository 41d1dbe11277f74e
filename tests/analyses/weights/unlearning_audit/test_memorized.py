"""What is said by heart, against one forward pass per text and token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.weights.unlearning_audit.memorized import (
    behind,
    exact_memorization,
    extraction_strength,
    first_choices,
    scores,
)
from hooks.unlearning.texts import Text
from workbench.errors import BadInput


def _by_hand(model, text):
    """One pass for each predicted token: (nats, first choice or not)."""
    found = []
    for at in range(text.first, len(text.ids)):
        with torch.no_grad():
            logits = model.module(input_ids=torch.tensor([text.ids[:at]])).logits[0, -1]
        nats = -float(logits.log_softmax(-1)[text.ids[at]])
        found.append((nats, int(logits.argmax()) == text.ids[at]))
    return found


def _half_known(model, seed, length, given):
    """A text of which the model says some: its own words after random ones, one replaced."""
    ids = torch.randint(1, 200, (given,), generator=torch.Generator().manual_seed(seed)).tolist()
    while len(ids) < length:
        ids.append(int(model.module(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if len(ids) == given + 4:
            ids[-1] = 5
    return Text(tuple(ids), given)


def test_equals_one_pass_per_token(model):
    texts = [_half_known(model, seed, 14 + seed, 3) for seed in range(4)]
    texts += [Text((1, 9, 2, 40, 7), 1)]
    read = [_by_hand(model, text) for text in texts]
    hits = [[hit for _, hit in each] for each in read]
    assert [each.tolist() for each in first_choices(model, texts, batch=2)] == hits
    table = scores(model, texts, batch=2)
    assert table["text"].tolist() == [0, 1, 2, 3, 4]
    assert table["tokens"].tolist() == [len(each) for each in hits]
    assert table["nats"].tolist() == pytest.approx(
        [np.mean([nats for nats, _ in each]) for each in read], rel=1e-4
    )
    assert exact_memorization(model, texts) == pytest.approx([np.mean(each) for each in hits])
    strengths = [
        max(1 - k / len(each) for k in range(len(each) + 1) if all(each[k:])) for each in hits
    ]
    assert extraction_strength(model, texts) == pytest.approx(strengths)
    assert 0 < strengths[0] < 1
    leading = [max(k for k in range(len(each) + 1) if all(each[:k])) for each in hits]
    assert table["greedy_match"].tolist() == leading
    assert leading[0] == 3


def test_given_tokens_are_not_predicted(llama):
    text = _half_known(llama, 0, 14, 3)
    later = behind(text, 4)
    assert later.targets == text.ids[7:]
    assert exact_memorization(llama, [later])[0] == 1.0
    with pytest.raises(BadInput):
        behind(text, 11)
    with pytest.raises(BadInput, match="no text"):
        scores(llama, [])
