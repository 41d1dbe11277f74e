"""The router of a mixture of experts, and what its outputs are; that of a mixture of memories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooks.discovery.family_quirks import ROUTER_NAME

if TYPE_CHECKING:
    from torch import nn

    from hooks.discovery.trace_modules import TracedPass


def find_router(mlp: nn.Module, traced: TracedPass) -> nn.Module | None:
    """The part of a mixture of experts that scores the experts."""
    module: nn.Module
    for name, module in mlp.named_modules():
        named = ROUTER_NAME.search(name) or ROUTER_NAME.search(type(module).__name__)
        if not name or not named:
            continue
        call = traced.only_call(module)
        if call is not None and call.output is not None and call.output.dim() >= 2:
            return module
    return None


def router_parts(router: nn.Module, traced: TracedPass) -> dict[str, int]:
    """Which of a router's outputs are the logits, the chosen experts' weights and their numbers."""
    call = traced.only_call(router)
    parts = call.output_parts if call is not None else []
    places: dict[str, int] = {}
    n_experts = 0
    for i, part in enumerate(parts):
        if part is None or len(part[0]) < 2:
            continue
        shape, real = part
        if not real:
            places.setdefault("expert_indices", i)
        elif "router_scores" not in places:
            places["router_scores"], n_experts = i, shape[-1]
        elif shape[-1] < n_experts:
            places.setdefault("expert_weights", i)
    return places


def find_memory_router(mixer: nn.Module | None, traced: TracedPass) -> nn.Module | None:
    """The part of a mixture of memories that gives (batch, pos, memory), the weight of each."""
    router = getattr(mixer, "router", None)
    call = traced.only_call(router)
    return router if call is not None and call.output is not None else None
