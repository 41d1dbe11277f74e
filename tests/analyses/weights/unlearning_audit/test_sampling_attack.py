"""p_z of what is left of a text, against one pass per token and drawn samples."""

from __future__ import annotations

import math

import pytest
import torch

from analyses.measures.sampler import Sampler
from analyses.weights.unlearning_audit.sampling_attack import sampled
from hooks.unlearning.texts import Text
from workbench.errors import BadInput


def _own_words(model, ids, length):
    while len(ids) < length:
        ids = [*ids, int(model.module(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
    return Text(tuple(ids), 1)


def test_equals_one_pass_per_token(model):
    texts = [_own_words(model, [3, 7, 9], 9), Text((4, 8, 15, 16, 23, 42, 5), 1)]
    table = sampled(model, texts, 3, Sampler(temperature=0.7, top_k=20))
    for text, row in zip(texts, table.itertuples(), strict=True):
        total, greedy = 0.0, True
        for at in range(4, len(text.ids)):
            with torch.no_grad():
                logits = model.module(input_ids=torch.tensor([text.ids[:at]])).logits[0, -1]
            greedy &= int(logits.argmax()) == text.ids[at]
            scaled = logits / 0.7
            scaled[scaled < scaled.topk(20).values[-1]] = -math.inf
            total += float(scaled.log_softmax(-1)[text.ids[at]])
        assert row.tokens == len(text.ids) - 4
        assert row.greedy == greedy
        assert row.log_p == pytest.approx(total, rel=1e-4)
        if math.isfinite(total):
            # Missing it in all samples is as probable as not.
            missed = [(1 - math.exp(total)) ** n for n in (row.queries - 1, row.queries)]
            assert missed[0] > 0.5 >= missed[1] - 1e-9
        else:
            assert row.queries == math.inf
    assert table["greedy"].tolist() == [True, False]


def test_silent_when_greedy_is_not_silent_when_sampled(llama):
    """A text that greedy decoding never says, since its last token is only the second choice."""
    ids = list(_own_words(llama, [3, 7, 9], 6).ids)
    with torch.no_grad():
        logits = llama.module(input_ids=torch.tensor([ids])).logits[0, -1]
    text = Text((*ids, int(logits.topk(2).indices[1])), 1)
    greedy, drawn = (sampled(llama, [text], 5, s) for s in (Sampler(0.0), Sampler(1.0)))
    assert greedy.loc[0, "log_p"] == -math.inf
    assert not greedy.loc[0, "greedy"]
    assert drawn.loc[0, "log_p"] == pytest.approx(float(logits.log_softmax(-1).topk(2).values[1]))
    assert math.isfinite(drawn.loc[0, "queries"])


def test_nothing_left_is_refused(llama):
    with pytest.raises(BadInput):
        sampled(llama, [Text((1, 2, 3), 1)], 2, Sampler())
