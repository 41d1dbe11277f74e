"""Running a part of the decoder again, with the very layers of the module.

A forward pass is recorded once: the residual stream before every layer, and what each layer was
called with (rotary angles, mask, position ids). After that any layer can be called again on another
residual stream, so a change at layer l costs the layers from l on and nothing below. The identities
and when they hold: docs/methods/exact-sweeps.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from hooks.attention import AttentionCall, attention_taps
from hooks.eager_eval import steady
from hooks.hook_points import hook_sites
from hooks.recording import RecordedPass, recording
from hooks.rounding import spacing_of
from workbench.errors import WorkbenchError
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@dataclass
class RecordedSuffix:
    """The last `n` columns of a batch of left-padded prompts, ready to be run again from any layer
    in many variants.

    `start` is the first of these columns. `calls` hold, per layer, the keys and values of all
    columns, the mask rows and the attention's options; empty when `start` is 0, where a layer needs
    nothing but its input. `kept` are the values at the places asked for, (prompt, pos, …), by
    (short site name, layer).
    """

    record: RecordedPass
    calls: dict[int, AttentionCall]
    kept: dict[tuple[str, int], Tensor]
    logits: Float[
        Tensor, "prompt d_vocab"
    ]  # (prompt, d_vocab), the model's own after the last column
    start: int
    batch: Batch

    @property
    def shape(self) -> tuple[int, int]:
        """(prompt, pos)"""
        batch, n, _ = self.record.resid_pre[0].shape
        return batch, n


@ordinary
@torch.no_grad()
def read(
    model: InstrumentedModel,
    batch: Batch,
    start: int = 0,
    keep: Sequence[Place] = (),
    *,
    calls: bool = False,
) -> RecordedSuffix:
    """Read prompts up to column `start` into the key-value cache, and record how the rest is read.

    Where attention hides its keys (recurrent layers, attention in a family's own code), or a layer
    needs more of what came before than keys and values, nothing is cached and the recording begins
    at column 0: slower, and just as exact.

    Args:
        keep: places whose values are kept.
        calls: record the attention calls also where `start` is 0, as far as the model lets them be
            seen.
    """
    reachable = (
        start > 0
        and all(b.attention_call is not None for b in model.layout.blocks)
        and keeps_only_keys(model)
    )
    with steady(model.module):
        found = _read(model, batch, start if reachable else 0, keep, calls=calls or reachable)
        # A layer that was not seen has a memory that is not keys and values; a bias is given for
        # the columns that are read.
        plain = len(found.calls) == model.n_layers and all(
            call.bias is None for call in found.calls.values()
        )
        plain = plain and not found.record.hands_on
        return found if not found.start or plain else _read(model, batch, 0, keep, calls=calls)


def _read(
    model: InstrumentedModel, batch: Batch, start: int, keep: Sequence[Place], *, calls: bool
) -> RecordedSuffix:
    cache, own = (None, None) if not start else _prefix(model, batch, start)
    seen: dict[int, AttentionCall] = {}
    outputs: dict[tuple[str, int], Tensor] = {}

    def take(place: Place, x: Tensor) -> None:
        assert place.layer is not None
        outputs[place.site.short, place.layer] = x.detach().clone()

    with ExitStack() as stack:
        stack.enter_context(hook_sites(model, keep, take))
        if calls:
            stack.enter_context(
                attention_taps(model.layout, _looking(model, seen), model.card.name)
            )
        record = stack.enter_context(recording(model))
        after = {
            "input_ids": batch.input_ids[:, start:],
            "attention_mask": batch.attention_mask,
            "position_ids": batch.position_ids[:, start:],
        }
        out = model.forward(**after, past_key_values=cache, use_cache=start > 0, logits_to_keep=1)
    return RecordedSuffix(
        record, seen, outputs, out.logits[:, -1] if own is None else own, start, batch
    )


def keeps_only_keys(model: InstrumentedModel) -> bool:
    """Whether the model's cache holds keys and values and nothing else: no indexer's keys, no
    last inputs of a convolution.
    """
    cache = DynamicCache(config=model.module.config.get_text_config(decoder=True))
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


def _prefix(model: InstrumentedModel, batch: Batch, start: int) -> tuple[DynamicCache, Tensor]:
    """A key-value cache of the columns before `start`, and the logits after the last of all
    columns, from one pass.

    So what is decoded from the cache is checked against the whole pass, not against the model's own
    decoding, which in some families says something else (sliding windows that are not those of the
    pass).
    """
    cache = _UpTo(start, model.module.config.get_text_config(decoder=True))
    logits = model.forward(
        **batch.kwargs(), past_key_values=cache, use_cache=True, logits_to_keep=1
    ).logits[:, -1]
    return cache, logits


class _UpTo(DynamicCache):
    """A cache that keeps the first columns of what it gets, and hands all of it to attention,
    until it has them.
    """

    def __init__(self, columns: int, config: PreTrainedConfig) -> None:
        super().__init__(config=config)
        self._columns, self._has = columns, set[int]()

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if layer_idx in self._has:
            return super().update(key_states, value_states, layer_idx, *args, **kwargs)
        self._has.add(layer_idx)
        super().update(
            key_states[..., : self._columns, :],
            value_states[..., : self._columns, :],
            layer_idx,
            *args,
            **kwargs,
        )
        return key_states, value_states


def _looking(model: InstrumentedModel, seen: dict[int, AttentionCall]) -> dict[int, _Seen]:
    return {
        layer: _Seen(seen, layer)
        for layer, block in enumerate(model.layout.blocks)
        if block.attention_call is not None
    }


@dataclass(frozen=True)
class _Seen:
    """A tap that keeps the call it saw and leaves it alone."""

    into: dict[int, AttentionCall]
    layer: int

    def __call__(self, call: AttentionCall) -> None:
        self.into[self.layer] = call


def logit_error(
    logits: Float[Tensor, "prompt d_vocab"],
    own: Float[Tensor, "prompt d_vocab"],
    model: InstrumentedModel,
) -> tuple[float, float]:
    """The largest difference of two sets of logits, and what rounding may explain."""
    # Kernels differ by batch shape. Each layer rounds the stream twice, at random, and the last of
    # it are the logits.
    spread = spacing_of(model, own.dtype) * (2 * model.n_layers) ** 0.5
    # Tokens that the model rules out are minus infinity in both.
    size = float(own.masked_fill(own.isneginf(), 0.0).abs().max())
    limit = max(1e-3 * max(1.0, size / 100), spread * size)
    return float(torch.where(logits == own, 0.0, (logits.float() - own.float()).abs()).max()), limit


def check_same(
    logits: Float[Tensor, "prompt d_vocab"],
    own: Float[Tensor, "prompt d_vocab"],
    model: InstrumentedModel,
) -> float:
    """The control row of a fast path must end in the model's own logits. Returns how far off it is.

    Raises:
        WorkbenchError: it does not; the model's family breaks an identity that the fast path stands
            on.
    """
    error, limit = logit_error(logits, own, model)
    if not error <= limit:
        raise WorkbenchError(
            f"The fast sweep does not reproduce {model.card.name}: its logits are off by"
            f" {error:.3g}.",
            f"less than {limit:.3g}",
            "Please report the architecture; nothing was computed from this.",
        )
    return error
