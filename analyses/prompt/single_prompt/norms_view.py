"""The Residual norms tab: how long the stream's vectors are, by layer and token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.prompt.single_prompt.views import (
    ONE,
    choose_layer,
    choose_token,
    chosen_layer,
    chosen_pos,
    token_name,
    tokens,
)
from workbench import draw
from workbench.draw import colour
from workbench.draw.layer_token_table import WINDOW, Cell, window
from workbench.draw.view import Table

if TYPE_CHECKING:
    import xarray as xr

    from workbench.result import Result

NAMES = {
    "resid_pre": "before the layer",
    "resid_mid": "between attention and MLP",
    "resid_post": "after the layer",
}
_HUES = {"resid_pre": colour.OTHER, "resid_mid": colour.CONTEXT, "resid_post": colour.MEMORY}


def sites(result: Result) -> dict[str, str]:
    """What can be shown, as a person reads it: the streams, and further sites that were kept
    whole.
    """
    norms = result.arrays["norms"]
    known = [
        str(site) for site in norms["site"].values if bool(norms.sel(site=site).notnull().any())
    ]
    return {f"{site}: {NAMES[site]}" if site in NAMES else site: site for site in known}


def array(result: Result, site: str) -> xr.DataArray:
    """(layer, pos)."""
    return result.arrays["norms"].sel(site=site, drop=True)


def table(result: Result, site: str, here: tuple[int | None, int | None]) -> Markup:
    """Layers × tokens around the chosen one.

    The first token's stream is often a hundred times longer than the others', so the colour is
    logarithmic.
    """
    norms = array(result, site)
    known = [float(v) for v in norms.values.ravel() if math.isfinite(v) and v > 0]
    low, high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 1.0)
    columns = window(len(tokens(result)), chosen_pos(result))
    cells = {}
    for i, layer in enumerate(int(v) for v in norms["layer"].values):
        for pos in columns:
            v = float(norms.values[i, pos])
            if math.isfinite(v):
                share = (math.log(v) - low) / (high - low) if v > 0 and high > low else 0.0
                cells[layer, pos] = Cell(
                    f"{v:,.0f}" if v >= 100 else f"{v:.3g}",
                    share,
                    f"layer {layer}, token {token_name(result, pos)}\n{v:.4f}",
                )
    return draw.token_table(
        tokens(result),
        cells,
        columns=columns,
        here=here,
        caption=f"Norm of {site} by layer and token",
    )


def by_layer(result: Result, pos: int) -> dict[str, Any]:
    """Frame and series of `draw.lines`: the streams' norms by layer at one token."""
    norms = result.arrays["norms"].isel(pos=pos)
    frame = norms.to_series().unstack("site").reset_index()
    known = [site for site in NAMES if site in frame and frame[site].notna().any()]
    series = {site: (NAMES[site], _HUES[site]) for site in known}
    return {
        "frame": frame,
        "x": "layer",
        "series": series,
        "title": f"Norms at token {token_name(result, pos)}",
    }


def intro(result: Result) -> Markup:
    n = len(tokens(result))
    part = f" {WINDOW} of {n} tokens are shown, around the chosen one." if n > WINDOW else ""
    return draw.says(
        "The length (L2 norm) of the residual stream at each layer and token; darker is longer, on"
        " a logarithmic scale. A first token far longer than the rest is where attention rests"
        f" that has nothing to do.{part} {ONE}"
    )


def still(result: Result) -> list[Any]:
    pos = chosen_pos(result)
    site = "resid_post"
    curve = by_layer(result, pos)
    return [
        intro(result),
        table(result, site, (None, pos)),
        draw.lines(**curve, xlabel="layer", ylabel="norm"),
        Table(curve["frame"], "The data behind this picture"),
    ]


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """Linked: a cell chooses layer and token; the site is chosen here."""
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.updates import fill_lines
    from workbench.draw.view import STYLES, html_pane, live_picture, need_panel, scrolling, wrapping

    pn, pick = need_panel(), result.selection
    layers = [int(v) for v in result.arrays["norms"]["layer"].values]
    site = pn.widgets.Select(
        name="Site",
        options=sites(result),
        value="resid_post",
        width=260,
        stylesheets=[STYLES],
        margin=(2, 0, 6, 0),
    )
    cells = html_pane(Markup(""))
    (curve,) = (live_picture(picture) for picture in pictures)

    def show(*_: Any) -> None:
        here = chosen_layer(result, layers, layers[-1]), chosen_pos(result)
        cells.object = str(listening(table(result, site.value, here)))

    def show_curve(*_: Any) -> None:
        wanted = by_layer(result, chosen_pos(result))
        if curve.object.title.text != wanted["title"]:
            fill_lines(curve, wanted["frame"], wanted["x"], wanted["series"], title=wanted["title"])
            top = float(wanted["frame"][list(wanted["series"])].max().max())
            curve.object.y_range.update(start=-0.04 * top, end=1.06 * top)

    def clicked(at: Sequence[int]) -> None:
        if at[-1] < len(tokens(result)):
            pick.param.update(pos=at[-1], **({"layer": at[0]} if len(at) == 2 else {}))

    site.param.watch(show, "value")
    pick.param.watch(show, ["pos", "layer"])
    pick.param.watch(show_curve, "pos")
    show()
    show_curve()
    return pn.Column(
        html_pane(intro(result)),
        wrapping(
            site,
            choose_token(result),
            choose_layer(result, layers, lambda: layers[-1]),
            gap="0 12px",
        ),
        clicks(cells, clicked),
        scrolling(curve),
        sizing_mode="stretch_width",
        min_width=0,
    )
