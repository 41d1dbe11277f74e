"""What all parts of a run share: the texts, the facts, and the two sets of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analyses.measures.forgetting_divergence import BasePredictions, RowSet, base_predictions
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.fine_tuning import fine_tune, measured_rows
from analyses.training.forgetting.given_pair import given_pair
from analyses.training.forgetting.old_facts import OldFacts, old_facts
from analyses.training.forgetting.task_texts import (
    TaskText,
    check_apart,
    neutral_rows,
    own_rows,
    row_set,
    task_text,
)
from analyses.training.forgetting.yardstick import MixtureYardstick
from hooks import context_window
from hooks.mixed_weights import WeightPair, replaced
from workbench.errors import Unfit

if TYPE_CHECKING:
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass
class Materials:
    """Everything that is measured on.

    Attributes:
        bases: what the base says of neutral text, of text like the new task's and of its own.
        task: None where the pair was given without text of its task.
        pair: the two sets of weights.
        points: what was measured of the pair, and on the way to it (see `FineTuned.points`).
        runs: what was measured of every training, by rank.
    """

    facts: OldFacts
    bases: dict[str, BasePredictions]
    task: TaskText | None
    pair: WeightPair
    points: pd.DataFrame
    runs: dict[int, pd.DataFrame]

    def yardstick(self, model: InstrumentedModel, params: Params) -> MixtureYardstick:
        """What every entry of a map is measured with."""
        return MixtureYardstick.of(
            model, self.bases[c.NEUTRAL], self.bases[c.TASK], self.facts.some(params.map_facts),
            params.map_rows,
        )  # fmt: skip

    def rows(self, params: Params, steps: int | None = None) -> list[list[tuple[int, ...]]]:
        """What each step of fine-tuning reads.

        Raises:
            Unfit: nothing is trained here.
        """
        if self.task is None:
            raise Unfit(
                "There is no text of the new task to train on.", "a file `task`", "Give one."
            )
        return self.task.steps(steps or params.steps, params.rows, params.seed)


def gather(
    model: InstrumentedModel, params: Params, progress: Progress, training: Progress
) -> Materials:
    """Choose facts and texts, then fine-tune, or open what was fine-tuned.

    Raises:
        BadInput: facts, texts or a pair that do not do, or rows too long for the model.
        NotFinite: a training whose loss was no number.
    """
    context_window.check(model, params.length, "A row")
    facts = old_facts(model, params, progress.subprogress(0.0, 0.6))
    task = task_text(model, params)
    neutral = neutral_rows(model, params)
    progress(0.6, "The base model writes text of its own")
    sets = [neutral, own_rows(model, params)]
    if task is not None:
        check_apart(model, task, neutral, facts.facts)
        sets.insert(1, row_set(model, c.TASK, task.held_out))
    progress(0.8, "Reading all texts with the base model")
    bases = {rows.name: base_predictions(model.module, rows) for rows in sets}
    if params.tuned.strip():
        pair = given_pair(model, params.tuned.strip(), training)
        _add_own_task(model, params, pair, bases)
        with replaced(model, pair.tuned):
            rows = measured_rows(model.module, list(bases.values()))
        points = pd.DataFrame([{"rank": -1, "trained": -1, "step": -1, **row} for row in rows])
        points["size"] = sum(moved**2 for moved, _ in pair.norms().values())
        return Materials(facts, bases, task, pair, points, {})
    found = Materials(facts, bases, task, WeightPair({}, {}), pd.DataFrame(), {})
    tuned = fine_tune(
        model, found.rows(params), params, params.rank, list(bases.values()), training
    )
    found.pair, found.points, found.runs = tuned.pair, tuned.points, {params.rank: tuned.points}
    return found


def _add_own_task(
    model: InstrumentedModel, params: Params, pair: WeightPair, bases: dict[str, BasePredictions]
) -> None:
    """Of a pair without text of its task: what the fine-tuned model writes by itself stands in its
    place.
    """
    if c.TASK in bases:
        return
    with replaced(model, pair.tuned):
        rows: RowSet = own_rows(model, params, c.TASK)
    bases[c.TASK] = base_predictions(model.module, rows)
