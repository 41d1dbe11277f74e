"""What batch, learning rate and duplication do to what is gained and to what is left (Chang et al.
2024, 2406.11813: batch and rate; Lee et al. 2022: duplicates).

The same rows are read in every training, each text as often as it is duplicated and in an order by
lot, so a larger batch means fewer updates. Then as much other text follows, in the same batches and
at the same rate.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.exposure_trainings import (
    FinishedTrainings,
    Ids,
    check_small,
    prose_pieces,
    texts_left,
    trainings_cost,
)
from analyses.measures.statistics import mean_interval, share_interval
from hooks.mixed_weights import put_back
from workbench.cost import Cost
from workbench.lab import Stage, StepReport, run_stages
from workbench.lab.neutral import neutral_pieces
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_STUDY, _LATER = "reading", "other text"


@dataclass(frozen=True)
class ChoiceDesign:
    """What is read, and in which batches.

    Attributes:
        batches: rows of an update; rates: AdamW's learning rate.
        duplicates: readings -> as many texts each.
        items: texts of each number; never: texts that are never read.
        later: rows of other text afterwards.
    """

    batches: tuple[int, ...] = (1, 4, 16)
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    duplicates: tuple[int, ...] = (1, 4, 16)
    items: int = 8
    never: int = 24
    length: int = 24
    row: int = 32
    later: int = 64
    recalled: int = 10

    @property
    def texts(self) -> int:
        return self.items * len(self.duplicates)

    @property
    def rows(self) -> int:
        """Of texts and as many of other prose."""
        return 2 * self.items * sum(self.duplicates)


DESIGN = ChoiceDesign()


def choices_cost(model: InstrumentedModel, seeds: int, design: ChoiceDesign = DESIGN) -> Cost:
    """What the trainings and the passes behind them cost."""
    rows = (design.rows + design.later) * len(design.batches) * len(design.rates) * seeds
    tokens = rows * (design.row + design.length + 2) / 2
    updates = sum(
        -(-design.rows // batch) + -(-design.later // batch) for batch in design.batches
    ) * (len(design.rates) * seeds)
    passes = 2 * len(design.batches) * len(design.rates) * seeds
    asked = passes * (design.texts + design.never) * design.length
    return trainings_cost(model, updates, tokens, asked, passes)


def add_choices(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: ChoiceDesign = DESIGN,
) -> FinishedTrainings:
    """Table `training_choices` and its finding; what was kept for going on after a stop.

    Raises:
        Unfit: a model that is too large. NotFinite: a training that went astray.
    """
    check_small(model)
    done = FinishedTrainings("training-choices", model, [asdict(design), seed])
    runs = [
        (n, batch, rate) for n in range(seeds) for batch in design.batches for rate in design.rates
    ]
    found = []
    for number, (n, batch, rate) in enumerate(runs):
        share = progress.subprogress(number / len(runs), (number + 1) / len(runs))
        texts = prose_pieces(model, design.texts + design.never, design.length, seed + n)

        def make(
            texts: list[Ids] = texts,
            batch: int = batch,
            rate: float = rate,
            own: int = seed + n,
            share: Progress = share,
        ) -> dict[str, np.ndarray]:
            return _trained(model, design, texts, batch, rate, own, share)

        numbers = done.of(f"{n}-{batch}-{rate:g}", make)
        found.append(_rows(design, numbers, n, batch, rate))
    _tables(result, pd.concat(found, ignore_index=True))
    _say(result, design)
    return done


def _trained(
    model: InstrumentedModel,
    design: ChoiceDesign,
    texts: list[Ids],
    batch: int,
    rate: float,
    seed: int,
    progress: Progress,
) -> dict[str, np.ndarray]:
    draw, beginning = random.Random(f"{seed} order"), list(model.text.beginning)
    pieces = neutral_pieces(model.tokenizer, design.row, draw, "train")
    rows = [
        [*beginning, *ids]
        for number, ids in enumerate(texts[: design.texts])
        for _ in range(design.duplicates[number // design.items])
    ]
    rows += [[*beginning, *ids] for ids in islice(pieces, len(rows))]
    draw.shuffle(rows)
    later = [[*beginning, *ids] for ids in islice(pieces, design.later)]
    stages = [
        Stage(name, [which[at : at + batch] for at in range(0, len(which), batch)], rate,
              moments="reset" if name == _STUDY else "kept")
        for name, which in ((_STUDY, rows), (_LATER, later))
    ]  # fmt: skip
    before, numbers = texts_left(model, texts), {}

    def measure(report: StepReport) -> None:
        behind = report.stage == _LATER
        if not behind or report.step not in (0, len(stages[1].steps)):
            return
        when = "peak" if report.step == 0 else "end"
        now = texts_left(model, texts)
        numbers[f"{when}_gain"] = before.loss - now.loss
        numbers[f"{when}_match"] = now.match

    with put_back(list(model.module.parameters())):
        run_stages(model.module, stages, seed=seed, on_step=measure, progress=progress)
    return numbers


def _rows(
    design: ChoiceDesign, numbers: dict[str, np.ndarray], seed: int, batch: int, rate: float
) -> pd.DataFrame:
    read = design.texts
    table = pd.DataFrame({"readings": np.repeat(design.duplicates, design.items)})
    values: dict[str, Any] = {"seed": seed, "batch": batch, "rate": rate}
    for when in ("peak", "end"):
        gain, match = numbers[f"{when}_gain"], numbers[f"{when}_match"]
        values |= {
            when: gain[:read] - gain[read:].mean(),
            f"{when}_recalled": match[:read] >= design.recalled,
            f"{when}_never": (match[read:] >= design.recalled).mean(),
        }
    return table.assign(**values)


def _tables(result: Result, table: pd.DataFrame) -> None:
    rows = []
    for (batch, rate, readings), cell in table.groupby(["batch", "rate", "readings"], sort=False):
        gain, (low, high) = mean_interval(cell["peak"].to_numpy())
        end, (end_low, end_high) = mean_interval(cell["end"].to_numpy())
        units = np.arange(len(cell))
        recalled, _ = share_interval(cell["peak_recalled"].to_numpy(float), units)
        still, _ = share_interval(cell["end_recalled"].to_numpy(float), units)
        rows.append({
            "batch": batch, "rate": rate, "readings": readings, "gain": gain, "low": low,
            "high": high, "later": end, "later_low": end_low, "later_high": end_high,
            "left": end / gain if gain > 0.1 else np.nan, "recalled": recalled,
            "later_recalled": still, "never_read": cell["end_never"].mean(), "n": len(cell),
        })  # fmt: skip
    result.tables["training_choices"] = pd.DataFrame(rows)


def _say(result: Result, design: ChoiceDesign) -> None:
    table = result.tables["training_choices"]
    most = table[table["readings"] == max(design.duplicates)]
    best = most.loc[most["later"].idxmax()]
    worst = most.loc[most["later"].idxmin()]
    middle = most[most["rate"] == design.rates[len(design.rates) // 2]].set_index("batch")
    small, large = (middle.loc[batch] for batch in (min(design.batches), max(design.batches)))
    says = (
        f"Texts read {max(design.duplicates)} times: in batches of {min(design.batches)} they gain"
        f" {small['gain']:.2f} nats per token and keep {_share(small['left'])} of it behind as much"
        f" other text; in batches of {max(design.batches)}, {large['gain']:.2f} and"
        f" {_share(large['left'])} (rate {design.rates[len(design.rates) // 2]:g}). Most is left"
        f" with batches of {int(best['batch'])} at rate {best['rate']:g} ({best['later']:.2f} nats,"
        f" {percent(best['later_recalled'])} recalled), least with batches of"
        f" {int(worst['batch'])} at rate {worst['rate']:g} ({worst['later']:.2f})."
    )
    values = {"small_batch": float(small["gain"]), "large_batch": float(large["gain"])}
    result.add(Finding("training_choices", values, says.replace("-", "−"), unit="nats per token"))


def _share(left: float) -> str:
    return "too little to say how much" if np.isnan(left) else percent(max(0.0, float(left)))
