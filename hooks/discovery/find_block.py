"""What is what inside one layer: each part is the module that satisfies its sum in the probe."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import torch
from torch import nn

from hooks.discovery.trace_modules import (
    TOKENS,
    Probe,
    input_of,
    is_matrix,
    largest,
    output_of,
    same,
)
from hooks.layout import Block, Norm, Projection, Term
from hooks.weights import innermost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from hooks.attention import AttentionCall

_MIXER = re.compile(
    r"Mamba|Mixer|SSM(?![a-z])|DeltaNet|DeltaAttention|Lightning|LinearAttention|RecurrentBlock|lstm_layer|ShortConv"
)
_ATTENTION = re.compile(r"attention|attn", re.I)
_MLP = re.compile(r"mlp|moe|feed_?forward|ffn|expert|sparse|densereludense", re.I)
_NORM = re.compile(r"Norm\d*$|^ln|norm\d*$|LayerNorm")
_ROUTER = re.compile(r"router|gate$|gating", re.I)
_GATE = (
    "gate_proj",
    "w1",
    "wi_0",
    "dense_h_to_4h",
    "c_fc",
    "fc1",
    "fc_in",
    "up_proj",
    "wi",
    "gate_up_proj",
    "linear_1",
)
_UP = ("up_proj", "w3", "v1", "wi_1")


def kind_of(name: str, module: nn.Module, family: str = "") -> str:
    """What a child of a layer is, by its class, or by its name where the class says nothing.

    `family` is the layer's own class: what both names begin with is the family's name
    (Qwen3MoeAttention is no mixture of experts).
    """
    text = type(innermost(module)).__name__
    if text == "RwkvSelfAttention":  # keeps a state and looks at no earlier token
        return "mixer"
    at = next((i for i, (a, b) in enumerate(zip(family, text, strict=False)) if a != b), 0)
    while at and not text[at].isupper():  # whole words of the name only
        at -= 1
    text = text[at:]
    if text.endswith("DecoderLayer"):
        return "other"
    for given in (text, name):
        for kind, pattern in (
            ("norm", _NORM),
            ("mlp", _MLP),
            ("mixer", _MIXER),
            ("attention", _ATTENTION),
        ):
            if pattern.search(given):
                # Norms with attention between them (DBRX) are looked into.
                return (
                    "other"
                    if kind == "norm" and any(is_matrix(part) for part in module.modules())
                    else kind
                )
        if is_matrix(module):
            return "linear"
    return "other"


def _parts(module: nn.Module, probe: Probe, family: str) -> dict[str, list[nn.Module]]:
    """The called children by kind; a child that is none of the kinds but holds some is looked
    into.
    """
    found: dict[str, list[nn.Module]] = {
        "norm": [],
        "mixer": [],
        "attention": [],
        "mlp": [],
        "linear": [],
    }
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout | nn.Identity):
            continue
        kind = kind_of(name, child, family)
        if kind == "other" or not probe.of.get(id(child)):
            for inner_kind, inner in _parts(child, probe, family).items():
                found[inner_kind] += inner
        else:
            found[kind].append(child)
    return found


def find_block(module: nn.Module, probe: Probe, exact: float, n_heads: int) -> Block:
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
    if (
        mlp is None and len(two) == 2
    ):  # OPT and its kin have the MLP's two matrices lying in the layer
        mlp = two[1]
    calls = (
        [m for m in attention.modules() if id(m) in probe.calls] if attention is not None else []
    )
    call = probe.calls[id(calls[0])] if calls else None
    out_proj = _last_matrix(attention, probe, exact) if attention is not None else None
    if (
        out_proj is None and attention is not None and call is not None
    ):  # its output has been added to and normed by then
        out_proj = next(
            (s.module for s in probe.matrices(attention) if same(s.given, _mixed(call), exact)),
            None,
        )
    down = (
        mlp
        if mlp is not None and mlp in two
        else _last_matrix(mlp, probe, exact)
        if mlp is not None
        else None
    )
    inside = [
        [c for c in (attention, out_proj) if c is not None],
        [c for c in (mixer,) if c],
        [c for c in (mlp, down) if c is not None],
    ]
    groups = [_candidates(group, probe, parts["norm"]) for group in inside]
    stream, start = own.given, None
    terms = _terms(stream, own.gave, groups, probe, exact)
    for norm in parts["norm"] if terms is None else ():
        if same(input_of(probe, norm), own.given, 0.0) and (
            terms := _terms(output_of(probe, norm), own.gave, groups, probe, exact)
        ):
            stream, start = output_of(probe, norm), norm
            break
    if terms is None:
        why |= dict.fromkeys(
            ("attn_out", "mixer_out", "mlp_out", "resid_mid"),
            "the layer does not simply add its parts to the residual stream",
        )
        terms = [None, None, None]
    attn_out, mixer_out, mlp_out = terms
    before_mlp = None
    if mlp_out is not None and (attn_out is not None or mixer_out is not None):
        mid = stream + sum(
            t.scale * output_of(probe, t.module) for t in (attn_out, mixer_out) if t is not None
        )
        before_mlp = _reader(module, probe, mid, exact)
        if before_mlp is None:
            why["resid_mid"] = (
                "attention and MLP read the same stream (parallel): there is none between them"
            )
    heads = _heads(out_proj, probe, n_heads) if attention is not None else 0
    if attention is not None and not heads:
        why["z"] = "no matrix is found that reads the heads side by side"
    if attention is not None and not calls:
        own_code = (
            "the family computes attention in its own code, not through transformers' attention"
            " interface"
        )
        why |= dict.fromkeys(("q", "k", "v", "rot_q", "rot_k", "attn_scores"), own_code)
        why["pattern"] = (
            f"{own_code}, and gives no pattern out (loading with attn_implementation='eager' may)"
        )
    if mlp is not None and down is None:
        why |= dict.fromkeys(
            ("pre", "pre_linear", "post"),
            "the MLP does not end in one matrix (experts, or a gate behind it)",
        )
    router = _router(mlp, probe) if mlp is not None and down is None else None
    return Block(
        module=module,
        attention=attention,
        attention_call=calls[0] if calls else None,
        out_proj=out_proj if heads else None,
        mixer=mixer,
        mlp=mlp,
        down_proj=down,
        gate=(
            _named(mlp, _GATE, probe)
            if mlp is not None and mlp is not down
            else (two[0] if mlp is not None and mlp in two else None)
        ),
        up=_named(mlp, _UP, probe) if mlp is not None else None,
        router=router,
        router_parts=_router_parts(router, probe) if router is not None else {},
        attn_out=attn_out,
        mixer_out=mixer_out,
        mlp_out=mlp_out,
        before_mlp=before_mlp,
        ln1=find_norm(_first_reading(parts["norm"], probe, stream, exact), probe, max(1e-3, exact)),
        ln2=(
            find_norm(
                _first_reading(parts["norm"], probe, input_of(probe, before_mlp), exact),
                probe,
                max(1e-3, exact),
            )
            if before_mlp
            else None
        ),
        start=start,
        gated=bool(
            heads
            and out_proj is not None
            and call is not None
            and not same(_mixed(call), input_of(probe, out_proj), 1e-2)
        ),
        pattern_part=(
            _pattern_part(attention, probe) if attention is not None and not calls else None
        ),
        n_heads=heads,
        projections=(
            _projections(attention, probe, call)
            if attention is not None and call is not None
            else {}
        ),
        why=why,
    )


def _mixed(call: AttentionCall) -> Tensor:
    """Pattern times values, the heads side by side."""
    return call.mix(call.pattern()).flatten(-2).float().cpu()


def find_norm(module: nn.Module | None, probe: Probe, exact: float) -> Norm | None:
    """A norm with the kind that its own input and output show."""
    seen = probe.once(module) if module is not None else None
    if (
        module is None
        or seen is None
        or seen.given is None
        or seen.gave is None
        or kind_of("", module) != "norm"
    ):
        return None
    own = innermost(module)
    eps = float(
        next(
            (getattr(own, n) for n in ("eps", "variance_epsilon", "epsilon") if hasattr(own, n)),
            0.0,
        )
    )
    x, y = (t.reshape(-1, t.shape[-1]).double() for t in (seen.given, seen.gave))
    # What it reads may have a mean of 0 anyway, and then both kinds give the same.
    kinds = [
        Norm(module, centred, eps)
        for centred in ((True,) if isinstance(own, nn.LayerNorm) else (False, True))
    ]
    left = [_left_over(kind, x, y) for kind in kinds]
    best = min(
        range(len(kinds)), key=left.__getitem__
    )  # in coarse numbers each may pass for the other
    return kinds[best] if left[best] <= exact * float(y.abs().max()) else Norm(module, None, eps)


def _left_over(kind: Norm, x: Tensor, y: Tensor) -> float:
    """The largest part of a norm's output, (pos, d_model), that a norm of this kind does not
    make of its input.
    """
    normed = (x - x.mean(-1, keepdim=True) if kind.centred else x) / kind.scale(x)[:, None]
    # Over the positions, each channel must be one line: gain times the normalised value plus a
    # shift.
    a, b = normed - normed.mean(0), y - y.mean(0)
    gain = (a * b).sum(0) / a.pow(2).sum(0).clamp(min=1e-12)
    return float((b - gain * a).abs().max())


def _pattern_part(attention: nn.Module, probe: Probe) -> int | None:
    """Which of the attention module's outputs is (batch, head, query, key)."""
    seen, n = probe.once(attention), len(TOKENS)
    shapes = [] if seen is None else [p[0] if p is not None else () for p in seen.whole]
    return next(
        (i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[2:] == (n, n)), None
    )


def _last_matrix(part: nn.Module, probe: Probe, exact: float) -> nn.Module | None:
    """The matrix whose output the part gives out; else, where the part adds something on its way
    out, the last called matrix of the stream's width.
    """
    own = probe.once(part)
    matrices = [s for s in probe.matrices(part) if probe.once(s.module) is not None]
    equal = [s.module for s in matrices if own is not None and same(s.gave, own.gave, exact)]
    if equal:
        return equal[-1]
    wide = [
        s.module
        for s in matrices
        if own is not None
        and own.gave is not None
        and s.gave is not None
        and s.gave.shape == own.gave.shape
    ]
    named = [
        m
        for m in wide
        if any(
            m is getattr(part, n, None)
            for n in (
                "o_proj",
                "out_proj",
                "dense",
                "c_proj",
                "down_proj",
                "dense_4h_to_h",
                "wo",
                "w2",
            )
        )
    ]
    return named[-1] if named else None


def _candidates(
    inside: Sequence[nn.Module], probe: Probe, norms: Sequence[nn.Module]
) -> list[nn.Module]:
    """What may be added on behalf of a part: its output, that of a norm that reads it, or that
    of its last matrix.
    """
    if not inside:
        return []
    part = inside[0]
    after = [
        n
        for n in norms
        if any(
            same(input_of(probe, n), s.gave, 0.0)
            for m in inside
            for s in [probe.once(m)]
            if s is not None
        )
    ]
    found = [part, *after, *inside[1:]]
    return [
        m for m in dict.fromkeys(found) if (s := probe.once(m)) is not None and s.gave is not None
    ]


def _terms(
    start: Tensor, end: Tensor, groups: list[list[nn.Module]], probe: Probe, exact: float
) -> list[Term | None] | None:
    """Which outputs, times which constants, lead from a layer's input to its output.

    None if no choice does.

    The constants are fitted (least squares over all numbers of the probe) and accepted only if the
    sum then holds.
    """
    added = (end - start).double().flatten()
    # Against the numbers that were added up: their rounding is what is left over.
    limit = exact * torch.maximum(largest(end), largest(start))

    def adds_up(found: Tensor) -> bool:
        return bool((largest((found - added).reshape(end.shape)) <= limit).all())

    for chosen in itertools.product(*([*group] if group else [None] for group in groups)):
        outputs = [None if m is None else output_of(probe, m).double().flatten() for m in chosen]
        used = [x for x in outputs if x is not None]
        if not used or any(x.numel() != added.numel() for x in used):
            continue
        columns = torch.stack(used, 1)
        if adds_up(columns.sum(1)):
            scales = [1.0] * len(used)
        else:
            scales = torch.linalg.lstsq(columns, added[:, None]).solution[:, 0].tolist()
            fitted = columns @ torch.tensor(scales, dtype=torch.double)
            if not adds_up(fitted):
                continue
        at = iter(scales)
        found = [None if m is None else Term(m, float(f"{next(at):.6g}")) for m in chosen]
        # A constant of nothing: the part is there, but what it gives goes elsewhere (Zamba's shared
        # attention).
        return [t if t is not None and abs(t.scale) > exact else None for t in found]
    return None


def _reader(block: nn.Module, probe: Probe, stream: Tensor, exact: float) -> nn.Module | None:
    """The first module in the layer whose input is this stream."""
    reads = [
        s.module
        for s in probe.within(block)
        if same(s.given, stream, exact) and probe.once(s.module) is not None
    ]
    norms = [m for m in reads if kind_of("", m) == "norm"]
    return next(iter(norms or reads), None)


def _first_reading(
    norms: Sequence[nn.Module], probe: Probe, stream: Tensor | None, exact: float
) -> nn.Module | None:
    return next((n for n in norms if same(input_of(probe, n), stream, exact)), None)


def _heads(out_proj: nn.Module | None, probe: Probe, n_heads: int) -> int:
    """How many heads the output matrix reads side by side; 0 if that cannot be told."""
    seen = probe.once(out_proj) if out_proj is not None else None
    if seen is None or seen.given is None or seen.given.shape[-1] % n_heads:
        return 0
    return n_heads


def _named(part: nn.Module, names: Sequence[str], probe: Probe) -> nn.Module | None:
    found = (getattr(part, name, None) for name in names)
    return next(
        (
            m
            for m in found
            if isinstance(m, nn.Module) and is_matrix(m) and probe.once(m) is not None
        ),
        None,
    )


def _router(mlp: nn.Module, probe: Probe) -> nn.Module | None:
    """The part of a mixture of experts that scores the experts."""
    for name, module in mlp.named_modules():
        if (
            name
            and (_ROUTER.search(name) or _ROUTER.search(type(module).__name__))
            and probe.once(module) is not None
        ):
            seen = probe.once(module)
            if seen is not None and seen.gave is not None and seen.gave.dim() >= 2:
                return module
    return None


def _router_parts(router: nn.Module, probe: Probe) -> dict[str, int]:
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


def _projections(attention: nn.Module, probe: Probe, call: AttentionCall) -> dict[str, Projection]:
    """Where queries, keys and values come out before rotary.

    At position 0 rotary turns by nothing, which checks the cut; where a norm stands between, only
    the values can be checked.
    """
    heads, kv = call.query.shape[1], call.key.shape[1]
    wanted = {"q": call.query, "k": call.key, "v": call.value}
    found: dict[str, Projection] = {}
    for which, name in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj")):
        module = getattr(attention, name, None)
        projection = (
            Projection(module, "alone", which, heads, kv) if isinstance(module, nn.Module) else None
        )
        if projection is not None and _fits(projection, probe, wanted, which == "v"):
            found[which] = projection
    if found:
        return found
    for seen in probe.matrices(attention):
        width = seen.gave.shape[-1] if seen.gave is not None else 0
        if width != (heads + 2 * kv) * call.query.shape[-1]:
            continue
        for how in ("concat", "per head", "per group"):
            if how == "per head" and heads != kv:
                continue
            cuts = {which: Projection(seen.module, how, which, heads, kv) for which in "qkv"}
            if _fits(cuts["v"], probe, wanted, True):
                return {w: c for w, c in cuts.items() if _fits(c, probe, wanted, w == "v")}
    return found


def _fits(projection: Projection, probe: Probe, wanted: dict[str, Tensor], check: bool) -> bool:
    seen = probe.once(projection.module)
    if seen is None or seen.gave is None:
        return False
    target = wanted[projection.which].transpose(1, 2).float().cpu()
    try:
        cut = projection.cut(seen.gave)
    except RuntimeError:
        return False
    return cut.shape == target.shape and (not check or same(cut, target, 1e-3))
