"""Where the parts of a decoder are in its module tree: found by watching one short forward pass, not by a table per family.

`transformers` names and nests the same part differently from family to family, but every decoder does the same sums: a
layer adds terms to a residual stream, attention ends in a matrix that reads the heads, an MLP in one that reads the
neurons. `find` runs five tokens, looks at what went in and out of every module, and takes as a part what satisfies its
sum. What satisfies none is not offered, and `Block.why` says why: nothing is guessed.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hooks import states
from hooks.attention import AttentionCall, spying
from workbench.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_MIXER = re.compile(
    r"Mamba|Mixer|SSM(?![a-z])|DeltaNet|DeltaAttention|Lightning|LinearAttention|RecurrentBlock|lstm_layer|ShortConv"
)
_ATTENTION = re.compile(r"attention|attn", re.I)
_MLP = re.compile(r"mlp|moe|feed_?forward|ffn|expert|sparse|densereludense", re.I)
_NORM = re.compile(r"Norm\d*$|^ln|norm\d*$|LayerNorm")
STATE_DIMS = {
    "state": ("state_head", "state_row", "state_col"),
    "conv_state": ("channel", "tap"),
    "state_decay": ("state_head", "decay_row", "decay_col"),
    "state_write": ("state_head",),
}
_ROUTER = re.compile(r"router|gate$|gating", re.I)
_GATE = ("gate_proj", "w1", "wi_0", "dense_h_to_4h", "c_fc", "fc1", "fc_in", "up_proj", "wi", "gate_up_proj", "linear_1")
_UP = ("up_proj", "w3", "v1", "wi_1")
# Any few tokens do; small ids are often special ones with an all-zero embedding.
_PROBE = (17, 11, 29, 23, 13)


@dataclass(frozen=True)
class Term:
    """Something a layer adds to the residual stream: `scale` times the output of `module`."""

    module: nn.Module
    scale: float = 1.0


@dataclass(frozen=True)
class Norm:
    """A normalisation: its module, and what it divides by. `centred` is True for LayerNorm, False for RMSNorm, None where
    the output is no per-channel gain (and shift) of either."""

    module: nn.Module
    centred: bool | None
    eps: float

    def scale(self, x: Tensor) -> Tensor:
        """What the input is divided by at each position: (..., d_model) to (...)."""
        x = x.float()
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return (x.pow(2).mean(-1) + self.eps).sqrt()


@dataclass(frozen=True)
class Projection:
    """Where queries, keys or values come out before rotary: a module's output, cut by `how` into heads.

    `how`: "alone" (nothing else in it), "concat" (all queries, all keys, all values), "per head" (query, key, value of
    each head together) or "per group" (the queries of a key-value group, its key, its value).
    """

    module: nn.Module
    how: str
    which: str  # q, k or v
    heads: int
    kv_heads: int

    def cut(self, x: Tensor) -> Tensor:
        """The projection out of the module's output: (..., width) to (..., head, d_head)."""
        if self.how == "alone":
            return x.unflatten(-1, (self.heads if self.which == "q" else self.kv_heads, -1))
        size = x.shape[-1] // (self.heads + 2 * self.kv_heads)
        if self.how == "concat":
            parts = x.split([self.heads * size, self.kv_heads * size, self.kv_heads * size], -1)
            return parts["qkv".index(self.which)].unflatten(-1, (-1, size))
        if self.how == "per head":
            return x.unflatten(-1, (self.heads, 3, size))[..., "qkv".index(self.which), :]
        grouped = x.unflatten(-1, (self.kv_heads, self.heads // self.kv_heads + 2, size))
        if self.which == "q":
            return grouped[..., :-2, :].flatten(-3, -2)
        return grouped[..., -2 if self.which == "k" else -1, :]


@dataclass(frozen=True)
class Block:
    """The parts of one decoder layer. A part that the layer does not have is None; `why` says why, by site."""

    module: nn.Module
    attention: nn.Module | None = None
    attention_call: nn.Module | None = None  # the module that calls transformers' attention function
    out_proj: nn.Module | None = None
    mixer: nn.Module | None = None  # a recurrent layer: Mamba, linear attention, delta rule, RG-LRU, short convolution …
    mlp: nn.Module | None = None
    down_proj: nn.Module | None = None
    gate: nn.Module | None = None
    up: nn.Module | None = None
    router: nn.Module | None = None
    router_parts: dict[str, int] = field(default_factory=dict)  # site -> place among the router's outputs
    attn_out: Term | None = None
    mixer_out: Term | None = None
    mlp_out: Term | None = None
    before_mlp: nn.Module | None = None  # its input is the residual stream between attention and MLP
    ln1: Norm | None = None
    ln2: Norm | None = None
    start: nn.Module | None = None  # where a norm stands before the stream itself (RWKV's first layer): its output is the stream
    gated: bool = False  # z is not what attention mixes but what the family makes of it: a gate or a norm stands between
    pattern_part: int | None = None  # where attention is the family's own: its place among the module's outputs
    n_heads: int = 0
    projections: dict[str, Projection] = field(default_factory=dict)
    states: dict[str, tuple[int, ...]] = field(default_factory=dict)  # site of a recurrent layer's memory -> its shape
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """The parts of a decoder, in order of the forward pass."""

    embed: Any
    pos_embed: nn.Module | None
    blocks: tuple[Block, ...]
    final_norm: nn.Module
    ln_final: Norm | None
    unembed: Any
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_model: int
    sizes: dict[str, int]  # of the axes that the sites need: d_mlp, expert, …
    # logits = soft-cap(logit_scale × unembed(head_gain × final_norm(resid))); not a number where that could not be told
    head_gain: float
    logit_scale: float
    logit_cap: float | None
    flat: frozenset[int]  # ids of modules that see all tokens of a batch in one row

    def to_logits(self, unembedded: Tensor) -> Tensor:
        """What the unembedding matrix gives, scaled and capped as the family does."""
        logits = unembedded if self.logit_scale == 1.0 else unembedded * self.logit_scale
        return logits if self.logit_cap is None else torch.tanh(logits / self.logit_cap) * self.logit_cap


@dataclass
class _Seen:
    """One call of one module in the probe. Copies, since families add in place."""

    module: nn.Module
    given: Tensor | None
    gave: Tensor | None
    whole: Any


class _Probe:
    """A forward pass of a few tokens, with what went in and out of every module."""

    def __init__(self, module: Any) -> None:
        self.seen: list[_Seen] = []
        self.of: dict[int, list[int]] = {}  # id(module) -> indices into seen, in the order the calls ended
        self.calls: dict[int, AttentionCall] = {}  # id of the module that called -> its attention call
        config = module.config.get_text_config()
        device = module.get_input_embeddings().weight.device
        ids = torch.tensor([[i % config.vocab_size for i in _PROBE]], device=device)
        handles = [m.register_forward_hook(self._after, with_kwargs=True) for m in module.modules()]
        training = module.training
        where = {"attention_mask": torch.ones_like(ids), "position_ids": torch.arange(len(_PROBE), device=device)[None]}
        try:
            module.eval()
            with torch.no_grad(), spying(module, self._call):
                out = module(input_ids=ids, **where, use_cache=False)
            if not self.calls:  # attention in the family's own code may look at its implementation's name: as it was, then
                self.seen, self.of = [], {}
                with torch.no_grad():
                    out = module(input_ids=ids, **where, use_cache=False)
            self.logits = out.logits[0].float().cpu()
        finally:
            module.train(training)
            for handle in handles:
                handle.remove()

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = args[0] if args else kwargs.get("hidden_states", kwargs.get("x", kwargs.get("input")))
        gave = output[0] if isinstance(output, tuple | list) and output else getattr(output, "last_hidden_state", output)
        self.of.setdefault(id(module), []).append(len(self.seen))
        self.seen.append(_Seen(module, _copy(given), _copy(gave), _shallow(output)))

    def _call(self, call: AttentionCall) -> None:
        self.calls[id(call.module)] = call

    def once(self, module: nn.Module) -> _Seen | None:
        """The module's only call, if it has exactly one."""
        at = self.of.get(id(module), [])
        return self.seen[at[0]] if len(at) == 1 else None

    def within(self, module: nn.Module) -> Iterator[_Seen]:
        """Calls of everything inside a module, in the order they ended."""
        inside = sorted(i for m in module.modules() if m is not module for i in self.of.get(id(m), ()))
        return (self.seen[i] for i in inside)


def _copy(x: Any) -> Tensor | None:
    return x.detach().float().cpu().clone() if isinstance(x, torch.Tensor) and x.is_floating_point() else None


def _shallow(output: Any) -> Any:
    """Shapes and kinds of what a module gave: enough to tell a router's outputs apart."""
    parts = output if isinstance(output, tuple) else (output,)
    return [(tuple(p.shape), p.is_floating_point()) if isinstance(p, torch.Tensor) else None for p in parts]


def find(module: Any) -> Layout:
    """Find the parts of a causal LM.

    Raises:
        BadInput: it cannot run on token ids alone, or has no single stack of layers.
    """
    config = module.config.get_text_config()
    try:
        probe = _Probe(module)
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise BadInput(
            f"{type(module).__name__} does not run on a few tokens: {error}",
            "a decoder-only causal language model",
            "Load another.",
        ) from error
    unembed, embed = module.get_output_embeddings(), module.get_input_embeddings()
    stack = _stack(module, probe, config)
    if stack is None or unembed is None or embed is None:
        raise BadInput(
            f"{type(module).__name__} has no single stack of layers that hand a residual stream on.",
            "a decoder-only causal language model of transformers",
            "Load another model.",
        )
    exact = 1e-4 if next(module.parameters()).dtype == torch.float32 else 3e-2
    n_heads = _number(config, "num_attention_heads", "n_head", "num_heads") or 1
    blocks = _with_states(module, tuple(_block(m, probe, exact, n_heads) for m in stack))
    heads = next((b.n_heads for b in blocks if b.n_heads), n_heads)
    last = probe.once(stack[-1])
    assert last is not None
    assert last.gave is not None
    final_norm, gain, scale, cap = _ending(module, probe, stack, last.gave, unembed, config, exact)
    calls = [probe.calls[id(b.attention_call)] for b in blocks if b.attention_call is not None]
    sizes = {"d_model": last.gave.shape[-1], "d_vocab": probe.logits.shape[-1]}
    for name, part, on_input in (("d_mlp", "down_proj", True), ("expert", "router", False)):
        found = [s for b in blocks if getattr(b, part) is not None for s in [probe.once(getattr(b, part))] if s is not None]
        if found:
            x = found[0].given if on_input else found[0].gave
            if x is not None:
                sizes[name] = x.shape[-1]
    z = [s.given for b in blocks if b.n_heads and b.out_proj is not None for s in [probe.once(b.out_proj)] if s is not None]
    kv = calls[0].key.shape[1] if calls else _number(config, "num_key_value_heads", "num_kv_heads") or n_heads
    d_head = z[0].shape[-1] // heads if z and z[0] is not None else _number(config, "head_dim") or 0
    for block in blocks:
        for site, shape in block.states.items():
            sizes |= dict(zip(STATE_DIMS[site], shape, strict=True))
    sizes |= {"head": heads, "kv_head": kv, "d_head": d_head}
    return Layout(
        embed=embed,
        pos_embed=next((m for name, m in module.named_modules() if name.split(".")[-1] in {"wpe", "embed_positions"}), None),
        blocks=blocks,
        final_norm=final_norm,
        ln_final=_norm(final_norm, probe, 10 * exact),
        unembed=unembed,
        n_heads=heads,
        n_kv_heads=kv,
        d_head=d_head,
        d_model=sizes["d_model"],
        sizes=sizes,
        head_gain=gain,
        logit_scale=scale,
        logit_cap=cap,
        flat=frozenset(id(s.module) for s in probe.seen if any(t is not None and t.dim() == 2 for t in (s.given, s.gave))),
    )


def _with_states(module: Any, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks with what their recurrent parts keep from token to token."""
    mixers = {layer: b.mixer for layer, b in enumerate(blocks) if b.mixer is not None}
    if not mixers:
        return blocks
    reason = "the family keeps none, or not where its cache or its kernels show it"
    kept: dict[int, dict[str, tuple[int, ...]]] = {}
    try:
        kept = states.shapes(module, mixers, _PROBE)
    except (ValueError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        reason = f"it cannot be read token by token: {error}"  # everything else about the model can still be looked at
    found = []
    for layer, block in enumerate(blocks):
        why = dict(block.why)
        why |= {site: reason for site in STATE_DIMS if layer in mixers and site not in kept.get(layer, {})}
        found.append(replace(block, states=kept.get(layer, {}), why=why))
    return tuple(found)


def _number(config: Any, *names: str) -> int | None:
    found = (getattr(config, name, None) for name in names)
    return next((v for v in found if isinstance(v, int) and not isinstance(v, bool)), None)


def _stack(module: Any, probe: _Probe, config: Any) -> list[nn.Module] | None:
    """The list of layers: each called once, each handing its stream to the next; the largest of such lists."""
    n_layers = _number(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    found: list[list[nn.Module]] = []
    for inner in module.modules():
        if not isinstance(inner, nn.ModuleList) or not len(inner) or (n_layers and len(inner) != n_layers):
            continue
        calls = [probe.once(m) for m in inner]
        shapes = {None if c is None or c.given is None or c.gave is None else (c.given.shape, c.gave.shape) for c in calls}
        if None not in shapes and all(a == b and len(a) == 3 and a[1] == len(_PROBE) for a, b in shapes):  # type: ignore[misc]
            found.append(list(inner))
    return max(found, key=lambda s: sum(p.numel() for m in s for p in m.parameters()), default=None)


# ---- one layer -------------------------------------------------------------------------------------------------------


def _kind(name: str, module: nn.Module, family: str = "") -> str:
    """What a child of a layer is, by its class, or by its name where the class says nothing. `family` is the layer's own
    class: what both names begin with is the family's name (Qwen3MoeAttention is no mixture of experts)."""
    text = type(module).__name__
    if text == "RwkvSelfAttention":  # keeps a state and looks at no earlier token
        return "mixer"
    at = next((i for i, (a, b) in enumerate(zip(family, text, strict=False)) if a != b), 0)
    while at and not text[at].isupper():  # whole words of the name only
        at -= 1
    text = text[at:]
    if text.endswith("DecoderLayer"):
        return "other"
    for given in (text, name):
        for kind, pattern in (("norm", _NORM), ("mlp", _MLP), ("mixer", _MIXER), ("attention", _ATTENTION)):
            if pattern.search(given):
                return kind
        if _is_matrix(module):
            return "linear"
    return "other"


def _parts(module: nn.Module, probe: _Probe, family: str) -> dict[str, list[nn.Module]]:
    """The called children by kind; a child that is none of the kinds but holds some is looked into."""
    found: dict[str, list[nn.Module]] = {"norm": [], "mixer": [], "attention": [], "mlp": [], "linear": []}
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout | nn.Identity):
            continue
        kind = _kind(name, child, family)
        if kind == "other" or not probe.of.get(id(child)):
            for inner_kind, inner in _parts(child, probe, family).items():
                found[inner_kind] += inner
        else:
            found[kind].append(child)
    return found


def _block(module: nn.Module, probe: _Probe, exact: float, n_heads: int) -> Block:
    parts = _parts(module, probe, type(module).__name__)
    why: dict[str, str] = {}
    own = probe.once(module)
    assert own is not None
    assert own.given is not None
    assert own.gave is not None
    attention = parts["attention"][0] if parts["attention"] else None
    mixer = parts["mixer"][0] if parts["mixer"] else None
    mlp = parts["mlp"][-1] if parts["mlp"] else None
    two = [m for m in parts["linear"] if probe.once(m) is not None]
    if mlp is None and len(two) == 2:  # OPT and its kin have the MLP's two matrices lying in the layer
        mlp = two[1]
    out_proj = _last_matrix(attention, probe, exact) if attention is not None else None
    down = mlp if mlp is not None and mlp in two else _last_matrix(mlp, probe, exact) if mlp is not None else None
    inside = [
        [c for c in (attention, out_proj) if c is not None],
        [c for c in (mixer,) if c],
        [c for c in (mlp, down) if c is not None],
    ]
    groups = [_candidates(group, probe, parts["norm"]) for group in inside]
    stream, start = own.given, None
    terms = _terms(stream, own.gave, groups, probe, exact)
    for norm in parts["norm"] if terms is None else ():
        if _same(_given(probe, norm), own.given, 0.0) and (terms := _terms(_gave(probe, norm), own.gave, groups, probe, exact)):
            stream, start = _gave(probe, norm), norm
            break
    if terms is None:
        why |= dict.fromkeys(
            ("attn_out", "mixer_out", "mlp_out", "resid_mid"), "the layer does not simply add its parts to the residual stream"
        )
        terms = [None, None, None]
    attn_out, mixer_out, mlp_out = terms
    before_mlp = None
    if mlp_out is not None and (attn_out is not None or mixer_out is not None):
        mid = stream + sum(t.scale * _gave(probe, t.module) for t in (attn_out, mixer_out) if t is not None)
        before_mlp = _reader(module, probe, mid, exact)
        if before_mlp is None:
            why["resid_mid"] = "attention and MLP read the same stream (parallel): there is none between them"
    heads = _heads(out_proj, probe, n_heads) if attention is not None else 0
    if attention is not None and not heads:
        why["z"] = "no matrix reads the heads side by side"
    calls = [m for m in attention.modules() if id(m) in probe.calls] if attention is not None else []
    if attention is not None and not calls:
        own_code = "the family computes attention in its own code, not through transformers' attention interface"
        why |= dict.fromkeys(("q", "k", "v", "rot_q", "rot_k", "attn_scores"), own_code)
        why["pattern"] = f"{own_code}, and gives no pattern out (loading with attn_implementation='eager' may)"
    if mlp is not None and down is None:
        why |= dict.fromkeys(("pre", "pre_linear", "post"), "the MLP does not end in one matrix (experts, or a gate behind it)")
    call = probe.calls[id(calls[0])] if calls else None
    router = _router(mlp, probe) if mlp is not None and down is None else None
    return Block(
        module=module,
        attention=attention,
        attention_call=calls[0] if calls else None,
        out_proj=out_proj if heads else None,
        mixer=mixer,
        mlp=mlp,
        down_proj=down,
        gate=_named(mlp, _GATE, probe)
        if mlp is not None and mlp is not down
        else (two[0] if mlp is not None and mlp in two else None),
        up=_named(mlp, _UP, probe) if mlp is not None else None,
        router=router,
        router_parts=_router_parts(router, probe) if router is not None else {},
        attn_out=attn_out,
        mixer_out=mixer_out,
        mlp_out=mlp_out,
        before_mlp=before_mlp,
        ln1=_norm(_first_reading(parts["norm"], probe, stream, exact), probe, 10 * exact),
        ln2=_norm(_first_reading(parts["norm"], probe, _given(probe, before_mlp), exact), probe, 10 * exact)
        if before_mlp
        else None,
        start=start,
        gated=bool(
            heads and out_proj is not None and call is not None and not _same(_mixed(call), _given(probe, out_proj), 1e-2)
        ),
        pattern_part=_pattern_part(attention, probe) if attention is not None and not calls else None,
        n_heads=heads,
        projections=_projections(attention, probe, call) if attention is not None and call is not None else {},
        why=why,
    )


def _mixed(call: AttentionCall) -> Tensor:
    """Pattern times values, the heads side by side."""
    return call.mix(call.pattern()).flatten(-2).float().cpu()


def _gave(probe: _Probe, module: nn.Module) -> Tensor:
    """What a module gave, as (batch, pos, …) also where it works on all tokens in one row."""
    seen = probe.once(module)
    assert seen is not None
    assert seen.gave is not None
    return seen.gave if seen.gave.dim() > 2 else seen.gave[None]


def _given(probe: _Probe, module: nn.Module) -> Tensor | None:
    seen = probe.once(module)
    return seen.given if seen is not None else None


def _norm(module: nn.Module | None, probe: _Probe, exact: float) -> Norm | None:
    """A norm with the kind that its own input and output show."""
    seen = probe.once(module) if module is not None else None
    if module is None or seen is None or seen.given is None or seen.gave is None or _kind("", module) != "norm":
        return None
    eps = float(next((getattr(module, n) for n in ("eps", "variance_epsilon", "epsilon") if hasattr(module, n)), 0.0))
    x, y = (t.reshape(-1, t.shape[-1]).double() for t in (seen.given, seen.gave))
    for centred in (False, True):
        kind = Norm(module, centred, eps)
        normed = (x - x.mean(-1, keepdim=True) if centred else x) / kind.scale(x)[:, None]
        # Over the positions, each channel must be one line: gain times the normalised value plus a shift.
        a, b = normed - normed.mean(0), y - y.mean(0)
        gain = (a * b).sum(0) / a.pow(2).sum(0).clamp(min=1e-12)
        if float((b - gain * a).abs().max()) <= exact * float(y.abs().max()):
            return kind
    return Norm(module, None, eps)


def _pattern_part(attention: nn.Module, probe: _Probe) -> int | None:
    """Which of the attention module's outputs is (batch, head, query, key)."""
    seen, n = probe.once(attention), len(_PROBE)
    shapes = [] if seen is None else [p[0] if p is not None else () for p in seen.whole]
    return next((i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[2:] == (n, n)), None)


def _same(a: Tensor | None, b: Tensor | None, exact: float) -> bool:
    if a is None or b is None or a.numel() != b.numel() or a.shape[-1] != b.shape[-1]:
        return False
    a = a.reshape(b.shape)
    return bool((a - b).abs().max() <= exact * max(float(b.abs().max()), 1e-6))


def _is_matrix(module: nn.Module) -> bool:
    """A module that multiplies by one matrix (quantized layers keep the shape in attributes)."""
    weight = getattr(module, "weight", None)
    flat = isinstance(weight, torch.Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)
    return flat or (hasattr(module, "in_features") and hasattr(module, "out_features"))


def _last_matrix(part: nn.Module, probe: _Probe, exact: float) -> nn.Module | None:
    """The matrix whose output the part gives out; else, where the part adds something on its way out, the last called
    matrix of the stream's width."""
    own = probe.once(part)
    matrices = [s for s in probe.within(part) if _is_matrix(s.module) and probe.once(s.module) is not None]
    same = [s.module for s in matrices if own is not None and _same(s.gave, own.gave, exact)]
    if same:
        return same[-1]
    wide = [
        s.module
        for s in matrices
        if own is not None and own.gave is not None and s.gave is not None and s.gave.shape == own.gave.shape
    ]
    named = [
        m
        for m in wide
        if any(
            m is getattr(part, n, None)
            for n in ("o_proj", "out_proj", "dense", "c_proj", "down_proj", "dense_4h_to_h", "wo", "w2")
        )
    ]
    return named[-1] if named else None


def _candidates(inside: Sequence[nn.Module], probe: _Probe, norms: Sequence[nn.Module]) -> list[nn.Module]:
    """What may be added on behalf of a part: its output, that of a norm that reads it, or that of its last matrix."""
    if not inside:
        return []
    part = inside[0]
    after = [
        n for n in norms if any(_same(_given(probe, n), s.gave, 0.0) for m in inside for s in [probe.once(m)] if s is not None)
    ]
    found = [part, *after, *inside[1:]]
    return [m for m in dict.fromkeys(found) if (s := probe.once(m)) is not None and s.gave is not None]


def _terms(start: Tensor, end: Tensor, groups: list[list[nn.Module]], probe: _Probe, exact: float) -> list[Term | None] | None:
    """Which outputs, times which constants, lead from a layer's input to its output. None if no choice does.

    The constants are fitted (least squares over all numbers of the probe) and accepted only if the sum then holds.
    """
    added = (end - start).double().flatten()
    # Against the numbers that were added up: their rounding is what is left over.
    limit = exact * float(torch.maximum(end.abs().max(), start.abs().max()))
    for chosen in itertools.product(*([*group] if group else [None] for group in groups)):
        outputs = [None if m is None else _gave(probe, m).double().flatten() for m in chosen]
        used = [x for x in outputs if x is not None]
        if not used or any(x.numel() != added.numel() for x in used):
            continue
        columns = torch.stack(used, 1)
        if float((columns.sum(1) - added).abs().max()) <= limit:
            scales = [1.0] * len(used)
        else:
            scales = torch.linalg.lstsq(columns, added[:, None]).solution[:, 0].tolist()
            fitted = columns @ torch.tensor(scales, dtype=torch.double)
            if not float((fitted - added).abs().max()) <= limit:
                continue
        at = iter(scales)
        found = [None if m is None else Term(m, float(f"{next(at):.6g}")) for m in chosen]
        # A constant of nothing: the part is there, but what it gives goes elsewhere (Zamba's shared attention).
        return [t if t is not None and abs(t.scale) > exact else None for t in found]
    return None


def _reader(block: nn.Module, probe: _Probe, stream: Tensor, exact: float) -> nn.Module | None:
    """The first module in the layer whose input is this stream."""
    reads = [s.module for s in probe.within(block) if _same(s.given, stream, exact) and probe.once(s.module) is not None]
    norms = [m for m in reads if _kind("", m) == "norm"]
    return next(iter(norms or reads), None)


def _first_reading(norms: Sequence[nn.Module], probe: _Probe, stream: Tensor | None, exact: float) -> nn.Module | None:
    return next((n for n in norms if _same(_given(probe, n), stream, exact)), None)


def _heads(out_proj: nn.Module | None, probe: _Probe, n_heads: int) -> int:
    """How many heads the output matrix reads side by side; 0 if that cannot be told."""
    seen = probe.once(out_proj) if out_proj is not None else None
    if seen is None or seen.given is None or seen.given.shape[-1] % n_heads:
        return 0
    return n_heads


def _named(part: nn.Module, names: Sequence[str], probe: _Probe) -> nn.Module | None:
    found = (getattr(part, name, None) for name in names)
    return next((m for m in found if isinstance(m, nn.Module) and _is_matrix(m) and probe.once(m) is not None), None)


def _router(mlp: nn.Module, probe: _Probe) -> nn.Module | None:
    """The part of a mixture of experts that scores the experts."""
    for name, module in mlp.named_modules():
        if name and (_ROUTER.search(name) or _ROUTER.search(type(module).__name__)) and probe.once(module) is not None:
            seen = probe.once(module)
            if seen is not None and seen.gave is not None and seen.gave.dim() >= 2:
                return module
    return None


def _router_parts(router: nn.Module, probe: _Probe) -> dict[str, int]:
    """Which of a router's outputs are the logits, the chosen experts' weights and their numbers."""
    seen = probe.once(router)
    shapes = seen.whole if seen is not None else []
    found: dict[str, int] = {}
    for i, about in enumerate(shapes):
        if about is None or len(about[0]) < 2:
            continue
        if not about[1]:
            found.setdefault("expert_indices", i)
        elif "router_scores" not in found:
            found["router_scores"] = i
        elif about[0][-1] < shapes[found["router_scores"]][0][-1]:
            found.setdefault("expert_weights", i)
    return found


def _projections(attention: nn.Module, probe: _Probe, call: AttentionCall) -> dict[str, Projection]:
    """Where queries, keys and values come out before rotary. At position 0 rotary turns by nothing, which checks the cut;
    where a norm stands between, only the values can be checked."""
    heads, kv = call.query.shape[1], call.key.shape[1]
    wanted = {"q": call.query, "k": call.key, "v": call.value}
    found: dict[str, Projection] = {}
    for which, name in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj")):
        module = getattr(attention, name, None)
        projection = Projection(module, "alone", which, heads, kv) if isinstance(module, nn.Module) else None
        if projection is not None and _fits(projection, probe, wanted, which == "v"):
            found[which] = projection
    if found:
        return found
    for seen in probe.within(attention):
        width = seen.gave.shape[-1] if seen.gave is not None else 0
        if not _is_matrix(seen.module) or width != (heads + 2 * kv) * call.query.shape[-1]:
            continue
        for how in ("concat", "per head", "per group"):
            if how == "per head" and heads != kv:
                continue
            cuts = {which: Projection(seen.module, how, which, heads, kv) for which in "qkv"}
            if _fits(cuts["v"], probe, wanted, True):
                return {w: c for w, c in cuts.items() if _fits(c, probe, wanted, w == "v")}
    return found


def _fits(projection: Projection, probe: _Probe, wanted: dict[str, Tensor], check: bool) -> bool:
    seen = probe.once(projection.module)
    if seen is None or seen.gave is None:
        return False
    target = wanted[projection.which].transpose(1, 2).float().cpu()
    try:
        cut = projection.cut(seen.gave)
    except RuntimeError:
        return False
    return cut.shape == target.shape and (not check or _same(cut, target, 1e-3))


# ---- the end ---------------------------------------------------------------------------------------------------------


def _ending(
    module: Any, probe: _Probe, stack: Sequence[nn.Module], last: Tensor, unembed: Any, config: Any, exact: float
) -> tuple[nn.Module, float, float, float | None]:
    """The final norm; what its output is multiplied by before the unembedding; and what turns the unembedding's output into
    the logits, a constant and a soft-cap. A constant that cannot be told is not a number."""
    inside = {id(m) for block in stack for m in block.modules()}
    after = [s for s in probe.seen if id(s.module) not in inside and not list(s.module.children())]
    norms = [s for s in after if _same(s.given, last, 0.0) and s.module is not unembed and _kind("", s.module) == "norm"]
    final: nn.Module = norms[-1].module if norms else nn.Identity()
    normed = norms[-1].gave if norms and norms[-1].gave is not None else last
    head, nan = probe.once(unembed), float("nan")
    if head is None or head.gave is None or head.given is None:
        return final, nan, nan, None
    gain = _constant(normed, head.given, exact) if head.given.numel() == normed.numel() else nan
    raw = head.gave.reshape(probe.logits.shape)
    caps = [None, *(getattr(config, n, None) for n in ("final_logit_softcapping", "output_logit_soft_cap", "logits_soft_cap"))]
    for cap in dict.fromkeys(c for c in caps if c is None or c):
        goal = probe.logits if cap is None else torch.atanh((probe.logits / cap).clamp(-1 + 1e-7, 1 - 1e-7)) * cap
        scale = _constant(raw, goal, 10 * exact if cap else exact)
        shown = raw * scale if cap is None else torch.tanh(raw * scale / cap) * cap
        if _same(shown, probe.logits, exact):
            return final, gain, scale, cap
    return final, gain, nan, None


def _constant(x: Tensor, goal: Tensor, exact: float) -> float:
    """The number that x is multiplied by to give the goal; not a number if none does."""
    goal = goal.reshape(x.shape)
    scale = float((x.double() * goal.double()).sum() / x.double().pow(2).sum())
    scale = 1.0 if abs(scale - 1) < exact else float(f"{scale:.6g}")
    return scale if _same(x * scale, goal, 10 * exact) else float("nan")
