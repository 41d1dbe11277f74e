"""Fine-tuning a copy of the model, with forgetting measured on the way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.measures.forgetting_divergence import BasePredictions, divergence
from analyses.training.forgetting import constants as c
from hooks.mixed_weights import WeightPair, Weights, weights_copied
from workbench.lab import Stage, StepReport, run_stages
from workbench.lab.low_rank import weights_of

if TYPE_CHECKING:
    import pandas as pd

    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Rows = Sequence[Sequence[Sequence[int]]]
"""Per step, the rows that it reads."""
STAGE = "fine-tuning"
WARMUP = 0.1
"""Share of the steps over which the learning rate rises."""


@dataclass(frozen=True)
class FineTuned:
    """A training that ended.

    Attributes:
        trained: numbers that moved: of a low-rank update its factors.
        pair: the weights before and after.
        points: a row per measured step and kind of text: `rank`, `trained`, `step`, `text`, `kl`,
            `low`, `high` (95 % over rows), `nats`, `size` (|ΔW|²).
    """

    rank: int
    trained: int
    pair: WeightPair
    points: pd.DataFrame


def warm_up(steps: int) -> int:
    return max(1, round(WARMUP * steps))


def log_spaced(steps: int) -> set[int]:
    """0, 1, 2, 4, 8, … and the last."""
    return {0, steps} | {2**n for n in range(steps.bit_length()) if 2**n <= steps}


def fine_tune(
    model: InstrumentedModel,
    rows: Rows,
    params: Params,
    rank: int,
    bases: Sequence[BasePredictions],
    progress: Progress,
    *,
    trained: Callable[[str], bool] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> FineTuned:
    """Train a copy; the model stays as it is.

    Args:
        rank: of the update; 0 moves all weights.
        bases: the kinds of text that are measured, at log-spaced steps; none measures nothing.
        trained: parameters that move; None: all.
        on_step: is called at every step too.

    Raises:
        NotFinite: the loss was no number; says at which step.
        Cancelled: from `progress`.
    """
    before = weights_copied(model.module, model.card.name)
    module = copy.deepcopy(model.module)
    wanted = log_spaced(len(rows)) if bases else set()
    points = list[dict[str, Any]]()
    moved = [0]

    def report(step: StepReport) -> None:
        if step.step == 0:
            moved[0] = sum(p.numel() for p in step.module.parameters() if p.requires_grad)
        if step.step in wanted:
            size = _size(before, weights_of(step.module))
            points.extend(
                {"rank": rank, "step": step.step, "size": size, **row}
                for row in measured_rows(step.module, bases)
            )
        if on_step is not None:
            on_step(step)

    stage = Stage(STAGE, rows, params.rate, warm_up(len(rows)), rank, trained=trained)
    run_stages(module, [stage], seed=params.seed, on_step=report, progress=progress)
    pair = WeightPair.of(before, weights_copied(module, model.card.name))
    return FineTuned(rank, moved[0], pair, _table(points, moved[0]))


def _table(points: list[dict[str, Any]], trained: int) -> pd.DataFrame:
    import pandas as pd

    columns = ["rank", "trained", "step", "text", "kl", "low", "high", "nats", "size"]
    return pd.DataFrame([{"trained": trained, **row} for row in points], columns=columns)


def measured_rows(module: Any, bases: Sequence[BasePredictions]) -> list[dict[str, Any]]:
    """A row for each kind of text: `text`, `kl`, `low`, `high`, `nats`."""
    from analyses.measures.statistics import mean_interval

    rows = []
    for base in bases:
        found = divergence(module, base)
        kl, (low, high) = mean_interval(found.kl)
        rows.append(
            {"text": base.rows.name, "kl": kl, "low": low, "high": high,
             "nats": float(found.nats.mean())}
        )  # fmt: skip
    return rows


def _size(before: Weights, after: Weights) -> float:
    """|ΔW|² over all parameters."""
    return sum(
        float((after[name].cpu().float() - old.float()).double().square().sum())
        for name, old in before.items()
    )


def task_nats(points: pd.DataFrame) -> pd.DataFrame:
    """One row per rank and step: `kl` on neutral text beside `nats` on the held-out rows of the new
    task; `trained`, `size`.
    """
    own = points[points["text"] == c.TASK][["rank", "step", "nats"]]
    neutral = points[points["text"] == c.NEUTRAL][["rank", "step", "trained", "size", "kl"]]
    return neutral.merge(own, on=["rank", "step"])
