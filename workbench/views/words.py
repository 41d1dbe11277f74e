"""The parts that a view is written in: text, pictures, tables, heads, and what moves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw.head_grids import Scale
from workbench.schema import fits
from workbench.views.items import Beside, Item, Picture, Table, grids, key_groups
from workbench.views.parts import Column, Names, On, Part
from workbench.views.pick import Pick

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result

Source = str | Callable[["Result"], "pd.DataFrame | None"]
"""A table of the run, or what a function makes of it."""


def show(make: Callable[[Result], Any], *, needs: Names = (), picks: str = "") -> Part:
    """What is the same whatever is chosen."""
    return On((), lambda run, pick: make(run), needs, picks)


def live_only(run: Result) -> Sequence[Mapping[str, Any]]:
    """As `examples` of a part: it stands on no still page, e.g. since it needs the workbench's
    server.
    """
    return ()


def says(words: str | Callable[[Result], str | None], *, small: bool = False) -> Part:
    """A paragraph; a function may give None for nothing."""

    def make(run: Result) -> Item:
        text = words if isinstance(words, str) else words(run)
        if not text or isinstance(text, Markup):
            return text or None
        return draw.says(text, small=small)

    return show(make)


def finding(*wanted: str, more: str = "", small: bool = False) -> Part:
    """The sentences of findings, those that this run has; a name may end in *.

    Args:
        more: what is said behind the last of them.
    """

    def make(run: Result) -> list[Item]:
        found = [f.says for said in wanted for name, f in run.findings.items() if fits(said, name)]
        if more:
            found = [*found[:-1], f"{found[-1]} {more}"] if found else [more]
        return [draw.says(text, small=small) for text in found]

    return show(make)


def table(
    source: Source,
    caption: str = "",
    *,
    columns: Sequence[str] = (),
    order: Sequence[str] = (),
    picks: str = "",
    by: str = "",
    height: int | None = None,
    of: str = "",
) -> Part:
    """Rows of a table.

    Args:
        of: the table of the run whose schema gives the headings of a function's table.
        columns: those that are shown, where they are there; all by default.
        order: columns to sort by, a minus in front for the largest first.
        picks, by, height: see `items.Table`.
    """

    def make(run: Result) -> Item:
        frame = _frame(run, source)
        if frame is None or frame.empty:
            return None
        if order:
            frame = frame.sort_values(
                [c.lstrip("-") for c in order], ascending=[not c.startswith("-") for c in order]
            )
        if columns:
            frame = frame[[c for c in columns if c in frame]]
        # The run's own frame where it is shown as it is: a report knows it by that.
        return Table(frame, caption, picks, by, height, source if isinstance(source, str) else of)

    return show(make, picks=picks)


def each(
    kind: str,
    source: Source,
    by: str,
    *given: Any,
    title: str,
    abreast: int = 1,
    needs: Names = (),
    **options: Any,
) -> Part:
    """A picture of `workbench.draw` for every value of a column of a table; nothing without rows.

    Args:
        given, options: what the pictures are drawn with, behind their rows.
        title: {} stands for the column's value.
        abreast: how many stand side by side, as long as there is room.
    """

    def make(run: Result) -> list[Item]:
        if (frame := _frame(run, source)) is None:
            return []
        drawn = [
            Picture(kind, rows, *given, title=title.format(value), **options)
            for value, rows in frame.groupby(by, sort=False)
        ]
        if abreast == 1:
            return drawn
        return [Beside(drawn[n : n + abreast]) for n in range(0, len(drawn), abreast)]

    return show(make, needs=needs)


def _frame(run: Result, source: Source) -> pd.DataFrame | None:
    return run.tables.get(source) if isinstance(source, str) else source(run)


def heads(
    table: str,
    columns: Mapping[str, Scale],
    *,
    describe: Callable[[pd.Series], str],
    marks: Callable[[Result], Mapping[tuple[int, int], str]] = lambda run: {},
    hover: Callable[[Result], Mapping[str, xr.DataArray]] = lambda run: {},
    one_scale: bool = False,
) -> Part:
    """Grids of all heads beside each other, and the keys to move over them.

    Args:
        table: has a row per head, with columns layer and head.
        columns: what is shown of it.
        marks: heads that are outlined, with their role.
        describe: what is said of the head under the ring.
        hover: further numbers by their name, (layer, head).
        one_scale: all grids share their colours' limit.
    """

    def rows(run: Result) -> pd.DataFrame:
        return run.tables[table].set_index(["layer", "head"], drop=False).sort_index()

    def shown(run: Result) -> Beside:
        arrays = [(rows(run)[column].to_xarray(), scale) for column, scale in columns.items()]
        more = {"marks": dict(marks(run)), "groups": key_groups(run)}
        return grids(arrays, "head", hover(run), one_scale=one_scale, **more)

    def places(run: Result) -> tuple[list[int], list[int]]:
        layers, heads = rows(run).index.levels
        return layers.tolist(), heads.tolist()

    def said(run: Result, pick: Pick, at: tuple[int, int]) -> str:
        return describe(rows(run).loc[at]) if at in rows(run).index else "not measured"

    return Column(show(shown, picks="head"), key_pad(places, said))


def key_pad(
    places: Callable[[Result], tuple[Sequence[int], Sequence[int]]],
    describe: Callable[[Result, Pick, tuple[int, int]], str],
    *,
    needs: Names = (),
) -> Part:
    """Choosing a head without a pointer.

    Args:
        places: layers and heads of the grid above.
        describe: what is said of the head under the ring.
        needs: tables and arrays without which there are no heads.
    """

    def make(run: Result, pick: Pick) -> Any:
        return draw.key_pad(pick.selection, *places(run), lambda *at: describe(run, pick, at))

    return On((), make, needs, examples=live_only)


def download(
    label: str,
    name: Callable[[Result, Pick], str],
    file: Callable[[Result, Pick], bytes],
    *,
    keys: Names = (),
    needs: Callable[[Result], bool] = lambda run: True,
) -> Part:
    """A button that gives a file.

    Args:
        name: the file's name, for what is chosen.
        file: its bytes; made when the button is pressed.
    """

    def make(run: Result, pick: Pick) -> Any:
        if not needs(run):
            return None
        return draw.download_button(label, name(run, pick), lambda: file(run, pick))

    return On(keys, make, examples=live_only)
