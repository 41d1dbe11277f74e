"""What is looked at of a run: the chosen module, and the numbers and answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.forgetting_law import LINE
from analyses.training.forgetting import constants as c
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

_OUTSIDE = "no layer"


def modules(run: Result) -> dict[str, str]:
    """The modules of the map by what people call them, most recovery first."""
    rows = run.tables["reset"].sort_values("recovery", ascending=False)
    return {_module(int(r.layer), str(r.part)): f"{r.layer} {r.part}" for r in rows.itertuples()}


def _module(layer: int, part: str) -> str:
    return part if layer < 0 else f"layer {layer}, {part}"


def parts(run: Result) -> list[str]:
    """The parts of a layer, in the order of the pass."""
    table = run.tables["reset"]
    return list(dict.fromkeys(table[table["layer"] >= 0]["part"]))


def map_lines(run: Result) -> pd.DataFrame:
    """The map as curves: a row per layer and part, in percent."""
    table = run.tables["reset"]
    rows = table[table["layer"] >= 0]
    return rows.assign(**{name: 100 * rows[name] for name in ("recovery", "cost", "facts")})


def top_modules(run: Result) -> pd.DataFrame:
    """The twelve modules that bring back most, with what each costs, in percent."""
    rows = run.tables["reset"].nlargest(12, "recovery")
    names = [_module(int(r.layer), str(r.part)) for r in rows.itertuples()]
    return rows.assign(module=names)


def chosen(run: Result, pick: Pick) -> tuple[int, str]:
    """The chosen module."""
    layer, _, part = str(pick["module"]).partition(" ")
    return int(layer), part


def in_words(run: Result, pick: Pick) -> str:
    """The numbers of the chosen module."""
    layer, part = chosen(run, pick)
    table = run.tables["reset"]
    row = table[(table["layer"] == layer) & (table["part"] == part)].iloc[0]
    said = (
        f"{_module(layer, part).capitalize()} as it was before: {percent(row['recovery'])} of the"
        f" forgetting is gone, {percent(row['facts'])} of what the old answers lost is back,"
        f" {percent(row['cost'])} of the new task's gain is gone. Its weights had moved by"
        f" {percent(row['relative'])} of their size."
    )
    return said.replace("-", "−")


def answers(run: Result, pick: Pick) -> pd.DataFrame:
    """Each fact before, after, and with the chosen module as it was; those that change first."""
    layer, part = chosen(run, pick)
    table, asked = run.tables["answers"], run.tables["asked"].set_index("fact")
    columns = {}
    for name, (at, which) in {
        "before": (-2, c.BASE),
        "after": (-2, c.TUNED),
        "put back": (layer, part),
    }.items():
        rows = table[(table["layer"] == at) & (table["part"] == which)].set_index("fact")
        columns[name] = [quoted(str(each)) for each in rows["says"]]
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
    """What each draw brings back, in percent."""
    table = run.tables["halves"]
    return table.assign(recovery=100 * table["recovery"])


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
    """Rates for bars."""
    return run.tables["tests"]


def path(run: Result) -> pd.DataFrame:
    """Losses in nats, facts in percent."""
    table = run.tables["path"]
    return table.assign(right=100 * table["right"])
