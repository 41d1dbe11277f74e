"""Copyright traps: sequences that nobody would write, put into a text so that it shows whether a
model was trained on it (Meeus et al. 2024, 2402.09363).

A trap is sampled from the model itself, so that its perplexity can be chosen by the temperature.
Half of the sequences are put into prose at random places, so many times; the other half, dealt by
lot from the same cell of length and perplexity, are read by nobody. A copy of the model reads the
prose once. What tells the two apart is how much likelier a sequence became: the ratio of
perplexities, before over after, with the untouched model as reference.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.statistics import auc
from analyses.measures.vocabulary import printable, reads_back
from analyses.measures.windows import Window
from hooks.generation import continued
from hooks.mixed_weights import put_back
from workbench.errors import BadInput
from workbench.lab import Stage, run_stages
from workbench.lab.neutral import neutral_pieces

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

LENGTHS = (12, 24, 48)
"""Tokens of a trap."""
REPEATS = (1, 4, 16)
"""How often a trap is put in."""
LOW, HIGH = "low", "high"
"""Perplexity of a trap, below or above the middle of its length."""
_TEMPERATURES = (0.7, 1.0, 1.4)
_TRIES = 4  # rounds of sampling until a cell must be full
_ALIKE = 0.5  # Jaccard overlap of tokens above which a sequence is a near duplicate of another
_HOST = 48  # tokens of prose around a trap
_BATCH = 8  # rows of an update
_TOGETHER = 64  # sequences that are sampled at once
_FOLDS = 5

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Trap:
    """One sequence.

    Attributes:
        repeats: how often it was put in; 0 for those that nobody read.
        perplexity: of the model before, per token.
        level: `LOW` or `HIGH`.
    """

    ids: Ids
    repeats: int
    perplexity: float
    level: str

    @property
    def length(self) -> int:
        return len(self.ids)


def draw_traps(
    model: InstrumentedModel, each: int, seed: int, report: Callable[[float, str], None]
) -> list[Trap]:
    """`each` members for every cell of length, perplexity and repeats, and as many others for every
    cell of length and perplexity.

    Raises:
        BadInput: the model does not say enough different sequences.
    """
    traps: list[Trap] = []
    lot = random.Random(f"{seed} traps")
    need = 2 * each * (len(REPEATS) + 1)
    for number, length in enumerate(LENGTHS):

        def part(fraction: float, says: str, number: int = number) -> None:
            report((number + fraction) / len(LENGTHS), says)

        found = _sampled(model, length, need, seed, part)
        logprob = mean_logprobs(model, found, part)
        order = np.argsort(-logprob, kind="stable")  # the likeliest first
        for level, half in zip((LOW, HIGH), np.array_split(order, 2), strict=True):
            dealt = list(half)
            lot.shuffle(dealt)
            for at, index in enumerate(dealt):
                cell = at // each
                repeats = (0, *REPEATS)[min(cell, len(REPEATS))]
                perplexity = float(np.exp(-logprob[index]))
                traps.append(Trap(found[index], repeats, perplexity, level))
    return traps


def _sampled(
    model: InstrumentedModel,
    length: int,
    need: int,
    seed: int,
    report: Callable[[float, str], None],
) -> list[Ids]:
    """Different sequences of exactly so many tokens whose text is read as these tokens again."""
    first = np.array(printable(model))
    rng = np.random.default_rng([seed, length])
    beginning = list(model.text.beginning)
    found: dict[Ids, set[int]] = {}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for _ in range(_TRIES):
            for temperature in _TEMPERATURES:
                starts = rng.choice(first, -(-need // len(_TEMPERATURES)))
                for at in range(0, len(starts), _TOGETHER):
                    some = starts[at : at + _TOGETHER]
                    done = min(1.0, len(found) / need)
                    report(0.8 * done, f"Sampling traps of {length} tokens, {done:.0%}")
                    ids = torch.tensor([[*beginning, int(i)] for i in some], device=model.device)
                    new = continued(model, ids, length - 1, temperature=temperature, ends=())
                    for start, row in zip(some, new.tolist(), strict=True):
                        trap = (int(start), *row)
                        if reads_back(model, trap) and not _is_alike(set(trap), found.values()):
                            found[trap] = set(trap)
            if len(found) >= need:
                lot = random.Random(f"{seed} {length}")
                return lot.sample(list(found), need)
    raise BadInput(
        f"{model.card.name} says only {len(found)} different sequences of {length} tokens that are"
        " read as these tokens again.",
        f"{need} of them",
        "Ask for fewer traps, or choose another model.",
    )


def _is_alike(one: set[int], others: Iterable[set[int]]) -> bool:
    """Whether it is a near duplicate of any other."""
    return any(len(one & other) > _ALIKE * len(one | other) for other in others)


def mean_logprobs(
    model: InstrumentedModel,
    sequences: Sequence[Ids],
    report: Callable[[float, str], None] = lambda fraction, says: None,
) -> np.ndarray:
    """Mean ln p of the tokens of each, all but the first, (sequence,)."""
    beginning = tuple(model.text.beginning)
    windows = [Window(n, 0, beginning, ids[:1], ids[1:]) for n, ids in enumerate(sequences)]
    scores = score(model, windows, Sampler(temperature=1), progress=report)
    lengths = np.array([len(ids) - 1 for ids in sequences])
    found: np.ndarray = np.nansum(scores.logprob, 1, dtype=np.float64) / lengths
    return found


def rows_with_traps(model: InstrumentedModel, traps: Sequence[Trap], seed: int) -> list[list[int]]:
    """Prose with one trap in each row, at a place by lot; a trap as often as it says, in an order
    by lot.
    """
    lot = random.Random(f"{seed} places")
    prose = neutral_pieces(model.tokenizer, _HOST, lot, "train")
    put_in = [trap for trap in traps for _ in range(trap.repeats)]
    lot.shuffle(put_in)
    rows = []
    for trap in put_in:
        host = next(prose)
        at = lot.randint(0, len(host))
        rows.append([*model.text.beginning, *host[:at], *trap.ids, *host[at:]])
    return rows


def planted_logprobs(
    model: InstrumentedModel, traps: Sequence[Trap], rate: float, seed: int, progress: Progress
) -> np.ndarray:
    """Mean ln p of each trap after a copy of the model has read the prose once, (trap,).

    The model is put back bit for bit.
    """
    rows = rows_with_traps(model, traps, seed)
    steps = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    with put_back(list(model.module.parameters())):
        stage = Stage("Reading prose with traps", steps, rate)
        run_stages(model.module, [stage], seed=seed, progress=progress.subprogress(0, 0.9))
        ids = [trap.ids for trap in traps]
        return mean_logprobs(model, ids, progress.subprogress(0.9, 1))


def blind_auc(traps: Sequence[Trap], seed: int) -> tuple[float, float, float]:
    """(AUC, low, high) of a classifier that never asks the model: naive Bayes on which tokens stand
    in a sequence, tried on folds that did not train it. Away from .5, members and others differ by
    themselves, and no score means anything.
    """
    lot = random.Random(f"{seed} folds")
    order = list(range(len(traps)))
    lot.shuffle(order)
    margins = np.zeros(len(traps))
    for fold in range(_FOLDS):
        test = order[fold::_FOLDS]
        train = [n for at, n in enumerate(order) if at % _FOLDS != fold]
        counts = {
            member: Counter(t for n in train if (traps[n].repeats > 0) == member
                            for t in set(traps[n].ids))
            for member in (True, False)
        }  # fmt: skip
        sizes = {member: sum((traps[n].repeats > 0) == member for n in train) for member in counts}
        for n in test:
            margins[n] = sum(
                np.log((counts[True][t] + 1) / (sizes[True] + 2))
                - np.log((counts[False][t] + 1) / (sizes[False] + 2))
                for t in set(traps[n].ids)
            )
    is_member = np.array([trap.repeats > 0 for trap in traps])
    return auc(margins[is_member], margins[~is_member])
