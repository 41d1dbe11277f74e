"""The picture of predicted against real changes of loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style
from workbench.draw.charts import finish

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd


def change_scatter(frame: pd.DataFrame, title: str) -> hv.Overlay:
    """Points with the line on which a prediction is exact; the axes differ where a prediction is
    off by far.

    Args:
        frame: columns predicted, real (nats per token) and says.
    """
    style.load()
    import holoviews as hv

    low, high = float(frame["real"].min()), float(frame["real"].max())
    air = 0.06 * (high - low) or 0.01
    rows = [
        (p, r, style.plain(says), f"{p:+.3f}", f"{r:+.3f}")
        for p, r, says in frame.itertuples(index=False)
    ]
    exact = hv.Curve([(low, low), (high, high)], "x", "y", label="exact")
    points = hv.Points(rows, ["x", "y"], ["name", "a", "b"], label="a block under an order")
    ends = [float(frame["predicted"].min()), float(frame["predicted"].max()), low, high]
    shared: dict[str, Any] = {
        "xlim": (min(ends) - air, max(ends) + air),
        "ylim": (low - air, high + air),
        "xlabel": "predicted change of loss (nats per token)",
        "ylabel": "really trained",
        "title": title,
        "legend_position": "top",
    }
    return finish(
        exact.opts(backend="bokeh", color=colour.INK, line_width=1, line_dash="dotted").opts(
            backend="matplotlib", color=colour.INK, linewidth=0.8, linestyle="dotted"
        )
        * points.opts(
            backend="bokeh",
            color=colour.MEMORY,
            size=7,
            alpha=0.75,
            line_color=None,
            tools=["hover"],
            hover_tooltips=["@name", ("predicted", "@a"), ("real", "@b")],
        ).opts(backend="matplotlib", color=colour.MEMORY, s=18, alpha=0.75, edgecolor="none"),
        height=340,
        bokeh={},
        matplotlib={"legend_cols": 2},
        **shared,
    )
