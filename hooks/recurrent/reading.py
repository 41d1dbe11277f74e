"""One pass over a whole prompt, with what the kernels of recurrent layers were given in it: the
states after every token follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from hooks.recurrent.interception import intercept, intercept_convolutions
from hooks.recurrent.kernel_inputs import KernelInputs, side_by_side
from hooks.recurrent.scan import states_of

if TYPE_CHECKING:
    from torch import nn

    from hooks.recurrent.families import KernelCall

GIVEN = {"state_q": "q", "state_k": "k", "state_v": "v", "state_beta": "beta"}
"""Site -> what it is of `KernelInputs`."""


class ParallelReading:
    """Listens while a model reads one prompt (without a cache) inside the `with`; afterwards it
    says what each recurrent layer held.

    Args:
        mixers: layer -> its recurrent part.
    """

    def __init__(self, mixers: Mapping[int, nn.Module]) -> None:
        self._mixers = mixers
        self._calls: dict[int, list[tuple[KernelCall, Tensor]]] = {}
        self._convolved: dict[int, Tensor] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(intercept(self._mixers, self._hear))
        self._stack.enter_context(intercept_convolutions(self._mixers, self._convolve))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _hear(self, layer: int, call: KernelCall, run: Callable[[], Any]) -> Any:
        outcome = run()
        self._calls.setdefault(layer, []).append((call, call.outputs(outcome)[0]))
        return outcome

    def _convolve(self, layer: int, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        self._convolved[layer] = x
        return run(x)

    def calls(self, layer: int) -> list[tuple[KernelCall, Tensor]]:
        """The calls of the layer's kernel, with what each gave, (batch, pos, state_head, d_value);
        none where it cannot be reached.
        """
        return self._calls.get(layer, [])

    def inputs(self, layer: int) -> KernelInputs:
        """What the layer's kernel was given, of all heads."""
        return side_by_side([call.inputs for call, _ in self._calls[layer]])

    def is_divided(self, layer: int) -> bool:
        """Whether what is read from the layer's state is divided by a sum that its kernel keeps
        beside it, so that the state alone is not all that it remembers.
        """
        return any(
            call.inputs.floor is not None or call.inputs.log_write is not None
            for call, _ in self.calls(layer)
        )

    def last_taps(self, layer: int, taps: int) -> Tensor | None:
        """The last inputs of the layer's convolution, which the next token finds, (batch, channel,
        tap); None where the convolution cannot be heard.
        """
        x = self._convolved.get(layer)
        return None if x is None else functional.pad(x.float(), (taps, 0))[..., -taps:]

    def shapes(self, layer: int, kept: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """The sites that follow from this pass, with their shapes without the prompt and pos.

        Args:
            kept: what the layer keeps, by site, with its shape.
        """
        found: dict[str, tuple[int, ...]] = {}
        conv = self._convolved.get(layer)
        if conv is not None and kept.get("conv_state", (0,))[0] == conv.shape[1]:
            found["conv_state"] = kept["conv_state"]
        if not self.calls(layer):
            return found
        inputs = self.inputs(layer)
        for site, name in GIVEN.items():
            found[site] = tuple(getattr(inputs, name).shape[2:])
        found["state_out"] = tuple(inputs.v.shape[2:])
        found["state_decay"] = tuple(inputs.as_kept(inputs.log_decay[0, 0]).shape)
        state = tuple(inputs.as_kept(inputs.v.new_zeros(inputs.state_shape)).shape[1:])
        if state == kept.get("state"):
            found |= {"state": state, "state_write": state[:1]}
        return found

    def value(
        self, layer: int, site: str, shape: tuple[int, ...], tokens: Sequence[int] | None = None
    ) -> Tensor:
        """What the site is after some tokens of the prompt, (token, *shape), float32.

        Args:
            shape: of one token's value.
            tokens: in rising order; None is all. States are held of these alone.
        """
        if site == "conv_state":
            padded = functional.pad(self._convolved[layer][0].float(), (shape[1] - 1, 0))
            values = padded.unfold(1, shape[1], 1).transpose(0, 1)
            return values if tokens is None else values[list(tokens)]
        inputs = self.inputs(layer)
        wanted = list(range(inputs.n_tokens) if tokens is None else tokens)
        if site in GIVEN:
            given: Tensor = getattr(inputs, GIVEN[site])[0]
            return given[wanted].float()
        if site == "state_decay":
            return inputs.as_kept((inputs.step[0, wanted] * inputs.rate).exp())
        if site == "state_out" and (inputs.floor is not None or inputs.log_write is not None):
            return self._calls[layer][0][1][0, wanted].float()
        return self._along(inputs, site, shape, wanted)

    @staticmethod
    def _along(
        inputs: KernelInputs, site: str, shape: tuple[int, ...], wanted: Sequence[int]
    ) -> Tensor:
        """Values that take a walk over the prompt: `state`, `state_out`, `state_write`."""
        values = torch.empty(len(wanted), *shape, device=inputs.v.device)
        row = {token: row for row, token in enumerate(wanted)}
        before = inputs.v.new_zeros(inputs.state_shape[1:])
        part = inputs.tokens(0, max(wanted) + 1)
        for t, (state,) in enumerate(states_of(part)):
            if t in row:
                match site:
                    case "state_out":
                        values[row[t]] = (inputs.q[0, t, :, None] @ state)[:, 0]
                    case "state_write":
                        decay = (inputs.step[0, t] * inputs.rate).exp()
                        values[row[t]] = (state - decay * before).flatten(1).norm(dim=1)
                    case _:
                        values[row[t]] = inputs.as_kept(state)
            before = state
        return values
