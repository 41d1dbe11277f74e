"""From the last layer to the logits: the final norm, and the constants and the soft-cap around the
unembedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from hooks.discovery.component_types import component_type
from hooks.discovery.family_quirks import LOGIT_CAP_FIELDS
from hooks.discovery.trace_modules import same
from hooks.weights import innermost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from transformers import PreTrainedConfig

    from hooks.discovery.trace_modules import ModuleCall, TracedPass

_NAN = float("nan")
# A constant is read off all channels at once, which rounds more than a sum does.
_CONSTANT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Unembedding:
    """logits = soft-cap(logit_scale × unembed(head_gain × final_norm(resid))).

    A constant that cannot be told is not a number; without a final norm, that is the identity.
    """

    final_norm: nn.Module
    head_gain: float
    logit_scale: float
    logit_cap: float | None


def find_unembedding(
    unembed: nn.Module,
    stack: Sequence[nn.Module],
    last: Tensor,
    traced: TracedPass,
    config: PreTrainedConfig,
    tolerance: float,
) -> Unembedding:
    """What turns the output of the last layer, `last`, into the logits."""
    head = traced.only_call(unembed)
    norm = _final_norm(unembed, head, stack, last, traced, tolerance)
    final_norm: nn.Module = norm.module if norm is not None else nn.Identity()
    normed = norm.output if norm is not None and norm.output is not None else last
    if head is None or head.output is None or head.input is None:
        return Unembedding(final_norm, _NAN, _NAN, None)
    gain = _NAN
    if head.input.numel() == normed.numel():
        gain = _constant(normed, head.input, tolerance)
    raw = head.output.reshape(traced.logits.shape)
    scale, cap = _scale_and_cap(raw, traced.logits, config, tolerance)
    return Unembedding(final_norm, gain, scale, cap)


def _final_norm(
    unembed: nn.Module,
    head: ModuleCall | None,
    stack: Sequence[nn.Module],
    last: Tensor,
    traced: TracedPass,
    tolerance: float,
) -> ModuleCall | None:
    """The last norm behind the layers that reads their stream; in families that have none (BERT
    and its kin), the part of several matrices whose output is unembedded.
    """
    in_layers = {id(m) for block in stack for m in block.modules()}
    readers = [
        call
        for call in traced.calls
        if id(call.module) not in in_layers
        and call.module is not unembed
        and same(call.input, last, tolerance)
    ]
    norms = [
        call
        for call in readers
        if not list(innermost(call.module).children()) and component_type("", call.module) == "norm"
    ]
    if norms:
        return norms[-1]
    if head is None:
        return None
    return next(
        (c for c in readers if same(c.input, last, 0.0) and same(c.output, head.input, 0.0)), None
    )


def _scale_and_cap(
    raw: Tensor, logits: Tensor, config: PreTrainedConfig, tolerance: float
) -> tuple[float, float | None]:
    """The constant and the soft-cap that turn the unembedding's output into the logits, both
    (pos, d_vocab).
    """
    ruled_out = raw.isneginf() & logits.isneginf()  # by a bias: nothing more is done to those
    raw, logits = raw.masked_fill(ruled_out, 0.0), logits.masked_fill(ruled_out, 0.0)
    caps = dict.fromkeys(cap for f in LOGIT_CAP_FIELDS if (cap := getattr(config, f, None)))
    # The configured cap first: small logits are the same with it and without.
    for cap in [*caps, None]:
        if cap is None:
            scale = _fitted(raw, logits, tolerance)
            shown = raw * scale
        else:
            uncapped = torch.atanh((logits / cap).clamp(-1 + 1e-7, 1 - 1e-7)) * cap
            scale = _fitted(raw, uncapped, tolerance)
            shown = torch.tanh(raw * scale / cap) * cap
        if same(shown, logits, tolerance):
            return scale, cap
    return _NAN, None


def _constant(x: Tensor, target: Tensor, tolerance: float) -> float:
    """The number that x is multiplied by to give the target; not a number if none does."""
    target = target.reshape(x.shape)
    scale = _fitted(x, target, tolerance)
    limit = max(_CONSTANT_TOLERANCE, tolerance)
    return scale if same(x * scale, target, limit) else _NAN


def _fitted(x: Tensor, target: Tensor, tolerance: float) -> float:
    """The number by which x comes closest to the target.

    1 where it is as near as rounding lets one see.
    """
    scale = float((x.double() * target.double()).sum() / x.double().pow(2).sum())
    return 1.0 if abs(scale - 1) < tolerance else float(f"{scale:.6g}")
