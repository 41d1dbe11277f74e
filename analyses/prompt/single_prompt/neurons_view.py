"""The Neurons tab: the neurons that fire strongest, and where in the text they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.prompt.single_prompt.views import ONE, chosen_pos, spans, tokens
from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from workbench.result import Result


def listed(result: Result) -> pd.DataFrame:
    """All kept neurons, strongest first."""
    table = result.tables["neurons"]
    return table.sort_values("largest", key=abs, ascending=False).reset_index(drop=True)


def strip(result: Result, label: str) -> Markup:
    """One neuron over the text."""
    values = [float(v) for v in result.arrays["neurons"].sel(label=label).values]
    unit = "activation, input of the MLP's last matrix"
    top = colour.limit(values[1:] or values)
    return draw.token_strip(
        tokens(result), values, signed=True, spans=spans(result), title=label, unit=unit, top=top
    )


def intro(result: Result) -> Markup:
    kept = int(result.tables["neurons"].groupby("layer").size().max())
    return draw.says(
        f"The {kept} neurons of each layer with the largest activation (in absolute value) behind"
        " the first token, where attention rests and everything is large, and their value at each"
        f" token: blue above zero, red below. {ONE}"
    )


def still(result: Result) -> list[Any]:
    table = listed(result)
    strips = Markup("").join(strip(result, label) for label in table["label"].head(8))
    return [intro(result), strips, Table(table, "All kept neurons, strongest first")]


def live(result: Result) -> Any:
    """Linked: neurons of the chosen layer; a token of the text is chosen everywhere."""
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.view import STYLES, html_pane, need_panel, safe_columns, tabulator, wrapping

    pn, pick = need_panel(), result.selection
    every = listed(result)
    look: dict[str, Any] = {"stylesheets": [STYLES], "margin": (2, 0, 6, 0)}
    layers = sorted(int(v) for v in every["layer"].unique())
    layer = pn.widgets.Select(
        name="Layer", options={"all": -1, **{str(v): v for v in layers}}, width=100, **look
    )
    neuron = pn.widgets.Select(
        name="Neuron, strongest first", options=list(every["label"]), width=190, **look
    )
    text, here = html_pane(Markup("")), html_pane(Markup(""))
    listing = tabulator(every, height=420)

    def mine() -> pd.DataFrame:
        return every if layer.value == -1 else every[every["layer"] == layer.value]

    def show_strip(*_: Any) -> None:
        if neuron.value is None:
            return
        text.object = str(listening(strip(result, neuron.value)))
        pos = chosen_pos(result)
        value = float(result.arrays["neurons"].sel(label=neuron.value).values[pos])
        here.object = str(
            draw.says(f"{neuron.value} at token {pos} “{tokens(result)[pos]}”: {value:+.3f}")
        )

    def show_layer(*_: Any) -> None:
        names = list(mine()["label"])
        neuron.param.update(
            options=names, value=neuron.value if neuron.value in names else names[0]
        )
        listing.value = safe_columns(mine().reset_index(drop=True))[0]
        show_strip()

    def from_page(*_: Any) -> None:
        if pick.layer in layers and layer.value not in (-1, pick.layer):
            layer.value = pick.layer

    def from_list(event: Any) -> None:
        if event.new not in (-1, None) and pick.layer != event.new:
            pick.layer = event.new
        show_layer()

    def from_table(event: Any) -> None:
        neuron.value = str(listing.value["label"].iloc[event.row])

    def clicked(at: Sequence[int]) -> None:
        if at[-1] < len(tokens(result)):
            pick.pos = at[-1]

    layer.param.watch(from_list, "value")
    neuron.param.watch(show_strip, "value")
    listing.on_click(from_table)
    pick.param.watch(from_page, "layer")
    pick.param.watch(show_strip, "pos")
    show_strip()
    return pn.Column(
        html_pane(intro(result)),
        wrapping(layer, neuron, gap="0 12px"),
        clicks(text, clicked),
        here,
        listing,
        sizing_mode="stretch_width",
        min_width=0,
    )
