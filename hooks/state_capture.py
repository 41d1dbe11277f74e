"""The sites of recurrent memory along prompts: what the kernels are given, and the states that
follow from it.

One pass over a prompt gives them where the layer's kernel can be reached (`Block.parallel_states`,
which a probe has compared with the layer's own cache); what it does not give, and all states while
some of them are changed, is read token by token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hooks.eager_eval import steady
from hooks.recurrent.changing import is_changing
from hooks.recurrent.reading import ParallelReading
from hooks.states import RecurrentStepper, mixers_of, stepping
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.hook_points import HookFn
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


_CHANGED = ("state", "conv_state", "state_write", "state_out")
"""Sites that do not follow from a kernel's arguments while states are changed."""


@torch.no_grad()
def capture_states(
    model: InstrumentedModel,
    batch: Batch,
    places: Sequence[Place],
    take: HookFn,
    columns: Sequence[int] | None = None,
) -> None:
    """Call `take(place, values)` with what recurrent layers remember along the prompts of a batch:
    (batch, *site.dims), padded on the left as the batch is. The prompts are read one after another.

    Args:
        columns: those of the batch that are wanted; None is all.
    """
    rows = [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]
    width = batch.input_ids.shape[1]
    wanted = list(range(width) if columns is None else columns)
    # Where a prompt is shorter, what stands in its padding is nothing.
    tokens = [[c - width + len(ids) for c in wanted if c >= width - len(ids)] for ids in rows]
    slow = [place for place in places if not in_parallel(model, place)]
    fast = [place for place in places if place not in slow]
    stepped = [
        trajectory(model, ids, slow, of_row) if slow and of_row else {}
        for ids, of_row in zip(rows, tokens, strict=True)
    ]
    readings = [read_in_parallel(model, ids, fast) if fast else None for ids in rows]
    for place in places:
        assert place.layer is not None
        shape = model.layout.blocks[place.layer].states[place.site.short]
        values: Tensor | None = None
        for row, of_row in enumerate(tokens):
            if not of_row:
                continue
            reading = readings[row]
            if place in slow:
                value = stepped[row][place]
            else:
                assert reading is not None
                value = reading.value(place.layer, place.site.short, shape, of_row).cpu()
            if len(rows) == 1 and len(of_row) == len(wanted):  # large: not held twice
                values = value[None]
                break
            if values is None:
                values = torch.zeros(len(rows), len(wanted), *shape, dtype=torch.float32)
            values[row, len(wanted) - len(of_row) :] = value
        if values is None:
            values = torch.zeros(len(rows), len(wanted), *shape, dtype=torch.float32)
        take(place, values)


def in_parallel(model: InstrumentedModel, place: Place) -> bool:
    """Whether one pass over a prompt gives the place's values."""
    assert place.layer is not None
    short = place.site.short
    if short in _CHANGED and is_changing(model.module):
        if short == "state_out":
            raise BadInput(
                "What is read from states is not captured while some of them are changed.",
                "another site, or no change of states",
                "Take state and state_q: their product is what is read.",
            )
        return False
    return short in model.layout.blocks[place.layer].parallel_states


@torch.no_grad()
def read_in_parallel(
    model: InstrumentedModel, ids: Sequence[int], places: Sequence[Place]
) -> ParallelReading:
    """One pass over a prompt that listens to the kernels of the layers of these places."""
    with listening(model, {place.layer for place in places}) as reading:
        model.forward(**model.batch([list(ids)]).kwargs(), use_cache=False, logits_to_keep=1)
    return reading


@contextmanager
def listening(
    model: InstrumentedModel, layers: Collection[int | None]
) -> Iterator[ParallelReading]:
    """Hear what the kernels of these layers are given while the model reads prompts of one length
    inside (without a cache).
    """
    mixers = {layer: mixer for layer, mixer in mixers_of(model).items() if layer in layers}
    with steady(model.module), ParallelReading(mixers) as reading:
        yield reading


@torch.no_grad()
def trajectory(
    model: InstrumentedModel,
    ids: Sequence[int],
    places: Sequence[Place],
    positions: Sequence[int] | None = None,
) -> dict[Place, Tensor]:
    """The values of `state`, `conv_state`, `state_decay` and `state_write` along one prompt, read
    token by token.

    Args:
        ids: the prompt's tokens.
        places: sites and layers, as `sites.resolve` gives them.
        positions: which tokens to keep, None for all; every token up to the last of them is read.

    Returns:
        per place (pos, *the site's further dims), float32 on the CPU.
    """
    mixers = mixers_of(model)
    wanted = range(len(ids)) if positions is None else [p % len(ids) for p in positions]
    states_at: dict[Place, dict[int, Tensor]] = {place: {} for place in places}
    writing = {p.layer for p in places if p.site.short == "state_write" and p.layer is not None}
    with stepping(model.module, mixers, len(ids)) as stepper:
        for t, token in enumerate(ids[: max(wanted) + 1]):
            before = {layer: stepper.state(layer) for layer in writing}
            stepper.feed(token)
            for place in places if t in wanted else ():
                states_at[place][t] = _value(stepper, place, before).cpu()
    return {place: torch.stack([values[t] for t in wanted]) for place, values in states_at.items()}


def _value(stepper: RecurrentStepper, place: Place, before: dict[int, Tensor | None]) -> Tensor:
    """What a place holds after the last token; `before` are the states before it."""
    layer = place.layer
    assert layer is not None
    match place.site.short:
        case "state_decay":
            return stepper.decay[layer]
        case "state_write":
            written: Tensor = stepper.state_update(layer, before[layer]).flatten(1).norm(dim=1)
            return written
        case "state":
            value = stepper.state(layer)
        case _:
            value = stepper.conv_state(layer)
    assert value is not None  # the model was asked before it said that it has this site
    return value
