"""Changing what recurrent layers remember while the model runs.

    with wb.change_state(model, wb.WipeState(), positions=[20]):
        model.generate(prompt)                          # token 21 finds an empty memory
    with wb.change_state(model, wb.PatchState(trace), layers=3, heads=[1], positions=[-1]): …
    with wb.change_state(model, wb.SetState({0: state}), positions="start"): …

A change happens *after* the named tokens have been read and have read the state themselves; the
tokens that follow find the changed state, in one pass over a prompt and in `generate` alike. The
kernel is computed anew from its arguments, in pieces, only where a state really changes: putting in
what is there changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from hooks import sites
from hooks.eager_eval import running
from hooks.positions import PositionTracker, track_positions
from hooks.recurrent.changes import Moment, StateChange
from hooks.recurrent.changing import changing
from hooks.recurrent.families import KernelCall
from hooks.recurrent.interception import intercept, intercept_convolutions
from hooks.recurrent.scan import read_out
from hooks.states import conv_state_in, mixers_of
from workbench.errors import BadInput
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel

WhichTokens = Sequence[int] | Literal["start"] | None


@reentrant
def change_state(
    model: InstrumentedModel,
    change: StateChange,
    *,
    layers: int | Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    positions: WhichTokens = None,
) -> Iterator[None]:
    """Change the states of recurrent layers after some tokens.

    The state of the layer's short convolution goes with the state where all heads are changed, and
    the change says what becomes of it (`WipeState`, `PatchState`).

    Args:
        change: `WipeState`, `FreezeState`, `PatchState`, `SetState`, `AddToState`, `EraseKey`,
            `RewritePair`.
        layers: None is all recurrent ones.
        heads: state heads; None is all.
        positions: after which tokens, as in other interventions (0 is a prompt's first token, -1
            its last); "start" is before the first; None is after every token, generated ones too.
            With `FreezeState` these are the tokens that leave the state as it is.

    Raises:
        SiteNotFound: a layer without a state.
        BadInput: a head that a layer does not have; a family whose states cannot be changed.
    """
    if positions == "start" and change.freezes:
        raise BadInput(
            "Before the first token there is nothing to hold still.",
            "positions of tokens, or None for all",
            "Name the tokens that leave the state as it is.",
        )
    edit = _Edit(model, change, changeable_states(model, layers), heads, positions)
    with ExitStack() as stack:
        stack.enter_context(running(model.module))
        stack.enter_context(changing(model.module))
        edit.tracker = stack.enter_context(track_positions(model))
        mixers = {layer: mixer for layer, mixer in mixers_of(model).items() if layer in edit.layers}
        stack.enter_context(intercept(mixers, edit.kernel))
        if heads is None:
            stack.enter_context(intercept_convolutions(mixers, edit.convolution))
            for layer, mixer in mixers.items():
                stack.callback(_after(mixer, edit, layer).remove)
        yield


def changeable_states(model: InstrumentedModel, layers: int | Sequence[int] | None) -> list[int]:
    """Recurrent layers whose states can be changed; None is all.

    Raises:
        SiteNotFound, BadInput: a layer without a state, or whose state cannot be put in.
    """
    places = sites.resolve(model.layout, "state", layers, model.card.name)
    numbers = [place.layer for place in places if place.layer is not None]
    for layer in numbers:
        if model.layout.blocks[layer].divides_state:
            raise BadInput(
                f"The state of layer {layer} of {model.card.name} is divided by a sum that it"
                " keeps beside it, so that a state alone cannot be put in.",
                "a family whose state is all that its kernel keeps",
                "Change mixer_out or a residual site instead.",
            )
        if "state" not in model.layout.blocks[layer].parallel_states:
            raise BadInput(
                f"The state of layer {layer} of {model.card.name} can be captured but not changed:"
                " its kernel keeps more beside it than the workbench can set.",
                "a layer whose kernel's arguments say its state",
                "Change mixer_out or a residual site instead.",
            )
    return numbers


def _after(mixer: nn.Module, edit: _Edit, layer: int) -> Any:
    def write(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> None:
        edit.write_conv_state(mixer, layer, [*args, *kwargs.values()])

    return mixer.register_forward_hook(write, with_kwargs=True)


@dataclass
class _Edit:
    model: InstrumentedModel
    change: StateChange
    layers: list[int]
    heads: Sequence[int] | None
    positions: WhichTokens
    tracker: PositionTracker | None = None

    def __post_init__(self) -> None:
        self._convolved: dict[int, Tensor] = {}
        for layer in self.layers:
            count = self.model.layout.blocks[layer].states["state"][0]
            if self.heads is not None and (
                not len(self.heads) or any(not 0 <= head < count for head in self.heads)
            ):
                raise BadInput(
                    f"Layer {layer} has no such state heads: {list(self.heads)}.",
                    f"some of 0 to {count - 1}",
                    "Choose heads in that range.",
                )

    def kernel(self, layer: int, call: KernelCall, run: Callable[[], Any]) -> Any:
        """The outcome of a kernel under the change."""
        inputs = call.inputs
        heads = [
            head
            for head in range(call.head, call.head + inputs.v.shape[2])
            if self.heads is None or head in self.heads
        ]
        own = [head - call.head for head in heads]
        marked = self._marked(inputs.v)
        if not heads or not marked.any():
            return run()
        if self.change.freezes:
            where = marked[:, 1:, None].expand(-1, -1, inputs.v.shape[2]).clone()
            where[:, :, [head for head in range(where.shape[2]) if head not in own]] = False
            return call.result(*read_out(inputs.frozen(where)))
        state = inputs.initial
        state = inputs.v.new_zeros(inputs.state_shape) if state is None else state.to(inputs.v)
        outputs: list[Tensor] = []
        changed, done = False, 0
        for boundary in sorted({*_events(marked), inputs.n_tokens}):
            if boundary > done:
                read, state = read_out(inputs.tokens(done, boundary), state)
                outputs.append(read)
                done = boundary
            rows = marked[:, boundary]
            if not rows.any():
                continue
            new = state.clone()
            moment = self._moment(layer, heads, boundary, values_first=inputs.values_first)
            new[:, own] = self.change.state(state[:, own], moment)
            new = torch.where(rows.view(-1, 1, 1, 1), new, state)
            changed |= new.requires_grad or not torch.equal(new, state)
            state = new
        return call.result(torch.cat(outputs, 1), state) if changed else run()

    def convolution(self, layer: int, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        """What a convolution gives where it finds other inputs before some tokens."""
        y = run(x)
        shape = self.model.layout.blocks[layer].states.get("conv_state")
        if shape is None or shape[0] != x.shape[1] or self.change.freezes:
            return y
        self._convolved[layer] = x
        marked = self._marked(x)
        n, taps = marked.shape[1] - 1, shape[1]
        for boundary in _events(marked[:, :n]):
            after = x[..., x.shape[-1] - n + boundary :]
            before, new = self._before(layer, x, boundary, n, taps, marked)
            if torch.equal(before, new):
                continue
            other = run(torch.cat([new, after], -1))[..., taps : taps + after.shape[-1]]
            first = x.shape[-1] - n + boundary
            y = y.clone()
            y[..., first : first + after.shape[-1]] = torch.where(
                marked[:, boundary].view(-1, 1, 1), other, y[..., first : first + after.shape[-1]]
            )
        return y

    def write_conv_state(self, mixer: nn.Module, layer: int, arguments: Sequence[Any]) -> None:
        """Put into the cache what the convolution is to find next."""
        x = self._convolved.pop(layer, None)
        held = conv_state_in(mixer, layer, arguments)
        if held is None or self.change.freezes:
            return
        marked = self._marked(held)
        n, new = marked.shape[1] - 1, held.clone()
        if x is None:  # a single token, whose past is what is held
            moment = self._moment(layer, range(self._count(layer)), n)
            changed = self.change.conv_state(held, moment)
            new = torch.where(marked[:, n].view(-1, 1, 1), changed, new)
        else:
            for boundary in _events(marked):
                _, other = self._before(layer, x, boundary, n, held.shape[-1], marked)
                after = x[..., x.shape[-1] - n + boundary :]
                other = torch.cat([other, after], -1)[..., -held.shape[-1] :]
                new = torch.where(marked[:, boundary].view(-1, 1, 1), other, new)
        if not torch.equal(new, held):
            held.copy_(new)

    def _before(
        self, layer: int, x: Tensor, boundary: int, n: int, taps: int, marked: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The inputs of a convolution before a boundary, (row, channel, tap), and what becomes of
        them.
        """
        before = functional.pad(x[..., : x.shape[-1] - n + boundary], (taps, 0))[..., -taps:]
        moment = self._moment(layer, range(self._count(layer)), boundary)
        new = self.change.conv_state(before, moment)
        return before, torch.where(marked[:, boundary].view(-1, 1, 1), new, before)

    def _count(self, layer: int) -> int:
        return self.model.layout.blocks[layer].states["state"][0]

    def _marked(self, x: Tensor) -> Tensor:
        """Where the change is made, (row, boundary): boundary 0 is before the first token that is
        running, boundary b after the b-th.
        """
        assert self.tracker is not None
        index, _ = self.tracker.text(len(x))
        marked = torch.zeros(len(x), index.shape[1] + 1, dtype=torch.bool)
        if self.positions == "start":
            marked[:, :-1] = (index == 0).cpu()
        elif self.positions is None:
            marked[:, 1:] = (index >= 0).cpu()
        else:
            marked[:, 1:] = self.tracker.mask_at(self.positions, len(x)).cpu()
        return marked.to(x.device)

    def _moment(
        self, layer: int, heads: Sequence[int], boundary: int, *, values_first: bool = False
    ) -> Moment:
        assert self.tracker is not None
        index, lengths = self.tracker.text(len(self.tracker.lengths))
        named = self.positions
        return Moment(
            layer=layer,
            heads=heads,
            index=index[:, boundary - 1] if boundary else torch.full_like(index[:, 0], -1),
            lengths=lengths,
            from_end=not isinstance(named, str) and bool(named) and all(p < 0 for p in named or ()),
            values_first=values_first,
        )


def _events(marked: Tensor) -> list[int]:
    """The boundaries at which some row is changed."""
    return [int(b) for b in marked.any(0).nonzero().flatten()]
