"""Slots of a memory over the tokens of a text: reads as ink, writes as rings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style
from workbench.draw.charts import finish

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

_MOST = 48
"""Slots that are drawn."""
_LEAST = 0.02
"""Reads smaller than this share of the largest would not be seen."""
_TICKS = 24


def slot_raster(
    events: pd.DataFrame, tokens: Sequence[str], *, title: str, most: int = _MOST
) -> hv.Overlay:
    """A row for each slot, in the order in which they are first touched, a column for each token.

    Args:
        events: pos, slot, kind ("read", or how it was written), head, size (of a read) and
            strength (of a write).
        tokens: of the text.
        most: rows; of more slots those that bring most, and all that are written.
    """
    style.load()
    import holoviews as hv

    sizes = events.groupby("slot")["size"].sum()
    written = set(events.loc[events["kind"] != "read", "slot"])
    kept = written | set(sizes.sort_values(ascending=False).index[:most])
    events = events[events["slot"].isin(kept)].sort_values("pos", kind="stable")
    rows = {slot: n for n, slot in enumerate(dict.fromkeys(events["slot"]))}
    reads = events[events["kind"] == "read"]
    ink = reads.groupby(["pos", "slot"], as_index=False)["size"].sum()
    top = float(ink["size"].max()) if len(ink) else 1.0
    cells = [
        (pos - 0.46, rows[slot] - 0.46, pos + 0.46, rows[slot] + 0.46, size / top,
         f"slot {slot}", style.plain(tokens[pos]), f"{size:.3g}")
        for pos, slot, size in zip(ink["pos"], ink["slot"], ink["size"], strict=True)
        if size > _LEAST * top
    ]  # fmt: skip
    marks = [
        (w.pos, rows[w.slot], f"slot {w.slot}", str(w.kind), f"{w.strength:.2f}")
        for w in events[events["kind"] != "read"].itertuples()
    ]
    scale = list(colour.single_scale())
    parts: list[Any] = [
        hv.Rectangles(cells, ["x0", "y0", "x1", "y1"], ["ink", "slot", "token", "size"])
        .opts(
            backend="bokeh",
            color="ink",
            cmap=scale,
            clim=(0.0, 1.0),
            line_color=None,
            tools=["hover"],
            hover_tooltips=["@slot", ("read at", "@token"), ("brings", "@size")],
        )
        .opts(backend="matplotlib", color="ink", cmap=scale, clim=(0.0, 1.0), linewidth=0)
    ]
    if marks:
        parts.append(
            hv.Points(marks, ["x", "y"], ["slot", "kind", "strength"])
            .opts(
                backend="bokeh",
                color="white",
                line_color=colour.CONTEXT,
                line_width=2,
                size=9,
                tools=["hover"],
                hover_tooltips=["@slot", ("write", "@kind"), ("strength", "@strength")],
            )
            .opts(backend="matplotlib", color="white", edgecolor=colour.CONTEXT, s=30)
        )
    quiet = {"show_legend": False}
    step = -(-len(tokens) // _TICKS)
    return finish(
        hv.Overlay(parts),
        bokeh=quiet,
        matplotlib=quiet,
        height=130 + 15 * max(4, len(rows)),
        grid=False,
        xlim=(-0.5, len(tokens) - 0.5),
        ylim=(-0.5, max(1, len(rows)) - 0.5),
        invert_yaxis=True,
        xticks=[(n, style.plain(tokens[n], 12)) for n in range(0, len(tokens), step)],
        yticks=[(n, str(slot)) for slot, n in rows.items()],
        xrotation=45 if len(tokens) > 4 else 0,
        xlabel="token",
        ylabel="slot",
        title=title,
    )
