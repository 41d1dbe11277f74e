"""The whole analysis on the real default model: held-out proof, random baseline, and effects
against a plain loop.

The bounds leave room for another machine's rounding; docs/knowledge-conflict.md has the figures as
measured.
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
    return wb.run("knowledge-conflict", smollm)


def test_what_the_model_knows(run):
    known = run.findings["known"].values
    assert known["candidates"] == 139
    assert 53 <= known["first_token"] <= 57
    assert 44 <= known["value"] <= 50


def test_heads_chosen_on_one_half_decide_on_the_other(run):
    f = {name: finding.values for name, finding in run.findings.items()}
    assert 0.25 < f["base"]["memory"] < 0.55
    assert 0.35 < f["base"]["context"] < 0.65
    assert f["prune_context"]["memory_first_token"] > 0.78
    assert f["prune_context"]["context"] < 0.2
    assert f["prune_memory"]["context"] > 0.85
    assert f["prune_memory"]["memory"] < 0.15


def test_random_heads_do_not(run):
    f = {name: finding.values for name, finding in run.findings.items()}
    assert abs(f["random"]["memory"] - f["base"]["memory"]) < 0.15
    for group in ("memory", "context"):
        assert f[f"random_for_{group}"]["sets"] == 20
        assert f[f"random_for_{group}"]["beaten"] >= 19


def test_the_heads_others_found(run):
    heads = run.tables["heads"].set_index("label")
    assert heads.loc["L23H4", "role"] == "memory"
    assert heads.loc["L23H4", "rank"] == 1
    assert heads.loc["L20H1", "role"] == "context"
    assert heads.loc["L20H1", "rank"] <= 3
    assert heads.loc["L20H1", "zero_context"] > 1.5


def test_the_dial_turns_the_answer(run):
    dial = run.tables["dial"].set_index("value")
    assert dial.loc[-1.0, "memory"] > dial.loc[0.0, "memory"] + 0.2
    assert dial.loc[1.0, "context"] > 0.85
    assert dial.p_context.is_monotonic_increasing or dial.loc[0.75, "p_context"] > 0.6


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
