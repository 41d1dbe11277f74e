"""What a click in a picture chooses, and which page of a table is looked at, so that an address
holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.address_text import as_text, read
from workbench.draw.head_grids import link_grid

if TYPE_CHECKING:
    from bokeh.events import Tap

    from workbench.selection import Selection

OF_TABLE = ("page-", "sort-")
"""How names begin that say which page of a table is shown, and by what it is sorted."""


def link_picture(pane: Any, picks: str, selection: Selection) -> None:
    """Let a click choose.

    Args:
        pane: a Panel pane whose object is a Bokeh figure.
        picks: "head": a cell or tile of a grid of heads; "pos": the row of a `pattern` that the
            click falls into; "": nothing.
    """
    if picks == "head":
        link_grid(pane, selection)
    elif picks == "pos":
        _link_rows(pane, selection)


def _link_rows(pane: Any, selection: Selection) -> None:
    from bokeh.events import Tap

    def tapped(event: Tap) -> None:
        if event.y is not None and event.y == event.y and round(event.y) >= 0:
            selection.put("pos", round(event.y))

    pane.object.on_event(Tap, tapped)


def link_table(rows: Any, selection: Selection, view: str, name: str) -> Callable[[], None]:
    """Which page of a `tabulator` is looked at, and by which columns it is sorted, are names of the
    view's own: the widget and what is chosen follow each other.

    Args:
        view: its title.
        name: of the table, in the address.

    Returns:
        What ends it.
    """
    page, sorting = (f"{kind}{name}" for kind in OF_TABLE)

    def show() -> None:
        chosen = selection.of_view(view)
        _show(rows, read(chosen.get(page, "1")), str(read(chosen.get(sorting, ""))))

    def moved(*events: Any) -> None:
        signs = {"asc": "", "desc": "-"}
        by = ",".join(f"{signs[one['dir']]}{one['field']}" for one in rows.sorters)
        selection.put_in_view(view, page, as_text(rows.page) if rows.page > 1 else None)
        selection.put_in_view(view, sorting, as_text(by) if by else None)

    show()
    rows.param.watch(moved, ["page", "sorters"])
    return selection.watch([page, sorting], show, view)


def _show(rows: Any, page: Any, sorting: str) -> None:
    """What the table does not have is as it is at first."""
    sorters = [
        {"field": word.lstrip("-"), "dir": "desc" if word.startswith("-") else "asc"}
        for word in sorting.split(",")
        if word.lstrip("-") in rows.value
    ]
    pages = -(-len(rows.value) // (rows.page_size or len(rows.value) or 1))
    known = rows.pagination and type(page) is int and 1 <= page <= pages
    rows.param.update(sorters=sorters, page=page if known else 1)
