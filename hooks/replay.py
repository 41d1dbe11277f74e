"""Running a part of the decoder again, with the very layers of the module.

A forward pass is recorded once: the residual stream before every layer, and what each layer was called with (rotary
angles, mask, position ids). After that any layer can be called again on another residual stream, so a change at layer l
costs the layers from l on and nothing below. The identities and when they hold: docs/exact-sweeps.md.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hooks import sites
from hooks.attention import AttentionCall, attention_taps
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


@dataclass
class Recorded:
    """What every layer was called with in one forward pass."""

    resid_pre: list[Tensor] = field(default_factory=list)  # per layer, (batch, pos, d_model)
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    resid_final: Tensor = field(default_factory=lambda: torch.empty(0))  # before the final norm

    def call(self, model: InstrumentedModel, layer: int, resid: Tensor, cache: Any = None) -> Tensor:
        """One layer on another residual stream, with `cache` in place of the recorded key-value cache."""
        args, kwargs = self.arguments[layer]
        args = tuple(cache if _is_cache(a) else a for a in args)
        kwargs = {k: cache if k == "past_key_values" or _is_cache(v) else v for k, v in kwargs.items()}
        if cache is None and "use_cache" in kwargs:
            kwargs["use_cache"] = False
        out = model.layout.blocks[layer].module(resid, *args, **kwargs)
        return out[0] if isinstance(out, tuple) else out


def _is_cache(value: Any) -> bool:
    return hasattr(value, "get_seq_length") and hasattr(value, "layers")


@contextmanager
def recording(model: InstrumentedModel) -> Iterator[Recorded]:
    """Record the forward pass that runs inside."""
    record = Recorded()

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kwargs = dict(kwargs)
        hidden = args[0] if args else kwargs.pop("hidden_states")
        record.resid_pre.append(hidden)
        record.arguments.append((args[1:], kwargs))

    def final(module: Any, args: tuple[Any, ...]) -> None:
        record.resid_final = args[0]

    with ExitStack() as stack:
        for block in model.layout.blocks:
            stack.callback(block.module.register_forward_pre_hook(before, with_kwargs=True).remove)
        stack.callback(model.layout.final_norm.register_forward_pre_hook(final).remove)
        yield record


@dataclass
class LastToken:
    """The last position of one prompt, ready to be decoded again from any layer in many variants at once.

    `z` is (layer, head, d_head); `calls` hold, per layer, the keys and values of all positions, the mask row and the
    attention's options.
    """

    record: Recorded
    z: Tensor
    calls: list[AttentionCall]
    logits: Tensor  # (d_vocab,), the model's own


def _keep_last(kept: dict[int, Tensor], layer: int, x: Tensor) -> None:
    kept[layer] = x[0, -1]


@torch.no_grad()
def last_token(model: InstrumentedModel, ids: Sequence[int]) -> LastToken:
    """Run a prompt with its prefix cached, and record the decode of its last token (identity (a) of the method card)."""
    tokens = torch.tensor([list(ids)], device=model.device)
    n = tokens.shape[1]
    mask = torch.ones_like(tokens)
    where = torch.arange(n, device=model.device)[None]
    cache = None
    if n > 1:
        kwargs = {"input_ids": tokens[:, :-1], "attention_mask": mask[:, :-1], "position_ids": where[:, :-1]}
        cache = model.module(**kwargs, use_cache=True, logits_to_keep=1).past_key_values
    calls: dict[int, AttentionCall] = {}
    z: dict[int, Tensor] = {}
    with ExitStack() as stack:
        for layer in range(model.n_layers):
            tap = sites.tap(model.layout, sites.Place(sites.SITES["z"], layer))
            if tap is not None:
                stack.callback(tap.attach(partial(_keep_last, z, layer)).remove)
        taps = {layer: partial(calls.__setitem__, layer) for layer in range(model.n_layers)}
        stack.enter_context(attention_taps(model.layout, taps, model.card.name))
        record = stack.enter_context(recording(model))
        kwargs = {"input_ids": tokens[:, -1:], "attention_mask": mask, "position_ids": where[:, -1:]}
        out = model.module(**kwargs, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return LastToken(
        record, torch.stack([z[i] for i in range(model.n_layers)]), [calls[i] for i in range(model.n_layers)], out.logits[0, -1]
    )


@dataclass
class State:
    """Prompts that have been read, ready to be continued: key-value cache, mask, and the next token's logits."""

    cache: Any
    mask: Tensor  # (batch, pos)
    logits: Tensor  # (batch, d_vocab)

    def fork(self) -> State:
        """The same state to continue from; continuing it leaves this one as it was."""
        return State(_fork(self.cache), self.mask, self.logits)


def _fork(cache: Any) -> Any:
    """A key-value cache that shares its tensors with another: layers replace theirs when they grow, and never write in."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


class Prefilled:
    """A batch of prompts read once; a change of some heads reads them again only from the lowest changed layer on.

    Interventions must be entered by the caller around `state` and around whatever continues it.
    """

    @torch.no_grad()
    def __init__(self, model: InstrumentedModel, prompts: Sequence[Sequence[int]]) -> None:
        self.model, self.prompts = model, [list(p) for p in prompts]
        batch = model.batch(self.prompts)
        self.mask = batch.attention_mask
        with recording(model) as self._record:
            out = model.module(**batch.kwargs(), use_cache=True, logits_to_keep=1)
        self._cache, self._logits = out.past_key_values, out.logits[:, -1]
        check_same(model.unembed(self._record.resid_final[:, -1]), self._logits, model)

    @torch.no_grad()
    def state(self, from_layer: int | None = None) -> State:
        """As read; or read again from a layer on (under the interventions that are active now)."""
        cache = _fork(self._cache)
        if from_layer is None:
            return State(cache, self.mask, self._logits)
        for layer in cache.layers[from_layer:]:
            layer.reset()
        resid = self._record.resid_pre[from_layer]
        for layer in range(from_layer, self.model.n_layers):
            resid = self._record.call(self.model, layer, resid, cache)
        return State(cache, self.mask, self.model.unembed(resid[:, -1]))


@torch.no_grad()
def step(model: InstrumentedModel, state: State, tokens: Tensor) -> tuple[State, Tensor]:
    """Feed (batch, n) further tokens. Returns the state after them and the logits at each, (batch, n, d_vocab)."""
    mask = torch.cat([state.mask, torch.ones_like(tokens)], 1)
    where = (mask.cumsum(1) - 1)[:, -tokens.shape[1] :]
    out = model.module(input_ids=tokens, attention_mask=mask, position_ids=where, past_key_values=state.cache, use_cache=True)
    return State(out.past_key_values, mask, out.logits[:, -1]), out.logits


def check_same(found: Tensor, own: Tensor, model: InstrumentedModel) -> None:
    """The control row of a fast path must end in the model's own logits.

    Raises:
        WorkbenchError: it does not; the model's family breaks an identity that the fast path stands on.
    """
    error = float((found.float() - own.float()).abs().max())
    # Kernels differ by batch shape: float32 rounding stays below 1e-3, half precision below a twentieth of a logit unit.
    limit = 1e-2 if own.dtype == torch.float32 else 0.5
    if not error <= limit:
        raise WorkbenchError(
            f"The fast sweep does not reproduce {model.card.name}: its logits are off by {error:.3g}.",
            f"less than {limit:g}",
            "Please report the architecture; nothing was computed from this.",
        )
