"""The attention of one layer: its module, the matrix that reads the heads, and what else can be
read of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hooks.discovery.matrices import last_matrix
from hooks.discovery.projections import find_projections
from hooks.discovery.trace_modules import TOKENS, same

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hooks.attention import AttentionCall
    from hooks.discovery.trace_modules import TracedPass
    from hooks.layout import Projection

# A family's own code may mix in other kinds of numbers than attention's: coarse is close enough to
# tell what attention mixed from that times a gate.
_GATE_TOLERANCE = 1e-2

_OWN_CODE = (
    "the family computes attention in its own code, not through transformers' attention interface"
)


@dataclass(frozen=True)
class AttentionParts:
    """Fields as in `hooks.layout.Block`; all empty for a layer without attention.

    `out_proj` is there also where the heads cannot be told (`n_heads` 0).
    """

    module: nn.Module | None = None
    call_module: nn.Module | None = None
    out_proj: nn.Module | None = None
    n_heads: int = 0
    gated: bool = False
    pattern_part: int | None = None
    projections: dict[str, Projection] = field(default_factory=dict)
    unavailable_reason: dict[str, str] = field(default_factory=dict)


def find_attention(
    module: nn.Module | None, traced: TracedPass, tolerance: float, n_heads: int
) -> AttentionParts:
    if module is None:
        return AttentionParts()
    call_module = next((m for m in module.modules() if id(m) in traced.attention_calls), None)
    call = traced.attention_calls[id(call_module)] if call_module is not None else None
    out_proj = last_matrix(module, traced, tolerance)
    if out_proj is None and call is not None:
        out_proj = _reader_of_heads(module, call, traced, tolerance)
    heads = _heads_read(out_proj, traced, n_heads)
    reasons: dict[str, str] = {}
    if not heads:
        reasons["z"] = "no matrix is found that reads the heads side by side"
    if call is None:
        reasons |= dict.fromkeys(("q", "k", "v", "rot_q", "rot_k", "attn_scores"), _OWN_CODE)
        reasons["pattern"] = (
            f"{_OWN_CODE}, and gives no pattern out (loading with attn_implementation='eager' may)"
        )
    return AttentionParts(
        module=module,
        call_module=call_module,
        out_proj=out_proj,
        n_heads=heads,
        gated=bool(heads and call is not None and _is_gated(out_proj, call, traced)),
        pattern_part=_pattern_part(module, traced) if call is None else None,
        projections=find_projections(module, traced, call) if call is not None else {},
        unavailable_reason=reasons,
    )


def _mixed(call: AttentionCall) -> Tensor:
    """Pattern times values, the heads side by side: (batch, pos, head × d_head)."""
    return call.mix(call.pattern()).flatten(-2).float().cpu()


def _reader_of_heads(
    attention: nn.Module, call: AttentionCall, traced: TracedPass, tolerance: float
) -> nn.Module | None:
    """The matrix that reads what attention mixed, where its output has been added to and normed
    before the part gives it out.
    """
    mixed = _mixed(call)
    readers = (c.module for c in traced.matrices(attention) if same(c.input, mixed, tolerance))
    return next(readers, None)


def _heads_read(out_proj: nn.Module | None, traced: TracedPass, n_heads: int) -> int:
    """How many heads the output matrix reads side by side; 0 if that cannot be told."""
    call = traced.only_call(out_proj)
    if call is None or call.input is None or call.input.shape[-1] % n_heads:
        return 0
    return n_heads


def _is_gated(out_proj: nn.Module | None, call: AttentionCall, traced: TracedPass) -> bool:
    """Whether the output matrix reads something else than what attention mixed."""
    return out_proj is not None and not same(
        _mixed(call), traced.input_of(out_proj), _GATE_TOLERANCE
    )


def _pattern_part(attention: nn.Module, traced: TracedPass) -> int | None:
    """Which of the attention module's outputs is (batch, head, query, key)."""
    call, n = traced.only_call(attention), len(TOKENS)
    shapes = [part[0] if part is not None else () for part in call.output_parts] if call else []
    return next(
        (i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[2:] == (n, n)), None
    )
