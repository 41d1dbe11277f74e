"""How a run shows kernels and gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.state.recurrent_state import selections as sel
from workbench import draw
from workbench import views as v

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

    from workbench.result import Result

    _First = Callable[[Result, v.Pick], int]

_CURVES = 6
_ROLES = {
    "input": "0: nothing is written, 1: all", "forget": "0: all is lost, 1: nothing",
    "output": "0: nothing is read, 1: all", "write": "write strength",
}  # fmt: skip


def _layers(run: Result, array: str) -> dict[str, int]:
    return {str(int(n)): int(n) for n in run.arrays[array]["layer"].values}


def _layer_in(array: str) -> _First:
    def layer(run: Result, pick: v.Pick) -> int:
        known, chosen = list(_layers(run, array).values()), pick.selection.layer
        return chosen if chosen is not None and chosen in known else known[0]

    return layer


def _places(run: Result, layer: int) -> np.ndarray:
    """Some of the channels that a layer has, from the shortest memory on."""
    places = np.flatnonzero(run.arrays["curve_channels"].sel(layer=layer).values >= 0)
    picked = np.linspace(0, len(places) - 1, min(_CURVES, len(places))).round()
    found: np.ndarray = places[np.unique(picked).astype(int)]
    return found


def _at(run: Result, array: str, layer: int) -> xr.DataArray:
    return run.arrays[array].sel(layer=layer).isel(place=_places(run, layer))


def _names(run: Result, layer: int) -> list[str]:
    return [f"channel {int(n)}" for n in _at(run, "curve_channels", layer).values]


def curves_at(run: Result, layer: int) -> pd.DataFrame:
    """A row for each drawn channel and lag."""
    import pandas as pd

    values = _at(run, "curves", layer)
    return pd.DataFrame(
        [
            {"lag": int(lag), "channel": name, "left": float(value)}
            for name, row in zip(_names(run, layer), values.values, strict=True)
            for lag, value in zip(values["lag"].values, row, strict=True)
            if np.isfinite(value)
        ]
    )


def _kernels(run: Result, pick: v.Pick) -> v.Item:
    rows = run.tables["channels"]
    fixed = (rows[rows["layer"] == pick.layer]["kind"] == "kernel").all()
    what = "kernel, as a share of its largest value" if fixed else "what decay leaves"
    return v.picture(
        "curves", curves_at(run, pick.layer), "lag", "left", "channel", scale="doublings",
        xlabel="tokens ago", ylabel="share", height=360, title=f"Layer {pick.layer}: {what}",
    )  # fmt: skip


def _gates_of(run: Result, pick: v.Pick) -> dict[str, str]:
    values = run.arrays["gates"].sel(layer=pick.layer)
    return {
        f"{name} ({_ROLES[name]})": name
        for name in (str(n) for n in values["gate"].values)
        if bool(np.isfinite(values.sel(gate=name).values).any())
    }


def _strip(run: Result, pick: v.Pick) -> v.Clicks:
    values = run.arrays["gates"].sel(layer=pick.layer, gate=pick["gate"]).values
    words = sel.tokens(run)[: values.shape[-1]]
    strip = draw.token_strip(
        words, [float(x) for x in np.nanmean(values, 0)],
        title=f"Layer {pick.layer}, {pick['gate']}: mean of its channels",
        unit=_ROLES[pick["gate"]],
    )  # fmt: skip
    return v.Clicks(strip, len(words))


def _gates(run: Result, pick: v.Pick) -> v.Item:
    import pandas as pd

    values = _at(run, "gates", pick.layer).sel(gate=pick["gate"])
    frame = pd.DataFrame(
        [
            {"pos": pos, "channel": name, "value": float(value)}
            for name, row in zip(_names(run, pick.layer), values.values, strict=True)
            for pos, value in enumerate(row)
        ]
    )
    return v.picture(
        "curves", frame, "pos", "value", "channel", xlabel="token", ylabel=pick["gate"], height=320,
        title=f"Layer {pick.layer}, {pick['gate']} by channel",
    )  # fmt: skip


def _delays(run: Result) -> pd.DataFrame:
    return run.tables["delays"].assign(kind="answered")


GATE_VIEWS = [
    v.View("Kernels", needs="curves", parts=[
        v.finding("kernels", "delayed"),
        v.knob("layer", "Layer", lambda run: _layers(run, "curves"), width=100),
        v.row(
            v.on("layer", _kernels),
            v.chart("curves", _delays, "delay", "rate", "kind", scale="doublings", percent=True,
                    interval=("low", "high"), xlabel="tokens from the value to the question",
                    ylabel="rows (%)", title="Delayed recall", height=360, needs="delays"),
            widths=(420, 420),
        ),
        v.table("channels", "All channels, the longest memory first", order=["-half"]),
    ], first={"layer": _layer_in("curves")}),
    v.View("Gates", needs="gates", otherwise="its layers treat all tokens alike", parts=[
        v.finding("gates"),
        v.row(
            v.knob("layer", "Layer", lambda run: _layers(run, "gates"), width=100),
            v.knob("gate", "Gate", _gates_of, keys="layer", width=280),
        ),
        v.on(["layer", "gate"], _strip),
        v.on(["layer", "gate"], _gates),
        v.table("gates", "All gates"),
        v.table("value_gates", "At values and at filler, trained and untrained"),
    ], first={"layer": _layer_in("gates")}),
]  # fmt: skip
