"""Where the parts of a decoder are in its module tree: found by watching one short forward pass,
not by a table per family.

`transformers` names and nests the same part differently from family to family, but every decoder
does the same sums: a layer adds terms to a residual stream, attention ends in a matrix that reads
the heads, an MLP in one that reads the neurons. `find` runs five tokens, looks at what went in and
out of every module, and takes as a part what satisfies its sum. What satisfies none is not offered,
and `Block.why` says why: nothing is guessed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hooks import states
from hooks.discovery.find_block import find_block, find_norm, kind_of
from hooks.discovery.trace_modules import TOKENS, Probe, same
from hooks.layout import STATE_DIMS, Block, Layout
from hooks.weights import innermost
from hooks.without_interventions import undisturbed
from workbench.errors import BadInput
from workbench.models.configuration import of_layer, setting
from workbench.silence_libraries import quiet

# Kinds of numbers that models compute with; what is stored in others is made one of these first.
_COMPUTED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def find(module: Any) -> Layout:
    """Find the parts of a causal LM, whatever changes and hooks are on it now.

    Raises:
        BadInput: it cannot run on token ids alone, or has no single stack of layers.
        NotFinite: its logits are no finite numbers.
    """
    with undisturbed(module), quiet():
        return _find(module)


def _find(module: Any) -> Layout:
    config = module.config.get_text_config()
    try:
        probe = Probe(module)
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise BadInput(
            f"{type(module).__name__} does not run on a few tokens: {error}",
            "a decoder-only causal language model",
            "Load another.",
        ) from error
    unembed, embed = module.get_output_embeddings(), module.get_input_embeddings()
    path, stack = _stack(module, probe, config)
    if not stack or unembed is None or embed is None:
        raise BadInput(
            f"{type(module).__name__} has no single stack of layers that hand a residual"
            " stream on.",
            "a decoder-only causal language model of transformers",
            "Load another model.",
        )
    spacings = [torch.finfo(p.dtype).eps for p in module.parameters() if p.dtype in _COMPUTED]
    exact = max(
        [1e-4, *(2 * spacing for spacing in spacings)]
    )  # all of them may be stored in other kinds
    n_heads = [
        _number(of_layer(config, layer), "num_attention_heads", "n_head", "num_heads") or 1
        for layer in range(len(stack))
    ]
    blocks = _with_states(
        module, tuple(find_block(m, probe, exact, n) for m, n in zip(stack, n_heads, strict=True))
    )
    heads = max((b.n_heads for b in blocks), default=0) or n_heads[0]
    last = probe.once(stack[-1])
    assert last is not None
    assert last.gave is not None
    final_norm, gain, scale, cap = _ending(module, probe, stack, last.gave, unembed, config, exact)
    calls = [probe.calls[id(b.attention_call)] for b in blocks if b.attention_call is not None]
    sizes = {"d_model": last.gave.shape[-1], "d_vocab": probe.logits.shape[-1]}
    for name, part, on_input in (("d_mlp", "down_proj", True), ("expert", "router", False)):
        found = [
            s
            for b in blocks
            if getattr(b, part) is not None
            for s in [probe.once(getattr(b, part))]
            if s is not None
        ]
        if found:
            x = found[0].given if on_input else found[0].gave
            if x is not None:
                sizes[name] = x.shape[-1]
    z = [
        s.given
        for b in blocks
        if b.n_heads and b.out_proj is not None
        for s in [probe.once(b.out_proj)]
        if s is not None
    ]
    kv = (
        calls[0].key.shape[1]
        if calls
        else _number(config, "num_key_value_heads", "num_kv_heads") or heads
    )
    d_head = z[0].shape[-1] // heads if z and z[0] is not None else _number(config, "head_dim") or 0
    for block in blocks:
        for site, shape in block.states.items():
            sizes |= dict(zip(STATE_DIMS[site], shape, strict=True))
    sizes |= {"head": heads, "kv_head": kv, "d_head": d_head}
    holder, _, name = path.rpartition(".")
    return Layout(
        stack=(module.get_submodule(holder), name),
        embed=embed,
        pos_embed=next(
            (
                m
                for name, m in module.named_modules()
                if name.split(".")[-1] in {"wpe", "embed_positions"}
            ),
            None,
        ),
        blocks=blocks,
        final_norm=final_norm,
        ln_final=find_norm(final_norm, probe, max(1e-3, exact)),
        unembed=unembed,
        n_heads=heads,
        n_kv_heads=kv,
        d_head=d_head,
        d_model=sizes["d_model"],
        sizes=sizes,
        head_gain=gain,
        logit_scale=scale,
        logit_cap=cap,
        flat=frozenset(
            id(s.module)
            for s in probe.seen
            if any(t is not None and t.dim() == 2 for t in (s.given, s.gave))
        ),
    )


def _with_states(module: Any, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks with what their recurrent parts keep from token to token."""
    mixers = {layer: b.mixer for layer, b in enumerate(blocks) if b.mixer is not None}
    if not mixers:
        return blocks
    reason = "the family keeps none, or not where its cache or its kernels show it"
    kept: dict[int, dict[str, tuple[int, ...]]] = {}
    try:
        kept = states.shapes(module, mixers, TOKENS)
    except (ValueError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        reason = (  # everything else about the model can still be looked at
            f"it cannot be read token by token: {error}"
        )
    found = []
    for layer, block in enumerate(blocks):
        why = dict(block.why)
        why |= {
            site: reason
            for site in STATE_DIMS
            if layer in mixers and site not in kept.get(layer, {})
        }
        found.append(replace(block, states=kept.get(layer, {}), why=why))
    return tuple(found)


def _number(config: Any, *names: str) -> int | None:
    """The first of these fields that holds a number, of whichever layer says the largest."""
    for name in names:
        value = setting(config, name)
        numbers = [
            v
            for v in (value if isinstance(value, list) else [value])
            if isinstance(v, int) and not isinstance(v, bool)
        ]
        if numbers:
            return max(numbers)
    return None


def _stack(module: Any, probe: Probe, config: Any) -> tuple[str, list[nn.Module]]:
    """The list of layers and its name: each called once, each handing its stream to the next; the
    largest of such lists.

    As long as the configuration says, or, where layers were cut off by hand, of whatever length.
    Empty if there is none.
    """
    names = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    n_layers, said = _number(config, *names), {_number(config, name) for name in names}
    lists = [
        (path, list(inner))
        for path, inner in module.named_modules()
        if isinstance(inner, nn.ModuleList) and len(inner)
    ]
    found = [
        each for each in lists if n_layers in (len(each[1]), None) and _hands_on(each[1], probe)
    ]
    if not found:  # a list that is as long as is said is not a cut one
        cut = not any(len(layers) in said for _, layers in lists)
        outer = [
            each for each in lists if not any(each[0].startswith(f"{path}.") for path, _ in lists)
        ]
        found = [
            each
            for each in outer
            if _taken_out(each[1]) is not None or (cut and _hands_on(each[1], probe))
        ]
    path, stack = max(
        found,
        key=lambda each: sum(p.numel() for m in each[1] for p in m.parameters()),
        default=("", []),
    )
    wrong = _taken_out(stack)
    if wrong is not None:
        raise BadInput(
            f"Layer {wrong[0]} of {type(module).__name__} still calls itself layer {wrong[1]}:"
            " layers were taken out, added or moved by hand, and its cache and its kind of"
            " attention follow the old numbers.",
            "layers numbered by their place (cutting off the last ones keeps it so)",
            "Set layer_idx in every layer to its place, and shorten num_hidden_layers and"
            " layer_types in the configuration.",
        )
    return path, stack


def _hands_on(layers: Sequence[nn.Module], probe: Probe) -> bool:
    """Whether each layer was called once and gave the same (batch, pos, d_model) as it got, all of
    one shape, and no second stream beside it (Reformer).
    """
    calls = [probe.once(m) for m in layers]
    if any(
        c is not None and c.given is not None and (tuple(c.given.shape), True) in c.whole[1:]
        for c in calls
    ):
        return False
    for call in calls:
        if call is None or call.given is None or call.gave is None:
            return False
        shape = call.given.shape
        if shape != call.gave.shape or len(shape) != 3 or shape[1] != len(TOKENS):
            return False
    return True


def _taken_out(layers: Sequence[nn.Module]) -> tuple[int, int] | None:
    """A layer's place and the other number that it has in itself, of the first that has one;
    families may have none.
    """
    for place, layer in enumerate(layers):
        numbers = [
            i for part in layer.modules() if isinstance(i := getattr(part, "layer_idx", None), int)
        ]
        if numbers and place not in numbers:
            return place, numbers[0]
    return None


def _ending(
    module: Any,
    probe: Probe,
    stack: Sequence[nn.Module],
    last: Tensor,
    unembed: Any,
    config: Any,
    exact: float,
) -> tuple[nn.Module, float, float, float | None]:
    """The final norm; what its output is multiplied by before the unembedding; and what turns the
    unembedding's output into the logits, a constant and a soft-cap. A constant that cannot be told
    is not a number.
    """
    inside = {id(m) for block in stack for m in block.modules()}
    after = [
        s
        for s in probe.seen
        if id(s.module) not in inside and not list(innermost(s.module).children())
    ]
    norms = [
        s
        for s in after
        if same(s.given, last, exact)
        and s.module is not unembed
        and kind_of("", s.module) == "norm"
    ]
    head, nan = probe.once(unembed), float("nan")
    if (
        not norms and head is not None
    ):  # BERT and its kin unembed what a part of several matrices makes of the stream
        outside = (s for s in probe.seen if id(s.module) not in inside and s.module is not unembed)
        norms = [s for s in outside if same(s.given, last, 0.0) and same(s.gave, head.given, 0.0)][
            :1
        ]
    final: nn.Module = norms[-1].module if norms else nn.Identity()
    normed = norms[-1].gave if norms and norms[-1].gave is not None else last
    if head is None or head.gave is None or head.given is None:
        return final, nan, nan, None
    gain = _constant(normed, head.given, exact) if head.given.numel() == normed.numel() else nan
    raw, logits = head.gave.reshape(probe.logits.shape), probe.logits
    ruled_out = raw.isneginf() & logits.isneginf()  # by a bias: nothing more is done to those
    raw, logits = raw.masked_fill(ruled_out, 0.0), logits.masked_fill(ruled_out, 0.0)
    caps = [
        getattr(config, n, None)
        for n in ("final_logit_softcapping", "output_logit_soft_cap", "logits_soft_cap")
    ]
    for cap in [
        *dict.fromkeys(c for c in caps if c),
        None,
    ]:  # small logits are the same with a cap and without
        goal = (
            logits if cap is None else torch.atanh((logits / cap).clamp(-1 + 1e-7, 1 - 1e-7)) * cap
        )
        scale = _fitted(raw, goal, exact)
        shown = raw * scale if cap is None else torch.tanh(raw * scale / cap) * cap
        if same(shown, logits, exact):
            return final, gain, scale, cap
    return final, gain, nan, None


def _constant(x: Tensor, goal: Tensor, exact: float) -> float:
    """The number that x is multiplied by to give the goal; not a number if none does."""
    goal = goal.reshape(x.shape)
    scale = _fitted(x, goal, exact)
    return scale if same(x * scale, goal, max(1e-3, exact)) else float("nan")


def _fitted(x: Tensor, goal: Tensor, exact: float) -> float:
    """The number by which x comes closest to the goal.

    1 where it is as near as rounding lets one see.
    """
    scale = float((x.double() * goal.double()).sum() / x.double().pow(2).sum())
    return 1.0 if abs(scale - 1) < exact else float(f"{scale:.6g}")
