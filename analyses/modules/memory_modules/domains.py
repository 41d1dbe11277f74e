"""Whether a gate tells domains apart: how far it opens for each expert or adapter where the answers
of texts of each domain are said, and which domain's answers are lost without one of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.statistics import auc, rate_interval
from analyses.modules.memory_modules.constants import (
    EVERY_SLOT,
    OF_DOMAIN,
    RANDOM_SLOT,
    SOME_SLOT,
    WHOLE,
)
from analyses.modules.memory_modules.fact_slots import by_rows
from hooks.memory_modules import masked, recorded
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.capability_prompts import CapabilityPrompt, CapabilitySet
    from analyses.modules.memory_modules.fact_slots import Memories
    from hooks.memory_modules import MemoryRecord
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_AT_ONCE = 32
BY_LOT = 4
"""Random slots that are masked where there are too many to mask each."""


@dataclass(frozen=True)
class Opened:
    """How far the gates open for the texts of one domain: (text, slot of all memories), the mean
    weight over the tokens that say the answer.
    """

    domain: str
    choosing: np.ndarray
    held_out: np.ndarray


def read_domains(
    model: InstrumentedModel,
    memories: Memories,
    sets: Sequence[CapabilitySet],
    seed: int,
    progress: Progress,
) -> dict[str, pd.DataFrame]:
    """Tables by name: domain_reads, domain_told, domain_masked."""
    looked, asked = progress.subprogress(0, 0.3), progress.subprogress(0.3, 1)
    opened = []
    for number, one in enumerate(sets):
        looked(number / len(sets), f"Looking what texts of {one.name} read")
        sides = [_weights(model, memories, texts) for texts in (one.choosing, one.held_out)]
        opened.append(Opened(one.name, *sides))
    told = domain_separation(memories, opened)
    return {
        "domain_reads": _reads(memories, opened),
        "domain_told": told,
        "domain_masked": _without_slots(model, memories, sets, told, seed, asked),
    }


def _batches(texts: Sequence[CapabilityPrompt]) -> Iterator[list[int]]:
    """Numbers of texts of one length and one length of answer, so that nothing is padded."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, text in enumerate(texts):
        alike.setdefault((len(text.ids), text.answer), []).append(number)
    for numbers in alike.values():
        for start in range(0, len(numbers), _AT_ONCE):
            yield numbers[start : start + _AT_ONCE]


def _logits(
    model: InstrumentedModel, texts: Sequence[CapabilityPrompt]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits where the answers are said, the answers) of texts of one length."""
    ids = torch.tensor([text.ids for text in texts], device=model.device)
    answer = texts[0].answer
    logits = model.forward(input_ids=ids, use_cache=False).logits
    return logits[:, -answer - 1 : -1], ids[:, -answer:]


def _weights(
    model: InstrumentedModel, memories: Memories, texts: Sequence[CapabilityPrompt]
) -> np.ndarray:
    found = np.zeros((len(texts), memories.total))
    for numbers in _batches(texts):
        some = [texts[n] for n in numbers]
        with recorded(memories.places) as calls:
            _logits(model, some)
        by_place = {id(call.place): call for call in calls}
        parts = [_opened(by_place[id(place)], len(some)) for place in memories.places]
        at = slice(-some[0].answer - 1, -1)
        found[numbers] = np.concatenate([part[:, at].mean(1) for part in parts], 1)
    return found


def _opened(call: MemoryRecord, rows: int) -> np.ndarray:
    """The weight of each slot at each token, all heads together: (row, pos, slot)."""
    weight = by_rows(call.reads.gated.abs(), rows).float().cpu()
    if call.reads.index is None:
        return weight.sum(2).numpy()
    index = by_rows(call.reads.index, rows).cpu()
    table = torch.zeros(*weight.shape[:2], call.slots.count)
    return table.scatter_add_(2, index.flatten(2), weight.flatten(2)).numpy()


def _reads(memories: Memories, opened: Sequence[Opened]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (memories.called(slot), one.domain, float(one.held_out[:, slot].mean()), len(one.held_out))
        for slot in range(memories.total)
        for one in opened
    ]
    return pd.DataFrame(rows, columns=["slot", "domain", "weight", "n"])


def domain_separation(memories: Memories, opened: Sequence[Opened]) -> pd.DataFrame:
    """For each domain the slot whose weight tells its texts from all others best, as some texts
    choose it, and how well it does on the others: columns domain, number, slot, auc, low, high,
    any_slot (the median of all slots), n.
    """
    import pandas as pd

    rows = []
    for one in opened:
        rest = [other for other in opened if other is not one]
        before = [_auc(one.choosing, [o.choosing for o in rest], s) for s in range(memories.total)]
        after = [_auc(one.held_out, [o.held_out for o in rest], s) for s in range(memories.total)]
        best = int(np.argmax([value for value, *_ in before]))
        middle = float(np.median([value for value, *_ in after]))
        n = len(one.held_out) + sum(len(other.held_out) for other in rest)
        rows.append((one.domain, best, memories.called(best), *after[best], middle, n))
    columns = ["domain", "number", "slot", "auc", "low", "high", "any_slot", "n"]
    return pd.DataFrame(rows, columns=columns)


def _auc(own: np.ndarray, others: list[np.ndarray], slot: int) -> tuple[float, float, float]:
    return auc(own[:, slot], np.concatenate([other[:, slot] for other in others]))


def _without_slots(
    model: InstrumentedModel,
    memories: Memories,
    sets: Sequence[CapabilitySet],
    told: pd.DataFrame,
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """Of each domain the share of answer tokens that are the likeliest, as it is and without some
    slots: columns masked, kind, domain, right, low, high, n (texts).
    """
    import pandas as pd

    arms = [(WHOLE, WHOLE, -1), *_arms(memories, told, seed)]
    rows = []
    for number, (name, kind, slot) in enumerate(arms):
        progress(number / len(arms), f"Masking {name}" if slot >= 0 else "Asking")
        with _without(memories, slot):
            for one in sets:
                hits, groups = _right(model, one.held_out)
                low, high = rate_interval(hits, groups)
                rows.append(
                    (name, kind, one.name, float(hits.mean()), low, high, len(one.held_out))
                )
    columns = ["masked", "kind", "domain", "right", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _arms(memories: Memories, told: pd.DataFrame, seed: int) -> list[tuple[str, str, int]]:
    """Name, kind and number of each slot that is masked: the one that tells each domain, and all
    others or some by lot.
    """
    best = list(zip(told["domain"], told["number"].astype(int), strict=True))
    others = [slot for slot in range(memories.total) if slot not in set(told["number"])]
    kind = SOME_SLOT
    if memories.total > EVERY_SLOT:
        others, kind = sorted(random.Random(seed).sample(others, BY_LOT)), RANDOM_SLOT
    return [
        *((memories.called(slot), OF_DOMAIN.format(domain), slot) for domain, slot in best),
        *((memories.called(slot), kind, slot) for slot in others),
    ]


@reentrant
def _without(memories: Memories, slot: int) -> Iterator[None]:
    """Inside, a slot brings nothing; −1 masks none."""
    if slot < 0:
        yield
        return
    place, number = memories.place_of(slot)
    with masked(place, [number]):
        yield


def _right(
    model: InstrumentedModel, texts: Sequence[CapabilityPrompt]
) -> tuple[np.ndarray, np.ndarray]:
    """(whether each answer token is the likeliest, the number of its text)."""
    hits, groups = [], []
    for numbers in _batches(texts):
        logits, answers = _logits(model, [texts[n] for n in numbers])
        right = (logits.argmax(-1) == answers).cpu().numpy()
        hits.append(right.ravel())
        groups.append(np.repeat(numbers, right.shape[1]))
    return np.concatenate(hits).astype(float), np.concatenate(groups)
