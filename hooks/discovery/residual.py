"""What a layer adds to the residual stream: the outputs, and the constants they are multiplied by,
that lead from its input to its output.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from hooks.discovery.component_types import component_type
from hooks.discovery.trace_modules import largest, same
from hooks.layout import Term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from hooks.discovery.trace_modules import TracedPass

_NOT_A_SUM = "the layer does not simply add its parts to the residual stream"
_PARALLEL = "attention and MLP read the same stream (parallel): there is none between them"


@dataclass(frozen=True)
class ResidualParts:
    """Fields as in `hooks.layout.Block`, and the stream that the layer adds to."""

    stream: Tensor
    start: nn.Module | None = None
    attn_out: Term | None = None
    mixer_out: Term | None = None
    mlp_out: Term | None = None
    before_mlp: nn.Module | None = None
    unavailable_reason: dict[str, str] = field(default_factory=dict)


def find_residual(
    layer: nn.Module,
    attention: Sequence[nn.Module],
    mixer: Sequence[nn.Module],
    mlp: Sequence[nn.Module],
    norms: Sequence[nn.Module],
    traced: TracedPass,
    tolerance: float,
) -> ResidualParts:
    """The terms of a layer's sum.

    Args:
        attention, mixer, mlp: the part and its last matrix; empty where the layer has none.
        norms: the layer's own.
    """
    call = traced.only_call(layer)
    assert call is not None
    assert call.input is not None
    assert call.output is not None
    groups = [_candidates(group, norms, traced) for group in (attention, mixer, mlp)]
    stream, start = call.input, None
    terms = _terms(stream, call.output, groups, traced, tolerance)
    if terms is None:
        for start in _norms_before_all(call.input, norms, traced):
            stream = traced.output_of(start)
            terms = _terms(stream, call.output, groups, traced, tolerance)
            if terms is not None:
                break
    if terms is None:
        sites = ("attn_out", "mixer_out", "mlp_out", "resid_mid")
        return ResidualParts(call.input, unavailable_reason=dict.fromkeys(sites, _NOT_A_SUM))
    attn_out, mixer_out, mlp_out = terms
    before_mlp, reasons = None, {}
    first_half = [term for term in (attn_out, mixer_out) if term is not None]
    if mlp_out is not None and first_half:
        middle = stream + sum(t.scale * traced.output_of(t.module) for t in first_half)
        before_mlp = _reader(layer, traced, middle, tolerance)
        if before_mlp is None:
            reasons["resid_mid"] = _PARALLEL
    return ResidualParts(stream, start, attn_out, mixer_out, mlp_out, before_mlp, reasons)


def _norms_before_all(
    stream: Tensor, norms: Sequence[nn.Module], traced: TracedPass
) -> list[nn.Module]:
    """The norms that read the very stream that comes in: one may stand before everything else
    (RWKV's first layer), and what it gives is then what the layer adds to.
    """
    return [norm for norm in norms if same(traced.input_of(norm), stream, 0.0)]


def _candidates(
    group: Sequence[nn.Module], norms: Sequence[nn.Module], traced: TracedPass
) -> list[nn.Module]:
    """What may be added on behalf of a part: its output, that of a norm that reads it, or that
    of its last matrix.
    """
    if not group:
        return []
    calls = [call for m in group if (call := traced.only_call(m)) is not None]
    after = [n for n in norms if any(same(traced.input_of(n), c.output, 0.0) for c in calls)]
    part, *matrices = group
    return [
        m
        for m in dict.fromkeys([part, *after, *matrices])
        if (call := traced.only_call(m)) is not None and call.output is not None
    ]


def _terms(
    start: Tensor,
    end: Tensor,
    groups: Sequence[Sequence[nn.Module]],
    traced: TracedPass,
    tolerance: float,
) -> list[Term | None] | None:
    """Which outputs, one of each group, times which constants, lead from a layer's input to its
    output. None if no choice does.
    """
    added = (end - start).double().flatten()
    # Against the numbers that were added up: their rounding is what is left over.
    limit = tolerance * torch.maximum(largest(end), largest(start))
    for modules in itertools.product(*([*group] if group else [None] for group in groups)):
        outputs = [traced.output_of(m).double().flatten() for m in modules if m is not None]
        if not outputs or any(x.numel() != added.numel() for x in outputs):
            continue
        scales = _scales(torch.stack(outputs, 1), added, end.shape, limit)
        if scales is None:
            continue
        scale = iter(scales)
        terms = [None if m is None else Term(m, float(f"{next(scale):.6g}")) for m in modules]
        # A constant of nothing: the part is there, but what it gives goes elsewhere (Zamba's shared
        # attention).
        return [t if t is not None and abs(t.scale) > tolerance else None for t in terms]
    return None


def _scales(outputs: Tensor, added: Tensor, shape: torch.Size, limit: Tensor) -> list[float] | None:
    """The constants with which the columns of `outputs` add up to `added`, (number,), row by row
    within `limit`: 1 where that does, else fitted (least squares over all numbers of the pass).
    None if no constants do.
    """

    def adds_up(total: Tensor) -> bool:
        return bool((largest((total - added).reshape(shape)) <= limit).all())

    if adds_up(outputs.sum(1)):
        return [1.0] * outputs.shape[1]
    scales = torch.linalg.lstsq(outputs, added[:, None]).solution[:, 0].tolist()
    fitted = outputs @ torch.tensor(scales, dtype=torch.double)
    return scales if adds_up(fitted) else None


def _reader(
    layer: nn.Module, traced: TracedPass, stream: Tensor, tolerance: float
) -> nn.Module | None:
    """The first module in the layer whose input is this stream, a norm if there is one."""
    readers = [
        call.module
        for call in traced.within(layer)
        if same(call.input, stream, tolerance) and traced.only_call(call.module) is not None
    ]
    norms = [m for m in readers if component_type("", m) == "norm"]
    return next(iter(norms or readers), None)
