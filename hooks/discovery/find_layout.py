"""Where the parts of a decoder are in its module tree: found by watching one short forward pass,
not by a table per family.

`transformers` names and nests the same part differently from family to family, but every decoder
does the same sums: a layer adds terms to a residual stream, attention ends in a matrix that reads
the heads, an MLP in one that reads the neurons. `find_layout` runs five tokens, looks at what went
in and out of every module, and takes as a part what satisfies its sum. What satisfies none is not
offered, and `Block.unavailable_reason` says why: nothing is guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hooks.discovery.family_quirks import (
    N_HEADS_FIELDS,
    N_KV_HEADS_FIELDS,
    POSITION_TABLE_NAMES,
    config_number,
)
from hooks.discovery.find_block import find_block
from hooks.discovery.layer_stack import find_stack
from hooks.discovery.norms import find_norm
from hooks.discovery.recurrence import with_states
from hooks.discovery.trace_modules import TracedPass
from hooks.discovery.unembedding import find_unembedding
from hooks.layout import STATE_DIMS, Block, Layout
from hooks.without_interventions import undisturbed
from workbench.errors import BadInput
from workbench.models.configuration import of_layer
from workbench.silence_libraries import silenced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

    from hooks.discovery.trace_modules import ModuleCall

# Kinds of numbers that models compute with; what is stored in others is made one of these first.
_COMPUTED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def find_layout(model: PreTrainedModel) -> Layout:
    """Find the parts of a causal LM, whatever changes and hooks are on it now.

    Raises:
        BadInput: it cannot run on token ids alone, or has no single stack of layers.
        NotFinite: its logits are no finite numbers.
    """
    with undisturbed(model), silenced():
        return _find(model, _trace(model))


def _trace(model: PreTrainedModel) -> TracedPass:
    try:
        return TracedPass(model)
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise BadInput(
            f"{type(model).__name__} does not run on a few tokens: {error}",
            "a decoder-only causal language model",
            "Load another.",
        ) from error


def _find(model: PreTrainedModel, traced: TracedPass) -> Layout:
    config, tolerance = model.config.get_text_config(), _tolerance(model)
    path, stack = find_stack(model, traced, config)
    unembed, embed = model.get_output_embeddings(), model.get_input_embeddings()
    if not stack or unembed is None or embed is None:
        raise BadInput(
            f"{type(model).__name__} has no single stack of layers that hand a residual stream on.",
            "a decoder-only causal language model of transformers",
            "Load another model.",
        )
    n_heads = [
        config_number(of_layer(config, layer), *N_HEADS_FIELDS) or 1 for layer in range(len(stack))
    ]
    blocks = with_states(
        model,
        tuple(find_block(m, traced, tolerance, n) for m, n in zip(stack, n_heads, strict=True)),
    )
    last = traced.only_call(stack[-1])
    assert last is not None
    assert last.output is not None
    ending = find_unembedding(unembed, stack, last.output, traced, config, tolerance)
    heads = max((b.n_heads for b in blocks), default=0) or n_heads[0]
    kv_heads = _kv_heads(blocks, traced, config, heads)
    d_head = _d_head(blocks, traced, config, heads)
    d_model = last.output.shape[-1]
    sizes = {
        "d_model": d_model,
        "d_vocab": traced.logits.shape[-1],
        **_sizes(blocks, traced),
        "head": heads,
        "kv_head": kv_heads,
        "d_head": d_head,
    }
    holder, _, name = path.rpartition(".")
    return Layout(
        stack=(model.get_submodule(holder), name),
        embed=embed,
        pos_embed=_position_table(model),
        blocks=blocks,
        final_norm=ending.final_norm,
        ln_final=find_norm(ending.final_norm, traced, tolerance),
        unembed=unembed,
        n_heads=heads,
        n_kv_heads=kv_heads,
        d_head=d_head,
        d_model=d_model,
        sizes=sizes,
        head_gain=ending.head_gain,
        logit_scale=ending.logit_scale,
        logit_cap=ending.logit_cap,
        flat=frozenset(
            id(call.module)
            for call in traced.calls
            if any(x is not None and x.dim() == 2 for x in (call.input, call.output))
        ),
    )


def _tolerance(model: nn.Module) -> float:
    """By how much a sum may be off, as a share of the largest number in it: rounding of the
    coarsest kind of number that the model computes with.
    """
    # None of these where all weights are stored in other kinds.
    spacings = [torch.finfo(p.dtype).eps for p in model.parameters() if p.dtype in _COMPUTED]
    return max([1e-4, *(2 * spacing for spacing in spacings)])


def _position_table(model: nn.Module) -> nn.Module | None:
    """The learned embeddings of positions."""
    named = model.named_modules()
    return next((m for name, m in named if name.split(".")[-1] in POSITION_TABLE_NAMES), None)


def _sizes(blocks: Sequence[Block], traced: TracedPass) -> dict[str, int]:
    """The axes that only some models have: neurons, experts, and those of recurrent states."""
    sizes = {}
    down_proj = _first_call([b.down_proj for b in blocks], traced)
    if down_proj is not None and down_proj.input is not None:
        sizes["d_mlp"] = down_proj.input.shape[-1]
    router = _first_call([b.router for b in blocks], traced)
    if router is not None and router.output is not None:
        sizes["expert"] = router.output.shape[-1]
    memory_router = _first_call([b.memory_router for b in blocks], traced)
    if memory_router is not None and memory_router.output is not None:
        sizes["memory"] = memory_router.output.shape[-1]
    for block in blocks:
        for site, shape in block.states.items():
            sizes |= dict(zip(STATE_DIMS[site], shape, strict=True))
    return sizes


def _kv_heads(
    blocks: Sequence[Block], traced: TracedPass, config: PreTrainedConfig, heads: int
) -> int:
    for block in blocks:
        if block.attention_call is not None:
            return traced.attention_calls[id(block.attention_call)].key.shape[1]
    return config_number(config, *N_KV_HEADS_FIELDS) or heads


def _d_head(
    blocks: Sequence[Block], traced: TracedPass, config: PreTrainedConfig, heads: int
) -> int:
    z = _first_call([b.out_proj for b in blocks if b.n_heads], traced)
    if z is not None and z.input is not None:
        return z.input.shape[-1] // heads
    return config_number(config, "head_dim") or 0


def _first_call(modules: Sequence[nn.Module | None], traced: TracedPass) -> ModuleCall | None:
    """The first of some modules' calls, of those that were called once."""
    calls = (traced.only_call(m) for m in modules)
    return next((call for call in calls if call is not None), None)
