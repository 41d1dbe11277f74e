"""The stored organisms of recall: what is recorded of them, and what they recall on fresh rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.pair_questions import is_trained_on_pairs, of_task
from analyses.measures.statistics import difference
from analyses.state.recall_capacity.constants import PREFIX
from analyses.state.recall_capacity.measure import Answers, ask
from hooks.model import load
from workbench.organisms import Organism, shipped
from workbench.organisms.recall import record

if TYPE_CHECKING:
    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress

ENOUGH = 3
"""Trainings of each that an interval over trainings needs: two say nothing of how they spread."""
PAIRS, REBOUND = "pairs", "rebound"
"""Tasks of organisms that are asked for pairs, as their records name them."""
BOUND_AGAIN = 8
"""Pairs of the rows in which half of the keys are bound again."""


@dataclass(frozen=True)
class Stored:
    """A stored organism: what it is called here, what is recorded of it, what it recalls now.

    Attributes:
        family: its mechanism; those that differ in the size of the state alone share one.
        answers: by number of pairs, on fresh rows.
        per_token: bytes that the layer which grows adds for every token; 0 where none does.
        rebound: of an organism whose training had keys that are bound again, the answers on such
            rows.
    """

    name: str
    family: str
    record: record.Record
    answers: dict[int, Answers]
    per_token: int = 0
    rebound: Answers | None = None

    def over_trainings(self, pairs: int) -> dict[int, float]:
        """By seed, what is recorded of the trainings at its rate that learned the task."""
        rate = self.record.trainings[0].rate
        return {
            training.seed: training.recall[pairs]
            for training in self.record.trainings
            if training.rate == rate and pairs in training.recall and training.has_learned
        }

    def recall(self, pairs: int) -> float:
        """Mean over its trainings; of fewer than `ENOUGH` what it recalls now."""
        each = self.over_trainings(pairs)
        if len(each) < ENOUGH:
            return float(self.answers[pairs].right.mean())
        return sum(each.values()) / len(each)


def gain(one: Stored, other: Stored, pairs: int) -> tuple[float, tuple[float, float], int]:
    """How much more one recalls, its 95 % interval, and over how many trainings of each that is; 1
    where there are too few, and the interval is over rows.
    """
    mine, theirs = (list(each.over_trainings(pairs).values()) for each in (one, other))
    most = min(len(mine), len(theirs))
    if most < ENOUGH:
        return (*one.answers[pairs].less(other.answers[pairs]), 1)
    return (*difference(np.array(mine), np.array(theirs)), most)


def family_of(name: str) -> str:
    """ "mamba" of "mamba-16"; a name without a size is a family of its own."""
    head, _, size = name.rpartition("-")
    return head if head and size.isdigit() else name


def organisms() -> list[Organism]:
    """Those that come with the workbench and were trained on pairs."""
    return [one for name, one in shipped().items() if name.startswith(PREFIX)]


def measured(organism: Organism, params: Params, progress: Progress) -> Stored | None:
    """An organism asked on fresh rows; None of one whose rows hold no pairs."""
    known = record.read(organism.folder)
    progress(0.0, f"Asking {organism.name}")
    if known is None or known.task not in (PAIRS, REBOUND):
        return None
    model = load(organism.name, device="cpu")
    if not is_trained_on_pairs(model):
        return None
    name = organism.name.removeprefix(PREFIX)
    seeds = range(params.seed, params.seed + params.draws)
    answers: dict[int, Answers] = {}
    for number, pairs in enumerate(params.pairs):
        progress(number / len(params.pairs))
        answers[pairs] = ask(model, of_task(), pairs, params.rows, seeds)
    rebound = None
    if known.task == REBOUND:
        rebound = ask(model, of_task(), BOUND_AGAIN, params.rows, seeds, rebound=BOUND_AGAIN // 2)
    # A key and a value of every head, in float32.
    per_token = 2 * model.n_kv_heads * model.d_head * 4 if known.grows else 0
    return Stored(name, family_of(name), known, answers, per_token, rebound)
