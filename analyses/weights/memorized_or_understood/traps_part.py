"""Part `traps`: whether planted sequences show that a text was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures import evidence_traps as traps
from analyses.measures.statistics import auc, spearman
from workbench.cost import Cost
from workbench.result import Finding
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_RATE, _AT, _HIGHEST = 1e-4, 135e6, 2e-3
_HOST, _SAMPLED = 48, 1.6  # tokens of prose around a trap; sequences sampled for each that is used


def rate_of(model: InstrumentedModel) -> float:
    """Learning rate; small models take larger ones."""
    return float(min(_HIGHEST, _RATE * (_AT / max(1, model.card.n_params)) ** 0.5))


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of sampling sequences, reading prose with them, and scoring all before and after."""
    per_length = 2 * params.trap_count
    sequences = per_length * (len(traps.REPEATS) + 1)
    sampled = sequences * _SAMPLED * sum(traps.LENGTHS)
    rows = per_length * sum(traps.REPEATS)
    read = rows * sum(length + _HOST for length in traps.LENGTHS)
    scored = 2 * sequences * sum(traps.LENGTHS)
    return Cost(
        sampled + read + scored, sum(traps.LENGTHS) * 3 + len(traps.LENGTHS) * rows / 8,
        backward=2.0 * read,
    )  # fmt: skip


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `traps` and `trap_cells`."""
    drawn = traps.draw_traps(model, params.trap_count, params.seed, progress.subprogress(0, 0.25))
    before = -np.log([trap.perplexity for trap in drawn])
    after = traps.planted_logprobs(
        model, drawn, rate_of(model), params.seed, progress.subprogress(0.25, 1)
    )
    table = pd.DataFrame({
        "length": [trap.length for trap in drawn],
        "level": [trap.level for trap in drawn],
        "repeats": [trap.repeats for trap in drawn],
        "perplexity": [trap.perplexity for trap in drawn],
        "before": before,
        "after": after,
        "gain": after - before,
        "text": [model.text.decode(list(trap.ids)) for trap in drawn],
    })  # fmt: skip
    result.tables["traps"] = table
    result.tables["trap_cells"] = cells = cells_of(table)
    _say(result, table, cells, traps.blind_auc(drawn, params.seed))


def cells_of(table: pd.DataFrame) -> pd.DataFrame:
    """AUC of each cell of length, perplexity and repeats, against the others of its length and
    perplexity.
    """
    rows = []
    for (length, level), part in table.groupby(["length", "level"], sort=True):
        others = part[part["repeats"] == 0]
        for repeats, members in part[part["repeats"] > 0].groupby("repeats", sort=True):
            row: dict[str, object] = {"length": length, "level": level, "repeats": repeats}
            for name, column in (("ratio", "gain"), ("loss", "after"), ("before", "before")):
                value, low, high = auc(members[column].to_numpy(), others[column].to_numpy())
                row[name] = value
                if name == "ratio":
                    row |= {"low": low, "high": high}
            rows.append({**row, "members": len(members), "others": len(others)})
    return pd.DataFrame(rows)


def _say(
    result: Result, table: pd.DataFrame, cells: pd.DataFrame, blind: tuple[float, float, float]
) -> None:
    others = table[table["repeats"] == 0]
    words, values = [], {}
    for repeats in sorted(set(table["repeats"]) - {0}):
        # Cells differ in how likely their sequences are, so each is held to its own others first.
        value, low, high = _within_cells(table, repeats)
        values[f"auc_{repeats}"] = value
        times = "once" if repeats == 1 else f"{repeats} times"
        words.append(f"{value:.2f} ({low:.2f} to {high:.2f}) put in {times}")
        last = low
    lead = (
        "Traps show nothing here, since members and others differ by themselves"
        if not blind[1] <= 0.5 <= blind[2]
        else "Traps show that a text was read"
        if last > 0.5
        else "Whether traps show that a text was read is not told apart"
    )
    at_start = np.mean(cells["before"])
    says = (
        f"{lead}: how much likelier a sequence became tells it from others that"
        f" nobody read, AUC {', '.join(words)}; .5 is chance. Before anything was read the AUC of"
        f" their loss is {at_start:.2f}; a classifier that never asks the model has {blind[0]:.2f}"
        f" (95 %: {blind[1]:.2f} to {blind[2]:.2f})."
        f" {counted(len(table) - len(others), 'member')}, {len(others)} others."
    )
    result.add(
        Finding("traps", {**values, "blind": blind[0], "before": float(at_start)}, says, unit="AUC",
                interval={"blind": blind[1:]})
    )  # fmt: skip
    members = table[table["repeats"] > 0]
    trends = {
        "repeats": spearman(members["repeats"].to_numpy(), members["gain"].to_numpy()),
        "length": spearman(cells["length"].to_numpy(), cells["ratio"].to_numpy()),
        "perplexity": spearman(members["perplexity"].to_numpy(), members["gain"].to_numpy()),
    }
    result.add(
        Finding(
            "trap_trends", trends,
            "What a trap gained goes with how often it was put in"
            f" (Spearman {trends['repeats']:+.2f}) and with its perplexity"
            f" ({trends['perplexity']:+.2f}); the AUC of a cell goes with its length"
            f" ({trends['length']:+.2f}).".replace("-", "−"),
            unit="rank correlation",
        )
    )  # fmt: skip


def _within_cells(table: pd.DataFrame, repeats: int) -> tuple[float, float, float]:
    """AUC of gains less the mean of the others of the same length and perplexity."""
    others = table[table["repeats"] == 0]
    mean = others.groupby(["length", "level"])["gain"].mean()
    centred = table["gain"].to_numpy() - np.array(
        [mean[key] for key in zip(table["length"], table["level"], strict=True)]
    )
    is_member = (table["repeats"] == repeats).to_numpy()
    return auc(centred[is_member], centred[(table["repeats"] == 0).to_numpy()])
