"""Still forms as HTML with pictures beside it: what the report holds, and what the Explorer's page
fetches for a tab.

A fragment is text and tables as HTML plus a list of Bokeh items that the browser draws by itself,
without any model in Python. All text is escaped. Whatever a view raises becomes a sentence, so that
the others stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from ui.runs.columns import Kind, in_columns
from ui.web import style
from workbench import draw, registry
from workbench.draw import style as drawing
from workbench.draw.figure import DRAWING, Figure, drawn
from workbench.draw.view import Row, Table, View, is_drawing, still_parts
from workbench.errors import WorkbenchError
from workbench.result import Result

MAX_ROWS = 400
"""Rows of a table that are shown; it is said when there are more."""
MAX_CELL = 300
CSS = drawing.sheet("widgets.css") + (style.STATIC / "fragments.css").read_text(encoding="utf-8")
"""The look of a fragment inside a shadow root; the report brings the same to its body."""


@dataclass(frozen=True)
class Fragment:
    """One tab, still.

    Args:
        html: trusted HTML; a picture has its place in an element with the id that its item names.
        items: for `Bokeh.embed.embed_item`, from top to bottom.
        why_not: why there is nothing to show, which `html` says too.
        failed: it could not be drawn, which `html` says.
    """

    html: str
    items: list[dict[str, Any]]
    why_not: str = ""
    failed: bool = False

    def picture(self, number: int) -> Fragment:
        """One of its pictures alone; all of it where it has not so many, since it says why."""
        items = self.items[number : number + 1]
        if not items:
            return self
        places = (_place(item["target_id"], _height(Figure(item["doc"]))) for item in items)
        return Fragment(Markup("").join(places), items)

    def figures(self) -> list[Figure]:
        """The pictures, for `View.live`."""
        return [Figure(item["doc"]) for item in self.items]


def fragments(result: Result, *, own_tables: bool = True) -> Iterator[tuple[str, Fragment]]:
    """Every view of a run by its title, drawn one after another; see `makers`."""
    for title, make in makers(result, own_tables=own_tables).items():
        yield title, make()


def makers(result: Result, *, own_tables: bool = True) -> dict[str, Callable[[], Fragment]]:
    """What draws the views of a run, by their titles.

    Args:
        own_tables: with tables that the run itself holds; a report shows those once, under Tables.
    """
    try:
        with DRAWING:
            views = registry.get(result.analysis).views(result)
    except Exception as error:
        # an analysis may not be installed here, or be a third party's: the rest still stands
        said = view_error(f"The pictures of {result.analysis!r} cannot be drawn here.", error)
        return {"Pictures": lambda: Fragment(said, [], failed=True)}
    left_out = [] if own_tables else list(result.tables.values())
    return {
        str(title): partial(fragment, str(title), view, number=number, left_out=left_out)
        for number, (title, view) in enumerate(views.items())
    }


def fragment(title: str, view: Any, *, number: int = 0, left_out: Sequence[Any] = ()) -> Fragment:
    """One view.

    Args:
        number: of the view on its page; places of pictures are called picture-NUMBER-N.
        left_out: data frames that are not shown.
    """
    if isinstance(view, View) and view.why_not:
        said = draw.paragraph(f"Not shown: {view.why_not}.", small=True)
        return Fragment(said, [], view.why_not)
    maker = _Maker(number)
    try:
        with DRAWING:
            parts = [
                (_kind(part), maker.part(part))
                for part in still_parts(view)
                if not _is_one_of(part, left_out)
            ]
    except Exception as error:  # one broken view must not cost the others
        said = view_error(f"The view {title!r} cannot be drawn.", error)
        return Fragment(said, [], failed=True)
    return Fragment(in_columns(parts), maker.items)


def is_still(view: Any) -> bool:
    """Whether the still form of a view is all there is: nothing in it waits for Python."""
    if isinstance(view, View):
        return view.live is None
    if not is_drawing(view):
        return False
    import holoviews as hv

    return not view.traverse(lambda x: x, [hv.DynamicMap, hv.HoloMap])


def _kind(part: Any) -> Kind:
    kinds: dict[type, Kind] = {Row: "wide", Table: "table", str: "words"}
    return next((kind for of, kind in kinds.items() if isinstance(part, of)), "picture")


def _is_one_of(part: Any, frames: Sequence[Any]) -> bool:
    return isinstance(part, Table) and any(part.frame is frame for frame in frames)


def view_error(what: str, error: Exception) -> Markup:
    """Why something cannot be shown, in words."""
    return draw.empty_state(
        what,
        error.what if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}",
    )


class _Maker:
    """Makes parts into HTML and collects their pictures."""

    def __init__(self, number: int) -> None:
        self.items: list[dict[str, Any]] = []
        self._number = number

    def part(self, part: Any) -> Markup:
        """Any still part as HTML."""
        if isinstance(part, Row):
            return Markup('<div class="wb-row">{}</div>').format(
                Markup("").join(self.part(p) for p in part.parts)
            )
        if isinstance(part, Table):
            return table_html(part, fold=len(part.frame) > 12)
        if isinstance(part, str):
            return part if isinstance(part, Markup) else draw.paragraph(part)
        return self._picture(part if isinstance(part, Figure) else drawn(part))

    def _picture(self, figure: Figure) -> Markup:
        place = f"picture-{self._number}-{len(self.items)}"
        root = figure.document["roots"][0]
        self.items.append({"target_id": place, "root_id": root["id"], "doc": figure.document})
        return _place(place, _height(figure))


def _height(figure: Figure) -> int:
    return int(figure.document["roots"][0]["attributes"].get("height") or 300)


def _place(name: str, height: int) -> Markup:
    return Markup('<div class="wb-figure" id="{}" style="min-height:{}px"></div>').format(
        name, height
    )


def table_html(table: Table, *, fold: bool) -> Markup:
    """A table; its headings sort it (see `tables.js`)."""
    frame = table.frame.head(MAX_ROWS)
    head = Markup("").join(_heading(c, table.headings) for c in frame.columns)
    cells = [
        Markup('<td class="n">{}</td>' if frame[c].dtype.kind in "iuf" else "<td>{}</td>")
        for c in frame.columns
    ]
    rows = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(cell.format(_cell(v)) for cell, v in zip(cells, row, strict=True))
        )
        for row in frame.itertuples(index=False, name=None)
    )
    more = (
        draw.paragraph(f"The first {MAX_ROWS} of {len(table.frame)} rows.", small=True)
        if len(table.frame) > MAX_ROWS
        else ""
    )
    body = Markup(
        '<div class="wb-scroll"><table'
        ' class="wb-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}'
    ).format(head, rows, more)
    caption = table.caption or "Table"
    if not fold:
        return Markup("{}{}").format(draw.paragraph(table.caption) if table.caption else "", body)
    return Markup(
        '<details class="wb-fold"><summary>{} <span class="wb-small">{}'
        " rows</span></summary>{}</details>"
    ).format(caption, len(table.frame), body)


def _heading(column: Any, headings: Mapping[str, tuple[str, str]]) -> Markup:
    title, tip = headings.get(column, (str(column).replace("_", " "), ""))
    hover = Markup(' title="{}"').format(tip) if tip else ""
    return Markup("<th{}><button>{}</button></th>").format(hover, title)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value).replace("\n", " ↵ ")
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
