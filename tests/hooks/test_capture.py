"""Captured values recompute the model's own output."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks import capture_plan, sites
from tests.helpers.capturing import PROMPTS, hooks_on
from workbench.errors import BadInput, SiteNotFound


def test_residual_stream_adds_up(llama, gpt2):
    for model in (llama, gpt2):
        trace = wb.capture(
            model,
            PROMPTS,
            sites=["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "embed"],
        )
        np.testing.assert_allclose(
            trace["resid_pre"] + trace["attn_out"], trace["resid_mid"], atol=1e-5
        )
        np.testing.assert_allclose(
            trace["resid_mid"] + trace["mlp_out"], trace["resid_post"], atol=1e-5
        )
        np.testing.assert_array_equal(
            trace["resid_post"].isel(layer=slice(None, -1)),
            trace["resid_pre"].isel(layer=slice(1, None)),
        )


def test_parallel_block_adds_up_without_a_middle(neox):
    trace = wb.capture(neox, PROMPTS, sites=["resid_pre", "attn_out", "mlp_out", "resid_post"])
    np.testing.assert_allclose(
        trace["resid_pre"] + trace["attn_out"] + trace["mlp_out"], trace["resid_post"], atol=1e-5
    )
    with pytest.raises(SiteNotFound, match="has no site 'resid_mid'"):
        wb.capture(neox, PROMPTS, sites="resid_mid")


def test_z_times_w_o_is_attn_out(model):
    trace = wb.capture(model, PROMPTS, sites=["z", "attn_out"])
    for layer, block in enumerate(model.layout.blocks):
        z = torch.as_tensor(trace["z"].sel(layer=layer).values).flatten(-2)
        with torch.no_grad():
            out = block.out_proj(z.nan_to_num()).numpy()
        want = trace["attn_out"].sel(layer=layer).values
        real = ~np.isnan(want)
        np.testing.assert_allclose(out[real], want[real], atol=1e-5)


def test_pattern_times_v_is_z(model):
    trace = wb.capture(model, PROMPTS, sites=["pattern", "v", "z"])
    pattern, v, z = (trace[s].fillna(0.0) for s in ("pattern", "v", "z"))
    groups = model.n_heads // model.n_kv_heads
    v = v.values.repeat(groups, axis=3)
    got = np.einsum("plhqk,plkhd->plqhd", pattern.values, v)
    np.testing.assert_allclose(got, z.values, atol=1e-5)
    for row, n in enumerate(trace.lengths):
        np.testing.assert_allclose(trace["pattern"][row, :, :, :n, :n].sum("key"), 1.0, atol=1e-5)


def test_logits_and_final_norm_are_the_models_own(model):
    ids = torch.tensor([model.tokens(PROMPTS[0])])
    with torch.no_grad():
        want = model.module(ids).logits[0].numpy()
    trace = wb.capture(model, PROMPTS[0], sites=["logits", "ln_final"])
    np.testing.assert_allclose(trace["logits"][0], want, atol=1e-5)


def test_prompts_of_different_length_in_one_batch_equal_each_alone(model):
    together = wb.capture(model, PROMPTS, sites=["resid_post", "pattern", "rot_q", "rot_k"])
    for row, prompt in enumerate(PROMPTS):
        alone = wb.capture(model, prompt, sites=["resid_post", "pattern", "rot_q", "rot_k"])
        n = alone.lengths[0]
        for site in ("resid_post", "rot_q", "rot_k"):
            np.testing.assert_allclose(together[site][row, :, :n], alone[site][0], atol=1e-5)
            assert np.isnan(together[site][row, :, n:]).all()
        np.testing.assert_allclose(
            together["pattern"][row, :, :, :n, :n], alone["pattern"][0], atol=1e-5
        )


def test_positions_count_from_either_end_of_each_prompt(model):
    whole = wb.capture(model, PROMPTS, sites=["z", "pattern"])
    some = wb.capture(model, PROMPTS, sites=["z", "pattern"], positions=[0, -1])
    for row, n in enumerate(whole.lengths):
        np.testing.assert_allclose(
            some["z"][row].isel(pos=1), whole["z"][row].isel(pos=n - 1), atol=1e-6
        )
        np.testing.assert_allclose(
            some["z"][row].isel(pos=0), whole["z"][row].isel(pos=0), atol=1e-6
        )
        np.testing.assert_allclose(
            some["pattern"][row].isel(query=1)[..., :n],
            whole["pattern"][row].isel(query=n - 1)[..., :n],
            atol=1e-6,
        )


def test_full_names_choose_one_layer(llama):
    trace = wb.capture(llama, PROMPTS[0], sites=["blocks.1.attn.hook_z", "hook_embed"])
    assert trace["z"].layer.values.tolist() == [1]
    assert "layer" not in trace["embed"].dims


def test_looking_changes_nothing_and_leaves_nothing(model):
    ids = torch.tensor([model.tokens(PROMPTS[0])])
    with torch.no_grad():
        before = model.module(ids).logits
        wb.capture(model, PROMPTS, sites=list(model.sites))
        after = model.module(ids).logits
    assert torch.equal(before, after)
    assert hooks_on(model) == 0
    assert model.module.config._attn_implementation == "sdpa"


def test_a_crash_in_the_middle_leaves_nothing(llama):
    def broken(call):
        raise RuntimeError("boom")

    from hooks.attention import attention_taps

    with pytest.raises(RuntimeError, match="boom"), attention_taps(llama.layout, {1: broken}):
        llama.next_logits(PROMPTS[0])
    assert hooks_on(llama) == 0
    assert llama.module.config._attn_implementation == "sdpa"


def test_errors_name_what_there_is(llama, gpt2):
    with pytest.raises(SiteNotFound, match=r"Did you mean 'resid_post'"):
        wb.capture(llama, PROMPTS, sites="resid_pots")
    with pytest.raises(BadInput, match="has no layer 7"):
        wb.capture(llama, PROMPTS, sites="z", layers=[7])
    with pytest.raises(SiteNotFound, match="0 to 2"):
        wb.capture(llama, PROMPTS, sites="blocks.9.attn.hook_z")
    with pytest.raises(BadInput, match="has no position 99"):
        wb.capture(llama, PROMPTS, sites="z", positions=[99])
    with pytest.raises(BadInput, match="empty"):
        wb.capture(llama, "", sites="z")
    with pytest.raises(BadInput, match="at most 256"):
        wb.capture(gpt2, "word " * 2000, sites="z")


def test_every_site_can_be_captured_where_the_model_has_it(model):
    for short in model.sites:
        trace = wb.capture(model, PROMPTS[:2], sites=short)
        assert trace[short].dims[0] == "prompt"
        assert tuple(trace[short].dims[-len(sites.SITES[short].dims) :]) == sites.SITES[short].dims


def test_what_is_overwritten_later_in_the_pass_is_captured_as_it_was(llama):
    want = wb.capture(llama, PROMPTS[0], sites=["resid_post", "z"], layers=[0])

    def spoil(module, args):
        args[0].mul_(2)

    handle = llama.layout.blocks[1].module.register_forward_pre_hook(spoil)
    try:
        got = wb.capture(llama, PROMPTS[0], sites=["resid_post", "z"], layers=[0])
    finally:
        handle.remove()
    for site in want:
        np.testing.assert_array_equal(got[site], want[site])


def test_an_array_does_not_follow_the_weights(gpt2):
    prompt = [[1] * gpt2.card.context_length]  # as long as the matrix of positions
    trace = wb.capture(gpt2, prompt, sites=list(gpt2.sites))
    weight = gpt2.module.transformer.wpe.weight
    assert not any(np.shares_memory(trace[site].values, weight.detach().numpy()) for site in trace)


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=7), batch_tokens=st.integers(1, 60)
)
@settings(max_examples=15, deadline=None)
def test_batching_changes_nothing(llama, lengths, batch_tokens):
    ids = [[(7 * n + i) % 384 for i in range(n)] for n in lengths]
    together = wb.capture(llama, ids, sites=["z", "pattern"], batch_tokens=batch_tokens)
    for row, prompt in enumerate(ids):
        alone, n = wb.capture(llama, [prompt], sites=["z", "pattern"]), len(prompt)
        np.testing.assert_allclose(together["z"][row, :, :n], alone["z"][0], atol=1e-5)
        np.testing.assert_allclose(
            together["pattern"][row, :, :, :n, :n], alone["pattern"][0], atol=1e-5
        )
        assert together["z"][row, :, n:].isnull().all()


@pytest.mark.parametrize("lengths", [[3], [5, 5, 5], [1, 9, 2, 9, 30]])
def test_a_batch_is_not_larger_than_asked(llama, lengths):
    for budget in (1, 10, 18, 1000):
        batches = capture_plan.batches(llama, lengths, budget)
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= budget for b in batches)


def test_the_docs_python_runs(llama, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "capture.md").read_text(
        encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wb, "load", lambda: llama, raising=False)
    shared = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "capture.md", "exec"), shared)
    assert capsys.readouterr().out.splitlines() == [
        "('prompt', 'layer', 'pos', 'head', 'd_head')",
        "('prompt', 'layer', 'head', 'query', 'rank')",
        "int32",
        "True",
    ]
    assert shared["part"].sizes["prompt"] == 1
