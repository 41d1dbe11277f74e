"""The state after every token, from what the kernel is given: a few small products per token, where
reading a prompt token by token costs a pass of the whole model each.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.recurrent.kernel_inputs import KernelInputs

CHUNK = 64
"""Tokens whose decays and writes are held at once."""


def states_of(
    inputs: KernelInputs, start: Tensor | None = None
) -> Iterator[Float[Tensor, "batch state_head d_key d_value"]]:
    """The state after each token, one after the other; each is a new tensor.

    Args:
        start: the state before the first token; None is the call's own.
    """
    state = inputs.initial if start is None else start
    state = inputs.v.new_zeros(inputs.state_shape) if state is None else state.to(inputs.v)
    for first in range(0, inputs.n_tokens, CHUNK):
        part = inputs.tokens(first, first + CHUNK)
        decay = part.log_decay.exp()
        key = part.k[..., None]
        if part.rule == "additive":
            write = key * (part.beta * part.v)[..., None, :]
            for t in range(part.n_tokens):
                state = torch.addcmul(write[:, t], decay[:, t], state)
                yield state
            continue
        row, beta = part.k[..., None, :], part.beta[..., None, :]
        value, write_key = part.v[..., None, :], key * beta
        for t in range(part.n_tokens):
            state = decay[:, t] * state
            state = state + write_key[:, t] * (value[:, t] - row[:, t] @ state)
            yield state


def read_out(
    inputs: KernelInputs, start: Tensor | None = None
) -> tuple[
    Float[Tensor, "batch pos state_head d_value"],
    Float[Tensor, "batch state_head d_key d_value"],
]:
    """What each token reads, o_t = q_t S_t, and the last state. Not divided by any sum."""
    outputs, state = [], inputs.v.new_zeros(inputs.state_shape)
    for t, state in enumerate(states_of(inputs, start)):
        outputs.append((inputs.q[:, t, :, None, :] @ state)[..., 0, :])
    return torch.stack(outputs, 1), state
