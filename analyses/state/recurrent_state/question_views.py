"""How a run shows what changes of states do to one answer: wiping, stretches, another prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.state.recurrent_state import selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

    from workbench.result import Result

    _First = Callable[[Result, v.Pick], int]

_SPANS = {"frozen: its tokens write nothing": "freeze", "wiped: all is forgotten there": "wipe"}
_SOURCES = {"the other prompt": "other", "prompts at random": "random"}


def _place_in(array: str) -> tuple[_First, _First]:
    """First layer and token: the chosen ones, else where the change is strongest."""

    def layer(run: Result, pick: v.Pick) -> int:
        values = _first(run, array)
        layers = [int(n) for n in values["layer"].values]
        most = layers[int(abs(values).max("pos").values.argmax())]
        return pick.selection.layer if pick.selection.layer in layers else most

    def pos(run: Result, pick: v.Pick) -> int:
        chosen = pick.selection.pos
        if chosen is not None and 0 <= chosen < len(run.tables["asked"]):
            return chosen
        values = _first(run, array)
        strength = abs(values).max("layer").values
        return int(values["pos"].values[int((strength >= 0.99 * strength.max()).argmax())])

    return layer, pos


def _first(run: Result, array: str) -> xr.DataArray:
    """Without what other dims it has, and without the last token, behind which nothing is read."""
    values = run.arrays[array]
    for dim in ("change", "source"):
        values = values.isel({dim: 0}) if dim in values.dims else values
    return values.sel(
        pos=[int(p) for p in values["pos"].values if p < len(run.tables["asked"]) - 1]
    )


def _table(values: xr.DataArray, run: Result, pick: v.Pick, caption: str, unit: str) -> v.Clicks:
    words = sel.tokens(run, "asked")
    shown = draw.effect_table(
        values, words, (pick.layer, pick.pos), signed=True, caption=caption, unit=unit
    )
    return v.Clicks(shown, len(words))


def _wiping(run: Result, pick: v.Pick) -> v.Clicks:
    return _table(
        sel.wiping(run), run, pick, caption="Change of the answer's log-probability", unit="nats"
    )


def _spans(run: Result, pick: v.Pick) -> v.Clicks:
    table = run.tables["spans"]
    width = int(table["last"].iloc[0] - table["start"].iloc[0]) + 1
    return _table(
        run.arrays["span_effects"].sel(change=pick["change"]), run, pick, unit="nats",
        caption=f"Change of the answer's log-probability by layer and the first of {width} tokens",
    )  # fmt: skip


def _all_layers(run: Result) -> pd.DataFrame:
    words = {change: name.split(":")[0] for name, change in _SPANS.items()}
    return run.tables["spans"].assign(kind=lambda rows: rows["change"].map(words))


def _patched(run: Result, pick: v.Pick) -> v.Clicks:
    values = 100 * run.arrays["patched"].sel(source=pick["source"]).isel(pos=slice(0, -1))
    caption = "How far the answer goes over, by layer and token after which the state is put in"
    return _table(values, run, pick, caption=caption, unit="% of the way")


def _nothing_to_move(run: Result) -> str:
    found = run.findings.get("nothing_to_move")
    return found.says if found else ""


def _together(run: Result) -> pd.DataFrame:
    """All layers at once, in percent."""
    rows = run.tables["patched"]
    rows = rows[rows["layer"] == "all"]
    return rows.assign(
        **{n: 100 * rows[n] for n in ("other", "random", "random_low", "random_high")}
    )


_SPAN, _PUT = _place_in("span_effects"), _place_in("patched")
QUESTION_VIEWS = [
    v.View("Wiping", needs="wiping", parts=[
        v.finding("wiped"),
        v.on(["layer", "pos"], _wiping),
    ], first={"layer": sel.wiping_layer, "pos": sel.wiping_pos}),
    v.View("Spans", needs="spans", parts=[
        v.finding("span_freeze", "span_wipe"),
        v.chart("curves", _all_layers, "start", "effect", "kind", xlabel="first token",
                ylabel="change of the answer (nats)", height=320,
                title="Every stretch of this length, in all layers"),
        v.knob("change", "The stretch is", lambda run: _SPANS),
        v.on(["change", "layer", "pos"], _spans),
        v.table("spans", "All stretches, worst first", order=["effect"], picks="pos", by="start"),
    ], first={"layer": _SPAN[0], "pos": _SPAN[1]}),
    v.View("Patching", needs="patched", otherwise=_nothing_to_move, parts=[
        v.finding("patched"),
        v.knob("source", "States of", lambda run: _SOURCES),
        v.on(["source", "layer", "pos"], _patched),
        v.chart("lines", _together, "pos", {"other": ("the other prompt's", colour.FUNCTION),
                "random": ("at random: mean, least and most", colour.OTHER)},
                bands={"random": ("random_low", "random_high")}, xlabel="token after which",
                ylabel="% of the way", title="The states of all layers at once"),
        v.table("patched", "All places", order=["-other"], picks="pos", by="pos"),
    ], first={"layer": _PUT[0], "pos": _PUT[1]}),
]  # fmt: skip
