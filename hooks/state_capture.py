"""The sites of recurrent memory along prompts: what the kernels are given, and the states that
follow from it.

One pass over a prompt gives them where the layer's kernel can be reached (`Block.parallel_states`,
which a probe has compared with the layer's own cache); what it does not give, and all states while
some of them are changed, is read token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    model: InstrumentedModel, batch: Batch, places: Sequence[Place], take: HookFn
) -> None:
    """Call `take(place, values)` with what recurrent layers remember along the prompts of a batch:
    (batch, *site.dims), padded on the left as the batch is. The prompts are read one after another.
    """
    rows = [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]
    width = batch.input_ids.shape[1]
    slow = [place for place in places if not in_parallel(model, place)]
    stepped = [trajectory(model, ids, slow) if slow else {} for ids in rows]
    fast = [place for place in places if place not in slow]
    readings = [read_in_parallel(model, ids, fast) if fast else None for ids in rows]
    for place in places:
        padded: Tensor | None = None
        for row, (found, reading) in enumerate(zip(stepped, readings, strict=True)):
            if place in found:
                value = found[place]
            else:
                assert reading is not None
                value = _parallel_value(model, reading, place)
            if len(rows) == 1:  # a state per token is large: not held twice
                padded = value[None]
                break
            if padded is None:
                padded = torch.zeros(len(rows), width, *value.shape[1:], dtype=torch.float32)
            padded[row, width - len(value) :] = value
        assert padded is not None
        take(place, padded)


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
    layers = {place.layer for place in places}
    mixers = {layer: mixer for layer, mixer in mixers_of(model).items() if layer in layers}
    with steady(model.module), ParallelReading(mixers) as reading:
        model.forward(**model.batch([list(ids)]).kwargs(), use_cache=False, logits_to_keep=1)
    return reading


def _parallel_value(model: InstrumentedModel, reading: ParallelReading, place: Place) -> Tensor:
    layer, short = place.layer, place.site.short
    assert layer is not None
    return reading.value(layer, short, model.layout.blocks[layer].states[short]).cpu()


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
