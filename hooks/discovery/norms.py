"""Norms: which kind one is, shown by its own input and output, and which one reads a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from hooks.discovery.component_types import component_type
from hooks.discovery.family_quirks import EPSILON_NAMES
from hooks.discovery.trace_modules import same
from hooks.layout import NormLayer
from hooks.weights import innermost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from hooks.discovery.trace_modules import TracedPass

# A norm's kind is told from a fit over all channels, which rounds more than a single sum.
_FIT_TOLERANCE = 1e-3


def find_norm(module: nn.Module | None, traced: TracedPass, tolerance: float) -> NormLayer | None:
    """A norm with the kind that its own input and output show; None if it is no norm."""
    call = traced.only_call(module)
    if (
        module is None
        or call is None
        or call.input is None
        or call.output is None
        or component_type("", module) != "norm"
    ):
        return None
    own = innermost(module)
    eps = float(next((getattr(own, n) for n in EPSILON_NAMES if hasattr(own, n)), 0.0))
    x, y = (t.reshape(-1, t.shape[-1]).double() for t in (call.input, call.output))
    norms = [NormLayer(module, centred, eps) for centred in _kinds(own)]
    residues = [_residue(norm, x, y) for norm in norms]
    # The nearer one: in coarse numbers each may pass for the other.
    best = min(range(len(norms)), key=residues.__getitem__)
    limit = max(_FIT_TOLERANCE, tolerance) * float(y.abs().max())
    return norms[best] if residues[best] <= limit else NormLayer(module, None, eps)


def _kinds(own: nn.Module) -> tuple[bool, ...]:
    """Whether it may take the mean away, as far as its class says. What a norm reads may have a
    mean near 0 anyway: both kinds then give the same, and in half precision the wrong one may seem
    the nearer.
    """
    if isinstance(own, nn.LayerNorm):
        return (True,)
    return (False,) if "rms" in type(own).__name__.lower() else (False, True)


def _residue(norm: NormLayer, x: Tensor, y: Tensor) -> float:
    """The largest part of a norm's output, (pos, d_model), that a norm of this kind does not
    make of its input.
    """
    normed = (x - x.mean(-1, keepdim=True) if norm.centred else x) / norm.scale(x)[:, None]
    # Over the positions, each channel must be one line: gain times the normalised value plus a
    # shift.
    a, b = normed - normed.mean(0), y - y.mean(0)
    gain = (a * b).sum(0) / a.pow(2).sum(0).clamp(min=1e-12)
    return float((b - gain * a).abs().max())


def first_reading(
    norms: Sequence[nn.Module], traced: TracedPass, stream: Tensor | None, tolerance: float
) -> nn.Module | None:
    """The first of some norms whose input is this stream."""
    return next((n for n in norms if same(traced.input_of(n), stream, tolerance)), None)
