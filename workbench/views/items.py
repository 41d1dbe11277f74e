"""What a part shows: text, pictures, tables, and what a click on them chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw import view as drawing

if TYPE_CHECKING:
    import pandas as pd

    from workbench.schema import Schema

Item = Any
"""`Markup` (trusted HTML), `str` (text, escaped), a `Picture`, a `Table`, `Clicks`, or anything
HoloViews or Panel can show.
"""

# By picture of the drawing vocabulary: who gives it other values once it is drawn, and which.
_FILLED: dict[str, tuple[str, tuple[str, ...]]] = {
    "bars": ("fill_bars", ("values", "names", "title", "unit")),
    "lines": ("fill_lines", ("frame", "x", "series", "title", "ylim")),
    "head_grid": ("fill_grid", ("values", "title", "low_word", "high_word")),
    "pattern": ("fill_pattern", ("values", "title")),
}


@dataclass(frozen=True)
class Picture:
    """A picture of the drawing vocabulary and what it is drawn from.

    Args:
        kind: its name in `workbench.draw`.
        options, given: what it is drawn with; what `fill` sends stands in `options`.
        picks: "head": a click on a cell or tile chooses that head. "pos": a click chooses the row.
    """

    kind: str
    options: Mapping[str, Any]
    picks: str = ""
    given: tuple[Any, ...] = ()

    @property
    def title(self) -> str:
        return str(self.options.get("title", ""))

    def stands_in(self, figure: Any) -> bool:
        """Whether a drawn figure shows these values already: titles say what is drawn, grids of
        heads with their unit behind it.
        """
        return figure.title.text in (self.title, f"{self.title} ({self.options.get('unit')})")

    @property
    def can_be_filled(self) -> bool:
        """Whether other values can be sent; else it is drawn anew."""
        return self.kind in _FILLED

    def drawn(self) -> Any:
        """As a HoloViews element."""
        return getattr(draw, self.kind)(*self.given, **self.options)

    def fill(self, pane: Any) -> None:
        """Put these values into a pane in which a picture of this kind is drawn."""
        name, wanted = _FILLED[self.kind]
        given = {key: self.options[key] for key in wanted if key in self.options}
        getattr(draw, name)(pane, **given)


def picture(kind: str, *given: Any, picks: str = "", **options: Any) -> Picture:
    """A picture of `workbench.draw`, by its name there and with its arguments."""
    return Picture(kind, options, picks, given)


@dataclass(frozen=True)
class Table:
    """Rows to read, and to choose by.

    Args:
        picks: what a click on a row chooses, if anything.
        by: the column whose value is chosen; for heads their names, such as L5H1.
        values: what each row chooses, where that stands in no column.
        height: in pixels, from which on it scrolls.
        of: the table of the run whose schema gives the headings.
    """

    frame: pd.DataFrame
    caption: str = ""
    picks: str = ""
    by: str = ""
    height: int | None = None
    of: str = ""
    values: Sequence[Any] | None = None

    def choices(self) -> list[Any]:
        """What each row chooses."""
        return list(self.frame[self.by] if self.values is None else self.values)


@dataclass(frozen=True)
class Beside:
    """Items side by side, as long as there is room; `width` is how wide each wants to be in pixels,
    and `most` how wide it becomes at most.
    """

    items: Sequence[Item]
    width: int = 420
    most: int | None = None


@dataclass(frozen=True)
class Clicks:
    """A token strip or a table of cells in which a click chooses a token (and a layer).

    Args:
        tokens: how many tokens there are.
    """

    markup: Markup
    tokens: int


def listed(items: Item) -> list[Item]:
    """What a part gave, as a list; nothing is an empty one."""
    if items is None:
        return []
    return list(items) if isinstance(items, list | tuple) else [items]


def still(items: Sequence[Item], schema: Schema) -> list[Any]:
    """The items as parts that need no Python behind them."""
    return [one for item in items for one in _still_parts(item, schema)]


def _still_parts(item: Item, schema: Schema) -> list[Any]:
    if not isinstance(item, Beside):
        return [_still(item, schema)]
    inside = still(item.items, schema)
    return [drawing.Row(inside)] if all(map(drawing.is_drawing, inside)) else inside


def _still(item: Item, schema: Schema) -> Any:
    if isinstance(item, Picture):
        return item.drawn()
    if isinstance(item, Table):
        return drawing.Table(item.frame, item.caption, schema.headings(item.of))
    return item.markup if isinstance(item, Clicks) else item
