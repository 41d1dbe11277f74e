"""What of a run's tables and arrays one picture, table or text shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from analyses.weights.paragraph_memorization.constants import GROUPS, MEMORIZED, NOT
from workbench.draw.passage import times_read
from workbench.selection import head_name
from workbench.wording import counted, quoted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result
    from workbench.views import Pick

MASKS = {
    "contrast": "contrast",
    "gradient": "gradient",
    "random": "random weights",
    "all": "all weights",
}
"""Which weights were changed, in words."""
PER_HEAD, MLP = ("W_Q", "W_K", "W_V", "W_O"), ("W_gate", "W_in", "W_out")
_LISTED = [
    *("passage", "name", "kind", "repeats", "group", "prefix_match", "loss"),
    *("suffix", "generated"),
]
_RANKED = [
    *("label", "role", "rank", "prefix_match_change"),
    *("loss_change", "other_loss_change", "neutral_loss_change"),
    *("trigger_attention", "trigger_attention_ratio"),
    *("rarity_within", "rarity_within_low", "rarity_within_high", "rarity_pooled"),
]

Place = tuple[int | None, int]
"""The chosen layer, if any, and token."""


class Traced(NamedTuple):
    """What can be drawn layer by token for a passage.

    Attributes:
        way: the direction of patching; "" for gradients.
    """

    array: str
    site: str
    way: str = ""


# -- passages --------------------------------------------------------------------------------------


def passages(run: Result) -> pd.DataFrame:
    """The passages as a person looks for them."""
    table = run.tables["passages"]
    return table[[c for c in _LISTED if c in table]]


def passage(run: Result, number: int) -> pd.Series:
    return run.tables["passages"].set_index("passage").loc[number]


def about(run: Result, number: int) -> str:
    """What a passage is and how much of it is reproduced, in words."""
    row = passage(run, number)
    read = times_read(row.get("repeats"))
    return (
        f"{row['name']} – {row['group']}{read and f', {read}'}:"
        f" {counted(row['prefix_match'], 'leading token')} reproduced."
    )


def chosen_passage(run: Result, pick: Pick) -> int:
    """The passage that is looked at: the chosen one, at first the first."""
    numbers, chosen = run.tables["passages"]["passage"], pick.selection.prompt
    return chosen if chosen in set(numbers) else int(numbers.iloc[0])


def chosen_token(run: Result, pick: Pick) -> int:
    """The token that is looked at: the chosen one, at first that whose replacement costs most (the
    first token where none was replaced).
    """
    rows, chosen = tokens(run, pick.prompt), pick.selection.pos
    if chosen is not None and chosen <= int(rows["pos"].max()):
        return chosen
    return (
        int(rows["pos"].iloc[rows["prefix_match_change"].argmin()])
        if "prefix_match_change" in rows
        else 0
    )


def example_passages(run: Result) -> list[dict[str, Any]]:
    """Passages that a page without Python shows: four memorized, one of each other group."""
    table = run.tables["passages"]
    return [
        {"prompt": int(number)}
        for group in GROUPS
        for number in table.loc[table["group"] == group, "passage"].head(
            4 if group == MEMORIZED else 1
        )
    ]


def a_gradient(run: Result) -> list[dict[str, Any]]:
    """What it shows layer by token, where that was measured."""
    first, what = example_passages(run)[0], Traced("activation_gradients", "resid_post")
    return [{**first, "what": what}] if what in traced(run, first["prompt"]).values() else []


def tokens(run: Result, number: int) -> pd.DataFrame:
    """The tokens of a passage, in order; with `lost`, what replacing each costs, where some were
    replaced.
    """
    table = run.tables["tokens"]
    rows = table[table["passage"] == number].sort_values("pos")
    if "prefix_match_change" not in rows:
        return rows
    return rows.assign(lost=(-rows["prefix_match_change"]).clip(lower=0))


def twin(run: Result, number: int) -> pd.Series | None:
    """What the passage's twin differs in, if it has one."""
    twins = run.tables.get("perturbed_twins")
    if twins is None or number not in set(twins["passage"]):
        return None
    return twins.set_index("passage").loc[number]


def divergence(run: Result, number: int) -> str:
    """What the twin differs in and where it diverges, in words; "" where there is none."""
    row = twin(run, number)
    return "" if row is None else (
        f"Replacement that loses most: {quoted(row['replacement'])} for {quoted(row['token'])}"
        f" (token {row['pos']}). The twin reproduces"
        f" {counted(row['divergence_position'], 'leading token')} of the suffix and diverges at"
        f" {quoted(row['divergence_token'])}."
    )  # fmt: skip


def draws(run: Result, number: int, pos: int) -> pd.DataFrame:
    """What replacing one token does, draw by draw."""
    table = run.tables["perturbed"]
    rows = table[(table["passage"] == number) & (table["pos"] == pos)].reset_index(drop=True)
    shown = rows.assign(
        lost=-rows["prefix_match_change"], replacement="“" + rows["replacement"] + "”"
    )
    names = {"replacement": "replaced by", "lost": "tokens lost", "loss_change": "rise in loss"}
    return shown[list(names)].rename(columns=names)


def traced(run: Result, number: int) -> dict[str, Traced]:
    """What can be drawn layer by token for a passage, by its title."""
    options: dict[str, Traced] = {}
    slopes, patches = run.arrays.get("activation_gradients"), run.arrays.get("patch_positions")
    if patches is not None and number in patches["passage"]:
        options |= {
            f"patched {way}: {site}": Traced("patch_positions", str(site), str(way))
            for way in patches["direction"].values
            for site in patches["site"].values
        }
    if slopes is not None and number in slopes["passage"]:
        options |= {
            f"gradient at {site}": Traced("activation_gradients", str(site))
            for site in reversed(slopes["site"].values)
        }
    return options


def patched_stream(run: Result, number: int) -> list[tuple[str, Traced, Place]]:
    """Both ways of patching a passage's stream, with its title and the replaced token."""
    at = twin(run, number)
    return [
        (title, what, (None, 0 if at is None else int(at["pos"])))
        for title, what in traced(run, number).items()
        if what.way and what.site == "resid_pre"
    ]


def by_layer_and_token(run: Result, number: int, what: Traced) -> xr.DataArray:
    """Gradients or effects of patching, (layer, pos)."""
    at: dict[str, Any] = {"direction": what.way} if what.way else {}
    return run.arrays[what.array].sel({"passage": number, "site": what.site, **at})


# -- weights and heads -----------------------------------------------------------------------------


def by_position(run: Result) -> pd.DataFrame:
    """What replacing a token costs along the prefix, by group: prefix_pos, group, lost,
    loss_change.
    """
    table = run.tables["by_position"]
    return table.assign(lost=-table["prefix_match_change"])


def contrasts(run: Result, size: str, size_name: str) -> dict[str, xr.DataArray]:
    """For each weight that heads have its share in a group's gradients, memorized less not
    memorized, in thousandths, (layer, head).

    Args:
        size: "max" or "rms", and how it is `said`.
    """
    table = run.tables["weight_gradients"]
    rows = table[table["matrix"].isin(PER_HEAD)].set_index(["matrix", "layer", "head"])
    ours, theirs = (rows.loc[rows["group"] == g, f"share_{size}"] for g in (MEMORIZED, NOT))
    more = (1000 * ours - 1000 * theirs).sort_index()
    return {
        f"{matrix}, {size_name}": more.loc[matrix].to_xarray()
        for matrix in PER_HEAD
        if matrix in more.index
    }


def by_layer(run: Result) -> pd.DataFrame:
    """Share of attention, then of the MLP, in a group's largest gradient entries: part, layer,
    group, share.
    """
    table = run.tables["weight_gradients"]
    parts = dict.fromkeys(PER_HEAD, "attention") | dict.fromkeys(MLP, "MLP")
    keys = [table["matrix"].map(parts).rename("part"), "layer", "group"]
    summed = table.groupby(keys)["share_max"].sum().rename("share").reset_index()
    return summed.sort_values("part", key=lambda part: part != "attention", kind="stable")


def ranked(run: Result) -> pd.DataFrame:
    """The table of heads in the columns a person compares."""
    table = run.tables["heads"]
    return table[[c for c in _RANKED if c in table]]


def compared(run: Result) -> str:
    """How many heads the found ones were picked from."""
    return f"{len(run.tables['heads'])} heads were compared."


def by_name(run: Result) -> dict[str, tuple[int, int]]:
    """The heads by their names, in order."""
    table = run.tables["heads"]
    return {r.label: (int(r.layer), int(r.head)) for r in table.itertuples()}


def chosen_head(run: Result, pick: Pick) -> tuple[int, int]:
    """The head that is looked at: the chosen one, at first that whose absence costs most."""
    return pick.selection.head or next(iter(by_name(run).values()))


def head_roles(run: Result) -> dict[tuple[int, int], str]:
    """The heads that were proven together, with their role."""
    heads = run.tables["heads"]
    found = heads[heads["role"] != ""]
    return {(int(a), int(b)): "memory" for a, b in zip(found["layer"], found["head"], strict=True)}


def selected_heads(run: Result) -> list[dict[str, Any]]:
    return [{"head": at} for at in head_roles(run)]


def head(run: Result, at: tuple[int, int]) -> dict[str, Any] | None:
    """The row of a head, if it was measured, with whether it was picked, of how many heads,
    and its attention on triggers.
    """
    table = run.tables["heads"]
    found = table[(table["layer"] == at[0]) & (table["head"] == at[1])]
    if found.empty:
        return None
    row = found.iloc[0]
    picked = "selected" if row["role"] else "not selected"
    return {**row, "picked": picked, "heads": len(table)}


def losses(run: Result) -> dict[str, xr.DataArray]:
    """What a head's absence costs in loss, (layer, head)."""
    table = run.tables["heads"].set_index(["layer", "head"]).sort_index()
    columns = {
        "loss, memorized passages": "loss_change",
        "loss, neutral prose": "neutral_loss_change",
    }
    return {title: table[column].to_xarray() for title, column in columns.items()}


def ablation_losses(run: Result, at: tuple[int, int]) -> dict[str, Any] | None:
    """What a head's absence does to each passage that chose, the most harmed first: values, names
    and title of `draw.bars`; None where it was not measured.
    """
    effects = run.arrays.get("head_prefix_match_change")
    if effects is None or at[0] not in effects["layer"] or at[1] not in effects["head"]:
        return None
    values = effects.sel(layer=at[0], head=at[1]).to_series().sort_values()
    names = run.tables["passages"].set_index("passage")["name"]
    return {
        "values": values.tolist(),
        "names": [f"{names.get(number, '')} (passage {number})" for number in values.index],
        "title": f"{head_name(*at)} switched off: change of leading tokens, by passage",
    }


def untraced(run: Result) -> str:
    """Why nothing was patched."""
    if "patching" not in run.params.get("parts", ["patching"]):
        return "the part 'patching' was not run"
    return "no single prefix token changes the continuation, or the run was stopped earlier"


def patched(run: Result) -> list[int]:
    """Passages that were patched."""
    return [int(number) for number in run.arrays["patch_positions"]["passage"].values]


def patched_heads(run: Result) -> dict[str, xr.DataArray]:
    """What one head's output of the other run does, mean over passages, both ways."""
    mean = run.arrays["patch_heads"].mean("passage")
    return {str(way).capitalize(): mean.sel(direction=way) for way in mean["direction"].values}


# -- removal ---------------------------------------------------------------------------------------


def unchanged(run: Result) -> str:
    """Why nothing was removed, if on purpose."""
    is_requested = "edits" in run.params.get("parts", ["edits"])
    return "" if is_requested else "the part 'edits' was not run"


def changed(run: Result, table: str, aim: str) -> pd.DataFrame:
    """Rows of `weight_edits` or `edit_curves` that are of one aim."""
    return run.tables[table][run.tables[table]["aim"] == aim]


def remaining_match(run: Result, aim: str) -> pd.DataFrame:
    """What is still said of each passage: share of the suffix by line (which weights were changed)
    and heads (what a dot is); random weights after as many steps as the first kind took.
    """
    rows = changed(run, "weight_edits", aim)
    length = float(run.params.get("suffix", 0) or rows["prefix_match_before"].max())
    match = rows["prefix_match"].where(rows["mask"] != "random", rows["prefix_match_same_steps"])
    rows = rows.assign(share=match / length, line=rows["mask"].map(MASKS), heads=rows["name"])
    rows = rows.sort_values("mask", key=lambda m: m.map(list(MASKS).index), kind="stable")
    return rows[["line", "share", "heads", "others_retained"]]


def others_retained(run: Result, aim: str) -> dict[str, dict[str, float]]:
    """By line of `remaining_match`, what is still said of other memorized passages, mean share;
    where it was measured.
    """
    means = remaining_match(run, aim).groupby("line", sort=False)["others_retained"].mean().dropna()
    title = "held-out memorized passages, mean"
    return {str(line): {title: float(share)} for line, share in means.items()}


def match_by_step(run: Result, aim: str) -> pd.DataFrame:
    """Leading tokens said after each step, mean over passages: step, mask, prefix_match. Where
    one has stopped it stays as it was.
    """
    rows = changed(run, "edit_curves", aim)
    wide = rows.pivot_table(
        index="step", columns=["mask", "passage"], values="prefix_match"
    ).ffill()
    mean = wide.T.groupby(level="mask").mean().T
    return mean.melt(ignore_index=False, value_name="prefix_match").reset_index()


def rewritten(run: Result) -> list[tuple[pd.Series, str]]:
    """Passages that were rewritten, and what to."""
    rows = run.tables["rewrite_targets"].itertuples() if "rewrite_targets" in run.tables else ()
    return [(passage(run, int(row.passage)), str(row.target)) for row in rows]


def random_heads(run: Result) -> pd.DataFrame:
    """What random heads' absence leaves of the passages held out (prefix_match_share, heads)."""
    table = run.tables["held_out_eval"]
    sets = table[table["condition"] == "random heads"]
    return sets.assign(line=f"{counted(len(sets['heads'].iloc[0].split()), 'head')} off")


def beside_random(run: Result) -> dict[str, dict[str, float]]:
    """By `line` of those: what is said with all heads, and without the found ones."""
    shares = run.tables["held_out_eval"].set_index("condition")["prefix_match_share"]
    words = {"no intervention": "no intervention", "selected heads": "selected heads off"}
    strokes = {said: float(shares[condition]) for condition, said in words.items()}
    return {random_heads(run)["line"].iloc[0]: strokes}


def _memorization_heads(run: Result) -> list[str]:
    table = run.tables.get("heads")
    return [] if table is None else list(table.loc[table["role"] != "", "label"])


CHOICES = {"memorization heads": _memorization_heads}
"""What a run chooses, by what a person calls it; counted over seeds."""
