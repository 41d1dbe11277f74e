"""What is made of a recurrent state: wiped, another run's, another value, a pair rewritten, or
held still.

States are (row, state_head, d_key, d_value) here, whichever way the family keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench.errors import BadInput, NotFinite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.trace import Trace


@dataclass(frozen=True)
class Moment:
    """After which token of which prompts a state is changed.

    Attributes:
        layer: whose state.
        heads: the state heads that are given, counted in the layer.
        index: position of the token in its text, per row; -1 before the first token.
        lengths: tokens of each row's prompt.
        from_end: positions were named from the end.
        values_first: the family keeps its states as values × keys.
    """

    layer: int
    heads: Sequence[int]
    index: Tensor
    lengths: Tensor
    from_end: bool
    values_first: bool


class StateChange:
    """A way to change a state. See the classes that are one."""

    freezes = False

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        """What becomes of the states of some heads, (row, state_head, d_key, d_value)."""
        raise NotImplementedError

    def conv_state(self, taps: Tensor, moment: Moment) -> Tensor:
        """What becomes of the last inputs of the layer's convolution, (row, channel, tap)."""
        return taps


@dataclass(frozen=True)
class WipeState(StateChange):
    """Forget everything: state and convolution are as before the first token."""

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        return torch.zeros_like(state)

    def conv_state(self, taps: Tensor, moment: Moment) -> Tensor:
        return torch.zeros_like(taps)


@dataclass(frozen=True)
class FreezeState(StateChange):
    """Hold still: the tokens neither decay the state nor write to it, and read what it was."""

    freezes = True

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        return state


@dataclass(frozen=True)
class PatchState(StateChange):
    """Put in the state that another run had (activation patching), and what its convolution held.

    Args:
        source: holds `state`, and `conv_state` where the layers have one, of one prompt or of as
            many as will run.
        position: the source's token after which its state is taken, for all; None is the token at
            the same position (positions named from the end count from the end of each).
    """

    source: Trace
    position: int | None = None

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        values, takes = self._values("state", moment, state)
        values = values[:, list(moment.heads)]
        values = values.mT if moment.values_first else values
        _check_same(values, state, "state", moment.layer)
        return torch.where(takes.view(-1, 1, 1, 1), values.to(state), state)

    def conv_state(self, taps: Tensor, moment: Moment) -> Tensor:
        if "conv_state" not in self.source:
            return taps
        values, takes = self._values("conv_state", moment, taps)
        _check_same(values, taps, "conv_state", moment.layer)
        return torch.where(takes.view(-1, 1, 1), values.to(taps), taps)

    def _values(self, site: str, moment: Moment, own: Tensor) -> tuple[Tensor, Tensor]:
        """The source's values for each row, and which rows have one."""
        if site not in self.source or moment.layer not in self.source[site].coords["layer"].values:
            raise BadInput(
                f"The source trace has no {site} of layer {moment.layer}.",
                "a trace with sites=['state', 'conv_state'] of that layer",
                "Capture it first.",
            )
        stored = self.source[site].sel(layer=moment.layer).transpose("prompt", "pos", ...)
        lengths = [int(n) for n in self.source.lengths]
        if len(lengths) not in (1, len(own)):
            raise BadInput(
                f"The source trace has {len(lengths)} prompts, and {len(own)} are running.",
                f"1 or {len(own)}",
                "Capture as many.",
            )
        columns, takes = [], []
        where = [int(p) for p in stored.coords["pos"].values]
        for row in range(len(own)):
            n = lengths[row % len(lengths)]
            at = {p % n: column for column, p in enumerate(where) if -n <= p < n}
            index, length = int(moment.index[row]), int(moment.lengths[row])
            wanted = index - length + n if moment.from_end else index
            wanted = wanted if self.position is None else self.position % n
            takes.append(wanted in at)
            columns.append(at.get(wanted, 0))
        rows = [row % len(lengths) for row in range(len(own))]
        taken = torch.tensor(takes, device=own.device)
        values = torch.as_tensor(stored.values[rows, columns], device=own.device)
        if not bool(torch.isfinite(values[taken]).all()):
            raise NotFinite(
                f"The source's {site} of layer {moment.layer} is not a finite number.",
                "finite numbers",
                "Capture it from a run that is sound.",
            )
        return values, taken


@dataclass(frozen=True)
class SetState(StateChange):
    """Put in a value.

    Args:
        values: per layer, (state_head, d_key, d_value) or with a first axis of prompts; with
            gradients they reach it.
    """

    values: dict[int, Tensor]

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        if moment.layer not in self.values:
            return state
        value = self.values[moment.layer].to(state)
        value = (value if value.dim() == 4 else value[None])[:, list(moment.heads)]
        if value.shape[1:] != state.shape[1:] or len(value) not in (1, len(state)):
            raise BadInput(
                f"The state for layer {moment.layer} is {tuple(value.shape)}.",
                f"{tuple(state.shape[1:])}, heads × keys × values, for each prompt or for all",
                "Check its shape; a family that keeps values × keys has it the other way round.",
            )
        if not bool(torch.isfinite(value).all()):
            raise NotFinite(
                f"The state for layer {moment.layer} is not a finite number.",
                "finite numbers",
                "Check where it comes from.",
            )
        return value.expand_as(state)


@dataclass(frozen=True)
class RewritePair(StateChange):
    """Let a key give another value: S + k^T (v' - k S) / |k|², after which k S = v' exactly.

    Args:
        key: (d_key), or (state_head, d_key) for the heads that are changed: site `state_k`.
        value: (d_value) or (state_head, d_value): site `state_v`.
    """

    key: Tensor
    value: Tensor

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        key = _per_head("key", self.key, state, state.shape[2])
        value = _per_head("value", self.value, state, state.shape[3])
        return rewritten(state, key[..., None, :], value[..., None, :])


@dataclass(frozen=True)
class AddToState(StateChange):
    """Add a value, such as the state that a prompt left, to renew what fades.

    Args:
        values: per layer, as in `SetState`.
    """

    values: dict[int, Tensor]

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        added = SetState(self.values).state(torch.zeros_like(state), moment)
        return state + added


def rewritten(state: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """States in which some keys give other values: the smallest change S + K⁺ (V' − K S) that does
    it; of a single key k^T (v' − k S) / |k|².

    Args:
        state: (…, state_head, d_key, d_value).
        key, value: (…, state_head, key, d_key) and (…, state_head, key, d_value).
    """
    missing = value - key @ state
    if key.shape[-2] == 1:
        return state + key.mT @ missing / key.square().sum(-1, True).clamp(min=1e-30)
    inverse: Tensor = torch.linalg.pinv(key)
    return state + inverse @ missing


@dataclass(frozen=True)
class EraseKey(StateChange):
    """Take out what is stored under a key: S - k^T (k S) / |k|², after which k S = 0.

    Args:
        key: (d_key), or (state_head, d_key) for the heads that are changed: site `state_k`.
    """

    key: Tensor

    def state(self, state: Tensor, moment: Moment) -> Tensor:
        nothing = state.new_zeros(state.shape[3])
        return RewritePair(self.key, nothing).state(state, moment)


def _check_same(values: Tensor, own: Tensor, site: str, layer: int) -> None:
    """Raises BadInput where another model's values do not fit."""
    if values.shape != own.shape:
        raise BadInput(
            f"The source's {site} of layer {layer} is {tuple(values.shape[1:])}.",
            f"{tuple(own.shape[1:])}",
            "Take the source from the same model.",
        )


def _per_head(what: str, given: Tensor, state: Tensor, width: int) -> Tensor:
    """A vector for each head, (state_head, width)."""
    given = torch.as_tensor(given).to(state)
    if given.shape not in ((width,), (state.shape[1], width)):
        raise BadInput(
            f"The {what} is {tuple(given.shape)}.",
            f"({width},), or ({state.shape[1]}, {width}) for the heads that are changed",
            "Take it from the site state_k or state_v of the same layer and heads.",
        )
    return given.expand(state.shape[1], width)
