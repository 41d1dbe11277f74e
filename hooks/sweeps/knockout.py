"""Attention knockout: the last token of a prompt does not see some others in a window of layers
(Geva et al. 2023).

Nothing but the last token's stream changes, so every variant is the decoding of one token over the
prompt's recorded keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hooks.sweeps.batched_forward import Edit
from hooks.sweeps.watched_walk import WatchedWalk
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from hooks.layer_replay import RecordedSuffix
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TOGETHER = 64  # prompts of one walk


@dataclass(frozen=True)
class KnockedOut:
    """What blocking attention gives.

    Attributes:
        before: the probability of each prompt's target, (prompt,).
        after: the same with a span blocked in the window around a layer, (prompt, span, layer); as
            before where a prompt has no such tokens.
        layers: the layers that windows stand around.
        error: how far the controls' logits are from the model's own.
    """

    before: Float[Tensor, " prompt"]
    after: Float[Tensor, "prompt span layer"]
    layers: list[int]
    error: float


def attention_layers(model: InstrumentedModel) -> list[int]:
    """The layers in which attention can be blocked."""
    return [
        layer for layer, block in enumerate(model.layout.blocks) if block.attention_call is not None
    ]


@torch.no_grad()
def knock_out(
    model: InstrumentedModel,
    prompts: Sequence[Sequence[int]],
    targets: Sequence[int],
    spans: Sequence[Mapping[str, Sequence[int]]],
    *,
    window: int = 1,
    progress: Progress | None = None,
) -> KnockedOut:
    """The probability of each target while the last token does not see a span of its prompt.

    Scores from the last token to the span are minus infinity, in all heads of all layers of the
    window; what other tokens see stays as it is. Exact: as one pass with hooks each.

    Args:
        prompts: token ids.
        targets: one token id per prompt.
        spans: per prompt, positions by name; the same names for all. A name may have no positions
            in a prompt, which then changes nothing.
        window: so many layers at once, clipped at both ends.

    Raises:
        BadInput: no prompts, positions that are not there, or a window of no layers.
        Unfit: the model has no attention that can be reached.
    """
    layers = attention_layers(model)
    if not layers:
        raise Unfit(
            f"{model.card.name} has no attention whose scores can be reached.",
            "layers of attention",
            "Trace what its layers write instead.",
        )
    _check(prompts, spans, window)
    names = list(spans[0])
    job = WatchedWalk(model, targets, prompts)
    before = torch.full((len(prompts),), float("nan"), dtype=torch.float32)
    after = torch.full((len(prompts), len(names), len(layers)), float("nan"), dtype=torch.float32)
    groups = list(_groups(model, prompts))
    for n, group in enumerate(groups):

        def report(at: float = n / len(groups)) -> None:
            if progress is not None:
                progress(at, f"Attention blocked in {len(prompts)} prompts")

        batch = model.batch([list(prompts[i]) for i in group])
        width = batch.input_ids.shape[1]
        blocked = torch.zeros(len(names), len(group), width, dtype=torch.bool)
        for column, i in enumerate(group):
            shift = width - len(prompts[i])
            for row, name in enumerate(names):
                blocked[row, column, [shift + pos for pos in spans[i][name]]] = True
        own, changed = job.run(
            batch, group, width - 1, _edits(layers, window, blocked), calls=True, report=report
        )
        changed = changed.unflatten(0, (len(layers), len(names)))
        same = ~blocked.any(-1).expand(len(layers), -1, -1)
        changed[same] = own.expand_as(changed)[same]
        before[group] = own
        after[group] = changed.permute(2, 1, 0)
    job.note()
    return KnockedOut(before, after, layers, job.error)


def _edits(
    layers: Sequence[int], window: int, blocked: Bool[Tensor, "span prompt key"]
) -> Callable[[RecordedSuffix], list[Edit]]:
    """One edit for each window, of one variant for each span."""
    minus = torch.tensor(float("-inf"))

    def make(suffix: RecordedSuffix) -> list[Edit]:
        made = []
        for centre in layers:
            low = centre - window // 2
            first, *others = [layer for layer in layers if low <= layer < low + window]
            later = dict.fromkeys(others, ("attn_scores", minus))
            made.append(Edit("attn_scores", first, minus, blocked, None, len(blocked), later=later))
        return made

    return make


def _groups(model: InstrumentedModel, prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    yield from model.batch_indices([len(prompt) for prompt in prompts], _TOGETHER)


def _check(
    prompts: Sequence[Sequence[int]], spans: Sequence[Mapping[str, Sequence[int]]], window: int
) -> None:
    if not prompts or len(spans) != len(prompts) or not spans[0]:
        raise BadInput(
            f"There are {len(prompts)} prompts and spans of {len(spans)}.",
            "one or more prompts, each with the same named spans",
            "Name the positions of each prompt.",
        )
    if window < 1:
        raise BadInput(f"A window of {window} layers blocks nothing.", "1 or more", "Widen it.")
    for prompt, named in zip(prompts, spans, strict=True):
        if list(named) != list(spans[0]):
            raise BadInput(
                f"Prompts have different spans: {list(spans[0])} and {list(named)}.",
                "the same names for all; a span may be empty",
                "Name them all.",
            )
        wrong = [pos for each in named.values() for pos in each if not 0 <= pos < len(prompt)]
        if wrong:
            raise BadInput(
                f"A prompt of {len(prompt)} tokens has no position {wrong[0]}.",
                f"0 to {len(prompt) - 1}",
                "Choose others.",
            )
