"""One head chosen, everywhere: grids, a list of heads and a table read and write the same
selection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from workbench.draw.head_grids import link_grid
from workbench.selection import Selection, head_name, parse_head


def link_heads(
    selection: Selection,
    grids: Sequence[Any],
    choose: Any,
    listing: Any,
    labels: Sequence[str],
    chosen: Callable[[], None],
) -> None:
    """Whatever chooses a head moves all the others; the table marks all chosen heads.

    Args:
        grids: panes of `head_grid`.
        choose: a Select whose values are labels such as L5H1.
        listing: a Tabulator with a row for each of `labels`, in that order.
        chosen: called now, and whenever another head is chosen or none.
    """
    places = {label: row for row, label in enumerate(labels)}

    def moved(*_: Any) -> None:
        chosen()
        rows = [
            places[name]
            for name in (head_name(*head) for head in selection.heads)
            if name in places
        ]
        if listing.selection != rows:
            listing.selection = rows
        if selection.head is not None and head_name(*selection.head) in places:
            choose.value = head_name(*selection.head)

    def from_list(event: Any) -> None:
        at = parse_head(event.new or "")
        if at is not None and at != selection.head:
            selection.choose(*at)

    def from_table(event: Any) -> None:
        at = parse_head(str(labels[event.row])) if 0 <= event.row < len(labels) else None
        if at is not None:
            selection.choose(*at)

    for grid in grids:
        link_grid(grid, selection)
    choose.param.watch(from_list, "value")
    listing.on_click(from_table)
    selection.param.watch(moved, ["head", "heads"])
    moved()
