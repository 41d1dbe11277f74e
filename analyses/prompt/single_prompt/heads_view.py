"""The Heads tab: what each head, and each layer's attention and MLP, writes directly toward the
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.prompt.single_prompt.views import (
    ONE,
    choose_token,
    chosen_pos,
    spans,
    token_name,
    tokens,
    why,
)
from workbench import draw
from workbench.draw.view import Table
from workbench.selection import head_name, parse_head

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result


def heads_at(result: Result, pos: int) -> xr.DataArray:
    """(layer, head), logits."""
    array = result.arrays["heads"].isel(pos=pos, drop=True)
    return array.assign_coords(head=range(array.sizes["head"]))


def grid_title(pos: int) -> str:
    return f"Heads at token {pos}"


def bars_at(result: Result, pos: int) -> dict[str, Any]:
    """Values and names of `draw.bars`: the parts in the order of the forward pass."""
    parts = result.arrays["parts"].isel(pos=pos)
    total = float(parts.sum())
    return {
        "values": [float(v) for v in parts.values],
        "names": [_part_name(str(v)) for v in parts["part"].values],
        "title": f"Parts at token {token_name(result, pos)}: together {total:+.2f} logits",
        "unit": "logits",
    }


def _part_name(part: str) -> str:
    kind, _, layer = part.partition(" ")
    return f"{kind} of layer {layer}" if layer else kind


def listed(result: Result, pos: int) -> pd.DataFrame:
    """All heads at one token, strongest first."""
    import pandas as pd

    array = heads_at(result, pos)
    rows = [
        (head_name(int(layer), h), float(array.values[i, h]))
        for i, layer in enumerate(array["layer"].values)
        for h in range(array.sizes["head"])
    ]
    frame = pd.DataFrame(rows, columns=["head", "logits"])
    return frame.sort_values("logits", key=abs, ascending=False).reset_index(drop=True)


def intro(result: Result) -> Markup:
    missing = why(result, "heads", "heads" in result.arrays)
    return draw.says(
        "What each part of the model writes directly"
        f" ({result.arrays['parts'].attrs.get('unit', 'logits')}) through the final norm (its scale"
        " frozen) and the unembedding. Blue raises, red lowers; the parts add up to the logit."
        f" What later layers make of it is not in it. {ONE}"
        + (f" Single heads are not shown: {missing}." if missing else "")
    )


def still(result: Result) -> list[Any]:
    pos = chosen_pos(result)
    parts: list[Any] = [intro(result)]
    if "heads" in result.arrays:
        groups = result.provenance.model.get("n_kv_heads")
        parts.append(
            draw.head_grid(
                heads_at(result, pos),
                title=grid_title(pos),
                unit="logits",
                groups=groups if isinstance(groups, int) else None,
            )
        )
    parts.append(
        draw.bars(**bars_at(result, pos), xlabel="parts, in the order of the forward pass")
    )
    if "heads" in result.arrays:
        parts.append(Table(listed(result, pos), "All heads, strongest first"))
    return [*parts, Table(result.tables["parts"], "All parts at the last token")]


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """Linked: the grid with the chosen head, everything with the chosen token."""
    from workbench.draw.keyboard import key_pad
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.updates import fill_grid
    from workbench.draw.view import (
        html_pane,
        live_picture,
        need_panel,
        safe_columns,
        scrolling,
        tabulator,
        wrapping,
    )

    pn, pick = need_panel(), result.selection
    panes = [live_picture(picture) for picture in pictures]
    bars, grids = panes[-1], panes[:-1]
    strip = html_pane(Markup(""))
    left: list[Any] = []
    listing = tabulator(listed(result, chosen_pos(result)), height=420) if grids else None
    for grid in grids:
        draw.link_grid(grid, pick)
        array = result.arrays["heads"]

        def describe(layer: int, head: int) -> str:
            here = heads_at(result, chosen_pos(result))
            return f"{float(here.sel(layer=layer, head=head)):+.3f} logits"

        pad = key_pad(
            pick,
            [int(v) for v in array["layer"].values],
            list(range(array.sizes["head"])),
            describe,
        )
        left += [scrolling(grid), pad]

    def show_strip(*_: Any) -> None:
        strip.object = str(listening(_strip(result)))

    def show(*_: Any) -> None:
        pos = chosen_pos(result)
        wanted = bars_at(result, pos)
        if bars.object.title.text != wanted["title"]:
            draw.fill_bars(bars, **wanted)
            for grid in grids:
                fill_grid(grid, heads_at(result, pos), title=grid_title(pos))
            if listing is not None:
                listing.value = safe_columns(listed(result, pos))[0]
        show_strip()

    def from_table(event: Any) -> None:
        assert listing is not None
        at = parse_head(str(listing.value["head"].iloc[event.row]))
        if at is not None:
            pick.choose(*at)

    if listing is not None:
        listing.on_click(from_table)
    pick.param.watch(show, "pos")
    pick.param.watch(show_strip, ["head", "heads"])
    show()
    text = clicks(
        strip, lambda at: pick.param.update(pos=at[-1]) if at[-1] < len(tokens(result)) else None
    )
    right = [choose_token(result), text, *([listing] if listing is not None else [])]
    look = {"min_width": 280, "sizing_mode": "stretch_width", "styles": {"flex": "1 1 320px"}}
    columns = [pn.Column(*left, min_width=0, styles={"max-width": "100%"})] if left else []
    return pn.Column(
        html_pane(intro(result)),
        wrapping(*columns, pn.Column(*right, **look), sizing_mode="stretch_width"),
        scrolling(bars),
        sizing_mode="stretch_width",
        min_width=0,
    )


def _strip(result: Result) -> Markup:
    """The text with what the chosen head writes at each token; the total where no head is
    chosen.
    """
    at, heads = result.selection.head, result.arrays.get("heads")
    if (
        heads is not None
        and at is not None
        and at[0] in heads["layer"].values
        and at[1] < heads.sizes["head"]
    ):
        values, title = heads.sel({"layer": at[0]}).isel({"head": at[1]}).values, head_name(*at)
    else:
        values, title = result.arrays["parts"].sum("part").values, "All parts together"
    unit = "logits toward the same answer at each token; click one to see all heads there"
    numbers = [float(v) for v in values]
    return draw.token_strip(
        tokens(result), numbers, signed=True, spans=spans(result), title=title, unit=unit
    )
