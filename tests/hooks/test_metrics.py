"""One protocol of metrics: whatever is measured means the same to a sweep and to a gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.metrics import as_metric, logit_difference
from workbench.errors import BadInput

PROMPTS = ["The capital of France is", "Nobody remembers what"]


def long(logits, ids, mask):
    return logits[:, -1, 7].exp() * mask[:, -1]


long.reads, long.needs = 1, 2

MADE = {
    "logit": lambda m: wb.Logit().of([5]),
    "logprob": lambda m: wb.LogProb().of([5]),
    "prob": lambda m: wb.Prob().of([5]),
    "difference": lambda m: wb.LogitDiff().of([5, 77, 9]),
    "of two": lambda m: logit_difference(m, " is", 77),
    "short": lambda m: lambda logits: logits[:, 3].exp() - logits.logsumexp(-1),
    "long": lambda m: long,
    "custom": lambda m: wb.Custom(lambda logits: logits[:, 3]),
}


@pytest.mark.parametrize("made", MADE)
def test_an_estimate_is_minus_gradient_times_activation(model, made):
    metric = MADE[made](model)
    swept = wb.sweep(
        model, PROMPTS, read=metric, positions="all", method=wb.Attribution(recheck=0)
    )["effect"]
    slopes = wb.activation_gradients(model, PROMPTS, metric, sites="z", times_activation=True)
    want = -slopes["z"].sum(["pos", "d_head"])
    np.testing.assert_allclose(
        swept.transpose("prompt", "layer", "head"),
        want.transpose("prompt", "layer", "head"),
        atol=1e-5,
        rtol=1e-4,
    )
    assert abs(swept).max() > 1e-4


def test_a_prompt_that_is_too_short_for_a_metric_is_refused(llama):
    for measure in (
        lambda: wb.sweep(llama, [[5]], read=long),
        lambda: wb.activation_gradients(llama, [[5]], long),
    ):
        with pytest.raises(BadInput, match="Prompt 1 has 1 token"):
            measure()


@pytest.mark.parametrize("name", ["logit", "logprob", "prob", "logit_diff"])
def test_a_read_with_its_tokens_is_what_a_sweep_reads(llama, name):
    tokens = [5, 77] if name == "logit_diff" else [5]
    read = {"logit": wb.Logit, "logprob": wb.LogProb, "prob": wb.Prob, "logit_diff": wb.LogitDiff}
    one = wb.sweep(llama, PROMPTS[0], tokens, read=name)["effect"].squeeze(drop=True)
    other = wb.sweep(llama, PROMPTS[0], read=read[name]().of(tokens))["effect"].squeeze(drop=True)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_function_of_everything_gets_ids_and_mask(llama):
    seen = []

    def metric(logits, ids, mask):
        seen.append((tuple(logits.shape), ids.tolist(), mask.tolist()))
        return logits[:, 0, 5]  # at the first token, which no later one changes

    texts = ["The capital of France is", "Nobody remembers"]
    effects = wb.sweep(llama, texts, read=metric)["effect"]
    assert float(abs(effects).max()) < 1e-5
    known = [llama.tokens(text) for text in texts]
    assert {tuple(row) for _, ids, _ in seen for row in ids} == {tuple(ids) for ids in known}
    for shape, ids, mask in seen:
        assert shape[:2] == (len(ids), len(ids[0]))
        assert all(all(row) for row in mask)


def test_kl_compares_with_what_it_is_given(llama):
    before, after = llama.next_logits(PROMPTS[0]), llama.next_logits(PROMPTS[1])
    ids = torch.tensor([[5]])
    found = wb.KL().of([], before)(after[:, None], ids, torch.ones_like(ids))
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    torch.testing.assert_close(found, (p.exp() * (p - q)).sum(-1))
    with pytest.raises(BadInput, match="compares with a distribution"):
        wb.KL().of([])(after[:, None], ids, torch.ones_like(ids))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (wb.Logit(), "which tokens it watches"),
        (wb.KL(), "which tokens it watches"),
        (wb.Continuation(), "read by a sweep alone"),
        (wb.Logit().of([5, 7]), "one number per row"),
        (lambda logits, ids: logits, "cannot be called with logits"),
        (torch.amax, "cannot be called with logits"),
        ("logit", "cannot be called with logits"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(llama, given, says):
    with pytest.raises(BadInput, match=says):
        wb.activation_gradients(llama, PROMPTS[0], given)


def test_options_of_a_function_are_its_own():
    def short(logits, scale=2.0, *, shift=1.0):
        return logits[:, 0] * scale + shift

    logits, ids = torch.randn(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)
    found = as_metric(short)(logits, ids, torch.ones_like(ids))
    torch.testing.assert_close(found, logits[:, -1, 0] * 2 + 1)
