"""Identities of recurrent layers, read token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from hooks.invariants.check import InvariantCheck, largest, relative_error
from hooks.recurrent.weights import attention_weights, weighted_sum
from hooks.sites import SITES, Place
from hooks.state_capture import read_in_parallel
from hooks.states import RecurrentStepper, mixers_of, stepping

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.invariants.forward_pass import CapturedPass
    from hooks.model import InstrumentedModel


def recurrent_checks(
    model: InstrumentedModel, ids: Sequence[int], captured: CapturedPass
) -> Iterator[InvariantCheck]:
    """Identities of recurrent layers."""
    mixers, logits = mixers_of(model), captured.logits[0]
    decayed = tuple(layer for layer in mixers if "state_write" in model.layout.blocks[layer].states)
    errors: list[Tensor] = []
    ranks = [torch.zeros(1)]
    with stepping(model.module, mixers, len(ids)) as stepper:
        for t, token in enumerate(ids):
            before = {layer: stepper.state(layer) for layer in mixers}
            if t == len(ids) - 1:
                _wipe_and_restore(stepper)
            error = relative_error(stepper.feed(token)[None, None], logits[None, None, t])
            errors.append(error.flatten())
            for layer, state in before.items():
                if layer in decayed and state is not None:
                    ranks.append(_beyond_one_product(stepper.state_update(layer, state), state))
    layers = tuple(mixers)
    errors_of_sums = list(_implicit_attention_errors(model, ids))
    line = partial(InvariantCheck, spacing=captured.spacing)
    yield line(
        "steps",
        "read token by token, from state to state, the model gives the same logits",
        layers,
        largest(errors),
    )
    yield line(
        "restored",
        "a state that is wiped and put back gives the same logits",
        layers,
        largest(errors[-1:]),
    )
    if errors_of_sums:
        yield line(
            "implicit attention",
            "implicit attention times values, summed over past tokens, gives what the kernel gives",
            tuple(dict.fromkeys(layer for layer, _ in errors_of_sums)),
            largest([error for _, error in errors_of_sums]),
        )
    if decayed:
        yield line(
            "write",
            "what a token adds to the decayed state is one outer product",
            decayed,
            largest(ranks),
        )


def _wipe_and_restore(stepper: RecurrentStepper) -> None:
    """Wipe what the layers remember, and put it back."""
    for layer in stepper.mixers:
        values = {"state": stepper.state(layer), "conv_state": stepper.conv_state(layer)}
        for name, value in values.items():
            if value is not None:
                stepper.set_state(layer, **{name: torch.zeros_like(value)})
                stepper.set_state(layer, **{name: value})


def _beyond_one_product(added: Tensor, before: Tensor) -> Tensor:
    """How much of (head, row, column) is more than one outer product, as a share of it and of
    the state it is added to.
    """
    if min(added.shape[-2:]) < 2 or not torch.isfinite(added).all():
        return (
            added.new_zeros(1)
            if torch.isfinite(added).all()
            else added.new_full((1,), float("inf"))
        )
    sizes: Tensor = torch.linalg.svdvals(added)
    whole = (sizes[:, 0] ** 2 + before.flatten(1).pow(2).sum(1)).sqrt()
    return sizes[:, 1] / whole.clamp(min=1e-9)


def _implicit_attention_errors(
    model: InstrumentedModel, ids: Sequence[int]
) -> Iterator[tuple[int, Tensor]]:
    """Per layer whose kernel can be reached: how far the sum over past tokens of implicit attention
    times values, with what the kernel adds to it and gates it by, is from what the kernel gives.
    """
    places = [
        Place(SITES["state_out"], layer)
        for layer in mixers_of(model)
        if "state_out" in model.layout.blocks[layer].parallel_states
    ]
    reading = read_in_parallel(model, ids, places)
    for place in places:
        assert place.layer is not None
        for call, own in reading.calls(place.layer):
            total = weighted_sum(attention_weights(call.inputs), call.inputs.v)
            yield place.layer, relative_error(call.tail(total), own)
