"""What is said to help against forgetting, side by side on cost: each method's end point against
the line of plain fine-tuning.

HFT (2404.18466) freezes half of the matrices; spurious forgetting (Zheng et al. 2025) the bottom
layers; replay mixes text like the old in; weights halfway between before and after, and a slow copy
of the update (the moving average of I-LoRA, 2402.18865, without its replay), cost no training of
their own. A method beats plain fine-tuning only below the line: less forgetting for the same loss
on the new task.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch

from analyses.measures.forgetting_answers import answer_scores
from analyses.measures.forgetting_law import below_line
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.fine_tuning import fine_tune, measured_rows
from analyses.training.forgetting.law import law_points
from analyses.training.forgetting.task_texts import prose_rows
from hooks.mixed_weights import OUTSIDE, Weights, module_groups, places, replaced
from workbench.lab import StepReport
from workbench.lab.low_rank import weights_of

if TYPE_CHECKING:
    import pandas as pd

    from analyses.training.forgetting.materials import Materials
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

AVERAGES = (0.25, 0.9, 0.99, 0.999)
"""How much of itself a slow copy keeps at every step: 0.25 in I-LoRA's code; near 1 is slow."""
PLAIN, HALF, BOTTOM, REPLAY, AVERAGED = (
    "plain",
    "half of the matrices frozen",
    "bottom half frozen",
    "replay of prose",
    "weights averaged",
)


class RemedyTable:
    """Measures the end of each method, a row each."""

    def __init__(self, model: InstrumentedModel, params: Params, materials: Materials) -> None:
        self.model, self.params, self.materials = model, params, materials
        self.rows: list[dict[str, Any]] = []
        self._facts = materials.facts.some(params.map_facts)
        self._bases = [materials.bases[name] for name in (c.NEUTRAL, c.TASK)]

    def add(self, method: str, weights: Weights) -> None:
        """A method whose weights these are."""
        with replaced(self.model, weights):
            neutral, task = measured_rows(self.model.module, self._bases)
            right = float(answer_scores(self.model, self._facts).said.mean())
        self.rows.append(
            {"method": method, "kl": neutral["kl"], "low": neutral["low"], "high": neutral["high"],
             "nats": task["nats"], "right": right}
        )  # fmt: skip

    def train(
        self, method: str, rows: Sequence[Sequence[Sequence[int]]], progress: Progress,
        trained: Callable[[str], bool] | None = None,
        on_step: Callable[[StepReport], None] | None = None,
    ) -> None:  # fmt: skip
        """Fine-tune in another way, and measure what comes out; "" is not measured."""
        done = fine_tune(
            self.model, rows, self.params, self.params.rank, [], progress, trained=trained,
            on_step=on_step,
        )  # fmt: skip
        if method:
            self.add(method, done.pair.tuned)


def remedies(
    model: InstrumentedModel, params: Params, materials: Materials, law: pd.DataFrame,
    progress: Progress,
) -> pd.DataFrame:  # fmt: skip
    """A row per method: `method`, `kl`, `low`, `high` (neutral text), `nats` (new task), `right`
    (old facts said), `below` (nats of forgetting below the line; negative above it).
    """
    import pandas as pd

    table = RemedyTable(model, params, materials)
    rows = materials.rows(params)
    table.add(PLAIN, materials.pair.tuned)
    table.add(AVERAGED, materials.pair.between(0.5))
    half, bottom = frozen_half(model, params.seed), frozen_bottom(model)
    table.train(HALF, rows, progress.subprogress(0.0, 0.25), half)
    table.train(BOTTOM, rows, progress.subprogress(0.25, 0.5), bottom)
    table.train(REPLAY, replayed(model, rows, params), progress.subprogress(0.5, 0.75))
    slow = SlowCopies(len(rows), table.add)
    table.train("", rows, progress.subprogress(0.75, 1.0), on_step=slow)
    found = pd.DataFrame(table.rows)
    points = law_points(law)
    found["below"] = [
        below_line(points, nats, kl) for nats, kl in zip(found["nats"], found["kl"], strict=True)
    ]
    return found


def frozen_half(model: InstrumentedModel, seed: int) -> Callable[[str], bool]:
    """Trains half of the matrices of each layer, drawn for each by lot."""
    draw, trained = random.Random(f"{seed} half"), set[str]()
    by_layer: dict[int, list[str]] = {}
    for (layer, _), names in module_groups(model, finer=True).items():
        matrices = [n for n in names if model.module.get_parameter(n).dim() == 2]
        by_layer.setdefault(layer, []).extend(matrices)
    for layer, names in by_layer.items():
        chosen = names if layer == OUTSIDE else draw.sample(names, -(-len(names) // 2))
        trained.update(chosen)
    return lambda name: name in trained


def frozen_bottom(model: InstrumentedModel) -> Callable[[str], bool]:
    """Trains the upper half of the layers alone: no embeddings."""
    where = places(model)
    return lambda name: where.get(name, (-1, ""))[0] >= model.n_layers // 2


def replayed(
    model: InstrumentedModel, rows: Sequence[Sequence[Sequence[int]]], params: Params
) -> list[list[Sequence[int]]]:
    """Every second row is prose like the neutral text, none of which is measured: as many rows as
    without replay, so half of the new task is read.
    """
    prose = cycle(list(islice(prose_rows(model, params, "train"), 200)))
    number, found = 0, []
    for step in rows:
        mixed = []
        for row in step:
            mixed.append(next(prose) if number % 2 else row)
            number += 1
        found.append(mixed)
    return found


class SlowCopies:
    """Moving averages of what is trained, measured at the last step.

    As in I-LoRA's code the average is of the numbers that are trained (the factors of a low-rank
    update), and starts quickly: it keeps at most 1 - 1/(step + 1) of itself.

    Args:
        measure: is given a name and all weights of the model with an average in them.
    """

    def __init__(self, steps: int, measure: Callable[[str, Weights], None]) -> None:
        self._steps, self._measure = steps, measure
        self._slow: dict[float, list[torch.Tensor]] = {}

    @torch.no_grad()
    def __call__(self, step: StepReport) -> None:
        own = [p for p in step.module.parameters() if p.requires_grad]
        for keeps in AVERAGES:
            slow = self._slow.setdefault(keeps, [p.detach().clone() for p in own])
            share = min(1 - 1 / (step.step + 1), keeps)
            for average, parameter in zip(slow, own, strict=True):
                average.lerp_(parameter, 1 - share)
        if step.step < self._steps:
            return
        ended = [p.detach().clone() for p in own]
        for keeps, slow in self._slow.items():
            for parameter, average in zip(own, slow, strict=True):
                parameter.copy_(average)
            self._measure(f"slow copy, {keeps:g}", weights_of(step.module))
        for parameter, old in zip(own, ended, strict=True):
            parameter.copy_(old)
