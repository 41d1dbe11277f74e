"""A change at positions of the prompt leaves generated tokens alone, however a family remembers
what it read.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

import workbench as wb
from tests.helpers import families, tiny
from workbench.errors import BadInput

RECURRENT = (
    *(
        "mamba",
        "mamba2",
        "falcon_mamba",
        "rwkv",
        "xlstm",
        "recurrent_gemma",
        "jamba",
        "bamba",
        "granitemoehybrid",
        "zamba2",
    ),
    *(
        "falcon_h1",
        "nemotron_h",
        "qwen3_next",
        "qwen3_5_text",
        "olmo_hybrid",
        "kimi_linear",
        "bailing_hybrid",
        "lfm2",
        "minimax",
    ),
)
PROMPT = "The capital of France is"
LAYER = 1


def vector(model):
    return 5 * torch.randn(model.layout.d_model, generator=torch.Generator().manual_seed(0))


@contextmanager
def added(model, columns):
    """The plain way: a hook that adds the vector at these columns of whatever runs."""

    def hook(module, args, output):
        whole = isinstance(output, tuple)
        h = (output[0] if whole else output).clone()
        h[:, columns] += vector(model)
        return (h, *output[1:]) if whole else h

    handle = model.layout.blocks[LAYER].module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def slow(model, ids, positions, n):
    """Greedy continuation, the whole text read again for every token."""
    now = list(ids)
    with added(model, [p % len(ids) for p in positions]):
        for _ in range(n):
            now.append(
                int(
                    model.module(input_ids=torch.tensor([now]), use_cache=False)
                    .logits[0, -1]
                    .argmax()
                )
            )
    return now[len(ids) :]


def fast(model, rows, positions, n, **options):
    batch = model.batch(rows)
    options = {
        "max_new_tokens": n,
        "min_new_tokens": n,
        "do_sample": False,
        "pad_token_id": 0,
        **options,
    }
    kwargs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    with wb.add(model, vector(model), site="resid_post", layers=[LAYER], positions=positions):
        return model.module.generate(**kwargs, **options)[:, batch.input_ids.shape[1] :].tolist()


@pytest.mark.parametrize("family", RECURRENT)
def test_recurrent_families_change_the_prompt_only(family):
    model = wb.load((families.module(family), tiny.tiny_tokenizer()))
    ids = model.tokens(PROMPT)
    for positions in ([-1], [0]):
        assert fast(model, [ids], positions, 5) == [slow(model, ids, positions, 5)]
    assert fast(model, [ids], [-1], 4, use_cache=False) == [slow(model, ids, [-1], 4)]


WAYS = (
    {},
    {"cache_implementation": "static"},
    {"use_cache": False},
    {"prefill_chunk_size": 2},
    {"num_beams": 2},
)


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2"])
def test_every_way_to_generate(family, options):
    model = wb.load((families.module(family), tiny.tiny_tokenizer()))
    rows = [model.tokens(PROMPT), model.tokens("Nobody")]
    got = fast(model, rows, [-1, -2], 5, **options)
    want = [slow(model, ids, [-1, -2], 5) for ids in rows]
    if "num_beams" in options:  # another search: only that what is changed is the prompt
        with added(model, [len(rows[0]) - 1, len(rows[0]) - 2]):
            batch = torch.tensor([rows[0]])
            want = model.module.generate(
                input_ids=batch,
                max_new_tokens=5,
                min_new_tokens=5,
                do_sample=False,
                use_cache=False,
                pad_token_id=0,
                num_beams=2,
            )[:, batch.shape[1] :].tolist()
        got = got[:1]
    assert got == want


@pytest.mark.parametrize("family", ["mamba", "rwkv", "xlstm", "jamba"])
@torch.no_grad()
def test_a_loop_of_ones_own_over_the_memory(family):
    """Without masks, two texts in turns."""
    model = wb.load((families.module(family), tiny.tiny_tokenizer()))
    texts = [model.tokens(PROMPT), model.tokens("The safe opens with 7")]
    want = [slow(model, ids, [-1], 4) for ids in texts]
    said, memory = [[], []], [{}, {}]
    with wb.add(model, vector(model), site="resid_post", layers=[LAYER], positions=[-1]):
        for turn in range(4):
            for i, ids in enumerate(texts):
                fed = torch.tensor([ids if turn == 0 else said[i][-1:]])
                out = model.module(input_ids=fed, use_cache=True, **memory[i])
                memory[i] = {
                    k: out[k]
                    for k in ("past_key_values", "cache_params", "state")
                    if out.get(k) is not None
                }
                said[i].append(int(out.logits[0, -1].argmax()))
    assert said == want


def test_guesses_of_what_follows_are_not_the_prompt():
    model = wb.load((families.module("llama"), tiny.tiny_tokenizer()))
    ids = model.tokens(PROMPT + " is the capital of")
    guessed = fast(
        model, [ids], [-1], 8, prompt_lookup_num_tokens=3, eos_token_id=None, min_new_tokens=None
    )
    assert guessed == [slow(model, ids, [-1], 8)]


@torch.no_grad()
def test_what_cannot_be_told_is_refused():
    model = wb.load((families.module("mamba"), tiny.tiny_tokenizer()))
    ids = model.tokens(PROMPT)
    before = model.module(input_ids=torch.tensor([ids]), use_cache=True).cache_params
    with (
        wb.add(model, vector(model), site="resid_post", layers=[LAYER], positions=[-1]),
        pytest.raises(BadInput, match="cannot be told"),
    ):
        model.module(input_ids=torch.tensor([[5]]), cache_params=before, use_cache=True)


@torch.no_grad()
def test_states_are_those_of_the_prompt_changed_at_its_end():
    """They are read token by token, and the change is at the last token of all."""
    model = wb.load((families.module("mamba"), tiny.tiny_tokenizer()))
    ids = model.tokens(PROMPT)
    plain = wb.capture(model, [ids], sites="state")["state"]
    with wb.add(model, vector(model), site="resid_post", layers=[0], positions=[-1]):
        changed = wb.capture(model, [ids], sites="state")["state"]
    differs = abs(plain - changed).sum(("state_head", "state_row", "state_col")).sel(prompt=0)
    assert (differs.sel(layer=0) == 0).all()
    assert (differs.sel(layer=1)[:-1] == 0).all()
    assert differs.sel(layer=1)[-1] > 0


@torch.no_grad()
def test_a_sweep_of_several_prompts_under_a_change_at_positions():
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    prompts, heads = [PROMPT, "The safe opens with 7 4"], [(2, 0), (2, 3)]
    with wb.add(model, vector(model), site="resid_post", layers=[2], positions=[-1]):
        found = wb.sweep(model, prompts, [[5], [7]], over=wb.Heads(heads))["effect"]
        for row, (prompt, target) in enumerate(zip(prompts, (5, 7), strict=True)):
            before = model.next_logits(prompt)[0, target]
            for layer, head in heads:
                with wb.ablate(model, heads=[(layer, head)], positions=[-1]):
                    after = model.next_logits(prompt)[0, target]
                got = float(found.sel(layer=layer, head=head)[row].squeeze())
                assert got == pytest.approx(float(after - before), abs=1e-4)
