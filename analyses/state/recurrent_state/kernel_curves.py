"""How long a layer remembers by itself: the kernel that a layer convolves with, where it treats all
tokens alike (S4D), else what decay or a forget gate leaves of what was written some tokens ago.

Erasing (delta rules) and reading are not in the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hooks.gates import gated_layers, read_gates
from hooks.state_capture import listening
from workbench.state_lm.lstm import FORGET, INPUT, OUTPUT

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.recurrent.kernel_inputs import KernelInputs

LAGS = 4096
"""Up to which a kernel that does not depend on the text is followed."""
_ALIKE = 1e-6
_CHANNELS = 256  # whose curves are computed together


@dataclass(frozen=True)
class LayerCurves:
    """What the channels of a layer still have of a token, by how long ago it was read.

    Attributes:
        fixed: a kernel, the same whatever is read; else decay on one text, mean over its tokens.
        curves: (channel, lag) for all lags from 0 on: the kernel, or the share that is left.
        gates: by name, (channel, pos); none where the layer does not look at what it reads.
    """

    fixed: bool
    curves: Float[np.ndarray, "channel lag"]
    gates: dict[str, Float[np.ndarray, "channel pos"]]

    def reach(self, share: float) -> np.ndarray:
        """Of each channel the lag at which only so much is left: of a kernel's absolute mass beyond
        it, of a decay of what was written; NaN where that lies beyond what was followed, (channel).
        """
        if self.fixed:
            mass = np.abs(self.curves).cumsum(1)
            left = 1 - mass / np.maximum(mass[:, -1:], 1e-30)
        else:
            left = self.curves
        below = left <= share
        found: np.ndarray = np.where(below.any(1), below.argmax(1).astype(float), np.nan)
        return found


@torch.no_grad()
def curves_of(
    model: InstrumentedModel, ids: Sequence[int], layers: Sequence[int]
) -> dict[int, LayerCurves]:
    """Of every layer that has a kernel or gates. Two passes."""
    gated = [layer for layer in gated_layers(model) if layer in layers]
    heard = [
        layer for layer in layers if "state_decay" in model.layout.blocks[layer].parallel_states
    ]
    found = {
        layer: _of_gates(values[0]) for layer, values in read_gates(model, [ids], gated).items()
    }
    if heard:
        with listening(model, heard) as reading:
            model.forward(**model.batch([list(ids)]).kwargs(), use_cache=False, logits_to_keep=1)
        found |= {layer: _of_kernel(reading.inputs(layer)) for layer in heard}
    return dict(sorted(found.items()))


def _of_gates(gates: Float[Tensor, "pos gate channel"]) -> LayerCurves:
    names = {"input": INPUT, "forget": FORGET, "output": OUTPUT}
    forget = gates[:, FORGET].clamp(min=1e-30).log()
    return LayerCurves(
        False,
        _left(forget).numpy(),
        {name: gates[:, row].T.numpy() for name, row in names.items()},
    )


def _of_kernel(inputs: KernelInputs) -> LayerCurves:
    log_decay = inputs.log_decay[0]  # (pos, head, row, col)
    if is_fixed(inputs):
        lag = torch.arange(LAGS, dtype=torch.float32)
        each = inputs.q[0, 0] * inputs.k[0, 0]  # (head, d_key)
        rows = log_decay[0, ..., 0].expand_as(each)
        curves = torch.stack(
            [e @ (r[:, None] * lag).exp() for e, r in zip(each.cpu(), rows.cpu(), strict=True)]
        )
        return LayerCurves(True, curves.numpy(), {})
    # A channel is a head, or a value of it where each has a decay of its own.
    per_channel = log_decay.movedim(2, -1).flatten(1, 2).cpu()  # (pos, channel, row)
    left = [
        sum(_left(part[..., row]) for row in range(part.shape[-1])) / part.shape[-1]
        for part in per_channel.split(_CHANNELS, 1)
    ]
    gates = {"forget": per_channel.exp().mean(-1).T.numpy()}
    gates["write"] = inputs.beta[0].flatten(1).T.cpu().numpy()
    return LayerCurves(False, torch.cat(left).numpy(), gates)


def is_fixed(inputs: KernelInputs) -> bool:
    """Whether a layer writes, loses and reads in the same way at every token."""
    return inputs.rule == "additive" and inputs.v.shape[-1] == 1 and all(
        float((each - each[:, :1]).abs().max()) <= _ALIKE * float(each.abs().max())
        for each in (inputs.q, inputs.k, inputs.beta, inputs.step)
    )  # fmt: skip


def _left(log_decay: Float[Tensor, "pos channel"]) -> Float[Tensor, "channel lag"]:
    """What is left after 0, 1, … tokens, mean over all places where so many follow."""
    n = len(log_decay)
    total = log_decay.double().cumsum(0)
    return torch.stack(
        [(total[lag:] - total[: n - lag]).exp().mean(0).float() for lag in range(n)], -1
    )
