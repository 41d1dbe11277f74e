"""What is looked at of a run: the chosen token, layer and head, and the numbers there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.draw.tokens import TEMPLATE
from workbench.selection import head_name
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    import xarray as xr

    from workbench.result import Result
    from workbench.views import Pick

Head = tuple[int, int]
STREAMS = {
    "resid_pre": "before the layer",
    "resid_mid": "between attention and MLP",
    "resid_post": "after the layer",
}


def tokens(run: Result) -> list[str]:
    """The prompt's tokens as text."""
    return list(run.tables["tokens"]["token"])


def token_name(run: Result, pos: int) -> str:
    """ "4 “ is”", for lists and sentences."""
    return f"{pos} {quoted(tokens(run)[pos])}".replace("\n", "↵")


def chosen_token(run: Result, pick: Pick) -> str:
    """The name of the chosen token."""
    return token_name(run, pick.pos)


def token_names(run: Result) -> dict[str, int]:
    """Positions by the token's name."""
    return {token_name(run, pos): pos for pos in range(len(tokens(run)))}


def template_spans(run: Result) -> list[str] | None:
    """What of a conversation is its format, for token strips; None for a plain text."""
    table = run.tables["tokens"]
    if "part" not in table:
        return None
    return [TEMPLATE if part == "template" else "" for part in table["part"]]


def reason(what: str) -> Callable[[Result], str]:
    """Why a run does not have it on purpose, as its table `left_out` says; "" where it does not."""

    def of(run: Result) -> str:
        table = run.tables.get("left_out")
        reasons = {} if table is None else dict(zip(table["item"], table["reason"], strict=True))
        return str(reasons.get(what, ""))

    return of


def chosen_pos(run: Result, pick: Pick) -> int:
    """The chosen token; the last one if none is chosen or a link names one that is not there."""
    n, pos = len(run.tables["tokens"]), pick.selection.pos
    return n - 1 if pos is None or not 0 <= pos < n else pos


def layers(run: Result, name: str = "norms") -> list[int]:
    """The layers of an array, or of the table of that name where the array has no layers; all that
    are shown have norms.
    """
    array = run.arrays[name]
    source = array["layer"].values if "layer" in array.dims else run.tables[name]["layer"]
    return sorted({int(layer) for layer in source})


def layer_names(run: Result, name: str = "norms") -> dict[str, int]:
    """Those layers by what a list says."""
    return {str(layer): layer for layer in layers(run, name)}


def chosen_layer(run: Result, pick: Pick, name: str = "norms") -> int:
    """The chosen layer if it is one of those, else the last of them."""
    every, layer = layers(run, name), pick.selection.layer
    return layer if layer in every else every[-1]


def first_head(run: Result) -> Head:
    """The head with a pattern that writes most toward the answer, else the first one."""
    every, heads = layers(run, "patterns"), run.tables.get("heads")
    rows = None if heads is None else heads[heads["layer"].isin(every)]
    if rows is None or rows.empty:
        return every[0], 0
    best = rows.loc[rows["logits"].abs().idxmax()]
    return int(best["layer"]), int(best["head"])


def head_of(run: Result, array: str) -> Head | None:
    """The chosen head if the array has it."""
    head, values = run.selection.head, run.arrays.get(array)
    if head is None or values is None:
        return None
    return head if head[0] in values["layer"].values and head[1] < values.sizes["head"] else None


def pattern_head(run: Result, pick: Pick) -> Head:
    """The chosen head if it has a pattern, else the first to look at."""
    return head_of(run, "patterns") or first_head(run)


def grid(run: Result, array: str) -> tuple[list[int], list[int]]:
    """Layers and heads of an array."""
    return layers(run, array), list(range(run.arrays[array].sizes["head"]))


def pattern(run: Result, head: Head) -> np.ndarray:
    """(query, key), float32."""
    of_layer = run.arrays["patterns"].sel(layer=head[0]).values
    of_head: np.ndarray = of_layer[head[1]].astype("float32")
    return of_head


def no_heads(run: Result) -> str:
    """Why single heads are not shown; "" where they are."""
    missing = "" if "heads" in run.arrays else reason("heads")(run)
    return f"Single heads are not shown: {missing}." if missing else ""


def attends_most(run: Result, pick: Pick, head: Head) -> str:
    """To which token a head attends most from the chosen one, in words."""
    row = pattern(run, head)[pick.pos]
    most = token_name(run, int(row.argmax()))
    return f"token {pick.pos} attends most to {most}, {percent(row.max())}"


def heads_at(run: Result, pos: int) -> xr.DataArray:
    """What the heads write at one token, (layer, head), logits."""
    array = run.arrays["heads"].isel(pos=pos, drop=True)
    return array.assign_coords(head=range(array.sizes["head"]))


def writes(run: Result, pick: Pick, head: Head) -> str:
    """What a head writes at the chosen token, in words."""
    return f"{float(heads_at(run, pick.pos).sel(layer=head[0], head=head[1])):+.3f} logits"


def ranked_heads(run: Result, pos: int) -> pd.DataFrame:
    """All heads at one token, strongest first: columns label and logits."""
    import pandas as pd

    array = heads_at(run, pos)
    heads = range(array.sizes["head"])
    labels = [head_name(int(layer), h) for layer in array["layer"].values for h in heads]
    frame = pd.DataFrame({"label": labels, "logits": array.values.ravel().astype(float)})
    return frame.sort_values("logits", key=abs, ascending=False).reset_index(drop=True)


def parts_at(run: Result, pos: int) -> pd.DataFrame:
    """The table of parts, with what they write at one token."""
    return run.tables["components"].assign(
        logits=run.arrays["components"].values[:, pos].astype(float)
    )


def bars_at(run: Result, pos: int) -> dict[str, Any]:
    """The same as values, names and title of `draw.bars`."""
    table = parts_at(run, pos)
    return {
        "values": list(table["logits"]),
        "names": [part.replace(" ", " of layer ") for part in table["component"]],
        "title": f"Components at token {token_name(run, pos)}: together"
        f" {table['logits'].sum():+.2f} logits",
    }


def written(run: Result, head: Head | None) -> list[float]:
    """What one head, or everything together, writes at each token, logits."""
    parts = run.arrays["components"].sum("component")
    values = parts if head is None else run.arrays["heads"].sel(layer=head[0])[head[1]]
    return [float(v) for v in values.values]


def lens_at(run: Result, layer: int, pos: int) -> pd.DataFrame:
    """The likeliest tokens of one cell of the lens, and where the answers stand: columns rank,
    token, percent and target ("" for what is no answer).
    """
    import pandas as pd

    def here(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table["layer"] == layer) & (table["pos"] == pos)]

    names = ["rank", "token", "probability", "target"]
    likeliest = here(run.tables["logit_lens"]).assign(target="")
    rows = pd.concat([likeliest[names], here(run.tables["answer_lens"])[names]])
    # An answer that is among the likeliest stands there once, marked.
    rows = rows.sort_values(["rank", "target"], ascending=[True, False])
    rows = rows.drop_duplicates(["rank", "token"]).reset_index(drop=True)
    tokens_quoted = [quoted(token) for token in rows["token"]]
    shown = rows.assign(token=tokens_quoted, percent=100 * rows["probability"])
    return shown[["rank", "token", "percent", "target"]]


def answers_at(run: Result, pos: int) -> pd.DataFrame:
    """The answers' probability in the lens at one token: columns layer, answer, perhaps other."""
    table = run.tables["answer_lens"]
    rows = table[table["pos"] == pos]
    return rows.pivot(index="layer", columns="target", values="probability").reset_index()


def answers(run: Result) -> dict[str, str]:
    """The token of "answer" and, if there is one, of "other"."""
    table = run.tables["answer_lens"].drop_duplicates("target")
    return dict(zip(table["target"], table["token"], strict=True))


def norm_sites(run: Result) -> dict[str, str]:
    """The sites whose norms are there, by what a person reads: the streams, the one after the layer
    first, then further sites that were kept whole.
    """
    norms = run.arrays["norms"]
    known = [str(s) for s in norms["site"].values if bool(norms.sel(site=s).notnull().any())]
    streams = [site for site in reversed(STREAMS) if site in known]
    further = {site: site for site in known if site not in STREAMS}
    return {f"{site}: {STREAMS[site]}": site for site in streams} | further


def norms_at(run: Result, pos: int) -> pd.DataFrame:
    """The norms at one token: columns layer and a column per site."""
    wide = run.arrays["norms"].isel(pos=pos).to_series().unstack("site")
    return wide.dropna(axis=1, how="all").rename_axis(columns=None).reset_index()


def ranked_neurons(run: Result, layer: int | None = None) -> pd.DataFrame:
    """The kept neurons, of one layer or of all, strongest first."""
    table = run.tables["neurons"]
    rows = table if layer is None else table[table["layer"] == layer]
    return rows.sort_values("max_activation", key=abs, ascending=False).reset_index(drop=True)


def recorded_neurons(run: Result) -> int:
    """How many neurons of a layer were kept."""
    return int(run.tables["neurons"].groupby("layer").size().max())


def strongest_neurons(run: Result) -> list[dict[str, str]]:
    """Those that a page without Python shows."""
    return [{"neuron": label} for label in ranked_neurons(run)["label"].head(8)]


def activation(run: Result, pick: Pick) -> str:
    """What the chosen neuron does at the chosen token, in words."""
    value = activations(run, pick["neuron"])[pick.pos]
    return f"{pick['neuron']} at token {chosen_token(run, pick)}: {value:+.3f}"


def activations(run: Result, label: str) -> list[float]:
    """One neuron at each token."""
    return [float(v) for v in run.arrays["neurons"].sel(label=label).values]
