"""The parts of one layer, put together: each is the module that satisfies its sum in the traced
pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooks.discovery.attention import find_attention
from hooks.discovery.component_types import children_by_type
from hooks.discovery.experts import find_memory_router
from hooks.discovery.mlp import find_mlp
from hooks.discovery.norms import find_norm, first_reading
from hooks.discovery.residual import find_residual
from hooks.layout import Block

if TYPE_CHECKING:
    from torch import nn

    from hooks.discovery.trace_modules import TracedPass


def find_block(layer: nn.Module, traced: TracedPass, tolerance: float, n_heads: int) -> Block:
    """The parts of a layer, without what its recurrent part keeps (see `recurrence`).

    Args:
        tolerance: by how much a sum may be off, as a share of the largest number in it.
        n_heads: as the configuration says for this layer.
    """
    children = children_by_type(layer, traced, type(layer).__name__)
    norms = children["norm"]
    attention = find_attention(next(iter(children["attention"]), None), traced, tolerance, n_heads)
    mixer = next(iter(children["mixer"]), None)
    mlp = find_mlp(children["mlp"], children["linear"], traced, tolerance)
    residual = find_residual(
        layer,
        [m for m in (attention.module, attention.out_proj) if m is not None],
        [m for m in (mixer,) if m is not None],
        [m for m in (mlp.module, mlp.down_proj) if m is not None],
        norms,
        traced,
        tolerance,
    )
    ln1 = first_reading(norms, traced, residual.stream, tolerance)
    ln2 = None
    if residual.before_mlp is not None:
        middle = traced.input_of(residual.before_mlp)
        ln2 = first_reading(norms, traced, middle, tolerance)
    return Block(
        module=layer,
        attention=attention.module,
        attention_call=attention.call_module,
        out_proj=attention.out_proj if attention.n_heads else None,
        mixer=mixer,
        memory_router=find_memory_router(mixer, traced),
        mlp=mlp.module,
        down_proj=mlp.down_proj,
        gate=mlp.gate,
        up=mlp.up,
        router=mlp.router,
        router_parts=mlp.router_parts,
        attn_out=residual.attn_out,
        mixer_out=residual.mixer_out,
        mlp_out=residual.mlp_out,
        before_mlp=residual.before_mlp,
        ln1=find_norm(ln1, traced, tolerance),
        ln2=find_norm(ln2, traced, tolerance),
        start=residual.start,
        gated=attention.gated,
        pattern_part=attention.pattern_part,
        n_heads=attention.n_heads,
        projections=attention.projections,
        unavailable_reason={
            **residual.unavailable_reason,
            **attention.unavailable_reason,
            **mlp.unavailable_reason,
        },
    )
