"""Running a part of the decoder again, with the very layers of the module.

A forward pass is recorded once: the residual stream before every layer, and what each layer was
called with (rotary angles, mask, position ids). After that any layer can be called again on another
residual stream, so a change at layer l costs the layers from l on and nothing below. The identities
and when they hold: docs/exact-sweeps.md.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from hooks.attention import AttentionCall, attention_taps
from hooks.eager_eval import steady
from hooks.finite_check import check_logits
from hooks.hook_points import hook_sites
from hooks.positions import PositionTracker, placed, track_positions
from hooks.rounding import Control, note, spacing_of
from workbench.errors import WorkbenchError
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@dataclass
class Recorded:
    """What every layer was called with in one forward pass."""

    resid_pre: list[Tensor] = field(default_factory=list)  # per layer, (batch, pos, d_model)
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    resid_final: Tensor = field(default_factory=lambda: torch.empty(0))  # before the final norm
    positions: PositionTracker = field(default_factory=PositionTracker)  # of the tokens that passed
    hands_on: bool = (
        False  # whether layers give later ones more than the stream: shared keys, chosen tokens
    )

    def call(
        self, model: InstrumentedModel, layer: int, resid: Tensor, cache: Any = None
    ) -> Tensor:
        """One layer on another residual stream, with `cache` in place of the recorded key-value
        cache.

        `resid` is (row, pos, d_model). Rows are the recorded prompts once or several times over,
        prompts innermost.
        """
        args, kwargs = self.arguments[layer]
        recorded = self.resid_pre[layer].shape[0]
        times = resid.shape[0] // recorded
        args = tuple(cache if _is_cache(a) else _repeated(a, recorded, times) for a in args)
        kwargs = {
            k: (
                cache
                if k == "past_key_values" or _is_cache(v)
                else _repeated(v, recorded, times, flat=k == "alibi")
            )
            for k, v in kwargs.items()
        }
        if cache is None and "use_cache" in kwargs:
            kwargs["use_cache"] = False
        out = model.layout.blocks[layer].module(resid, *args, **kwargs)
        return _stream(out)


def _stream(out: Any) -> Tensor:
    """The residual stream in what a layer gives."""
    return out[0] if isinstance(out, tuple | list) else out


def _repeated(value: Any, recorded: int, times: int, *, flat: bool = False) -> Any:
    """An argument of a layer for `times` copies of the recorded prompts; what has no row per
    prompt stays as it is.
    """
    if isinstance(value, tuple):
        return tuple(_repeated(v, recorded, times) for v in value)
    if times == 1 or not isinstance(value, torch.Tensor) or value.dim() < 2:
        return value
    if flat:  # (prompt × head, …), which no module broadcasts
        return value.repeat(times, *[1] * (value.dim() - 1))
    if value.shape[0] == recorded == 1:  # one row serves all; some families count them
        return value.expand(times, *value.shape[1:])
    if value.shape[0] != recorded:
        return value
    return value.repeat(times, *[1] * (value.dim() - 1))


def _is_cache(value: Any) -> bool:
    return hasattr(value, "get_seq_length") and hasattr(value, "layers")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(each)


def _held_by(shared: Mapping[Any, Any]) -> dict[Any, int]:
    return {key: id(value) for key, value in shared.items()}


@contextmanager
def recording(model: InstrumentedModel) -> Iterator[Recorded]:
    """Record the forward pass that runs inside."""
    record = Recorded()
    beside: dict[int, Tensor] = {}  # what layers gave beside the stream, by id, and alive
    shared: list[
        tuple[Mapping[Any, Any], dict[Any, int]]
    ] = []  # dictionaries that layers get, with what is in them

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kwargs = dict(kwargs)
        hidden = args[0] if args else kwargs.pop("hidden_states")
        record.resid_pre.append(hidden)
        record.arguments.append((args[1:], kwargs))
        given = [*args[1:], *kwargs.values()]
        record.hands_on |= any(id(x) in beside for x in _tensors(given))
        if len(record.resid_pre) == 1:
            shared.extend((x, _held_by(x)) for x in given if isinstance(x, Mapping))

    def after(module: Any, args: tuple[Any, ...], out: Any) -> None:
        if isinstance(out, tuple | list):
            beside.update((id(x), x) for x in _tensors(out[1:]))
        if len(record.resid_pre) == len(model.layout.blocks):
            record.resid_final = _stream(out)  # not every family has a norm after it
            record.hands_on |= any(_held_by(x) != before for x, before in shared)

    with ExitStack() as stack:
        for block in model.layout.blocks:
            stack.callback(block.module.register_forward_pre_hook(before, with_kwargs=True).remove)
            stack.callback(block.module.register_forward_hook(after).remove)
        stack.enter_context(steady(model.module))
        record.positions = stack.enter_context(track_positions(model))
        yield record


@dataclass
class RecordedSuffix:
    """The last `n` columns of a batch of left-padded prompts, ready to be run again from any layer
    in many variants.

    `start` is the first of these columns. `calls` hold, per layer, the keys and values of all
    columns, the mask rows and the attention's options; empty when `start` is 0, where a layer needs
    nothing but its input. `kept` are the values at the places asked for, (prompt, pos, …), by
    (short site name, layer).
    """

    record: Recorded
    calls: dict[int, AttentionCall]
    kept: dict[tuple[str, int], Tensor]
    logits: Tensor  # (prompt, d_vocab), the model's own after the last column
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
        and _keeps_only_keys(model)
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
    kept: dict[tuple[str, int], Tensor] = {}

    def take(place: Place, x: Tensor) -> None:
        assert place.layer is not None
        kept[place.site.short, place.layer] = x.detach().clone()

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
        record, seen, kept, out.logits[:, -1] if own is None else own, start, batch
    )


def _keeps_only_keys(model: InstrumentedModel) -> bool:
    """Whether the model's cache holds keys and values and nothing else: no indexer's keys, no
    last inputs of a convolution.
    """
    cache = DynamicCache(config=model.module.config.get_text_config(decoder=True))
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


def _prefix(model: InstrumentedModel, batch: Batch, start: int) -> tuple[Any, Tensor]:
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

    def __init__(self, columns: int, config: Any) -> None:
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


@dataclass
class State:
    """Prompts that have been read, ready to be continued: key-value cache, mask, and the next
    token's logits.
    """

    cache: Any
    mask: Tensor  # (batch, pos)
    logits: Tensor  # (batch, d_vocab)

    def fork(self) -> State:
        """The same state to continue from; continuing it leaves this one as it was."""
        return State(_fork(self.cache), self.mask, self.logits)


def _fork(cache: Any) -> Any:
    """A key-value cache that shares its tensors with another: layers replace theirs when they
    grow, and never write in.
    """
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


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
            Control(
                check_same(model.unembed(self._record.resid_final[:, -1]), self._logits, model)
            ),
        )

    @ordinary
    @torch.no_grad()
    def state(self, from_layer: int | None = None) -> State:
        """As read; or read again from a layer on (under the interventions that are active now).

        Where layers hand on more than the stream, from the first on.
        """
        cache = _fork(self._cache)
        if from_layer is None:
            return State(cache, self.mask, self._logits)
        if self._record.hands_on:
            out = self.model.forward(
                **self.model.batch(self.prompts).kwargs(), use_cache=True, logits_to_keep=1
            )
            return State(out.past_key_values, self.mask, out.logits[:, -1])
        for layer in cache.layers[from_layer:]:
            layer.reset()
        resid = self._record.resid_pre[from_layer]
        with steady(self.model.module), placed(self.model.module, self._record.positions):
            for layer in range(from_layer, self.model.n_layers):
                resid = self._record.call(self.model, layer, resid, cache)
        logits = self.model.unembed(resid[:, -1])
        check_logits(self.model, logits)
        return State(cache, self.mask, logits)


@ordinary
@torch.no_grad()
def step(model: InstrumentedModel, state: State, tokens: Tensor) -> tuple[State, Tensor]:
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
    return State(out.past_key_values, mask, out.logits[:, -1]), out.logits


def logit_error(found: Tensor, own: Tensor, model: InstrumentedModel) -> tuple[float, float]:
    """The largest difference of two sets of logits, and what rounding may explain."""
    # Kernels differ by batch shape. Each layer rounds the stream twice, at random, and the last of
    # it are the logits.
    spread = spacing_of(model, own.dtype) * (2 * model.n_layers) ** 0.5
    # Tokens that the model rules out are minus infinity in both.
    size = float(own.masked_fill(own.isneginf(), 0.0).abs().max())
    limit = max(1e-3 * max(1.0, size / 100), spread * size)
    return float(torch.where(found == own, 0.0, (found.float() - own.float()).abs()).max()), limit


def check_same(found: Tensor, own: Tensor, model: InstrumentedModel) -> float:
    """The control row of a fast path must end in the model's own logits. Returns how far off it is.

    Raises:
        WorkbenchError: it does not; the model's family breaks an identity that the fast path stands
            on.
    """
    error, limit = logit_error(found, own, model)
    if not error <= limit:
        raise WorkbenchError(
            f"The fast sweep does not reproduce {model.card.name}: its logits are off by"
            f" {error:.3g}.",
            f"less than {limit:.3g}",
            "Please report the architecture; nothing was computed from this.",
        )
    return error
