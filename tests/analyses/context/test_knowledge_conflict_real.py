"""`knowledge-conflict` on the real default model, few facts: effects against a plain loop, and the
head that decides. What a run of proper size shows is in `test_knowledge_conflict_claims.py`.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.selection import parse_head

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def run(smollm):
    return wb.run("knowledge-conflict", smollm, {"max_facts": 8, "k_grid": [1]})


@pytest.mark.verify  # a run of 40 s
def test_the_heads_that_decide_stand_out_even_on_four_facts(run):
    """Of four facts no head is chosen; their order is that of a run of proper size."""
    heads = run.tables["heads"].set_index("label")
    assert heads["score"].idxmax() == "L23H4"
    assert heads["zero_memory"].idxmax() == "L23H4"
    assert heads["zero_context"].idxmax() == "L20H1"


@pytest.mark.verify
def test_effects_equal_a_hooked_forward_pass_each(run, smollm):
    """The sweep once more, the plain way, for heads and facts drawn at random."""
    draw = random.Random(0)
    table, effects = run.tables["facts"], run.arrays["effects"]
    for fact in draw.sample(effects.fact.values.tolist(), 3):
        row = table.iloc[fact]
        targets = [smollm.continuation_tokens(" " + a)[0] for a in (row.answer, row.counterfactual)]
        before = smollm.next_logits(row.prompt)[0, targets]
        for layer, head in [parse_head("L23H4"), *draw.sample(smollm.heads(), 4)]:

            def zero(module, args, head=head):
                x = args[0].clone()
                x[:, -1, head * smollm.d_head : (head + 1) * smollm.d_head] = 0
                return (x,)

            handle = smollm.module.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(
                zero
            )
            try:
                after = smollm.next_logits(row.prompt)[0, targets]
            finally:
                handle.remove()
            got = effects.sel({"fact": fact, "method": "zero"}).values[:, layer, head]
            np.testing.assert_allclose(got, (before - after).numpy(), atol=1e-3)


def test_direct_pushes_add_up_to_the_logits(smollm):
    """Every layer's direct push, plus the embedding's, is the logit itself (frozen final norm)."""
    from hooks.logit_attribution import direct_logits

    prompt = "The capital of France is"
    trace = wb.capture(
        smollm, prompt, sites=["embed", "attn_out", "mlp_out", "resid_post"], positions=[-1]
    )
    parts = torch.cat(
        [
            torch.as_tensor(trace[s].values).reshape(-1, 1, smollm.card.d_model)
            for s in ("embed", "attn_out", "mlp_out")
        ]
    )
    resid = torch.as_tensor(trace["resid_post"].isel(layer=-1, pos=0).values)
    ids = torch.tensor([[smollm.continuation_tokens(" Paris")[0], 5, 77]])
    total = direct_logits(smollm, parts, resid, ids).sum(0)[0]
    torch.testing.assert_close(total, smollm.next_logits(prompt)[0, ids[0]], atol=1e-3, rtol=1e-3)
    assert torch.isfinite(total).all()
