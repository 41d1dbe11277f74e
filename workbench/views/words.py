"""The parts that a view is written in: text, pictures, tables, heads, and what moves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw.head_grids import Scale
from workbench.draw.items import Picture, Row, Table, grids
from workbench.schema import fits
from workbench.views.parts import ColumnPart, Item, Names, On, RowPart, ViewPart
from workbench.views.pick import Pick

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result

DATA = "The data behind this picture"
Source = str | Callable[["Result"], "pd.DataFrame | None"]
"""A table of the run, or what a function makes of it."""


def show(make: Callable[[Result], Any], *, needs: Names = (), picks: str = "") -> ViewPart:
    """What is the same whatever is chosen."""
    return On((), lambda run, pick: make(run), needs, picks)


def live_only(run: Result) -> Sequence[Mapping[str, Any]]:
    """As `examples` of a part: it stands on no still page, e.g. since it needs the workbench's
    server.
    """
    return ()


def says(words: str | Callable[[Result], str | None], *, small: bool = False) -> ViewPart:
    """A paragraph; a function may give None for nothing."""

    def make(run: Result) -> Item:
        text = words if isinstance(words, str) else words(run)
        if not text or isinstance(text, Markup):
            return text or None
        return draw.paragraph(text, small=small)

    return show(make)


def finding(*wanted: str, more: str = "", small: bool = False) -> ViewPart:
    """The sentences of findings, those that this run has; a name may end in *.

    Args:
        more: what is said behind the last of them.
    """

    def make(run: Result) -> list[Item]:
        found = [f.says for said in wanted for name, f in run.findings.items() if fits(said, name)]
        if more:
            found = [*found[:-1], f"{found[-1]} {more}"] if found else [more]
        return [draw.paragraph(text, small=small) for text in found]

    return show(make)


def table(
    source: Source,
    caption: str = DATA,
    *,
    order: Sequence[str] = (),
    picks: str = "",
    by: str = "label",
    of: str = "",
) -> ViewPart:
    """Rows of a table.

    Args:
        of: the table of the run whose schema gives the headings of a function's table.
        order: columns to sort by, a minus in front for the largest first.
        picks, by: see `items.Table`.
    """

    def make(run: Result) -> Item:
        frame = _frame(run, source)
        if frame is None or frame.empty:
            return None
        if order:
            frame = frame.sort_values(
                [c.lstrip("-") for c in order], ascending=[not c.startswith("-") for c in order]
            )
        # The run's own frame where it is shown as it is: a report knows it by that.
        return Table(frame, caption, picks, by, source if isinstance(source, str) else of)

    return show(make, picks=picks)


def chart(
    kind: str,
    source: Source,
    *given: Any,
    title: str = "{}",
    per: str = "",
    abreast: int = 1,
    needs: Names = (),
    **options: Any,
) -> ViewPart:
    """A picture of `workbench.draw` of the rows of a table; nothing without rows.

    Args:
        given, options: what it is drawn with, behind the rows; a function among the options is
            asked of the run.
        title: {} stands for the value of `per`.
        per: a column, for each of whose values there is a picture.
        abreast: how many stand side by side, as long as there is room.
    """

    def make(run: Result) -> list[Item]:
        frame = _frame(run, source)
        if frame is None or frame.empty:
            return []
        groups = frame.groupby(per, sort=False) if per else [("", frame)]
        more = {name: one(run) if callable(one) else one for name, one in options.items()}
        drawn = [
            Picture(kind, rows, *given, title=title.format(value), **more) for value, rows in groups
        ]
        if abreast == 1:
            return drawn
        return [Row(drawn[n : n + abreast], width=420) for n in range(0, len(drawn), abreast)]

    return show(make, needs=needs)


def _frame(run: Result, source: Source) -> pd.DataFrame | None:
    return run.tables.get(source) if isinstance(source, str) else source(run)


def key_groups(run: Result) -> int | None:
    """How many key-value heads the model has, for a grid of heads."""
    groups = run.provenance.model.get("n_kv_heads")
    return groups if isinstance(groups, int) else None


def heads(
    table: str,
    columns: Mapping[str, Scale],
    *,
    describe: str,
    marks: Callable[[Result], Mapping[tuple[int, int], str]] = lambda run: {},
    hover: Callable[[Result], Mapping[str, xr.DataArray]] = lambda run: {},
    one_scale: bool = False,
    beside: Sequence[ViewPart] = (),
) -> ViewPart:
    """Grids of all heads beside each other, and the keys to move over them.

    Args:
        table: has a row per head, with columns layer and head.
        columns: what is shown of it.
        marks: heads that are outlined, with their role.
        describe: what is said of the head under the ring, as a format of its row.
        hover: further numbers by their name, (layer, head).
        one_scale: all grids share their colours' limit.
        beside: what follows the chosen head, at their right.
    """

    def rows(run: Result) -> pd.DataFrame:
        return run.tables[table].set_index(["layer", "head"], drop=False).sort_index()

    def shown(run: Result) -> Row:
        arrays = [(rows(run)[column].to_xarray(), scale) for column, scale in columns.items()]
        more = {"marks": dict(marks(run)), "groups": key_groups(run)}
        drawn = grids(arrays, picks="head", hover=hover(run), one_scale=one_scale, **more)
        return Row(drawn)

    def places(run: Result) -> tuple[list[int], list[int]]:
        layers, heads = rows(run).index.levels
        return layers.tolist(), heads.tolist()

    def said(run: Result, pick: Pick, at: tuple[int, int]) -> str:
        found = rows(run)
        return describe.format_map(found.loc[at]) if at in found.index else "not measured"

    left = ColumnPart(show(shown, picks="head"), key_pad(places, said))
    return RowPart(left, ColumnPart(*beside), widths=(640, 300))


def key_pad(
    places: Callable[[Result], tuple[Sequence[int], Sequence[int]]],
    describe: Callable[[Result, Pick, tuple[int, int]], str],
    *,
    needs: Names = (),
) -> ViewPart:
    """Choosing a head without a pointer.

    Args:
        places: layers and heads of the grid above.
        describe: what is said of the head under the ring.
        needs: tables and arrays without which there are no heads.
    """

    def make(run: Result, pick: Pick) -> Any:
        return draw.key_pad(pick.selection, *places(run), lambda *at: describe(run, pick, at))

    return On((), make, needs, examples=live_only)
