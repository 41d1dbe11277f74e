"""Where queries, keys and values come out before rotary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from hooks.discovery.trace_modules import same
from hooks.layout import Projection

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.attention import AttentionCall
    from hooks.discovery.trace_modules import TracedPass

_TOLERANCE = 1e-3


def find_projections(
    attention: nn.Module, traced: TracedPass, call: AttentionCall
) -> dict[str, Projection]:
    """Queries, keys and values under "q", "k" and "v", those that are found.

    At position 0 rotary turns by nothing, which checks the cut; where a norm stands between, only
    the values can be checked.
    """
    return _separate(attention, traced, call) or _fused(attention, traced, call)


def _separate(
    attention: nn.Module, traced: TracedPass, call: AttentionCall
) -> dict[str, Projection]:
    """A matrix for each."""
    heads, kv_heads = call.query.shape[1], call.key.shape[1]
    found = {}
    for which in "qkv":
        module = getattr(attention, f"{which}_proj", None)
        if isinstance(module, nn.Module):
            projection = Projection(module, "alone", which, heads, kv_heads)
            if _fits(projection, traced, call, compare=which == "v"):
                found[which] = projection
    return found


def _fused(attention: nn.Module, traced: TracedPass, call: AttentionCall) -> dict[str, Projection]:
    """One matrix for all three, cut in one of the ways that families do."""
    heads, kv_heads, d_head = call.query.shape[1], call.key.shape[1], call.query.shape[-1]
    for matrix in traced.matrices(attention):
        width = matrix.output.shape[-1] if matrix.output is not None else 0
        if width != (heads + 2 * kv_heads) * d_head:
            continue
        for arrangement in ("concat", "per head", "per group"):
            if arrangement == "per head" and heads != kv_heads:
                continue
            cuts = {
                which: Projection(matrix.module, arrangement, which, heads, kv_heads)
                for which in "qkv"
            }
            if _fits(cuts["v"], traced, call, compare=True):
                return {
                    which: cut
                    for which, cut in cuts.items()
                    if _fits(cut, traced, call, compare=which == "v")
                }
    return {}


def _fits(
    projection: Projection, traced: TracedPass, call: AttentionCall, *, compare: bool
) -> bool:
    """Whether the cut has the shape that attention got, and with `compare` its numbers."""
    made = traced.only_call(projection.module)
    if made is None or made.output is None:
        return False
    target: Tensor = {"q": call.query, "k": call.key, "v": call.value}[projection.which]
    target = target.transpose(1, 2).float().cpu()
    try:
        cut = projection.cut(made.output)
    except RuntimeError:  # the width does not divide so
        return False
    return cut.shape == target.shape and (not compare or same(cut, target, _TOLERANCE))
