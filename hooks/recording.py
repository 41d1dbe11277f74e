"""One forward pass recorded: the residual stream before every layer, and what each layer was called
with (rotary angles, mask, position ids), so that any layer can be called again on another stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.eager_eval import steady
from hooks.positions import PositionTracker, track_positions

if TYPE_CHECKING:
    from torch import nn
    from transformers import Cache

    from hooks.model import InstrumentedModel


@dataclass
class RecordedPass:
    """What every layer was called with in one forward pass."""

    resid_pre: list[Tensor] = field(default_factory=list)  # per layer, (batch, pos, d_model)
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    resid_final: Tensor = field(default_factory=lambda: torch.empty(0))  # before the final norm
    positions: PositionTracker = field(default_factory=PositionTracker)  # of the tokens that passed
    hands_on: bool = (
        False  # whether layers give later ones more than the stream: shared keys, chosen tokens
    )

    def call(
        self,
        model: InstrumentedModel,
        layer: int,
        resid: Float[Tensor, "row pos d_model"],
        cache: Cache | None = None,
    ) -> Float[Tensor, "row pos d_model"]:
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
    stream: Tensor = out[0] if isinstance(out, tuple | list) else out
    return stream


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
def recording(model: InstrumentedModel) -> Iterator[RecordedPass]:
    """Record the forward pass that runs inside."""
    record = RecordedPass()
    beside: dict[int, Tensor] = {}  # what layers gave beside the stream, by id, and alive
    shared: list[
        tuple[Mapping[Any, Any], dict[Any, int]]
    ] = []  # dictionaries that layers get, with what is in them

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kwargs = dict(kwargs)
        hidden = args[0] if args else kwargs.pop("hidden_states")
        record.resid_pre.append(hidden)
        record.arguments.append((args[1:], kwargs))
        given = [*args[1:], *kwargs.values()]
        record.hands_on |= any(id(x) in beside for x in _tensors(given))
        if len(record.resid_pre) == 1:
            shared.extend((x, _held_by(x)) for x in given if isinstance(x, Mapping))

    def after(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
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
