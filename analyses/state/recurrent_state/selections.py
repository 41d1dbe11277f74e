"""What is looked at of a run: the chosen layer, head, token and pair, and the numbers there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.state.recurrent_state.constants import CHANGES, HELD_OUT, TRACES
from workbench.selection import head_name
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

    from workbench.result import Result
    from workbench.views import Pick

Head = tuple[int, int]
_SINGULAR = 8
"""Singular values that are drawn."""


def tokens(run: Result, table: str = "tokens") -> list[str]:
    """The text's tokens."""
    return list(run.tables[table]["token"])


def token_name(run: Result, pos: int, table: str = "tokens") -> str:
    """ "4 “ is”", for lists and sentences."""
    return f"{pos} {quoted(tokens(run, table)[pos])}".replace("\n", "↵")


def token_names(run: Result) -> dict[str, int]:
    return {token_name(run, pos): pos for pos in range(len(tokens(run)))}


def chosen_pos(run: Result, pick: Pick) -> int:
    """The chosen token; the last one where none is chosen or a link names one that is not there."""
    n, pos = len(run.tables["tokens"]), pick.selection.pos
    return n - 1 if pos is None or not 0 <= pos < n else pos


def head_in(array: str) -> Callable[[Result, Pick], Head]:
    """The chosen head if the array has it; else the first of the layer that stores pairs."""

    def of(run: Result, pick: Pick) -> Head:
        values, chosen = run.arrays[array], pick.selection.head
        layers = [int(layer) for layer in values["layer"].values]
        if chosen and chosen[0] in layers and chosen[1] < values.sizes["head"]:
            return chosen
        return best_layer(run) if best_layer(run) in layers else layers[0], 0

    return of


def best_layer(run: Result) -> int:
    """In which pairs were found to be stored; the first layer where nobody looked."""
    noted = run.provenance.notes.get("best layer")
    return int(noted) if noted is not None else int(run.tables["heads"]["layer"].iloc[0])


def places(array: str) -> Callable[[Result], tuple[list[int], list[int]]]:
    """Layers and heads of an array, for the keys."""

    def of(run: Result) -> tuple[list[int], list[int]]:
        values = run.arrays[array]
        return [int(n) for n in values["layer"].values], list(range(values.sizes["head"]))

    return of


def matrix(run: Result, array: str, head: Head) -> np.ndarray:
    """Of one head, float32."""
    found: np.ndarray = run.arrays[array].sel(layer=head[0])[head[1]].values.astype("float32")
    return found


def reads_most(run: Result, pick: Pick, head: Head) -> str:
    """From which token a head reads most at the chosen one, in words."""
    row = matrix(run, "shares", head)[pick.pos]
    most = token_name(run, int(row.argmax()))
    return f"token {pick.pos} reads most of {most}, {percent(float(row.max()))}"


def damage_shares(run: Result, head: Head) -> np.ndarray:
    """Damage of one head, as shares of its largest."""
    values = matrix(run, "damage", head).T  # rows: the token that writes, as in a pattern
    shares: np.ndarray = values / max(float(values.max()), 1e-30)
    return shares


def retained(run: Result, head: Head) -> np.ndarray:
    """How well keys still read their values, from 0; rows: the token that has been read."""
    found: np.ndarray = np.clip(matrix(run, "retention", head).T, 0, 1)
    return found


def traces_at(run: Result, head: Head) -> pd.DataFrame:
    """What one head holds, loses and gets: a column for each trace, a row for each token."""
    values = run.arrays["traces"].sel(layer=head[0])[:, head[1]]
    import pandas as pd

    frame = pd.DataFrame({name: values.sel(trace=name).values for name in TRACES})
    frame.insert(0, "pos", range(len(frame)))
    return frame.dropna(axis=1, how="all")


def spectrum_at(run: Result, head: Head) -> pd.DataFrame:
    """Singular values of one head, a row for each token and value: pos, rank, value."""
    import pandas as pd

    values = run.arrays["spectra"].sel(layer=head[0])[head[1]]
    kept = min(_SINGULAR, values.sizes["rank"])
    return pd.DataFrame(
        [
            {"pos": int(pos), "rank": f"{rank + 1}.", "value": float(values.values[n, rank])}
            for n, pos in enumerate(values["pos"].values)
            for rank in range(kept)
        ]
    )


def rank_at(run: Result, head: Head) -> pd.DataFrame:
    import pandas as pd

    values = run.arrays["rank"].sel(layer=head[0])[head[1]]
    return pd.DataFrame({"pos": values["pos"].values, "rank": values.values.astype(float)})


def edits(run: Result) -> pd.DataFrame:
    """The changes in the best layer, on held-out rows, with words for rows of bars."""
    table = run.tables["edits"]
    rows = table[(table["rows"] == HELD_OUT) & (table["layer"] == best_layer(run))]
    return rows.assign(change=rows["change"].map(CHANGES)).rename(
        columns={
            "new": "new value",
            "new_low": "new value_low",
            "new_high": "new value_high",
            "kept": "other pairs stay",
            "kept_low": "other pairs stay_low",
            "kept_high": "other pairs stay_high",
        }
    )


def rewrites(run: Result) -> pd.DataFrame:
    """Rewriting by layer, on the rows that choose and on the others."""
    table = run.tables["edits"]
    return table[table["change"] == "rewrite"].assign(kind=lambda rows: rows["rows"])


def layer_ticks(run: Result) -> list[tuple[int, str]]:
    """Layers, so that no axis says layer 0.5."""
    layers = sorted(set(run.tables["edits"]["layer"]))
    return [(int(n), str(n)) for n in layers[:: max(1, len(layers) // 12)]]


def lag_ticks(run: Result) -> list[tuple[int, str]]:
    return [(int(n), str(n)) for n in sorted(set(run.tables["probes"]["lag"]))]


def chosen_pair(run: Result, pick: Pick) -> int:
    """The chosen pair (`prompt` of the page's selection); the first if a link names none."""
    table = run.tables["answers"] if "answers" in run.tables else run.tables["pairs"]
    chosen = pick.selection.prompt
    return chosen if chosen in set(table["pair"]) else int(table["pair"].iloc[0])


def changes(run: Result) -> dict[str, str]:
    return {CHANGES[name]: name for name in ("rewrite", "erase")}


def pair_names(run: Result) -> dict[str, int]:
    """The pairs that are shown, by what a list says."""
    table = run.tables["answers"]
    rows = table[table["change"] == ""]
    return {f"{r.key} → {r.value}": int(r.pair) for r in rows.itertuples()}


def matrix_of_answers(run: Result, change: str) -> pd.DataFrame:
    """Probability of each pair's own value (%) after each of them was changed."""
    table = run.tables["answers"]
    names = {number: name for name, number in pair_names(run).items()}
    rows = table[table["change"].isin(["", change])]
    return rows.assign(
        changed=rows["changed"].map(lambda n: "none" if n < 0 else names[n]),
        asked=rows["pair"].map(names),
        percent=100 * rows["p"],
    )


def answers_after(run: Result, pick: Pick) -> pd.DataFrame:
    """What the model says of every pair once the chosen one was changed."""
    table = run.tables["answers"]
    before = table[table["change"] == ""].set_index("pair")
    rows = table[(table["change"] == pick["change"]) & (table["changed"] == pick.prompt)]
    return rows.assign(
        before=rows["pair"].map(before["answer"]), was=rows["pair"].map(before["p"])
    )[["pair", "key", "value", "before", "was", "answer", "p", "new_p"]].reset_index(drop=True)


def changed_words(run: Result, pick: Pick) -> str:
    """What was changed, as a sentence."""
    names = {number: name for name, number in pair_names(run).items()}
    new = run.tables["answers"]["new"].iloc[0]
    what = f"now gives {quoted(new)}" if pick["change"] == "rewrite" else "gives nothing"
    return (
        f"Under the key of “{names[pick.prompt]}” the state of layer {best_layer(run)} {what}; all"
        " keys are asked for again:"
    )


def shown_pairs(run: Result) -> dict[str, int]:
    """The pairs of the row whose state is followed, by what a list says."""
    table = run.tables["pairs"]
    return {f"{r.key} → {r.value}": int(r.pair) for r in table.itertuples()}


def pair_name(run: Result, pair: int) -> str:
    return next(name for name, number in shown_pairs(run).items() if number == pair)


def margins(run: Result) -> pd.DataFrame:
    """Margin of each pair after each token, as curves."""
    import pandas as pd

    values = run.arrays["margins"]
    names = {number: name for name, number in shown_pairs(run).items()}
    return pd.DataFrame(
        [
            {"pos": pos, "pair": name, "margin": float(values.values[number, pos])}
            for number, name in names.items()
            for pos in range(values.sizes["pos"])
            if np.isfinite(values.values[number, pos])
        ]
    )


def change_of_margin(run: Result, pair: int) -> list[float]:
    """By how much each token changed the margin of one pair; 0 before it is written."""
    values = run.arrays["margins"].values[pair].astype(float)
    steps = np.diff(values, prepend=np.nan)
    return [float(x) for x in np.nan_to_num(steps)]


def predictors(run: Result) -> pd.DataFrame:
    """AUCs on held-out rows by layer, with words for intervals."""
    table = run.tables["predictors"]
    rows = table[table["rows"] == HELD_OUT]
    words = {"margin": "what its question reads", "damage": "what was written under its key",
             "age": "how many pairs came later"}  # fmt: skip
    return rows.assign(
        what=rows["predictor"].map(words), layer="layer " + rows["layer"].astype(str),
        mean=rows["auc"] - 0.5, low=rows["low"] - 0.5, high=rows["high"] - 0.5,
    )  # fmt: skip


def probe_layers(run: Result) -> dict[str, int]:
    found = [int(n) for n in dict.fromkeys(run.tables["probes"]["layer"])]
    best = best_layer(run)
    return {str(n): n for n in sorted(found, key=lambda n: (n != best, n))}


def probes_at(run: Result, layer: int) -> pd.DataFrame:
    table = run.tables["probes"]
    return table[table["layer"] == layer]


def memories(run: Result) -> pd.DataFrame:
    """What silencing each memory leaves, with words for bars."""
    rows = run.tables["memories"]
    return rows.assign(
        name=[f"layer {r.layer}, memory {r.memory}" for r in rows.itertuples()], n=rows["own_n"]
    ).rename(
        columns={
            "own_after": "its own pairs",
            "own_low": "its own pairs_low",
            "own_high": "its own pairs_high",
            "other_after": "all others",
            "other_low": "all others_low",
            "other_high": "all others_high",
        }
    )


def wiping_layer(run: Result, pick: Pick) -> int:
    """The chosen layer, else the one where wiping takes most."""
    layers = [int(n) for n in run.arrays["wiping"]["layer"].values]
    most = layers[int(wiping(run).values.min(1).argmin())]
    return pick.selection.layer if pick.selection.layer in layers else most


def wiping_pos(run: Result, pick: Pick) -> int:
    """The chosen token, else the one after which wiping takes most."""
    pos = pick.selection.pos
    if pos is not None and 0 <= pos < len(run.tables["asked"]):
        return pos
    return int(wiping(run).values.min(0).argmin())


def wiping(run: Result) -> xr.DataArray:
    """Without the last token, behind which nothing is read."""
    values = run.arrays["wiping"]
    return values.assign_coords(pos=range(values.sizes["pos"])).isel(pos=slice(0, -1))


def describe_head(run: Result, pick: Pick, head: Head) -> str:
    rows = run.tables["heads"].set_index(["layer", "head"])
    if head not in rows.index:
        return "not measured"
    row = rows.loc[head]
    return f"half-life {row['half_life']:.3g} tokens, effective rank {row['rank']:.2f}"


def title_of(head: Head, what: str) -> str:
    return f"{head_name(*head)}: {what}"


def _storing_layer(run: Result) -> list[str]:
    noted = run.provenance.notes.get("best layer")
    return [] if noted is None else [f"layer {noted}"]


CHOICES = {"layers that store pairs": _storing_layer}
"""What a run chooses, by what a person calls it; counted over seeds."""
