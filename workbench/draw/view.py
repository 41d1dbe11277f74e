"""A view: what one tab shows, in two forms.

The *live* form is Panel objects linked to the page's selection; the *still* form is made of parts
that need no Python behind them (pictures that hover, text, tables), for the report, the notebook
without a kernel and thumbnails. An analysis may also return a bare HoloViews element or any Panel
object: `still_parts` finds what can be kept of it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench.draw import style
from workbench.draw.figure import Figure, figure_of
from workbench.draw.items import Row, Table

if TYPE_CHECKING:
    import pandas as pd

Part = Any
"""A picture (HoloViews object, `Figure`, or Bokeh figure), `Markup` (trusted HTML), `str` (text,
escaped by whoever shows it), `Table`, `Row`, or a Panel object.
"""

STYLES = style.sheet("widgets.css")
TABLE_STYLES = style.sheet("tables.css")
# A row or column is at least as wide as what is in it else: Panel takes a given 0 for "not given".
NARROW = ":host { min-width: 0 !important; }"


class View:
    """What one tab shows.

    Args:
        parts: called when the view is first looked at; gives the parts from top to bottom.
        live: gives the Panel object instead, where parts alone are not enough (linked plots,
            widgets). It is called with the pictures among the parts, from top to bottom: drawn
            already (`Figure`) on a page, as they are elsewhere. `live_picture` shows either.
        why_not: why this run has nothing to show here; a page then leaves the tab out and says so.
        settle: forgets what an address asks of this view and the run does not have, and returns the
            names of that.
    """

    def __init__(
        self,
        parts: Callable[[], Sequence[Part]],
        live: Callable[[Sequence[Part]], Any] | None = None,
        why_not: str = "",
        settle: Callable[[], list[str]] = list,
    ) -> None:
        self._parts, self.live, self.why_not, self.settle = parts, live, why_not, settle

    def still(self) -> list[Part]:
        """The parts that need no Python behind them."""
        return list(self._parts())

    def __panel__(self) -> Any:
        return self.live(pictures(self)) if self.live is not None else live_column(self.still())


def paragraph(text: str, *, small: bool = False) -> Markup:
    """A paragraph of plain text."""
    return Markup('<p class="wb-says{}">{}</p>').format(Markup(" wb-small") if small else "", text)


def empty_state(what: str, do: str = "") -> Markup:
    """Why something is empty, and what to do."""
    return Markup('<div class="wb-empty"><strong>{}</strong>{}</div>').format(what, do)


def need_panel() -> Any:
    """Panel with what our widgets need, loaded once."""
    import panel as pn

    if "tabulator" not in pn.extension._loaded_extensions:
        style.load()
        # inline: a notebook gets the scripts in its own output instead of a link to somebody's
        # server.
        pn.extension("tabulator", notifications=False, inline=True)
    return pn


def is_served() -> bool:
    """Whether a page of the workbench's server is being made, and not a notebook or a report."""
    document = need_panel().state.curdoc
    return document is not None and document.session_context is not None


def live_column(parts: Sequence[Part]) -> Any:
    """Parts from top to bottom as a Panel column."""
    return _column(live_part(part) for part in parts)


def _column(parts: Iterable[Any]) -> Any:
    wide = {"sizing_mode": "stretch_width", "min_width": 0, "stylesheets": [NARROW]}
    return need_panel().Column(*parts, **wide)


def live_part(part: Part) -> Any:
    """One part as a Panel object."""
    from bokeh.model import Model

    pn = need_panel()
    if isinstance(part, Table):
        caption = [html_pane(paragraph(part.caption))] if part.caption else []
        rows = tabulator(part.frame, headings=part.headings)
        return _column([*caption, rows])
    if isinstance(part, Row):
        return flow_row(*(live_part(p) for p in part.parts), gap="4px 10px")
    if isinstance(part, str):
        return html_pane(part if isinstance(part, Markup) else paragraph(part))
    if isinstance(part, Figure | Model) or (is_drawing(part) and _is_wide(part)):
        return scrolling(live_picture(part))
    if is_drawing(part):
        return scrolling(pn.pane.HoloViews(part, linked_axes=False, margin=(4, 0)))
    return pn.panel(part)


def live_picture(picture: Part) -> Any:
    """A picture, drawn already or not, as a pane around a Bokeh figure that can be linked and
    patched.
    """
    figure = figure_of(picture)
    if figure.min_width:
        # As a style: Panel makes everything around a figure as wide as its `min_width`, and a
        # narrow page would scroll.
        figure.update(styles={"min-width": f"{figure.min_width}px"}, min_width=None)
    return need_panel().pane.Bokeh(figure, margin=(4, 0))


def scrolling(pane: Any) -> Any:
    """A picture that needs more room than there is scrolls by itself, and the page does not."""
    return need_panel().Row(
        pane, sizing_mode="stretch_width", min_width=0, margin=0, styles={"overflow-x": "auto"}
    )


def flow_row(*objects: Any, gap: str = "8px 24px", **options: Any) -> Any:
    """Panel objects side by side that go to the next line where there is no room.

    A plain row with a style: Panel's FlexBox draws its children again when one of them changes, and
    a plot in it then comes back at no size.
    """
    pn = need_panel()
    styles = {"flex-wrap": "wrap", "gap": gap}
    return pn.Row(*objects, styles=styles, stylesheets=[NARROW], margin=0, **options)


def html_pane(markup: Markup, **options: Any) -> Any:
    """Trusted HTML as a Panel pane in the workbench's type and colours."""
    options = {"sizing_mode": "stretch_width", "margin": (2, 0), "stylesheets": [STYLES], **options}
    options["stylesheets"] = [*options["stylesheets"], _AS_VISIBLE_AS_ITS_PLACE]
    return _html_class()(str(markup), disable_math=True, **options)


# Panel makes the text of a pane visible by itself, also where what the pane stands in is hidden.
_AS_VISIBLE_AS_ITS_PLACE = ":host > div { visibility: inherit !important; }"


@cache
def _html_class() -> Any:
    class HTML(need_panel().pane.HTML):  # type: ignore[misc]
        """Sends its new text and nothing else: Panel's own sends its style sheets again with the
        first change, for which the browser lays out the whole page anew, a quarter of a second with
        three grids on it.
        """

        def _update(self, ref: str, model: Any) -> None:
            model.text = self._get_properties(model.document)["text"]

    return HTML


def safe_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table with field names a grid widget can take (it reads a dot as nesting, and titles
    as HTML), and its titles.
    """
    fields = [
        str(c) if str(c).replace("_", "").isalnum() else f"column{i}"
        for i, c in enumerate(frame.columns)
    ]
    titles = {
        field: html.escape(str(c).replace("_", " "))
        for field, c in zip(fields, frame.columns, strict=True)
    }
    return frame.set_axis(fields, axis=1), titles


def tabulator(
    frame: pd.DataFrame,
    *,
    height: int | None = None,
    headings: Mapping[str, tuple[str, str]] | None = None,
    **options: Any,
) -> Any:
    """A sortable table whose cells are always text; `headings` as in `Table`."""
    pn = need_panel()
    shown, titles = shown_cells(frame)
    tips = {}
    for field_name, column in zip(shown.columns, frame.columns, strict=True):
        if column in (headings or {}):
            heading, tip = (headings or {})[column]
            titles[field_name], tips[field_name] = html.escape(heading), html.escape(tip)
    formatters: dict[str, Any] = {}
    for column in shown.columns:
        kind = shown[column].dtype.kind
        if kind == "f":
            from bokeh.models.widgets.tables import NumberFormatter

            formatters[column] = NumberFormatter(format="0,0.[000]", nan_format="–")
        elif kind not in "iub":
            formatters[column] = {"type": "plaintext"}
    settings: dict[str, Any] = {
        "show_index": False,
        "disabled": True,
        "layout": "fit_data_fill",
        "theme": "simple",
        "stylesheets": [STYLES, TABLE_STYLES],
        "sizing_mode": "stretch_width",
        "margin": (4, 0, 12, 0),
        "header_tooltips": tips,
    }
    if height is not None and len(shown) > 10:
        settings["height"] = height
    elif len(shown) > 14:
        settings |= {"pagination": "remote", "page_size": 12}
    return pn.widgets.Tabulator(
        shown, titles=titles, formatters=formatters, **{**settings, **options}
    )


def shown_cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The rows of a `tabulator`, at first or to put others in their place, and its titles: words
    and what is missing among them as text.
    """
    shown, titles = safe_columns(frame.reset_index(drop=True))
    for column in shown.columns:
        if shown[column].dtype.kind not in "iubf":
            shown[column] = [_cell(v) for v in shown[column]]
    return shown, titles


def _cell(value: Any) -> str:
    text = "" if value is None or value != value else str(value)
    text = text.replace("\n", " ↵ ")
    return text if len(text) <= 240 else text[:239] + "…"


def pictures(view: Any) -> list[Part]:
    """The pictures of anything an analysis returns as a view, from top to bottom."""
    parts = (
        one
        for part in still_parts(view)
        for one in (part.parts if isinstance(part, Row) else [part])
    )
    return [part for part in parts if isinstance(part, Figure) or is_drawing(part)]


def still_parts(view: Any) -> Iterator[Part]:
    """What can be kept of anything an analysis returns as a view, in the order it stands there."""
    if isinstance(view, View):
        for part in view.still():
            yield from still_parts(part)
    elif view is None or isinstance(view, str | Table | Row | Figure) or is_drawing(view):
        if view is not None:
            yield view
    else:
        yield from _of_panel(view)


def _of_panel(view: Any) -> Iterator[Part]:
    """Panel objects: pictures, markup and tables are kept; widgets that only Python can answer
    are left out.
    """
    import pandas as pd
    import panel as pn

    shown = pn.panel(view)
    if isinstance(shown, pn.widgets.Tabulator | pn.widgets.DataFrame):
        if isinstance(shown.value, pd.DataFrame):
            yield Table(shown.value)
    elif isinstance(shown, pn.pane.HoloViews):
        yield shown.object
    elif isinstance(shown, pn.pane.Str):
        yield str(shown.object)
    elif isinstance(shown, pn.pane.DataFrame):
        yield Table(shown.object)
    elif isinstance(shown, pn.pane.HTML | pn.pane.Markdown):
        yield str(shown.object)  # a third party's markup may hold a run's text: it is shown as text
    elif isinstance(shown, pn.layout.base.ListLike):
        for child in shown.objects:
            yield from _of_panel(child)
    elif isinstance(shown, pn.param.ParamMethod | pn.param.ParamFunction):
        yield from _of_panel(shown._pane)


def is_drawing(part: Any) -> bool:
    """Whether it is a HoloViews object that draws a picture."""
    import holoviews as hv

    return isinstance(part, hv.core.Dimensioned) and not isinstance(part, hv.Table)


def beside(parts: list[Part]) -> list[Part]:
    """Pictures side by side; where there is text among them, everything under each other."""
    return [Row(parts)] if parts and all(map(is_drawing, parts)) else parts


def _is_wide(part: Any) -> bool:
    """Whether the picture is as wide as its place (see `style.bokeh`), and stays as it is drawn."""
    import holoviews as hv

    return not part.traverse(lambda x: x, [hv.DynamicMap]) and bool(
        hv.Store.lookup_options("bokeh", part, "plot").kwargs.get("responsive")
    )
