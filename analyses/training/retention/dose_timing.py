"""Number of readings against when, dealt by lot in one training, and the same readings in a longer
one (Hubble, Wei et al. 2025, 2510.19811).

Every cell of readings and window gets texts by lot, and others of the same lot are never read, so
differences between cells are caused by number and time. The longer training has the same readings
among twice as much other text: dilution.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_dose import logistic_intervals
from analyses.measures.exposure_trainings import (
    FinishedTrainings,
    Ids,
    check_small,
    prose_pieces,
    texts_left,
    trained,
    trainings_cost,
)
from analyses.measures.statistics import difference, mean_interval, share_interval
from workbench.cost import Cost
from workbench.lab import Stage
from workbench.lab.neutral import neutral_pieces
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result


@dataclass(frozen=True)
class DoseDesign:
    """What is read when.

    Attributes:
        updates: of the shorter and the longer training.
        doses: readings.
        windows: parts of the training in which readings lie, as shares of it.
        items: texts of each dose and window; never: texts that are never read.
        length: tokens of a text; row: of other text; rows: of it at every update.
        recalled: tokens of the second half from which a text counts as recalled.
    """

    updates: tuple[int, int] = (200, 400)
    doses: tuple[int, ...] = (1, 2, 4, 8, 16)
    windows: tuple[tuple[float, float], ...] = (
        (0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (0.0, 0.5), (0.5, 1.0),
    )  # fmt: skip
    items: int = 3
    never: int = 60
    length: int = 24
    row: int = 64
    rows: int = 2
    rate: float = 1e-3
    warmup: int = 20
    recalled: int = 10

    @property
    def texts(self) -> int:
        return len(self.doses) * len(self.windows) * self.items

    @property
    def readings(self) -> int:
        return sum(self.doses) * len(self.windows) * self.items


DESIGN = DoseDesign()


def window_name(window: tuple[float, float]) -> str:
    """ "0 to 25 %"."""
    return f"{100 * window[0]:.0f} to {100 * window[1]:.0f} %"


def dose_timing_cost(model: InstrumentedModel, seeds: int, design: DoseDesign = DESIGN) -> Cost:
    """What the trainings and the passes behind them cost."""
    updates = sum(design.updates) * seeds
    tokens = updates * design.rows * (design.row + 1)
    tokens += design.readings * len(design.updates) * seeds * (design.length + 1)
    passes = len(design.updates) * seeds + 1
    asked = passes * (design.texts + design.never) * design.length
    return trainings_cost(model, updates, tokens, asked, passes)


def read_at(design: DoseDesign, updates: int, draw: random.Random) -> list[list[int]]:
    """For every text that is read the updates that read it: each in its window, by lot, no update
    twice where there are enough.
    """
    plan = []
    for low, high in design.windows:
        steps = range(round(low * updates), round(high * updates))
        for dose in design.doses:
            for _ in range(design.items):
                whole, rest = divmod(dose, len(steps))
                plan.append(sorted([*steps] * whole + draw.sample(steps, rest)))
    return plan


def add_dose_timing(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: DoseDesign = DESIGN,
) -> FinishedTrainings:
    """Tables `dose_timing`, `dose_effects` and `dose_logit`, and their findings; what was kept for
    going on after a stop.

    Raises:
        Unfit: a model that is too large. NotFinite: a training that went astray.
    """
    check_small(model)
    done = FinishedTrainings("dose-timing", model, [asdict(design), seed])
    runs = [(n, updates) for n in range(seeds) for updates in design.updates]
    found = []
    for number, (n, updates) in enumerate(runs):
        share = progress.subprogress(number / len(runs), (number + 1) / len(runs))
        texts = prose_pieces(model, design.texts + design.never, design.length, seed + n)
        plan = read_at(design, updates, random.Random(f"{seed + n} {updates} readings"))

        def make(
            texts: list[Ids] = texts,
            plan: list[list[int]] = plan,
            updates: int = updates,
            own: int = seed + n,
            share: Progress = share,
        ) -> dict[str, np.ndarray]:
            before = texts_left(model, texts)
            stage = _stage(model, design, texts, plan, updates, own)
            with trained(model, [stage], own, share):
                after = texts_left(model, texts)
            return {"gain": before.loss - after.loss, "match": after.match}

        numbers = done.of(f"{n}-{updates}", make)
        found.append(_rows(design, numbers, plan, n, updates))
    table = pd.concat(found, ignore_index=True)
    _tables(result, table, design)
    _say(result, design)
    return done


def _stage(
    model: InstrumentedModel,
    design: DoseDesign,
    texts: list[Ids],
    plan: list[list[int]],
    updates: int,
    seed: int,
) -> Stage:
    beginning = list(model.text.beginning)
    pieces = neutral_pieces(model.tokenizer, design.row, random.Random(f"{seed} other"), "train")
    steps = [[[*beginning, *ids] for ids in islice(pieces, design.rows)] for _ in range(updates)]
    for ids, at in zip(texts, plan, strict=False):
        for step in at:
            steps[step].append([*beginning, *ids])
    return Stage("reading", steps, design.rate, warmup=design.warmup)


def _rows(
    design: DoseDesign,
    numbers: dict[str, np.ndarray],
    plan: list[list[int]],
    seed: int,
    updates: int,
) -> pd.DataFrame:
    cells = [
        (window_name(window), dose)
        for window in design.windows
        for dose in design.doses
        for _ in range(design.items)
    ]
    read = design.texts
    never = numbers["gain"][read:].mean()
    table = pd.DataFrame(cells, columns=["window", "dose"])
    return table.assign(
        seed=seed,
        updates=updates,
        item=range(read),
        since=[updates - at[-1] for at in plan],
        gain=numbers["gain"][:read] - never,
        match=numbers["match"][:read],
        never_match=numbers["match"][read:].mean(),
        never_recalled=(numbers["match"][read:] >= design.recalled).mean(),
        recalled=numbers["match"][:read] >= design.recalled,
    )


def _tables(result: Result, table: pd.DataFrame, design: DoseDesign) -> None:
    rows = []
    for (updates, window, dose), cell in table.groupby(["updates", "window", "dose"], sort=False):
        gain, (low, high) = mean_interval(cell["gain"].to_numpy())
        recalled, (r_low, r_high) = share_interval(
            cell["recalled"].to_numpy(float), np.arange(len(cell))
        )
        rows.append({
            "updates": updates, "window": window, "readings": dose, "gain": gain, "low": low,
            "high": high, "match": cell["match"].mean(), "recalled": recalled,
            "recalled_low": r_low, "recalled_high": r_high, "n": len(cell),
            "never_read": cell["never_recalled"].mean(),
        })  # fmt: skip
    result.tables["dose_timing"] = pd.DataFrame(rows)
    result.tables["dose_effects"] = pd.DataFrame(_effects(table, design))
    if table["recalled"].nunique() > 1:
        terms = {
            "constant": np.ones(len(table)),
            "each doubling of 1 + readings": np.log2(1 + table["dose"].to_numpy()),
            "each doubling of updates since the last": np.log2(table["since"].to_numpy()),
            "each doubling of the corpus": np.log2(table["updates"].to_numpy()),
        }
        items = (table["seed"] * 10_000 + table["item"]).to_numpy()
        value, (low_, high_) = logistic_intervals(
            np.column_stack(list(terms.values())), table["recalled"].to_numpy(float), items
        )
        result.tables["dose_logit"] = pd.DataFrame(
            {"term": list(terms), "value": value, "low": low_, "high": high_}
        ).iloc[1:]


def _effects(table: pd.DataFrame, design: DoseDesign) -> list[dict[str, object]]:
    first, last = (window_name(design.windows[n]) for n in (0, 3))
    pairs = [
        ("read in the last quarter less in the first", table["window"] == last,
         table["window"] == first),
        ("a corpus twice as long less the shorter", table["updates"] == design.updates[1],
         table["updates"] == design.updates[0]),
        ("read most often less once", table["dose"] == max(design.doses),
         table["dose"] == min(design.doses)),
    ]  # fmt: skip
    texts = (table["seed"] * 10_000 + table["item"]).to_numpy()  # each is in both trainings
    rows: list[dict[str, object]] = []
    for what, one, other in pairs:
        for measure in ("gain", "recalled"):
            values = [table.loc[at, measure].to_numpy(float) for at in (one, other)]
            apart, (low, high) = difference(values[0], values[1], (texts[one], texts[other]))
            rows.append({"effect": what, "measure": measure, "difference": apart, "low": low,
                         "high": high, "n": int(one.sum() + other.sum())})  # fmt: skip
    return rows


def _say(result: Result, design: DoseDesign) -> None:
    effects = result.tables["dose_effects"].set_index(["effect", "measure"])
    late = effects.loc[("read in the last quarter less in the first", "gain")]
    longer = effects.loc[("a corpus twice as long less the shorter", "gain")]
    table = result.tables["dose_timing"]
    most = table[(table["readings"] == max(design.doses))]
    says = (
        f"Dealt by lot: a text read in the last quarter of a training rather than the first is"
        f" {late['difference']:+.2f} nats per token likelier at its end (95 %:"
        f" {late['low']:+.2f} to {late['high']:+.2f}). With the same readings among twice as much"
        f" other text it is {longer['difference']:+.2f} ({longer['low']:+.2f} to"
        f" {longer['high']:+.2f}). Of texts read {counted(max(design.doses), 'time')}"
        f" {percent(most['recalled'].mean())} are recalled, of those never read"
        f" {percent(table['never_read'].mean())}."
    )
    result.add(
        Finding(
            "dose_timing",
            {"late": float(late["difference"]), "longer": float(longer["difference"])},
            says.replace("-", "−"),
            unit="nats per token",
        )
    )
