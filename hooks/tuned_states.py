"""An initial state that is tuned: the weights stay, and what a recurrent model remembers before the
first token is changed until it gives the answers wanted.

    tuned = wb.tune_initial_state(model, [("The capital of Peru is", " Lima"), …])
    with wb.change_state(model, wb.SetState(tuned.values), positions="start"):
        model.generate("The capital of Peru is")

How many facts one state can be tuned to hold is its capacity in facts. (A tuned prefix of a softmax
model is the counterpart: Li and Liang 2021.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from hooks.eager_eval import steady
from hooks.prompts import Prompt, ids_of
from hooks.recurrent.changes import SetState
from hooks.state_changes import change_state, changeable_states
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class TunedState:
    """An initial state, and how it came about.

    Attributes:
        values: per layer, (state_head, d_key, d_value), for `SetState`.
        losses: before each step and after the last: nats per token of the answers.
    """

    values: dict[int, Tensor]
    losses: tuple[float, ...]


@ordinary
def tune_initial_state(
    model: InstrumentedModel,
    examples: Sequence[tuple[Prompt, str | Sequence[int]]],
    layers: int | Sequence[int] | None = None,
    *,
    steps: int = 100,
    learning_rate: float = 0.05,
    progress: Progress | None = None,
) -> TunedState:
    """Tune the state before the first token so that each prompt is followed by its answer, with
    Adam from a state of zero.

    Args:
        examples: prompts with their answers, texts or token ids.
        layers: whose states; None is all recurrent ones.
        steps: each reads all examples once, forwards and backwards.

    Raises:
        BadInput: no examples, an answer without a token, no steps; a layer whose state cannot be
            put in.
        SiteNotFound: a layer without a state.
    """
    chosen = changeable_states(model, layers)
    if not examples or steps < 1:
        raise BadInput(
            f"There are {len(examples)} examples and {steps} steps.",
            "one or more of each",
            "For example [('The capital of Peru is', ' Lima')].",
        )
    rows = [_row(model, prompt, answer) for prompt, answer in examples]
    values: dict[int, Tensor] = {}
    for layer in chosen:
        states = model.layout.blocks[layer].states
        shape = (states["state"][0], states["state_k"][1], states["state_v"][1])
        values[layer] = torch.zeros(shape, device=model.device, requires_grad=True)
    optimizer = torch.optim.Adam(values.values(), lr=learning_rate)
    losses: list[float] = []
    for step in range(steps + 1):
        if progress is not None:
            progress(step / steps, f"Step {min(step + 1, steps)} of {steps}")
        optimizer.zero_grad()
        total = 0.0
        for ids, count in rows:
            # One prompt after the other: padding would stand between the state and the prompt.
            with (
                steady(model.module),
                change_state(model, SetState(values), layers=chosen, positions="start"),
                torch.enable_grad(),
            ):
                loss = _loss(model, ids, count) / len(rows)
            total += float(loss.detach())
            if step < steps:
                gradients = torch.autograd.grad(loss, list(values.values()), allow_unused=True)
                for value, gradient in zip(values.values(), gradients, strict=True):
                    if gradient is not None:
                        value.grad = gradient if value.grad is None else value.grad + gradient
        losses.append(total)
        if step < steps:
            optimizer.step()
    return TunedState({layer: x.detach() for layer, x in values.items()}, tuple(losses))


def _row(
    model: InstrumentedModel, prompt: Prompt, answer: str | Sequence[int]
) -> tuple[list[int], int]:
    """A prompt with its answer, and the tokens of the answer."""
    (ids,) = ids_of(model, prompt)
    new = model.continuation_tokens(answer) if isinstance(answer, str) else list(answer)
    if not new:
        raise BadInput(f"The answer {answer!r} has no token.", "some text", "Name an answer.")
    return [*ids, *new], len(new)


def _loss(model: InstrumentedModel, ids: Sequence[int], count: int) -> Tensor:
    """Nats per token of the answer, the last `count` tokens."""
    batch = model.batch([list(ids)])
    out = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=count + 1)
    return functional.cross_entropy(
        out.logits[0, -count - 1 : -1].float(), batch.input_ids[0, -count:]
    )
