"""Which page of a table is looked at, and by which columns it is sorted, are names of the view's
own, so that an address holds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.views.pick import OF_TABLE, Pick


def follow(rows: Any, pick: Pick, name: str) -> Callable[[], None]:
    """Let a `tabulator` and what is chosen follow each other.

    Args:
        name: of the table, in the address.

    Returns:
        What ends it.
    """
    page, sorting = (f"{kind}{name}" for kind in OF_TABLE)

    def show() -> None:
        _show(rows, pick.kept(page), str(pick.kept(sorting) or ""))

    def moved(*events: Any) -> None:
        signs = {"asc": "", "desc": "-"}
        by = ",".join(f"{signs[one['dir']]}{one['field']}" for one in rows.sorters)
        pick.choose(page, rows.page if rows.page > 1 else None)
        pick.choose(sorting, by or None)

    show()
    rows.param.watch(moved, ["page", "sorters"])
    return pick.watch([page, sorting], show)


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
