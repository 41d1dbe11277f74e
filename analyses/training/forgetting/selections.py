"""What is looked at of a run: the chosen module, and the numbers and answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.forgetting_law import LINE
from analyses.measures.statistics import mean_interval, wilson_of
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.minus_signs import plain_minus
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result
    from workbench.views import Pick

MEASURES = {
    "forgetting that is gone": "recovery",
    "old answers that are back": "facts",
    "of the new task that is gone": "cost",
}


def parts(run: Result) -> list[str]:
    """The parts of a layer, in the order of the pass."""
    table = run.tables["reset"]
    return list(dict.fromkeys(table[table["layer"] >= 0]["part"]))


def map_lines(run: Result) -> pd.DataFrame:
    """The map as curves: a row per layer and part, in percent."""
    table = run.tables["reset"]
    rows = table[table["layer"] >= 0]
    return rows.assign(**{name: 100 * rows[name] for name in MEASURES.values()})


def cells(run: Result, measure: str) -> xr.DataArray:
    """The map in percent, (layer, pos): a place for each part."""
    import xarray as xr

    rows = map_lines(run)
    table = rows.pivot(index="layer", columns="part", values=measure)[parts(run)]
    return xr.DataArray(
        table.to_numpy(float),
        dims=("layer", "pos"),
        coords={"layer": [int(n) for n in table.index], "pos": range(len(table.columns))},
    )


def layer(run: Result, pick: Pick) -> int:
    """The chosen layer; that of the module that brings back most."""
    wanted = pick.selection.layer
    table = map_lines(run)
    if wanted is not None and wanted in set(table["layer"]):
        return wanted
    return int(table.loc[table["recovery"].idxmax(), "layer"])


def pos(run: Result, pick: Pick) -> int:
    """The chosen part; the one that brings back most in the layer."""
    wanted, names = pick.selection.pos, parts(run)
    if wanted is not None and 0 <= wanted < len(names):
        return wanted
    table = map_lines(run)
    own = table[table["layer"] == layer(run, pick)]
    return names.index(str(own.loc[own["recovery"].idxmax(), "part"]))


def in_words(run: Result, pick: Pick) -> str:
    """The numbers of the chosen module."""
    part, table = parts(run)[pick.pos], run.tables["reset"]
    rows = table[(table["layer"] == pick.layer) & (table["part"] == part)]
    if rows.empty:
        return f"The {part} of layer {pick.layer} was not changed by fine-tuning."
    row = rows.iloc[0]
    said = (
        f"Layer {pick.layer}, {part}, as it was before: {percent(row['recovery'])} of the"
        f" forgetting is gone, {percent(row['facts'])} of what the old answers lost is back,"
        f" {percent(row['cost'])} of the new task's gain is gone. Its weights had moved by"
        f" {percent(row['relative'])} of their size."
    )
    return plain_minus(said)


def answers(run: Result, pick: Pick) -> pd.DataFrame:
    """Each fact before, after, and with the chosen module as it was; those that gain most first."""
    table, asked = run.tables["answers"], run.tables["asked"].set_index("fact")
    columns = {}
    for name, (at, which) in {
        "before": (-2, c.BASE),
        "after": (-2, c.TUNED),
        "put back": (pick.layer, parts(run)[pick.pos]),
    }.items():
        rows = table[(table["layer"] == at) & (table["part"] == which)].set_index("fact")
        columns[name] = rows["says"].map(lambda said: quoted(str(said)))
        columns[f"{name} ln p"] = rows["log_p"].round(2)
    found = asked.assign(**columns)
    found["gain"] = found["put back ln p"] - found["after ln p"]
    order = ["prompt", "answer", "before", "after", "put back", "before ln p", "after ln p",
             "put back ln p"]  # fmt: skip
    return found.sort_values("gain", ascending=False)[order].reset_index(drop=True)


def law_curves(run: Result) -> pd.DataFrame:
    """Points of all ranks by name, and the line through them as a series of its own."""
    import pandas as pd

    table = run.tables["law"]
    fits = run.tables["fits"]
    line = fits[(fits["form"] == LINE) & (fits["rank"] == 0)].iloc[0]
    points = table.assign(run=[f"rank {rank}" for rank in table["rank"]])
    x = np.linspace(table["nats"].min(), table["nats"].max(), 2)
    drawn = pd.DataFrame({"nats": x, "kl": line["intercept"] + line["slope"] * x})
    return pd.concat([points, drawn.assign(run="one line for all")], ignore_index=True)


def points_of_pair(run: Result) -> pd.DataFrame:
    """Forgetting along the training that is looked at."""
    table = run.tables["points"]
    return table[(table["rank"] == table["rank"].iloc[0]) & (table["step"] >= 0)]


def cost_bars(run: Result) -> pd.DataFrame:
    """Forgetting at the end, by kind of text, with intervals."""
    table = run.tables["points"]
    own = table[table["rank"] == table["rank"].iloc[0]]
    end = own[own["step"] == own["step"].max()]
    words = {
        c.NEUTRAL: "neutral text",
        c.TASK: "text like the new task's",
        c.OWN: "the base's own text",
    }
    return end.assign(mean=end["kl"], what=end["text"].map(words), of="KL from the base")


def halves(run: Result) -> pd.DataFrame:
    """Mean of the random halves with its interval over draws, and the update halved, in percent."""
    import pandas as pd

    table, rows = run.tables["halves"], []
    for name, measure in MEASURES.items():
        for kind, each in table.groupby("kind", sort=False):
            value, (low, high) = mean_interval(100 * each[measure].to_numpy(float))
            rows.append((kind, name, value, low, high, len(each)))
    return pd.DataFrame(rows, columns=["kind", "what", "mean", "low", "high", "n"])


def cumulative(run: Result) -> pd.DataFrame:
    """In percent."""
    table = run.tables["cumulative"]
    return table.assign(recovery=100 * table["recovery"], cost=100 * table["cost"])


def mirror(run: Result) -> pd.DataFrame:
    """What each module's update costs alone, as a share of the whole, in percent."""
    table = run.tables["mirror"]
    rows = table[table["layer"] >= 0]
    return rows.assign(alone=100 * (1 - rows["recovery"]))


def tests(run: Result) -> pd.DataFrame:
    """Shares of facts with their intervals (Wilson)."""
    table = run.tables["tests"]
    for name in ("before", "after", "floor"):
        spans = [wilson_of(r, n) for r, n in zip(table[name], table["n"], strict=True)]
        table = table.assign(**{f"{name}_low": [low for low, _ in spans],
                                f"{name}_high": [high for _, high in spans]})  # fmt: skip
    return table


def remedies(run: Result) -> pd.DataFrame:
    """How far each method ends below the line, with the interval of its own forgetting."""
    table = run.tables["remedies"]
    return table.assign(
        mean=table["below"],
        low=table["below"] - (table["high"] - table["kl"]),
        high=table["below"] + (table["kl"] - table["low"]),
        what="95 % over rows of text",
    )


def path(run: Result) -> pd.DataFrame:
    """Losses in nats, facts in percent."""
    table = run.tables["path"]
    return table.assign(right=100 * table["right"])


_MAIN_LINE = ("before", "pre-training", "fine-tuning", "preference tuning")


def stage_curves(run: Result) -> pd.DataFrame:
    """Gain behind the stages one after the other; the branch without preference tuning is in the
    table.
    """
    table = run.tables["stage_survival"]
    rows = table[table["moment"].isin(_MAIN_LINE)]
    rows = rows[rows["planted"] != "read in more fine-tuning"]  # in that branch alone
    return rows.assign(at=[_MAIN_LINE.index(moment) for moment in rows["moment"]])


def stage_bars(run: Result) -> pd.DataFrame:
    """What a stage takes or gives, as means with intervals."""
    return run.tables["stage_effects"].assign(mean=lambda t: t["difference"], of="change of gain")


def matrix_of(run: Result, start: str) -> pd.DataFrame:
    """The retention matrix from one start, in percent."""
    table = run.tables["retention_matrix"]
    rows = table[table["start"] == start]
    return rows.assign(
        said=100 * rows["said"],
        behind=["before" if n == 0 else f"behind {n}" for n in rows["behind"]],
        asked=[f"task {n}" for n in rows["task"]],
    )
