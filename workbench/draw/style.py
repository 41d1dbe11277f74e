"""How axes look, in both back ends: quiet, legible on light and dark, no tool bars."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.draw.colour import GRID, INK
from workbench.draw.fit_words import ROW, fit_words

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
COLOUR_BAR: dict[str, Any] = {
    "background_fill_alpha": 0,
    "major_label_text_color": INK,
    "major_label_text_font": FONT,
    "major_label_text_font_size": "11px",
    "major_tick_line_color": None,
    "bar_line_color": GRID,
    "padding": 4,
}
"""How the bar beside a scale of colours looks on a page."""
_GLYPHS = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n"})


def sheet(name: str) -> str:
    """A style sheet that lies beside this file."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def load(*, stills: bool = False) -> None:
    """Make the drawing back ends known to HoloViews, once; bokeh stays the current one.

    Args:
        stills: matplotlib too, which takes as long to load as all the rest. An element has a look
            in the back ends that were known when it was made.
    """
    import holoviews as hv

    wanted = ("bokeh", "matplotlib") if stills else ("bokeh",)
    if any(backend not in hv.Store.renderers for backend in wanted):
        hv.extension(*wanted, logo=False, inline=True)
    if hv.Store.current_backend != "bokeh":
        hv.Store.set_current_backend("bokeh")


def plain(text: object, longest: int = 80) -> str:
    """Text from a model, prompt or file, fit for a label on a canvas.

    Between two `$$` bokeh would typeset mathematics, for which it fetches a script from elsewhere:
    they are parted. A character without a name, such as a control character, has no picture, and
    HoloViews refuses it in a label.
    """
    line = (
        re.sub(r"\s+", " ", str(text).translate(_GLYPHS))
        .strip()
        .replace("$", "$\u200b")
        .replace("\\", "\\\u200b")
    )
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return "".join(c if unicodedata.name(c, "") else "�" for c in line)


def _quiet(grid: bool) -> Callable[[Any, Any], None]:
    def hook(plot: Any, element: Any) -> None:
        figure = plot.state
        # A few hundred marks are painted at once; copying them out of WebGL takes longer than that.
        figure.output_backend = "canvas"
        figure.toolbar.logo = None
        figure.toolbar_location = None
        figure.background_fill_alpha = 0
        figure.border_fill_alpha = 0
        figure.outline_line_color = None
        figure.title.text_color = INK
        figure.title.text_font = FONT
        figure.title.text_font_size = "13px"
        figure.title.text_font_style = "bold"
        for axis in figure.axis:
            axis.axis_line_color = axis.major_tick_line_color = GRID
            axis.axis_line_alpha = axis.major_tick_line_alpha = 0.6
            axis.minor_tick_line_color = None
            axis.axis_label_standoff = 6
            axis.major_label_text_color = axis.axis_label_text_color = INK
            axis.major_label_text_font = axis.axis_label_text_font = FONT
            axis.major_label_text_font_size = "11px"
            axis.axis_label_text_font_size = "12px"
            axis.axis_label_text_font_style = "normal"
        for line in figure.grid:
            line.grid_line_color = GRID if grid else None
            line.grid_line_alpha = 0.22
        for legend in figure.legend:
            legend.background_fill_alpha = legend.border_line_alpha = 0
            legend.label_text_color = INK
            legend.label_text_font = FONT
            legend.label_text_font_size = "12px"
            legend.margin = legend.padding = 0
            legend.spacing = ROW
            legend.glyph_width = legend.glyph_height = 14
            legend.orientation = "horizontal"
        for bar in [*figure.below, *figure.right]:
            if type(bar).__name__ == "ColorBar":  # its ticks say what it means
                bar.title = None
        for tool in (
            figure.tools
        ):  # a page scrolls under the wheel; hovering and tapping is all a figure does
            if type(tool).__name__ in {"WheelZoomTool", "PanTool", "BoxZoomTool"} and hasattr(
                tool, "visible"
            ):
                tool.visible = False
        fit_words(figure)

    return hook


def bokeh(*, width: int | None, height: int, grid: bool = True, **more: Any) -> dict[str, Any]:
    """Options for the outermost element of a figure (bokeh).

    Without a width it is as wide as its place, from 320 to 760.
    """
    hooks = [_quiet(grid), *more.pop("hooks", [])]
    size: dict[str, Any] = (
        {"responsive": True, "min_width": 320, "max_width": 760}
        if width is None
        else {"width": width}
    )
    return {
        "backend": "bokeh",
        "height": height,
        **size,
        "default_tools": [],
        "active_tools": [],
        "toolbar": None,
        "hooks": hooks,
        **more,
    }


def _quiet_mpl(grid: bool) -> Callable[[Any, Any], None]:
    def hook(plot: Any, element: Any) -> None:
        axes = plot.handles["axis"]
        axes.figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        for name, spine in axes.spines.items():
            spine.set_visible(name in {"left", "bottom"})
            spine.set_color(GRID)
        axes.tick_params(colors=INK, labelsize=8)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.xaxis.label.set_size(9)
        axes.yaxis.label.set_size(9)
        axes.title.set_color(INK)
        axes.title.set_size(10)
        axes.set_axisbelow(True)
        if grid:
            axes.grid(True, color=GRID, alpha=0.2, linewidth=0.6)
        else:
            axes.grid(False)
        if axes.get_legend() is not None:
            # HoloViews puts it over the title; here it stands in one row between title and axes.
            handles, labels = axes.get_legend_handles_labels()
            named = dict(zip(labels, handles, strict=True))
            axes.get_legend().remove()
            place = {
                "loc": "lower left",
                "bbox_to_anchor": (0, 1.0),
                "ncol": len(named),
                "borderaxespad": 0.2,
            }
            axes.legend(
                named.values(),
                named.keys(),
                frameon=False,
                labelcolor=INK,
                fontsize=8,
                handlelength=1.2,
                **place,
            )
            axes.set_title(axes.get_title(), color=INK, size=10, pad=22)

    return hook


def matplotlib(*, width: int, height: int, grid: bool = True, **more: Any) -> dict[str, Any]:
    """The same options for a still picture (matplotlib); sizes are the pixels of `bokeh`."""
    hooks = [_quiet_mpl(grid), *more.pop("hooks", [])]
    return {
        "backend": "matplotlib",
        "fig_inches": (width / 90, height / 90),
        "hooks": hooks,
        **more,
    }
