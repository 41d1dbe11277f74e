"""What a click in a picture chooses, and which page of a table is looked at, so that an address
holds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.address_text import as_text, read
from workbench.draw.head_grids import link_grid
from workbench.draw.neuron_map import neuron_at
from workbench.draw.notify import on_tap

if TYPE_CHECKING:
    from workbench.selection import Selection
    from workbench.views.pick import Pick

OF_TABLE = ("page-", "sort-")
"""How names begin that say which page of a table is shown, and by what it is sorted."""


def link_picture(pane: Any, picks: str, pick: Pick) -> None:
    """Let a click choose.

    Args:
        pane: a Panel pane whose object is a Bokeh figure.
        picks: "head": a cell or tile of a grid of heads; "pos": the row of a `pattern` that the
            click falls into; "feature": a neuron of a `neuron_map`; "ROW,COLUMN": by these names,
            the row and the column of the cell of a `matrix`; "": nothing.
    """
    if picks == "head":
        link_grid(pane, pick.selection)
    elif picks == "pos":
        _link_rows(pane, pick.selection)
    elif picks == "feature":
        _link_neurons(pane, pick.selection)
    elif "," in picks:
        _link_cells(pane, picks.split(","), pick)


def _link_neurons(pane: Any, selection: Selection) -> None:
    drawn = [renderer.data_source.data for renderer in pane.object.renderers]
    image = next(data for data in drawn if "neuron" in data)
    points = next((data for data in drawn if "hue" in data), None)

    def tapped(x: float, y: float, shift: bool) -> None:
        at = neuron_at(image, points, x, y)
        if at is not None:
            selection.put("feature", (f"L{at[0]}", at[1]))

    on_tap(pane.object, tapped)


def _link_cells(pane: Any, names: Sequence[str], pick: Pick) -> None:
    cells = next(r.data_source.data for r in pane.object.renderers if "r" in r.data_source.data)

    def tapped(x: float, y: float, shift: bool) -> None:
        at = round(x), round(y)
        for x0, y0, *words in zip(cells["x0"], cells["y0"], cells["r"], cells["c"], strict=True):
            if (math.ceil(x0), math.ceil(y0)) == at:
                for name, word in zip(names, words, strict=True):
                    pick.choose(name, word)

    on_tap(pane.object, tapped)


def _link_rows(pane: Any, selection: Selection) -> None:
    def tapped(x: float, y: float, shift: bool) -> None:
        if round(y) >= 0:
            selection.put("pos", round(y))

    on_tap(pane.object, tapped)


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
