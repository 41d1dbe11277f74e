"""The MLP of one layer: its module and its matrices, or its router where it is a mixture of
experts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hooks.discovery.experts import find_router, router_parts
from hooks.discovery.family_quirks import MLP_GATE_NAMES, MLP_UP_NAMES
from hooks.discovery.matrices import last_matrix, named_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from hooks.discovery.trace_modules import TracedPass

_NO_LAST_MATRIX = "the MLP does not end in one matrix (experts, or a gate behind it)"


@dataclass(frozen=True)
class MLPParts:
    """Fields as in `hooks.layout.Block`; all empty for a layer without an MLP."""

    module: nn.Module | None = None
    down_proj: nn.Module | None = None
    gate: nn.Module | None = None
    up: nn.Module | None = None
    router: nn.Module | None = None
    router_parts: dict[str, int] = field(default_factory=dict)
    unavailable_reason: dict[str, str] = field(default_factory=dict)


def find_mlp(
    modules: Sequence[nn.Module],
    linears: Sequence[nn.Module],
    traced: TracedPass,
    tolerance: float,
) -> MLPParts:
    """Of the layer's children that are called an MLP, the last; of a layer that has none, the two
    matrices that lie in the layer itself (OPT and its kin).
    """
    if not modules:
        called = [m for m in linears if traced.only_call(m) is not None]
        if len(called) != 2:
            return MLPParts()
        first, last = called
        return MLPParts(module=last, down_proj=last, gate=first)
    mlp = modules[-1]
    down_proj = last_matrix(mlp, traced, tolerance)
    router = find_router(mlp, traced) if down_proj is None else None
    return MLPParts(
        module=mlp,
        down_proj=down_proj,
        gate=named_matrix(mlp, MLP_GATE_NAMES, traced),
        up=named_matrix(mlp, MLP_UP_NAMES, traced),
        router=router,
        router_parts=router_parts(router, traced) if router is not None else {},
        unavailable_reason=(
            dict.fromkeys(("pre", "pre_linear", "post"), _NO_LAST_MATRIX)
            if down_proj is None
            else {}
        ),
    )
