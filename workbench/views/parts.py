"""Parts of a view, from top to bottom. Each gives its items for a run and what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.views.items import Beside, Item, Picture, Table, listed, picture
from workbench.views.pick import Pick

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result

Make = Callable[["Result", Pick], Any]


@dataclass(frozen=True)
class Part:
    """Items that are made from the run and from what is chosen.

    Args:
        make: gives an item, a list of them, or None.
        keys: what it depends on; it is made again when one of these moves.
        needs: tables and arrays without which there is nothing to show.
        picks: what a click on it chooses, where that does not depend on what is chosen.
        examples: values of the keys that a still page shows one after another, instead of what is
            chosen.
    """

    make: Make
    keys: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    picks: str = ""
    examples: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None

    def items(self, run: Result, pick: Pick) -> list[Item]:
        return listed(self.make(run, pick))


@dataclass(frozen=True)
class Row:
    """Parts side by side, as long as there is room.

    Args:
        widths: for each, how wide it wants to be in pixels; 0 is as wide as what is in it.
        sticky: the last one stays in sight while the others scroll by.
    """

    parts: tuple[AnyPart, ...]
    widths: tuple[int, ...]
    sticky: bool = False


@dataclass(frozen=True)
class Column:
    """Parts from top to bottom."""

    parts: tuple[AnyPart, ...]


@dataclass(frozen=True)
class Knob:
    """A list to choose from.

    Args:
        name: one of `pick.SELECTED`, then the whole page follows; or a name of this view's own.
        options: words to values; made again when one of `keys` moves.
    """

    name: str
    label: str
    options: Callable[[Result, Pick], Mapping[str, Any]]
    keys: str | Sequence[str] = ()
    width: int = 200


@dataclass(frozen=True)
class Number:
    """A whole number to type.

    Args:
        name: what it chooses.
        number: what stands in it, given what is chosen.
        value: what a number chooses.
    """

    name: str
    label: str
    number: Callable[[Pick], int]
    value: Callable[[Pick, int], Any]
    width: int = 120


@dataclass(frozen=True)
class KeyPad:
    """Choosing a head without a pointer.

    Args:
        places: layers and heads of the grid above.
        describe: what is said of the head under the ring.
        needs: tables and arrays without which there are no heads.
    """

    places: Callable[[Result], tuple[Sequence[int], Sequence[int]]]
    describe: Callable[[Result, Pick, tuple[int, int]], str]
    needs: str | Sequence[str] = ()


@dataclass(frozen=True)
class Download:
    """A button that gives a file.

    Args:
        name: the file's name, for what is chosen.
        file: its bytes; made when the button is pressed.
    """

    label: str
    name: Callable[[Result, Pick], str]
    file: Callable[[Result, Pick], bytes]
    keys: str | Sequence[str] = ()
    needs: Callable[[Result], bool] = lambda run: True


@dataclass(frozen=True)
class Scale:
    """How a column of heads is coloured: title, unit, and the words at the two ends.

    Args:
        middle: the value between them, from which all are counted.
    """

    title: str
    unit: str
    low: str
    high: str
    middle: float = 0.0


@dataclass(frozen=True)
class Heads:
    """Grids of all heads beside each other, and the keys to move over them.

    Args:
        table: has a row per head, with columns layer and head.
        columns: what is shown of it.
        marks: heads that are outlined, with their role.
        describe: what is said of the head under the ring.
        hover: further numbers by their name, (layer, head).
        one_scale: all grids share their colours' limit.
    """

    table: str
    columns: Mapping[str, Scale]
    describe: Callable[[pd.Series], str]
    marks: Callable[[Result], Mapping[tuple[int, int], str]] = lambda run: {}
    hover: Callable[[Result], Mapping[str, xr.DataArray]] = lambda run: {}
    one_scale: bool = False

    def pictures(self, run: Result) -> list[Picture]:
        from workbench.draw import colour

        arrays = {
            scale.title: _grid(run, self.table, column) - scale.middle
            for column, scale in self.columns.items()
        }
        hover = {**arrays, **self.hover(run)}
        every = (v for array in arrays.values() for v in array.values.ravel())
        top = colour.limit(every) if self.one_scale else None
        groups = run.provenance.model.get("n_kv_heads")
        return [
            Picture(
                "head_grid",
                {
                    "values": arrays[scale.title],
                    "title": scale.title,
                    "unit": scale.unit,
                    "low_word": scale.low,
                    "high_word": scale.high,
                    "hover": {name: a for name, a in hover.items() if name != scale.title},
                    "marks": dict(self.marks(run)),
                    "groups": groups if isinstance(groups, int) else None,
                    "top": top,
                    "labels": i == 0,
                },
                "head",
            )
            for i, scale in enumerate(self.columns.values())
        ]

    def pad(self) -> KeyPad:
        """The keys that belong to the grids."""

        def places(run: Result) -> tuple[list[int], list[int]]:
            table = run.tables[self.table]
            return sorted(set(table["layer"].tolist())), sorted(set(table["head"].tolist()))

        def describe(run: Result, pick: Pick, at: tuple[int, int]) -> str:
            table = run.tables[self.table]
            found = table[(table["layer"] == at[0]) & (table["head"] == at[1])]
            return self.describe(found.iloc[0]) if len(found) else "not measured"

        return KeyPad(places, describe)


AnyPart = Part | Row | Column | Knob | Number | KeyPad | Download | Heads


def lacks(part: Part | KeyPad, run: Result) -> bool:
    """Whether the run has no table or array that the part needs; an empty table is none."""
    return any(
        run.tables[name].empty if name in run.tables else name not in run.arrays
        for name in _names(part.needs)
    )


def _grid(run: Result, table: str, column: str) -> xr.DataArray:
    array: xr.DataArray = (
        run.tables[table].set_index(["layer", "head"])[column].sort_index().to_xarray()
    )
    return array


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def show(make: Callable[[Result], Any], *, needs: str | Sequence[str] = ()) -> Part:
    """What is the same whatever is chosen."""
    return Part(lambda run, pick: make(run), needs=_names(needs))


def on(
    keys: str | Sequence[str],
    make: Make,
    *,
    needs: str | Sequence[str] = (),
    examples: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None,
) -> Part:
    """What depends on what is chosen, e.g. on "head" or on ["prompt", "pos"]."""
    return Part(make, _names(keys), _names(needs), examples=examples)


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


def finding(*names: str, more: str = "", small: bool = False) -> Part:
    """The sentences of findings, those that this run has; a name may end in *.

    Args:
        more: what is said behind the last of them.
    """

    def make(run: Result) -> list[Item]:
        found = [
            f.says
            for wanted in names
            for name, f in run.findings.items()
            if name == wanted or (wanted.endswith("*") and name.startswith(wanted[:-1]))
        ]
        if more:
            found = [*found[:-1], f"{found[-1]} {more}"] if found else [more]
        return [draw.says(text, small=small) for text in found]

    return show(make)


def table(
    source: str | Callable[[Result], pd.DataFrame | None],
    caption: str = "",
    *,
    columns: Sequence[str] = (),
    order: Sequence[str] = (),
    picks: str = "",
    by: str = "",
    height: int | None = None,
    of: str = "",
) -> Part:
    """Rows of a table of the run, or of what a function makes of it.

    Args:
        of: the table of the run whose schema gives the headings of a function's table.
        columns: those that are shown, where they are there; all by default.
        order: columns to sort by, a minus in front for the largest first.
        picks, by, height: see `items.Table`.
    """

    def make(run: Result) -> Item:
        frame = run.tables.get(source) if isinstance(source, str) else source(run)
        if frame is None or frame.empty:
            return None
        if order:
            frame = frame.sort_values(
                [c.lstrip("-") for c in order], ascending=[not c.startswith("-") for c in order]
            )
        if columns:
            frame = frame[[c for c in columns if c in frame]]
        name = source if isinstance(source, str) else of
        # The run's own frame where it is shown as it is: a report knows it by that.
        return Table(frame, caption, picks, by, height, name)

    return Part(lambda run, pick: make(run), picks=picks)


def each(
    kind: str,
    source: str | Callable[[Result], pd.DataFrame | None],
    by: str,
    *given: Any,
    title: str,
    abreast: int = 1,
    **options: Any,
) -> Part:
    """A picture of `workbench.draw` for every value of a column of a table; nothing without rows.

    Args:
        source: a table of the run, or what a function makes of it.
        given, options: what the pictures are drawn with, behind their rows.
        title: {} stands for the column's value.
        abreast: how many stand side by side, as long as there is room.
    """

    def make(run: Result) -> list[Item]:
        frame = run.tables.get(source) if isinstance(source, str) else source(run)
        if frame is None:
            return []
        drawn = [
            picture(kind, rows, *given, title=title.format(value), **options)
            for value, rows in frame.groupby(by, sort=False)
        ]
        if abreast == 1:
            return drawn
        return [Beside(drawn[n : n + abreast]) for n in range(0, len(drawn), abreast)]

    return show(make)


def row(*parts: AnyPart, widths: Sequence[int] = (), sticky: bool = False) -> Row:
    """Parts side by side; see `Row`."""
    return Row(parts, tuple(widths) or (0,) * len(parts), sticky)


def column(*parts: AnyPart) -> Column:
    """Parts under each other, inside a row."""
    return Column(parts)
