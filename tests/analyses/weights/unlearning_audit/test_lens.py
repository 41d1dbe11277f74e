"""The lens of many texts in one pass, against one pass per token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.weights.unlearning_audit.lens import lens_ranks
from analyses.weights.unlearning_audit.memorized import scores
from hooks.unlearning.texts import Text


def _by_hand(model, text, layer):
    """Through the states that `transformers` gives out, token by token."""
    ranks, log_p = [], []
    module = model.module
    norm, head = model.layout.final_norm, model.layout.unembed
    for at in range(text.first, len(text.ids)):
        caught = []
        handle = model.layout.blocks[layer].module.register_forward_hook(
            lambda _, __, out, caught=caught: caught.append(
                out[0] if isinstance(out, tuple) else out
            )
        )
        with torch.no_grad():
            module(input_ids=torch.tensor([text.ids[:at]]))
            handle.remove()
            logits = head(norm(caught[0][0, -1]))
        true = logits[text.ids[at]]
        ranks.append(1 + int((logits > true).sum()))
        log_p.append(float(logits.log_softmax(-1)[text.ids[at]]))
    return np.median(ranks), np.mean(np.array(ranks) == 1), np.mean(log_p)


def test_equals_one_pass_per_token(model):
    texts = [Text((3, 9, 4, 1, 5, 9, 2), 3), Text((8, 8, 2, 11, 40), 1)]
    table = lens_ranks(model, texts)
    assert table[["layer", "text"]].to_numpy().tolist() == [
        [layer, text] for layer in range(model.n_layers) for text in (0, 1)
    ]
    for row in table.itertuples():
        rank, first, log_p = _by_hand(model, texts[row.text], row.layer)
        assert row.median_rank == pytest.approx(rank)
        assert row.first_choice == pytest.approx(first)
        assert row.log_p == pytest.approx(log_p, rel=1e-3)


def test_the_last_layer_is_the_model_itself(model):
    texts = [Text((3, 9, 4, 1, 5, 9, 2), 3), Text((8, 8, 2, 11, 40), 1)]
    last = lens_ranks(model, texts, layers=[model.n_layers - 1], batch=1)
    own = scores(model, texts)
    assert last["log_p"].tolist() == pytest.approx((-own["nats"]).tolist(), rel=1e-4)
    assert last["first_choice"].tolist() == own["exact_memorization"].tolist()
