"""Interventions do what a slow, plain computation says, hold during generation, and leave
nothing behind.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.interventions import ablate_in_rows
from tests.helpers import families
from tests.helpers.capturing import hooks_on
from tests.helpers.tiny import tiny_tokenizer
from workbench.errors import BadInput

PROMPT = "The capital of France is"
OTHERS = ["Nobody remembers what", "The safe opens with 7 4 1 9, and"]


def test_zeroing_a_head_removes_its_share_of_attn_out(model):
    whole = wb.capture(model, PROMPT, sites=["attn_out", "z"], layers=[1])
    with wb.ablate(model, heads=[(1, 2)]):
        cut = wb.capture(model, PROMPT, sites=["attn_out", "z"], layers=[1])
    assert (cut["z"].isel(head=2) == 0).all()
    np.testing.assert_array_equal(cut["z"].isel(head=[0, 1, 3]), whole["z"].isel(head=[0, 1, 3]))
    z = torch.zeros(1, len(whole.tokens[0]), model.n_heads, model.d_head)
    z[:, :, 2] = torch.as_tensor(whole["z"].isel(layer=0, head=2).values)
    proj = model.layout.blocks[1].out_proj
    with torch.no_grad():
        share = proj(z.flatten(-2)) - proj(torch.zeros_like(z).flatten(-2))
    np.testing.assert_allclose(
        whole["attn_out"].isel(layer=0) - cut["attn_out"].isel(layer=0), share, atol=1e-5
    )


def test_pruning_all_heads_of_a_layer_is_zeroing_site_z(model):
    with wb.ablate(model, heads=[(0, h) for h in range(model.n_heads)]):
        by_heads = model.next_logits(PROMPT)
    with wb.ablate(model, site="z", layers=0):
        by_site = model.next_logits(PROMPT)
    assert torch.equal(by_heads, by_site)


def test_an_empty_change_changes_no_bit(model):
    before = model.next_logits(PROMPT)
    with wb.ablate(model, heads=[]), wb.scale(model, heads=[(0, 0), (1, 3)], factor=1.0):
        inside = model.next_logits(PROMPT)
    assert torch.equal(before, inside)


def test_mean_and_resample_take_values_of_the_reference(llama):
    pool = wb.capture(llama, OTHERS, sites="z", layers=[1])["z"].isel(layer=0, head=2)
    values = np.concatenate(
        [
            pool[i, :n]
            for i, n in enumerate(wb.capture(llama, OTHERS, sites="z", layers=[1]).lengths)
        ]
    )
    with wb.ablate(llama, heads=[(1, 2)], method="mean", reference=OTHERS):
        mean = wb.capture(llama, PROMPT, sites="z", layers=[1])["z"].isel(layer=0, head=2)
    np.testing.assert_allclose(mean[0], np.broadcast_to(values.mean(0), mean[0].shape), atol=1e-5)
    runs = []
    for seed in (0, 0, 1):
        with wb.ablate(llama, heads=[(1, 2)], method="resample", reference=OTHERS, seed=seed):
            runs.append(
                wb.capture(llama, PROMPT, sites="z", layers=[1])["z"].isel(layer=0, head=2).values
            )
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    for row in runs[0][0]:
        assert np.isclose(values, row, atol=1e-5).all(1).any()


def test_patching_the_whole_stream_gives_the_source_run(model):
    source = wb.capture(model, "The capital of Italy is", sites="resid_pre", layers=[0])
    other = "The capital of Spain is"
    n = min(len(model.tokens(other)), source.lengths[0])
    want = model.next_logits("The capital of Italy is")
    if len(model.tokens(other)) != source.lengths[0]:
        other = "The capital of Italy is".replace("capital", "lapitac")
    assert len(model.tokens(other)) >= n
    with wb.patch(model, source, site="resid_pre", layers=0, positions=range(source.lengths[0])):
        got = model.next_logits([model.tokens(other)[: source.lengths[0]]])
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_patching_from_itself_changes_nothing(model):
    source = wb.capture(model, PROMPT, sites="z")
    before = model.next_logits(PROMPT)
    with wb.patch(model, source, heads=model.heads()):
        torch.testing.assert_close(model.next_logits(PROMPT), before, atol=1e-5, rtol=1e-5)


def test_negative_positions_pair_the_ends_of_prompts_of_different_length(llama):
    source = wb.capture(llama, OTHERS[1], sites="z", layers=[2])
    with wb.patch(llama, source, heads=[(2, 1)], positions=[-1]):
        got = wb.capture(llama, [PROMPT, OTHERS[0]], sites="z", layers=[2], positions=[-1])[
            "z"
        ].isel(layer=0, pos=0, head=1)
    want = source["z"].isel(prompt=0, layer=0, head=1, pos=source.lengths[0] - 1)
    for row in got:
        np.testing.assert_allclose(row, want, atol=1e-6)


def test_adding_a_vector_moves_the_stream_by_it(model):
    vector = torch.randn(model.card.d_model, generator=torch.Generator().manual_seed(0))
    before = wb.capture(model, [PROMPT, OTHERS[0]], sites="resid_post", layers=[0])["resid_post"]
    with wb.add(model, vector, site="resid_post", layers=0, positions=[-1], factor=2.0):
        after = wb.capture(model, [PROMPT, OTHERS[0]], sites="resid_post", layers=[0])["resid_post"]
    for row, text in enumerate([PROMPT, OTHERS[0]]):
        last = len(model.tokens(text)) - 1
        np.testing.assert_allclose(
            after[row, 0, last] - before[row, 0, last], 2 * vector, atol=1e-5
        )
        np.testing.assert_array_equal(after[row, 0, :last], before[row, 0, :last])


def test_holds_at_every_generated_token(model):
    """Generation under an ablation equals choosing each token by a full forward pass under it."""
    heads = [(0, 1), (1, 2), (2, 3)]
    with wb.ablate(model, heads=heads):
        text = model.generate(PROMPT, max_new_tokens=8)
        ids = model.tokens(PROMPT)
        for _ in range(8):
            token = int(model.next_logits([ids]).argmax())
            ids.append(token)
            if token == model.tokenizer.eos_token_id:
                break
    assert text == model.tokenizer.decode(
        ids[len(model.tokens(PROMPT)) :], skip_special_tokens=True
    )


def test_chosen_positions_are_of_the_prompt_and_not_of_what_is_generated(llama):
    seen = []
    handle = llama.layout.blocks[0].out_proj.register_forward_pre_hook(
        lambda m, a: seen.append(a[0].clone())
    )
    try:
        with wb.scale(llama, heads=[(0, 0)], factor=0.0, positions=[-1]):
            second = llama.layout.blocks[0].out_proj.register_forward_pre_hook(
                lambda m, a: seen.append(a[0].clone())
            )
            llama.generate(PROMPT, max_new_tokens=3)
            second.remove()
    finally:
        handle.remove()
    changed = [after for before, after in zip(seen[::2], seen[1::2], strict=True)]
    size = llama.d_head
    assert (changed[0][0, -1, :size] == 0).all()
    assert (changed[0][0, 0, :size] != 0).any()
    assert all((later[0, -1, :size] != 0).any() for later in changed[1:])


def test_nothing_is_left_when_the_body_raises(model):
    before = model.next_logits(PROMPT)
    with (
        pytest.raises(RuntimeError, match="boom"),
        wb.ablate(model, heads=[(0, 0)]),
        wb.scale(model, site="mlp_out", factor=0.5),
    ):
        raise RuntimeError("boom")
    assert hooks_on(model) == 0
    assert torch.equal(model.next_logits(PROMPT), before)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: wb.ablate(m, heads=[(9, 0)]), "has no head L9H0"),
        (lambda m: wb.ablate(m, heads=[(0, -1)]), "has no head"),
        (lambda m: wb.ablate(m), "Nothing was chosen"),
        (lambda m: wb.ablate(m, heads=[(0, 0)], method="mean"), "needs reference"),
        (lambda m: wb.ablate(m, heads=[(0, 0)], method="melt"), "no ablation 'melt'"),
        (lambda m: wb.scale(m, heads=[(0, 0)], site="mlp_out", factor=1.0), "mlp_out has no heads"),
        (lambda m: wb.scale(m, heads=[(0, 0)], site="v", factor=1.0), "key-value heads"),
        (lambda m: wb.scale(m, heads=[(0, 0)], layers=1, factor=1.0), "Both heads and layers"),
        (lambda m: wb.scale(m, site="ln1_scale", factor=0.5), "captured but not changed"),
        (lambda m: wb.scale(m, site="q", factor=0.5), "rot_q"),
        (lambda m: wb.ablate(m, site="pattern", method="mean", reference=["a"]), "does not fit"),
        (lambda m: wb.add(m, torch.ones(3), site="attn_scores"), "does not fit"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_hooked(llama, call, says):
    with pytest.raises(BadInput, match=says), call(llama):
        pass
    assert hooks_on(llama) == 0


def test_a_head_without_its_pattern_says_nothing(model):
    with wb.ablate(model, heads=[(1, 2), (2, 0)]):
        silent = model.next_logits(PROMPT)
    with wb.ablate(model, heads=[(1, 2), (2, 0)], site="pattern"):
        assert torch.allclose(model.next_logits(PROMPT), silent, atol=1e-5)
        generated = model.generate(PROMPT, max_new_tokens=4)
    with wb.ablate(model, heads=[(1, 2), (2, 0)]):
        assert model.generate(PROMPT, max_new_tokens=4) == generated
    assert hooks_on(model) == 0


@pytest.mark.parametrize("site", ["v", "rot_q", "rot_k", "pattern", "attn_scores"])
def test_inside_attention_a_factor_of_one_changes_no_bit(model, site):
    before = model.next_logits(PROMPT)
    with wb.scale(model, site=site, factor=1.0):
        assert torch.equal(model.next_logits(PROMPT), before)
    with wb.scale(model, site=site, factor=0.5):
        assert not torch.equal(model.next_logits(PROMPT), before)
    assert torch.equal(model.next_logits(PROMPT), before)


def test_scores_of_nothing_look_everywhere_alike(model):
    with wb.scale(model, site="attn_scores", factor=0.0, layers=1):
        pattern = wb.capture(model, PROMPT, sites="pattern", layers=1)["pattern"].values[0, 0]
    n = pattern.shape[-1]
    expected = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    np.testing.assert_allclose(pattern, np.broadcast_to(expected, pattern.shape), atol=1e-6)


def test_queries_keys_and_values_of_another_prompt_give_its_heads(model):
    ids = model.tokens(PROMPT)
    other = ids[::-1]
    trace = wb.capture(model, [other], sites=["rot_q", "rot_k", "v", "z"], layers=1)
    with (
        wb.patch(model, trace, site="rot_q", layers=1),
        wb.patch(model, trace, site="rot_k", layers=1),
        wb.patch(model, trace, site="v", layers=1),
    ):
        z = wb.capture(model, [ids], sites="z", layers=1)["z"].values
    np.testing.assert_allclose(z, trace["z"].values, atol=1e-5)


@pytest.mark.parametrize("site", ["pattern", "attn_scores"])
def test_a_pattern_of_another_prompt_reads_the_own_values(model, site):
    ids = model.tokens(PROMPT)
    longer = [ids[0], *ids]  # padding on the left must not shift the keys
    theirs = wb.capture(model, [ids[::-1]], sites=["pattern", site], layers=1)
    with wb.patch(model, theirs, heads=[(1, 0), (1, 3)], site=site):
        seen = wb.capture(model, [ids, longer], sites=["pattern", "v", "z"], layers=1)
    plain = wb.capture(model, [ids], sites=["pattern", "z"], layers=1)
    n = len(ids)
    pattern = seen["pattern"].values[0, 0][:, :n, :n]
    np.testing.assert_allclose(pattern[[0, 3]], theirs["pattern"].values[0, 0][[0, 3]], atol=1e-6)
    np.testing.assert_allclose(pattern[[1, 2]], plain["pattern"].values[0, 0][[1, 2]], atol=1e-5)
    v = seen["v"].values[0, 0, :n]
    value = v[:, 3 // (model.n_heads // model.n_kv_heads)]
    np.testing.assert_allclose(seen["z"].values[0, 0, :n, 3], pattern[3] @ value, atol=1e-5)


def test_a_pattern_only_fits_where_it_comes_from(llama):
    trace = wb.capture(llama, "A prompt of quite another length", sites="pattern", layers=1)
    wrong = wb.patch(llama, trace, site="pattern", layers=1, positions=[-1])
    with pytest.raises(BadInput, match="attends to other tokens"), wrong:
        llama.next_logits(PROMPT)
    assert hooks_on(llama) == 0


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "mixtral"])
def test_each_row_loses_its_own_heads(family):
    model = wb.load((families.module(family), tiny_tokenizer()))
    ids = torch.tensor([model.tokens("The dog went home")])
    groups = [[], [(0, 1)], [(0, 0), (1, 1)], [(1, 0), (1, 1)]]
    with torch.no_grad(), ablate_in_rows(model, groups):
        together = model.forward(input_ids=ids.expand(len(groups), -1)).logits
    for row, heads in enumerate(groups):
        with torch.no_grad(), wb.ablate(model, heads) if heads else nullcontext():
            alone = model.forward(input_ids=ids).logits[0]
        torch.testing.assert_close(together[row], alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-3)
