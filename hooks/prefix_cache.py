"""Prompts read once into a key-value cache, to be continued many times: as they are, or read again
under a change from the lowest changed layer on.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.eager_eval import steady
from hooks.finite_check import check_logits
from hooks.layer_replay import check_same
from hooks.positions import placed
from hooks.recording import recording
from hooks.recurrent.cache_tensors import selected
from hooks.rounding import RoundingControl, note
from hooks.weights import dtype_of
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from transformers import Cache

    from hooks.model import InstrumentedModel


@dataclass
class PrefixState:
    """Prompts that have been read, ready to be continued: key-value cache, mask, and the next
    token's logits.
    """

    cache: Cache
    mask: Int[Tensor, "batch column"]  # (batch, pos)
    logits: Float[Tensor, "batch d_vocab"]  # (batch, d_vocab)

    def fork(self) -> PrefixState:
        """The same state to continue from; continuing it leaves this one as it was."""
        return PrefixState(_fork(self.cache), self.mask, self.logits)

    def copies(self, rows: int) -> PrefixState:
        """The only prompt of this state in every row of a batch, to continue from."""
        chosen = torch.zeros(rows, dtype=torch.long, device=self.mask.device)
        cache = selected(self.fork().cache, chosen, 1)
        return PrefixState(cache, self.mask[chosen], self.logits[chosen])


def _fork(cache: Cache) -> Cache:
    """A key-value cache that shares its tensors with another: layers replace theirs when they
    grow, and never write in.
    """
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def kv_bytes(model: InstrumentedModel) -> int:
    """Bytes of keys and values of one token, in all layers, as attention keeps them."""
    size = 2 * model.n_layers * max(1, model.n_kv_heads) * max(1, model.d_head)
    return size * dtype_of(model.layout.embed).itemsize


class PrefixCache:
    """A batch of prompts read once; a change of some heads reads them again only from the lowest
    changed layer on.

    Interventions must be entered by the caller around `state` and around whatever continues it.
    """

    @ordinary
    @torch.no_grad()
    def __init__(self, model: InstrumentedModel, prompts: Sequence[Sequence[int]]) -> None:
        self.model, self.prompts = model, [list(p) for p in prompts]
        batch = model.batch(self.prompts)
        self.mask = batch.attention_mask
        with recording(model) as self._record:
            out = model.forward(**batch.kwargs(), use_cache=True, logits_to_keep=1)
        self._cache, self._logits = out.past_key_values, out.logits[:, -1]
        note(
            model,
            RoundingControl(
                check_same(model.unembed(self._record.resid_final[:, -1]), self._logits, model)
            ),
        )

    @ordinary
    @torch.no_grad()
    def state(self, from_layer: int | None = None) -> PrefixState:
        """As read; or read again from a layer on (under the interventions that are active now).

        Where layers hand on more than the stream, from the first on.
        """
        cache = _fork(self._cache)
        if from_layer is None:
            return PrefixState(cache, self.mask, self._logits)
        if self._record.hands_on:
            out = self.model.forward(
                **self.model.batch(self.prompts).kwargs(), use_cache=True, logits_to_keep=1
            )
            return PrefixState(out.past_key_values, self.mask, out.logits[:, -1])
        for held in cache.layers[from_layer:]:
            held.reset()
        resid = self._record.resid_pre[from_layer]
        with steady(self.model.module), placed(self.model.module, self._record.positions):
            for layer in range(from_layer, self.model.n_layers):
                resid = self._record.call(self.model, layer, resid, cache)
        logits = self.model.unembed(resid[:, -1])
        check_logits(self.model, logits)
        return PrefixState(cache, self.mask, logits)


@ordinary
@torch.no_grad()
def step(
    model: InstrumentedModel, state: PrefixState, tokens: Int[Tensor, "batch n"]
) -> tuple[PrefixState, Float[Tensor, "batch n d_vocab"]]:
    """Feed (batch, n) further tokens.

    Returns the state after them and the logits at each, (batch, n, d_vocab).
    """
    mask = torch.cat([state.mask, torch.ones_like(tokens)], 1)
    where = (mask.cumsum(1) - 1)[:, -tokens.shape[1] :]
    out = model.forward(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=where,
        past_key_values=state.cache,
        use_cache=True,
    )
    return PrefixState(out.past_key_values, mask, out.logits[:, -1]), out.logits
