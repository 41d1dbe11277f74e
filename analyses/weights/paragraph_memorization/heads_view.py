"""The Heads tab: absence, trigger and rarity as linked grids, one head passage by passage, the
proof, a table of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Row, Table
from workbench.selection import head_name

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result

AGAIN = "The run was stopped before it came to this; run the analysis again and let it finish."
GRIDS = {
    "match": ("Without it", "tokens said", "fewer", "more"),
    "trigger_lift": ("Attention on triggers", "× chance, less 1", "below", "above"),
    "rarity_each": ("Attention and rarity", "rank correlation", "rare", "frequent"),
}


def column(result: Result, name: str) -> xr.DataArray:
    """A column of the heads table as (layer, head); attention on triggers is counted from
    chance.
    """
    values = result.tables["heads"].set_index(["layer", "head"])[name].sort_index().to_xarray()
    return values - 1 if name == "trigger_lift" else values


def picked(result: Result) -> dict[tuple[int, int], str]:
    """The heads that were proven together: outlined as memory heads."""
    heads = result.tables["heads"]
    found = heads[heads["role"] != ""]
    return {(int(a), int(b)): "memory" for a, b in zip(found["layer"], found["head"], strict=True)}


def grids(result: Result) -> list[Any]:
    hover = {title: column(result, name) for name, (title, *_) in GRIDS.items()}
    hover["loss without it"] = column(result, "loss")
    hover["loss of neutral prose"] = column(result, "neutral_loss")
    return [
        draw.head_grid(
            column(result, name),
            title=title,
            unit=unit,
            low_word=low,
            high_word=high,
            hover={other: array for other, array in hover.items() if other != title},
            marks=picked(result),
            labels=i == 0,
        )
        for i, (name, (title, unit, low, high)) in enumerate(GRIDS.items())
    ]


def intro(result: Result) -> Markup:
    key = Markup(
        '<span style="border:2.5px solid {};border-radius:3px;padding:0 6px">picked</span>'
    ).format(colour.MEMORY)
    return Markup('<p class="wb-says">{} {}</p>').format(
        "Each head set to zero at all tokens: how many leading tokens of the memorized passages"
        " (the half that chooses) are lost. Beside it how much it looks at the three strongest"
        f" trigger tokens, and whether it looks at rare tokens. {len(result.tables['heads'])} heads"
        " were compared. Outlined:",
        key,
    )


def ranked(result: Result) -> pd.DataFrame:
    """The heads table in the columns a person compares."""
    columns = [
        "label",
        "role",
        "rank",
        "match",
        "loss",
        "other_loss",
        "neutral_loss",
        "trigger_share",
        "trigger_lift",
    ]
    columns += ["rarity_each", "rarity_each_low", "rarity_each_high", "rarity_pooled"]
    table = result.tables["heads"]
    return table[[c for c in columns if c in table]]


def card(result: Result, layer: int, head: int) -> Markup:
    """One head in numbers."""
    table = result.tables["heads"]
    found = table[(table["layer"] == layer) & (table["head"] == head)]
    if found.empty:
        return draw.note(f"{head_name(layer, head)} was not measured.", "Choose another head.")
    row = found.iloc[0]
    lines = [
        ("memorized passages", f"{row['match']:+.1f} tokens, {row['loss']:+.3f} nats per token"),
        ("passages not memorized", f"{row['other_loss']:+.3f} nats per token"),
        ("neutral prose", f"{row['neutral_loss']:+.3f} nats per token"),
        (
            "attention on triggers",
            f"{100 * row['trigger_share']:.0f} %, {row['trigger_lift']:.1f} times chance",
        ),
        (
            "attention and rarity",
            (
                f"{row['rarity_each']:+.2f} ({row['rarity_each_low']:+.2f} to"
                f" {row['rarity_each_high']:+.2f}); pooled {row['rarity_pooled']:+.2f}"
            ),
        ),
    ]
    cells = Markup("").join(
        Markup("<tr><th>{}</th><td>{}</td></tr>").format(*line) for line in lines
    )
    return Markup(
        "<style>.k{{border-collapse:collapse;font:13px/1.6 var(--wb-font,sans-serif)}}.k"
        " th{{text-align:left;font-weight:500;padding-right:14px}}.k"
        " td{{font-variant-numeric:tabular-nums}}h3{{font:650 17px"
        ' var(--wb-font,sans-serif);margin:0 0 4px}}</style><h3>{} <span class="wb-small">{}, {} of'
        " {} by what its absence costs</span></h3><table class=k>{}</table>"
    ).format(
        row["label"], "picked" if row["role"] else "not picked", int(row["rank"]), len(table), cells
    )


def per_passage(result: Result, layer: int, head: int) -> dict[str, Any] | None:
    """What the head's absence does to each passage that chose: the words and values of
    `draw.bars`; None if not there.
    """
    effects = result.arrays.get("head_match")
    if effects is None or layer not in effects["layer"] or head not in effects["head"]:
        return None
    values = effects.sel(layer=layer, head=head).to_series().sort_values()
    names = result.tables["passages"].set_index("passage")["name"]
    return {
        "values": [float(v) for v in values],
        "names": [f"{names.get(passage, '')} (passage {passage})" for passage in values.index],
        "title": f"Without {head_name(layer, head)}: leading tokens of each passage (change)",
        "unit": "tokens",
    }


def strongest(result: Result) -> tuple[int, int]:
    first = result.tables["heads"].iloc[0]
    return int(first["layer"]), int(first["head"])


def proof(result: Result) -> list[Any]:
    """The found heads and random ones, on passages held out."""
    import pandas as pd

    if "proof" not in result.tables:
        return [draw.says(result.findings["heads"].says)] if "heads" in result.findings else []
    table = result.tables["proof"]
    sets = table[table["condition"] == "random"]
    line = f"{len(sets['heads'].iloc[0].split())} heads off"
    before, off = (
        float(table.loc[table["condition"] == c, "kept"].iloc[0]) for c in ("untouched", "found")
    )
    picture = draw.dots(
        pd.DataFrame({"kept": sets["kept"], "line": line, "heads": sets["heads"]}),
        "kept",
        "line",
        title="The control: random heads of the same layers, on passages held out",
        xlabel="share of the suffix that is still said (%)",
        lines={line: {"untouched": before, "found heads off": off}},
    )
    return [draw.says(result.findings["heads"].says), picture]


def still(result: Result) -> list[Any]:
    if "heads" not in result.tables:
        return [draw.note("The heads were not measured.", AGAIN)]
    at = strongest(result)
    parts: list[Any] = [intro(result), Row(grids(result))]
    bars = per_passage(result, *at)
    if bars is not None:
        parts.append(draw.bars(**bars, xlabel="passages that chose, sorted"))
    if "rarity" in result.findings:
        parts.append(draw.says(result.findings["rarity"].says, small=True))
    parts += proof(result)
    cards = Markup("").join(card(result, *head) for head in picked(result))
    return [
        *parts,
        cards,
        Table(ranked(result), "All heads, the one whose absence costs most first"),
    ]


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """Linked: grids, list, table and bars all read and write the selection.

    Args:
        pictures: those of `still`: three grids, the bars of the first head, and the dots where
            heads were proven.
    """
    from workbench.draw.keyboard import key_pad
    from workbench.draw.linking import link_heads
    from workbench.draw.view import (
        STYLES,
        html_pane,
        live_column,
        live_part,
        live_picture,
        need_panel,
        scrolling,
        tabulator,
        wrapping,
    )

    if "heads" not in result.tables:
        return live_column(still(result))
    pn, pick, table = need_panel(), result.selection, result.tables["heads"]
    if pick.head is None:
        pick.choose(*strongest(result))
    maps = [live_picture(picture) for picture in pictures[:3]]
    has_bars = per_passage(result, *strongest(result)) is not None
    bars = [live_picture(picture) for picture in pictures[3 : 3 + has_bars]]
    dots = [live_part(picture) for picture in pictures[3 + has_bars :]]
    shown = ranked(result)
    listing = tabulator(shown, height=420, selectable="toggle")
    about = html_pane(Markup(""))
    choose = pn.widgets.Select(
        name="Head, by what its absence costs",
        options=list(shown["label"]),
        width=240,
        stylesheets=[STYLES],
        margin=(2, 0, 6, 0),
    )

    def chosen() -> None:
        if pick.head is None:
            about.object = str(
                draw.note("No head is chosen.", "Click a cell, or choose one above.")
            )
            return
        about.object = str(card(result, *pick.head))
        wanted = per_passage(result, *pick.head)
        for pane in bars:
            if wanted is not None and pane.object.title.text != wanted["title"]:
                draw.fill_bars(pane, **wanted)

    def describe(layer: int, head: int) -> str:
        row = table[(table["layer"] == layer) & (table["head"] == head)]
        return f"without it {row['match'].iloc[0]:+.1f} tokens" if len(row) else "not measured"

    link_heads(pick, maps, choose, listing, list(shown["label"]), chosen)
    pad = key_pad(
        pick, sorted(set(table["layer"].tolist())), sorted(set(table["head"].tolist())), describe
    )
    left = pn.Column(wrapping(*maps, gap="4px 10px"), pad)
    right = pn.Column(
        choose, about, min_width=280, sizing_mode="stretch_width", styles={"flex": "1 1 300px"}
    )
    rarity = (
        [html_pane(draw.says(result.findings["rarity"].says, small=True))]
        if "rarity" in result.findings
        else []
    )
    says = (
        [html_pane(draw.says(result.findings["heads"].says))] if "heads" in result.findings else []
    )
    return pn.Column(
        html_pane(intro(result)),
        wrapping(left, right, sizing_mode="stretch_width"),
        *(scrolling(pane) for pane in bars),
        *rarity,
        *says,
        *dots,
        html_pane(
            draw.says(
                "All heads, the one whose absence costs most first. A row chooses the head; a"
                " heading sorts."
            )
        ),
        listing,
        sizing_mode="stretch_width",
        min_width=0,
    )
