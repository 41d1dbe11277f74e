"""The Attention tab: all patterns as small multiples, one of them large, and one token's
attention over the text.
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
)
from workbench import draw
from workbench.selection import head_name

if TYPE_CHECKING:
    import numpy as np

    from workbench.result import Result


def interesting(result: Result) -> tuple[int, int]:
    """The head shown first: the one that writes most toward the answer among those with a
    pattern, else the first.
    """
    patterns = result.arrays["patterns"]
    layers = [int(v) for v in patterns["layer"].values]
    heads = result.tables.get("heads")
    if heads is not None:
        mine = heads[heads["layer"].isin(layers)]
        if len(mine):
            best = mine.loc[mine["logits"].abs().idxmax()]
            return int(best["layer"]), int(best["head"])
    return layers[0], 0


def chosen(result: Result) -> tuple[int, int]:
    """The chosen head if it has a pattern, else the interesting one."""
    at, patterns = result.selection.head, result.arrays["patterns"]
    there = at is not None and at[0] in patterns["layer"].values and at[1] < patterns.sizes["head"]
    return at if there and at is not None else interesting(result)


def values_of(result: Result, layer: int, head: int) -> np.ndarray:
    """(query, key), float32."""
    return (
        result.arrays["patterns"]
        .sel({"layer": layer})
        .isel({"head": head})
        .values.astype("float32")
    )


def title_of(layer: int, head: int) -> str:
    return f"{head_name(layer, head)}: where each token looks"


def strip(result: Result, layer: int, head: int, pos: int) -> Markup:
    """What one token looks at."""
    row = values_of(result, layer, head)[pos]
    return draw.token_strip(
        tokens(result),
        [float(v) for v in row],
        spans=spans(result),
        title=f"{head_name(layer, head)} from token {token_name(result, pos)}",
        unit="share of attention; click a token to look from it",
        top=1.0,
    )


def intro(result: Result) -> Markup:
    patterns = result.arrays["patterns"]
    return draw.says(
        f"All {patterns.sizes['layer'] * patterns.sizes['head']} patterns on one scale: a tile's"
        " rows are the tokens that look, its columns what they look at. Click a tile to see it"
        f" large. {ONE}"
    )


def still(result: Result) -> list[Any]:
    layer, head = chosen(result)
    return [
        intro(result),
        draw.pattern_grid(result.arrays["patterns"]),
        draw.pattern(values_of(result, layer, head), tokens(result), title=title_of(layer, head)),
        strip(result, layer, head, chosen_pos(result)),
    ]


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """Linked: a tile chooses the head, a row or a token of the text the token that looks."""
    from bokeh.events import Tap

    from workbench.draw.keyboard import key_pad
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.view import html_pane, live_picture, need_panel, scrolling, wrapping

    pn, pick = need_panel(), result.selection
    grid, large = (live_picture(picture) for picture in pictures)
    if pick.head is None:
        pick.choose(*interesting(result))
    draw.link_grid(grid, pick)
    text = html_pane(Markup(""))

    def show_strip(*_: Any) -> None:
        text.object = str(listening(strip(result, *chosen(result), chosen_pos(result))))

    def show_head(*_: Any) -> None:
        at = chosen(result)
        if large.object.title.text != title_of(*at):
            draw.fill_pattern(large, values_of(result, *at), title_of(*at))
        show_strip()

    def tapped(event: Any) -> None:
        if event.y is not None and event.y == event.y and 0 <= round(event.y) < len(tokens(result)):
            pick.pos = round(event.y)

    def describe(layer: int, head: int) -> str:
        row = values_of(result, layer, head)[chosen_pos(result)]
        return (
            f"token {chosen_pos(result)} looks most at {token_name(result, int(row.argmax()))},"
            f" {100 * row.max():.0f} %"
        )

    large.object.on_event(Tap, tapped)
    pick.param.watch(show_head, ["head", "heads"])
    pick.param.watch(show_strip, "pos")
    show_head()
    patterns = result.arrays["patterns"]
    pad = key_pad(
        pick,
        [int(v) for v in patterns["layer"].values],
        list(range(patterns.sizes["head"])),
        describe,
    )
    said = clicks(
        text, lambda at: pick.param.update(pos=at[-1]) if at[-1] < len(tokens(result)) else None
    )
    right = pn.Column(
        scrolling(large),
        choose_token(result),
        said,
        min_width=0,
        sizing_mode="stretch_width",
        # It stays in sight while the tiles, often taller than the window, scroll by.
        styles={
            "flex": "1 1 420px",
            "position": "sticky",
            "top": "8px",
            "align-self": "flex-start",
        },
    )
    # As wide as its picture: else it would take the whole line.
    left = pn.Column(
        scrolling(grid),
        min_width=0,
        styles={"flex": f"0 1 {grid.object.width}px", "max-width": "100%"},
    )
    return pn.Column(
        html_pane(intro(result)),
        pad,
        wrapping(left, right, sizing_mode="stretch_width"),
        sizing_mode="stretch_width",
        min_width=0,
    )
