"""Every family, every kind of sweep: equal to one hooked forward pass per change, prompts of
different lengths together.
"""

from __future__ import annotations

import functools

import pytest
import torch
import transformers

import workbench as wb
from hooks.sweeps import sweep
from tests.helpers import families, plain_loop, tiny
from workbench.errors import WorkbenchError

PROMPTS = [
    "Question: What is the capital city of Peru?\nAnswer: The capital",
    "The capital of France is",
    "a",
]
SOURCES = [
    "Question: What is the capital city of Spain?\nAnswer: The safe",
    "The capital of Italy was",
    "b",
]
TARGETS = [[5, 77], [200, 9], [31, 32]]
BASE = {
    "vocab_size": tiny.VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
GROUPED = {"num_key_value_heads": 2}
WINDOWS = {"head_dim": 8, "sliding_window": 5}
MOE = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2}
FAMILIES = {
    "Llama": GROUPED,
    "GPT2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256},
    "GPTNeoX": {},
    "Gemma2": {
        **GROUPED,
        **WINDOWS,
        "query_pre_attn_scalar": 8,
        "attn_implementation": "eager",
        "final_logit_softcapping": 5.0,
    },
    "Gemma3Text": {**GROUPED, **WINDOWS, "query_pre_attn_scalar": 8, "sliding_window_pattern": 2},
    "Qwen3": {**GROUPED, "head_dim": 8},
    "Olmo2": GROUPED,
    "Phi": {},
    "GPTJ": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256, "rotary_dim": 4},
    "Mixtral": {**GROUPED, **MOE},
    "Olmoe": {**GROUPED, **MOE},
    "Falcon": {"multi_query": True, "new_decoder_architecture": False, "alibi": False},
    "Bloom": {"n_layer": 3, "n_head": 4},
    "Cohere": {**GROUPED, "logit_scale": 0.5},
    "GptOss": {**GROUPED, **MOE, **WINDOWS, "attn_implementation": "eager"},
    "DeepseekV3": {
        "num_key_value_heads": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 8,
        "v_head_dim": 12,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 16,
        "n_shared_experts": 1,
    },
    # Recurrent layers beside attention: nothing can be cached, and padding may be read like text.
    "RecurrentGemma": {
        "head_dim": 8,
        "lru_width": 32,
        "attention_window_size": 64,
        "num_key_value_heads": 1,
    },
    "Jamba": {
        **GROUPED,
        "mamba_d_state": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 2,
        "expert_layer_period": 2,
        "use_mamba_kernels": False,
    },
}
PRETTY = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}


@functools.cache
def built(family: str) -> wb.InstrumentedModel:
    config = getattr(transformers, f"{family}Config")
    torch.manual_seed(0)
    kind = getattr(transformers, PRETTY.get(family, f"{family}ForCausalLM"))
    module = kind(config(**{**BASE, **FAMILIES[family]})).eval()
    for name, p in module.named_parameters():
        if p.dim() > 1 or "sinks" in name:
            torch.nn.init.normal_(p, std=0.2)
    return wb.load((module, tiny.tiny_tokenizer()))


@pytest.fixture(params=list(FAMILIES))
def family(request):
    return built(request.param)


def check(model, found, at, values):
    """`found` (prompt, layer, head, target) against the loop, for a few heads of each layer."""
    largest = 0.0
    for row, text in enumerate(PROMPTS):
        ids = model.tokens(text)
        positions = range(len(ids)) if at == "all" else [len(ids) - 1]
        base = plain_loop.run(model, ids)[TARGETS[row]]
        for layer in model.sites["z"]:
            for head in (layer, 3):
                new = values(ids, model.tokens(SOURCES[row]), layer)
                change = plain_loop.set_to(new, positions, head)
                want = plain_loop.run(model, ids, [("z", layer, change)])[TARGETS[row]] - base
                got = torch.as_tensor(
                    found["effect"].sel({"prompt": row, "layer": layer, "head": head}).values
                )
                torch.testing.assert_close(got, want, atol=2e-4, rtol=1e-4)
                largest = max(largest, float(want.abs().max()))
    assert largest > 1e-3  # the comparison would pass on nothing but zeros
    assert found.attrs["control_error"] < 1e-3


@pytest.mark.parametrize("at", ["last", "all"])
def test_heads_set_to_zero(family, at):
    found = sweep(family, PROMPTS, TARGETS, positions=at)
    check(family, found, at, lambda ids, other, layer: 0.0)


@pytest.mark.parametrize("at", ["last", "all"])
def test_heads_from_another_run(family, at):
    found = sweep(family, PROMPTS, TARGETS, change=wb.Patch(SOURCES, align="end"), positions=at)

    def values(ids, other, layer):
        mine, theirs = (
            plain_loop.values(family, ids, "z", layer),
            plain_loop.values(family, other, "z", layer),
        )
        n = min(len(mine), len(theirs))
        return torch.cat([mine[: len(mine) - n], theirs[len(theirs) - n :]])

    check(family, found, at, values)


def test_layers_and_positions(family):
    layers = sweep(family, PROMPTS, TARGETS, over="layers", positions="all")
    grid = sweep(
        family, PROMPTS, TARGETS, over="positions", change=wb.Patch(SOURCES), positions="all"
    )
    for row, text in enumerate(PROMPTS):
        ids, other = family.tokens(text), family.tokens(SOURCES[row])
        base = plain_loop.run(family, ids)[TARGETS[row]]
        for layer in range(family.n_layers):
            for site in ("attn_out", "mlp_out") if layer in family.sites["attn_out"] else ():
                change = plain_loop.set_to(0.0, range(len(ids)))
                want = plain_loop.run(family, ids, [(site, layer, change)])[TARGETS[row]] - base
                got = layers["effect"].sel({"prompt": row, "site": site, "layer": layer}).values
                torch.testing.assert_close(torch.as_tensor(got), want, atol=2e-4, rtol=1e-4)
            source = plain_loop.values(family, other, "resid_pre", layer)
            for pos in {0, len(ids) // 2, len(ids) - 1}:
                got = torch.as_tensor(
                    grid["effect"].sel({"prompt": row, "layer": layer, "pos": pos}).values[0]
                )
                if pos >= len(source):
                    assert (got == 0).all()
                    continue
                want = (
                    plain_loop.run(
                        family, ids, [("resid_pre", layer, plain_loop.set_to(source, [pos]))]
                    )[TARGETS[row]]
                    - base
                )
                torch.testing.assert_close(got, want, atol=2e-4, rtol=1e-4)
        assert grid["effect"].sel({"prompt": row, "pos": slice(len(ids), None)}).isnull().all()


@pytest.mark.parametrize(
    "name", [name for name in families.FAMILIES if name not in families.NOT_SWEPT]
)
def test_every_family_is_swept_exactly(name):
    """Heads at the last token, and parts of the layers at the last two: what can be cached is,
    and variants join on the way.
    """
    model = families.built(name)
    texts, targets = ["The capital of France is", "a lot"], TARGETS[1:]
    swept = {"layers": sweep(model, texts, targets, over="layers", positions=[-1, -2])}
    if "z" in model.sites:
        swept["heads"] = sweep(model, texts, targets)
    largest = 0.0
    for row, text in enumerate(texts):
        ids = model.tokens(text)
        base = plain_loop.run(model, ids)[targets[row]]
        for kind, found in swept.items():
            positions = (
                [len(ids) - 1]
                if kind == "heads"
                else [p % len(ids) for p in found.attrs["positions"]]
            )
            for site in (
                ["z"]
                if kind == "heads"
                else found["site"].values
                if "site" in found.dims
                else ["resid_pre"]
            ):
                for layer in (model.sites[site] or [])[row :: len(texts)]:
                    head = layer % model.layout.blocks[layer].n_heads if kind == "heads" else None
                    change = plain_loop.set_to(0.0, positions, head)
                    want = plain_loop.run(model, ids, [(site, layer, change)])[targets[row]] - base
                    at = {"prompt": row, "layer": layer, "head": head, "site": site}
                    got = (
                        found["effect"].sel({k: v for k, v in at.items() if k in found.dims}).values
                    )
                    torch.testing.assert_close(torch.as_tensor(got), want, atol=2e-4, rtol=1e-4)
                    largest = max(largest, float(want.abs().max()))
        assert found.attrs["control_error"] < 1e-3
    assert largest > 1e-3


@pytest.mark.parametrize("name", families.NOT_SWEPT)
def test_families_that_are_not_swept_say_why(name):
    with pytest.raises(WorkbenchError, match=families.NOT_SWEPT[name]):
        sweep(families.built(name), "The capital", [5], over="layers")


def test_a_family_that_decodes_differently_from_how_it_reads_is_read_whole():
    """Moshi's cached decoding is not its forward pass once a prompt is longer than its window."""
    model = families.built("moshi")
    check(model, sweep(model, PROMPTS, TARGETS), "last", lambda ids, other, layer: 0.0)
