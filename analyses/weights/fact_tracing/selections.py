"""What is looked at of a run: the chosen fact, kind of map, layer and token, and the numbers
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.weights.fact_tracing.constants import CLASSES, LAST, MLP, NOISE, PERMUTED, SUBJECT
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result
    from workbench.views import Pick

_POINTS = 100.0


def kinds(run: Result) -> dict[str, str]:
    """The maps of a run, whole ones before those with a severed path."""
    values = [str(kind) for kind in run.arrays["effects"]["kind"].values]
    words = {"state": "states", MLP: "MLPs", "attention": "attention"}
    return {words[kind]: kind for kind in values if kind in words}


def fact(run: Result, pick: Pick) -> int:
    """The chosen fact; the first one where a link names one that is not there."""
    chosen = pick.selection.prompt
    return chosen if chosen < len(run.tables["facts"]) else 0


def facts(run: Result) -> dict[str, int]:
    """Facts by their words."""
    table = run.tables["facts"]
    return {f"{row.fact}. {row.prompt} {row.answer}": int(row.fact) for row in table.itertuples()}


def words(run: Result, fact: int) -> pd.DataFrame:
    """The tokens of a fact."""
    table = run.tables["tokens"]
    return table[table["fact"] == fact]


def effects(run: Result, fact: int, kind: str) -> xr.DataArray:
    """What comes back of a fact, in points, (layer, pos); NaN where nothing was restored."""
    import xarray as xr

    values = run.arrays["effects"].sel(kind=kind).isel(fact=fact).values
    n = len(words(run, fact))
    return xr.DataArray(
        _POINTS * values[:, :n].astype(float),
        dims=("layer", "pos"),
        coords={"layer": range(len(values)), "pos": range(n)},
    )


def pos(run: Result, pick: Pick) -> int:
    """The chosen token; the subject's last where none is chosen."""
    table, chosen = words(run, fact(run, pick)), pick.selection.pos
    if chosen is not None and 0 <= chosen < len(table):
        return chosen
    return int(table.loc[table["kind"] == SUBJECT, "pos"].iloc[0])


def layer(run: Result, pick: Pick) -> int:
    """The chosen layer; that of the largest mean effect at the last subject token."""
    n, chosen = run.arrays["effects"].sizes["layer"], pick.selection.layer
    if chosen is not None and 0 <= chosen < n:
        return chosen
    rows = classes(run, _first_kind(run), NOISE)
    rows = rows[(rows["tokens"] == SUBJECT) & (rows["layer"] > 0)]
    return int(rows.loc[rows["effect"].idxmax(), "layer"]) if len(rows) else 0


def _first_kind(run: Result) -> str:
    names = list(kinds(run).values())
    return MLP if MLP in names else names[0]


def classes(run: Result, kind: str, corruption: str) -> pd.DataFrame:
    """Mean effects by class and layer, in points."""
    table = run.tables["by_class"]
    rows = table[(table["kind"] == kind) & (table["corruption"] == corruption)]
    points = {name: _POINTS * rows[name] for name in ("effect", "low", "high")}
    return rows.assign(**points)


def corruptions(run: Result) -> dict[str, str]:
    found = run.tables["by_class"]["corruption"].unique()
    return {f"{name} on the subject" if name == NOISE else name: name for name in found}


def order(run: Result) -> list[str]:
    """Classes that this run has, in reading order, then the null."""
    found = set(run.tables["by_class"]["tokens"])
    return [name for name in (*CLASSES, PERMUTED) if name in found]


def cell_in_words(run: Result, pick: Pick) -> str:
    """The chosen fact's own numbers at the chosen layer and token, beside the mean of its class."""
    n, at, where = pick.prompt, pick.layer, pick.pos
    row, token = run.tables["facts"].iloc[n], words(run, n).iloc[where]
    said = []
    for name, kind in kinds(run).items():
        value = float(effects(run, n, kind).sel(layer=at)[where])
        if np.isfinite(value):
            mean = _mean_of(run, kind, str(token["kind"]), at)
            said.append(f"{name} {value:+.1f} points (mean of facts {mean:+.1f})")
    lost = ""
    if row["clean"] == row["clean"]:
        lost = (
            f" Noise on the subject takes the answer from {percent(row['clean'])} to"
            f" {percent(row['corrupted'])}."
        )
    what = "; ".join(said) or "nothing was restored here"
    return (
        f"{row['prompt']} {row['answer']}: at layer {at}, token {where}"
        f" {quoted(str(token['token']))} ({token['kind']}), {what}.{lost}"
    ).replace("-", "−")


def _mean_of(run: Result, kind: str, tokens: str, layer: int) -> float:
    rows = classes(run, kind, NOISE)
    rows = rows[(rows["tokens"] == tokens) & (rows["layer"] == layer)]
    return float(rows["effect"].iloc[0]) if len(rows) else float("nan")


def along_layers(run: Result, pick: Pick) -> pd.DataFrame:
    """What comes back of the chosen fact at the chosen token, by layer and kind."""
    import pandas as pd

    frames = []
    for name, kind in kinds(run).items():
        values = effects(run, pick.prompt, kind)[:, pick.pos]
        frames.append(pd.DataFrame({"layer": values["layer"].values, "kind": name,
                                    "effect": values.values}))  # fmt: skip
    return pd.concat(frames, ignore_index=True).dropna(subset="effect")


def severed(run: Result) -> pd.DataFrame:
    """States at the last subject token, whole and with a path severed, in points."""
    rows = run.tables["severed"]
    points = {name: _POINTS * rows[name] for name in ("effect", "low", "high")}
    return rows.assign(**points)


def extracted(run: Result) -> pd.DataFrame:
    """Facts whose answer some layer writes, beside another fact's answer: a row for each half."""
    import pandas as pd

    finding = run.findings["extraction"]
    spread = finding.interval if isinstance(finding.interval, dict) else {}
    rows = []
    for key in (name for name in finding.values if not name.endswith("_null")):
        low, high = spread.get(key, (np.nan, np.nan))
        rows.append({
            "part": key.replace("_", " "), "the answer": finding.values[key],
            "the answer_low": low, "the answer_high": high,
            "another fact's": finding.values[f"{key}_null"],
            "n": int(run.tables["events"]["n"].max()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def alike(run: Result) -> pd.DataFrame:
    """Pairs of wordings and languages, for a picture of intervals; each beside its null."""
    import pandas as pd

    rows = []
    for row in run.tables["shared"].itertuples():
        pair = f"{row.one}, {row.other} ({row.kind})"
        n = min(row.facts, row.other_facts)
        rows.append({"pair": pair, "what": "correlation", "mean": row.r, "low": row.low,
                     "high": row.high, "n": n})  # fmt: skip
        rows.append({"pair": pair, "what": PERMUTED, "mean": (row.null_low + row.null_high) / 2,
                     "low": row.null_low, "high": row.null_high, "n": n})  # fmt: skip
    return pd.DataFrame(rows, columns=["pair", "what", "mean", "low", "high", "n"])


def of_subject(run: Result) -> pd.DataFrame:
    """States at the last subject token by wording and language."""
    table = run.tables["shared_maps"]
    return table[(table["tokens"] == SUBJECT) & (table["kind"] == "state")]


def of_last(run: Result) -> pd.DataFrame:
    """States at the last token by wording and language."""
    table = run.tables["shared_maps"]
    return table[(table["tokens"] == LAST) & (table["kind"] == "state")]


def edits_by_layer(run: Result) -> pd.DataFrame:
    """How well edits hold, and what tracing gives, by layer; means over facts."""
    rows = run.tables["edits"].groupby("layer")[["new", "effect"]].mean().reset_index()
    top = rows["effect"].abs().max() or 1.0
    return rows.assign(effect=rows["effect"] / top)


def _sites(run: Result) -> list[str]:
    table = run.tables.get("sites")
    if table is None:
        return []
    rows = table[(table["corruption"] == NOISE) & (table["low"] > table["null_high"])]
    return [f"{row.site} site around layer {row.layer}" for row in rows.itertuples()]


CHOICES = {"sites that are told from permuted tokens": _sites}
"""What a run chooses, by what a person calls it; counted over seeds."""
