"""What is looked at of a run: the map, the chosen neuron, and the chosen cell of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.modules.ffn_map.constants import neuron_name
from workbench.draw.neuron_map import hue_of
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result
    from workbench.views import Pick

ALL = "all"
MATCHED = "(matched)"
_SHOWN = 5  # cards of each capability that are points on the map


def names(run: Result) -> list[str]:
    """The capabilities, in their order."""
    return [str(name) for name in run.tables["capabilities"]["capability"]]


def hues(run: Result) -> dict[str, str]:
    """The colour of each."""
    return {name: hue_of(n) for n, name in enumerate(names(run))}


def maps(run: Result) -> dict[str, str]:
    """What the map can show."""
    return {"the capability it tells best": ALL} | {f"{name} alone": name for name in names(run)}


def strength_and_kind(run: Result, shown: str) -> tuple[xr.DataArray, xr.DataArray]:
    """(average precision, number of the capability, below 0 where it is not above chance), both
    (layer, neuron).
    """
    array = run.arrays["precision"].astype("float32")
    threshold = run.tables["capabilities"]["threshold"].to_numpy()
    if shown == ALL:
        filled = array.fillna(-1.0)
        kind = filled.argmax("capability")
        best = array.max("capability")
    else:
        number = names(run).index(shown)
        best = array.isel(capability=number, drop=True)
        kind = best.fillna(0.0).astype(int) * 0 + number
    above = best > threshold[kind.values]
    return best, kind.where(above, -1).astype(int)


def least(run: Result) -> float:
    """The average precision at which colours begin."""
    return float(run.tables["capabilities"]["threshold"].min())


def marked(run: Result, shown: str) -> pd.DataFrame | None:
    """Neurons with a card that are drawn as points, by the capability that they tell best."""
    cards = run.tables.get("cards")
    if cards is None:
        return None
    order = {name: n for n, name in enumerate(names(run))}
    best = cards.loc[cards.groupby("neuron", sort=False)["precision"].idxmax()]
    if shown != ALL:
        best = best[best["capability"] == shown]
    best = best.groupby("capability", sort=False).head(_SHOWN if shown == ALL else 30)
    return best.assign(name=best["neuron"], kind=best["capability"].map(order))


def neuron(run: Result, pick: Pick) -> tuple[int, int]:
    """The chosen neuron as (layer, number); at first the one that tells a capability best."""
    chosen, array = pick.selection.feature, run.arrays["precision"]
    if chosen is not None and chosen[0][:1] == "L" and chosen[0][1:].isdigit():
        layer = int(chosen[0][1:])
        known = layer in array["layer"].values and 0 <= chosen[1] < array.sizes["neuron"]
        if known and not np.isnan(array.sel(layer=layer).values[chosen[1]]).all():
            return layer, int(chosen[1])
    cards = run.tables.get("cards")
    if cards is not None and len(cards):
        return int(cards["layer"].iloc[0]), int(cards["number"].iloc[0])
    values = np.nan_to_num(array.values.astype("float32"), nan=-1.0)
    row, number, _ = np.unravel_index(values.argmax(), values.shape)
    return int(array["layer"].values[row]), int(number)


def chosen(run: Result, pick: Pick) -> tuple[str, int]:
    """The same, as a page keeps it."""
    layer, number = neuron(run, pick)
    return f"L{layer}", number


def card_of(run: Result, at: tuple[int, int]) -> pd.DataFrame:
    """The rows of a neuron's card; none if it was not looked at alone."""
    cards = run.tables.get("cards")
    if cards is None:
        import pandas as pd

        return pd.DataFrame()
    return cards[cards["neuron"] == neuron_name(*at)]


def precisions(run: Result, at: tuple[int, int]) -> pd.DataFrame:
    """Average precision of one neuron for each capability."""
    import pandas as pd

    values = run.arrays["precision"].sel(layer=at[0]).isel(neuron=at[1]).values
    return pd.DataFrame({"capability": names(run), "precision": values.astype(float)})


def about(run: Result, at: tuple[int, int]) -> str:
    """What a neuron tells, in a sentence."""
    found = precisions(run, at)["precision"]
    table = run.tables["capabilities"]
    threshold = table["threshold"].to_numpy()
    told = [
        f"{name} ({value:.2f})"
        for name, value, chance in sorted(
            zip(names(run), found, threshold, strict=True), key=lambda row: -row[1]
        )
        if value > chance
    ]
    says = f"{neuron_name(*at)} tells {', '.join(told)} better than chance." if told else (
        f"{neuron_name(*at)} tells no capability better than the best of all neurons would by"
        " chance."
    )  # fmt: skip
    card = card_of(run, at)
    if card.empty:
        return f"{says} It was not looked at alone: name it under “picked” and run again."
    if bool(card["always"].iloc[0]):
        says += " It is always active, and in no set."
    return says


def contexts(run: Result, at: tuple[int, int]) -> pd.DataFrame | None:
    """Where a neuron is most active."""
    table = run.tables.get("contexts")
    if table is None or "neuron" not in table:
        return None
    rows = table[table["neuron"] == neuron_name(*at)]
    rows = rows.assign(before=[_end(text, 36) for text in rows["before"]])
    return rows[["before", "token", "activation", "capability"]].reset_index(drop=True)


def _end(text: str, most: int) -> str:
    """The end of a text, as long as a table has room for."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def tokens(run: Result, at: tuple[int, int]) -> list[str]:
    """What a neuron's value promotes and suppresses, as two sentences."""
    table = run.tables.get("promoted")
    if table is None or "neuron" not in table:
        return []
    rows = table[table["neuron"] == neuron_name(*at)]
    said = []
    for way, group in rows.groupby("way", sort=False):
        listed = " ".join(f"“{token}”" for token in group.sort_values("place")["token"])
        said.append(f"Its value {way}: {listed}".replace("\n", "↵"))
    return said


def sizes(run: Result) -> dict[str, int]:
    """How many neurons were ablated."""
    return {f"{k} neurons": int(k) for k in run.tables["matrix"]["k"].unique()}


def matrix(run: Result, k: int) -> pd.DataFrame:
    """Rises of the loss, a column for each set and one for the matched neurons of the row."""
    import pandas as pd

    table = run.tables["matrix"]
    table = table[table["k"] == k]
    top = table[table["kind"] == "top"]
    own = table[(table["kind"] != "top") & (table["of"] == table["capability"])]
    shown = pd.concat([top, own.assign(of=MATCHED)])
    return shown.rename(columns={"of": "neurons of"})[["capability", "neurons of", "rise"]]


def owners(run: Result) -> list[str]:
    """Capabilities whose neurons were ablated."""
    table = run.tables["matrix"]
    return [str(name) for name in table.loc[table["kind"] == "top", "of"].unique()]


def cell(run: Result, pick: Pick) -> str:
    """The chosen cell in words."""
    table = run.tables["matrix"]
    rows = table[(table["k"] == pick["k"]) & (table["kind"] == "top")]
    rows = rows[(rows["of"] == pick["of"]) & (rows["capability"] == pick["capability"])]
    if rows.empty:
        return "Nothing was measured here."
    row = rows.iloc[0]
    return (
        f"With the neurons of {pick['of']} held at their means, the loss on {pick['capability']}"
        f" rises by {row['rise']:+.2f} nats per token (95 %: {row['low']:+.2f} to"
        f" {row['high']:+.2f}), and right answers go from {percent(row['right_before'])} to"
        f" {percent(row['right'])} of {row['n']}."
    ).replace("-", "−")


def answers(run: Result, pick: Pick) -> pd.DataFrame:
    """Held-out prompts of the chosen capability, what is said of them before and after."""
    prompts, said = run.tables["prompts"], run.tables["answers"]
    own = prompts[prompts["capability"] == pick["capability"]]
    before = said[said["of"] == ""].set_index("prompt")
    after = said[(said["of"] == pick["of"]) & (said["k"] == pick["k"])].set_index("prompt")
    numbers = [n for n in own["prompt"] if n in after.index]
    own = own.set_index("prompt").loc[numbers]
    own = own.assign(text=[_end(text, 70) for text in own["text"]])
    rises = after.loc[numbers, "loss"] - before.loc[numbers, "loss"]
    frame = own[["text", "answer"]].assign(
        before=before.loc[numbers, "says"], after=after.loc[numbers, "says"], rise=rises
    )
    return frame.sort_values("rise", ascending=False).reset_index(drop=True)


def selectivity(run: Result) -> pd.DataFrame:
    """What is compared of each capability, for a picture of intervals, at the first size."""
    import pandas as pd

    table = run.tables["selectivity"]
    if table.empty:
        return pd.DataFrame()
    words = {"column": "own less others", "row": "own less others' neurons",
             "beyond": "own less others, beyond matched"}  # fmt: skip
    rows = [
        {"capability": row["capability"], "what": word, "mean": row[name],
         "low": row[f"{name}_low"], "high": row[f"{name}_high"], "n": row["n"]}
        for row in table[table["k"] == table["k"].iloc[0]].to_dict("records")
        for name, word in words.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def by_size(run: Result) -> pd.DataFrame | None:
    """Own less others by how many neurons; None with one size."""
    table = run.tables["selectivity"]
    return table if len(table) and table["k"].nunique() > 1 else None


def dissociating(run: Result) -> list[str]:
    table = run.tables.get("selectivity")
    if table is None or table.empty:
        return []
    rows = table[(table["k"] == table["k"].iloc[0]) & (table["verdict"] == "dissociates")]
    return [str(name) for name in rows["capability"]]


CHOICES = {"capabilities that dissociate": dissociating}
"""What a run chooses, by what a person calls it; counted over seeds."""
