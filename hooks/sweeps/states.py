"""Sweeps over recurrent states: what each layer's state, or each head of it, holds after each token
that what is read at the end depends on.

A prompt is read token by token once. After a token its memory is copied, once for each component,
each copy gets another state (with the inputs of the layer's convolution, where all heads are
changed), and all copies read the rest of the prompt side by side. Nothing before that token is read
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hooks.layer_replay import check_same
from hooks.rounding import note
from hooks.states import RecurrentStepper, mixers_of, stepping
from hooks.sweeps.change import Change, Patch, Zero
from hooks.sweeps.runner import SweepJob
from workbench.errors import BadInput

COPIES = 64
"""Components whose copies of the memory read on side by side."""


@dataclass(frozen=True)
class StateSource:
    """What states are set to: those of other prompts (`Patch`), or nothing (`Zero`).

    Attributes:
        ids: of the prompts that states are taken from, one for each prompt or one for all.
    """

    change: Change
    ids: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.change, Patch | Zero):
            raise BadInput(
                f"A sweep over states does not know the change {self.change.name!r}.",
                "wb.Patch(source), or 'zero', which wipes them",
                "Choose one of those.",
            )


@dataclass
class StateJob(SweepJob):
    """A sweep over states: `effects`, `before`, `source` and the control as in other sweeps."""

    sources: Sequence[StateSource] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        return [each.change for each in self.sources]

    def run(self) -> StateJob:
        if not self.readout.reads_prompt_end:
            raise BadInput(
                f"{self.readout.read.name!r} is read at every token, which sweeps of states do"
                " not.",
                "a read of the next token",
                "Choose another read.",
            )
        for prompt in range(len(self.ids)):
            self._one_prompt(prompt)
        note(self.model, self.compared())
        return self

    @torch.no_grad()
    def _one_prompt(self, prompt: int) -> None:
        ids = self.ids[prompt]
        own = self.model.next_logits([list(ids)])
        self._write_before(prompt, own)
        changed = [self._memories(source, prompt) for source in self.sources]
        by_position: dict[int, list[int]] = {}
        for i in sorted(range(len(self.components)), key=self._place):
            position = self.components[i].position
            assert position is not None
            if position < len(ids):
                by_position.setdefault(position, []).append(i)
        with stepping(self.model.module, mixers_of(self.model), len(ids)) as stepper:
            for position, token in enumerate(ids[: max(by_position, default=-1) + 1]):
                stepper.feed(token)
                numbers = by_position.get(position, [])
                if not numbers:
                    continue
                if position == len(ids) - 1:  # what follows the last token is not read
                    self.effects[numbers, prompt] = 0.0
                    continue
                memory = stepper.memory()
                for start in range(0, len(numbers), COPIES):
                    part = numbers[start : start + COPIES]
                    stepper.set_memory(memory, len(part) + 1)
                    for copy, i in enumerate(part, 1):
                        self._put(stepper, copy, i, changed, len(ids))
                    logits = torch.empty(0)
                    for later in ids[position + 1 :]:
                        logits = stepper.feed_copies(later)
                    self._write_effects(prompt, part, logits.float(), own)
                stepper.set_memory(memory)

    def _place(self, i: int) -> tuple[int, int]:
        return self.components[i].position or 0, i

    def _memories(self, source: StateSource, prompt: int) -> dict[tuple[int, int], _Held]:
        """What the source's layers hold, by layer and position; of a wiping, nothing."""
        if not source.ids:
            return {}
        ids = source.ids[prompt % len(source.ids)]
        layers = sorted({each.layer for each in self.components})
        held: dict[tuple[int, int], _Held] = {}
        with stepping(self.model.module, mixers_of(self.model), len(ids)) as stepper:
            for position, token in enumerate(ids):
                logits = stepper.feed(token)
                for layer in layers:
                    state = stepper.state(layer)
                    assert state is not None
                    held[layer, position] = _Held(state, stepper.conv_state(layer))
        change = next(i for i, each in enumerate(self.sources) if each is source)
        if self.source is not None:
            self.source[prompt, change] = self.readout.of_logits(
                logits[None].float(), prompt, self.model.next_logits([list(self.ids[prompt])])
            )[0].cpu()
        return held

    def _put(
        self,
        stepper: RecurrentStepper,
        copy: int,
        i: int,
        changed: Sequence[dict[tuple[int, int], _Held]],
        length: int,
    ) -> None:
        """Write what a component is set to into a copy of the memory."""
        component = self.components[i]
        source, memories = self.sources[component.change], changed[component.change]
        assert component.position is not None
        own = stepper.state(component.layer)
        assert own is not None
        if not source.ids:
            held = _Held(torch.zeros_like(own), stepper.conv_state(component.layer))
            held = _Held(held.state, None if held.conv is None else torch.zeros_like(held.conv))
        else:
            position = component.position
            if isinstance(source.change, Patch) and source.change.align == "end":
                position += 1 + max(p for _, p in memories) - length
            found = memories.get((component.layer, position))
            if found is None:  # the source has no such position: it keeps its state
                return
            held = found
        heads = range(len(own)) if component.unit is None else [component.unit]
        stepper.set_heads(component.layer, copy, held.state, heads)
        if component.unit is None and held.conv is not None:
            stepper.set_convolution(component.layer, copy, held.conv)

    def _write_before(self, prompt: int, own: Tensor) -> None:
        before = self.readout.of_logits(own, prompt, own)[0].cpu()
        if not len(self.before):
            nothing = float("nan")
            self.before = torch.full((len(self.ids), len(before)), nothing, dtype=torch.float32)
            self.effects = torch.full((len(self.components), *self.before.shape), nothing)
            if any(each.ids for each in self.sources):
                shape = (len(self.ids), len(self.sources), len(before))
                self.source = torch.full(shape, nothing, dtype=torch.float32)
        self.before[prompt] = before

    def _write_effects(self, prompt: int, part: Sequence[int], logits: Tensor, own: Tensor) -> None:
        """The first copy is the control, which nothing was put into."""
        self.error = max(self.error, check_same(logits[:1], own, self.model))
        after = self.readout.of_logits(logits, prompt, own).cpu() - self.before[prompt]
        self.moved = torch.maximum(self.moved, after[0].abs())
        self.effects[list(part), prompt] = after[1:]


@dataclass(frozen=True)
class _Held:
    state: Tensor
    conv: Tensor | None
