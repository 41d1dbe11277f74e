"""What memory modules give to the answer: the slots that it reads masked, beside as many others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance.constants import PARTS_AT_RANDOM
from hooks.memory_modules import MemoryPlace, all_masked, memory_places, recorded
from hooks.memory_modules.lora import LORA
from hooks.prompt_changes import PromptChange, read_answer

if TYPE_CHECKING:
    from analyses.prompt.provenance.design import Cells, Setting
    from hooks.model import InstrumentedModel

Slots = list[list[int]]
"""Numbers of slots, for each memory."""


def memories_of(model: InstrumentedModel) -> list[MemoryPlace]:
    """Memories whose slots hold something: neither experts nor adapters, which are functions."""
    return [
        place
        for place in memory_places(model)
        if place.adapter is not LORA and place.slots().space != "function"
    ]


def with_slots(
    model: InstrumentedModel, setting: Setting, answer: Sequence[int], cells: Cells, seed: int
) -> Cells:
    """The cells with those in which the slots that the answer reads bring nothing, under each
    context; as they are in a model without memory modules. Beside them as many other slots, drawn
    among those that some token of the prompt reads.
    """
    places = memories_of(model)
    if not places:
        return cells
    ids, draw = setting.asked.ids, random.Random(seed)
    contexts = [(), *setting.contexts] if cells.has_context else list(setting.contexts)
    whole = [*([cells.given] if cells.has_context else []), *cells.neutral]
    masked: list[np.ndarray] = []
    others: list[np.ndarray] = []
    for context in contexts:
        prompt = PromptChange(context).ids(ids)
        at_end, anywhere = _read(model, places, prompt, answer)
        masked.append(_logp(model, places, at_end, prompt, answer))
        for _ in range(PARTS_AT_RANDOM if len(others) < 2 * PARTS_AT_RANDOM else 0):
            drawn = [
                draw.sample(rest := sorted(set(all_) - set(own)), min(len(own), len(rest)))
                for own, all_ in zip(at_end, anywhere, strict=True)
            ]
            others.append(whole[len(masked) - 1] - _logp(model, places, drawn, prompt, answer))
    given = masked.pop(0) if cells.has_context else None
    return replace(
        cells, given_masked=given, neutral_masked=np.array(masked), of_slots=np.array(others)
    )


def _read(
    model: InstrumentedModel, places: list[MemoryPlace], prompt: list[int], answer: Sequence[int]
) -> tuple[Slots, Slots]:
    """The slots that the answer reads (at the prompt's last token and its own), and those that any
    token reads.
    """
    ends: list[set[int]] = [set() for _ in places]
    every: list[set[int]] = [set() for _ in places]
    with recorded(places) as calls:
        model.next_logits([[*prompt, *answer[:-1]]])
    for call in calls:
        n, reads = places.index(call.place), call.reads
        used = reads.gated.abs() > 0
        for found, where in ((ends, slice(len(prompt) - 1, None)), (every, slice(None))):
            weights = used[:, where]
            if reads.index is None:
                found[n] |= set(weights.flatten(0, 2).any(0).nonzero()[:, 0].tolist())
            else:
                found[n] |= set(reads.index[:, where][weights].tolist())
    return [sorted(each) for each in ends], [sorted(each) for each in every]


def _logp(
    model: InstrumentedModel,
    places: list[MemoryPlace],
    slots: Slots,
    prompt: list[int],
    answer: Sequence[int],
) -> np.ndarray:
    """Log-probability of each token of the answer with these slots masked, (token,)."""
    with all_masked(places, slots):
        logp: np.ndarray = read_answer(model, prompt, answer, [PromptChange()]).logp[0].numpy()
    return logp.astype(float)
