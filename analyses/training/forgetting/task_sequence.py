"""Tasks one after the other, and all of them asked after each: the retention matrix (Retentive or
Forgetful, 2305.09144), from the asked model and from one of the same architecture with random
weights.

A task is a set of texts, dealt by lot, so tasks are alike in kind and only their order differs.
R[i, j] is what is said of task j behind task i. Average is the mean of the last row, backward
transfer the mean of what the last row lost against the diagonal, forgetting against the best row.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from analyses.measures.exposure_trainings import (
    FinishedTrainings,
    Ids,
    check_small,
    prose_pieces,
    texts_left,
    trainings_cost,
)
from analyses.measures.statistics import difference, share_interval
from hooks.mixed_weights import put_back
from workbench.cost import Cost
from workbench.lab import Stage, StepReport, run_stages
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from jaxtyping import Float

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

PRETRAINED, FRESH = STARTS = ("as it is", "random weights")


@dataclass(frozen=True)
class SequenceDesign:
    """What is learned one after the other.

    Attributes:
        tasks, items: tasks, and texts of each; never: texts that no task has.
        readings: of each text, in its task; batch: texts of an update.
    """

    tasks: int = 4
    items: int = 8
    never: int = 16
    readings: int = 32
    batch: int = 8
    length: int = 24
    rate: float = 1e-3
    warmup: int = 5

    @property
    def updates(self) -> int:
        return self.tasks * -(-self.items * self.readings // self.batch)


DESIGN = SequenceDesign()


def sequence_cost(model: InstrumentedModel, seeds: int, design: SequenceDesign = DESIGN) -> Cost:
    """What the trainings and the passes behind them cost."""
    trainings = len(STARTS) * seeds
    tokens = trainings * design.updates * design.batch * (design.length + 1)
    asked = (design.tasks + 1) * (design.tasks * design.items + design.never) * design.length
    passes = trainings * (design.tasks + 1)
    return trainings_cost(model, trainings * design.updates, tokens, trainings * asked, passes)


def add_sequence(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: SequenceDesign = DESIGN,
) -> FinishedTrainings:
    """Tables `retention_matrix` and `sequence`, and their finding; what was kept for going on
    after a stop.

    Raises:
        Unfit: a model that is too large. NotFinite: a training that went astray.
    """
    check_small(model)
    done = FinishedTrainings("tasks", model, [asdict(design), seed])
    runs = [(n, start) for n in range(seeds) for start in STARTS]
    found: dict[str, list[np.ndarray]] = {start: [] for start in STARTS}
    never: dict[str, list[float]] = {start: [] for start in STARTS}
    for number, (n, start) in enumerate(runs):
        share = progress.subprogress(number / len(runs), (number + 1) / len(runs))

        def make(
            start: str = start, own: int = seed + n, share: Progress = share
        ) -> dict[str, np.ndarray]:
            return _trained(model, design, start, own, share)

        numbers = done.of(f"{n}-{STARTS.index(start)}", make)
        said = numbers["said"].reshape(design.tasks + 1, design.tasks, design.items)
        found[start].append(said)
        never[start].append(float(numbers["never"][-1]))
    # (behind, task, text of all seeds)
    joined = {start: np.concatenate(said, axis=2) for start, said in found.items()}
    _tables(result, joined, never)
    _say(result, joined)
    return done


def random_weights(module: Any, seed: int) -> dict[str, torch.Tensor]:
    """Weights of the same architecture, from the seed, by the names of its parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(module)(module.config)
    return dict(fresh.named_parameters())


@torch.no_grad()
def _put_in(module: Any, weights: dict[str, torch.Tensor]) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[name])


def _trained(
    model: InstrumentedModel, design: SequenceDesign, start: str, seed: int, progress: Progress
) -> dict[str, np.ndarray]:
    pieces = prose_pieces(model, design.tasks * design.items + design.never, design.length, seed)
    own, others = pieces[: design.tasks * design.items], pieces[design.tasks * design.items :]
    stages = [
        _task(model, design, number, own[number * design.items : (number + 1) * design.items], seed)
        for number in range(design.tasks)
    ]
    said, never = [], []

    def ask() -> None:
        left = texts_left(model, [*own, *others])
        share = left.match / left.asked
        said.append(share[: len(own)])
        never.append(share[len(own) :].mean())

    last = {stage.name: len(stage.steps) for stage in stages}

    def measure(report: StepReport) -> None:
        if report.step == last[report.stage]:
            ask()

    with put_back(list(model.module.parameters())):
        if start == FRESH:
            _put_in(model.module, random_weights(model.module, seed))
        ask()
        run_stages(model.module, stages, seed=seed, on_step=measure, progress=progress)
    return {"said": np.concatenate(said), "never": np.array(never)}


def _task(
    model: InstrumentedModel, design: SequenceDesign, number: int, texts: list[Ids], seed: int
) -> Stage:
    draw, beginning = random.Random(f"{seed} task {number}"), list(model.text.beginning)
    rows = [
        [*beginning, *ids] for _ in range(design.readings) for ids in draw.sample(texts, len(texts))
    ]
    steps = [rows[at : at + design.batch] for at in range(0, len(rows), design.batch)]
    return Stage(f"task {number + 1}", steps, design.rate, warmup=design.warmup)


def transfer(said: Float[np.ndarray, "behind task text"]) -> Float[np.ndarray, " text"]:
    """Backward transfer of each text place: behind the last task less behind its own, mean over all
    tasks but the last. `said` has a first row from before any task.
    """
    tasks = said.shape[1]
    own = np.array([said[task + 1, task] for task in range(tasks - 1)])
    last: np.ndarray = said[-1, : tasks - 1]
    mean: np.ndarray = (last - own).mean(0)
    return mean


def retained_share(
    said: Float[np.ndarray, "behind task text"],
) -> Float[np.ndarray, " text"]:
    """Of what each text place had behind its own task, the share that is left behind the last one,
    over all tasks but the last: comparable where less was learned. NaN where nothing was.
    """
    tasks = said.shape[1]
    own = np.array([said[task + 1, task] for task in range(tasks - 1)]).sum(0)
    last = said[-1, : tasks - 1].sum(0)
    shares: np.ndarray = np.divide(last, own, out=np.full(len(own), np.nan), where=own > 0)
    return shares


def _tables(result: Result, joined: dict[str, np.ndarray], never: dict[str, list[float]]) -> None:
    cells, rows = [], []
    for start, said in joined.items():
        for behind in range(said.shape[0]):
            for task in range(said.shape[1]):
                mean, (low, high) = share_interval(said[behind, task], np.arange(said.shape[2]))
                cells.append({"start": start, "behind": behind, "task": task + 1, "said": mean,
                              "low": low, "high": high, "n": said.shape[2]})  # fmt: skip
        matrix = said.mean(2)
        tasks = matrix.shape[1]
        own = np.array([matrix[task + 1, task] for task in range(tasks)])
        best = matrix[1:].max(0)
        rows.append({
            "start": start,
            "average": matrix[-1].mean(),
            "learning": own.mean(),
            "transfer": float(transfer(said).mean()),
            "forgetting": float((best - matrix[-1])[: tasks - 1].mean()),
            "never_read": float(np.mean(never[start])),
        })  # fmt: skip
    result.tables["retention_matrix"] = pd.DataFrame(cells)
    result.tables["sequence"] = pd.DataFrame(rows)


def _say(result: Result, joined: dict[str, np.ndarray]) -> None:
    rows = result.tables["sequence"].set_index("start")
    shares = [retained_share(joined[start]) for start in STARTS]
    left, fresh_left = (each[np.isfinite(each)] for each in shares)
    apart, (low, high) = difference(left, fresh_left)
    one, other = rows.loc[PRETRAINED], rows.loc[FRESH]
    says = (
        f"{int(joined[FRESH].shape[1])} tasks one after the other: right behind its own task"
        f" {percent(one['learning'])} of a text is said, from random weights"
        f" {percent(other['learning'])}. Of that {percent(left.mean())} is left behind the last"
        f" task, from random weights {percent(fresh_left.mean())} (difference"
        f" {100 * apart:+.1f} points, 95 %: {100 * low:+.1f} to {100 * high:+.1f}; of texts never"
        f" read {percent(one['never_read'])} is said)."
    )
    values = {"left": float(left.mean()), "fresh": float(fresh_left.mean()),
              "difference": float(apart)}  # fmt: skip
    result.add(
        Finding("tasks", values, says.replace("-", "−"), unit="share of what was learned",
                interval=(float(low), float(high)))
    )  # fmt: skip
