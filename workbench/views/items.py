"""What a part shows: text, pictures, tables, and what a click on them chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw import updates
from workbench.draw import view as drawing
from workbench.selection import parse_head

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.draw.head_grids import Scale
    from workbench.result import Result
    from workbench.schema import Schema

Item = Any
"""`Markup` (trusted HTML), `str` (text, escaped), a `Picture`, a `Table`, `Clicks`, `Beside`, or
anything HoloViews or Panel can show.
"""
_CLICK = {
    "head": "A row chooses the head",
    "prompt": "A row is shown above",
    "pos": "A row chooses the token",
    "layer": "A row chooses the layer",
    "feature": "A row chooses the feature",
}


class Picture:
    """A picture of the drawing vocabulary and what it is drawn from.

    Args:
        kind: its name in `workbench.draw`.
        given, options: its arguments there; what may be sent later stands in `options`.
        picks: "head": a click on a cell or tile chooses that head. "pos": a click chooses the row.
    """

    def __init__(self, kind: str, *given: Any, picks: str = "", **options: Any) -> None:
        self.kind, self.given, self.picks, self.options = kind, given, picks, options

    def drawn(self) -> Any:
        """As a HoloViews element."""
        return getattr(draw, self.kind)(*self.given, **self.options)

    @property
    def can_be_filled(self) -> bool:
        """Whether other values can be sent; else it is drawn anew."""
        return self.kind in updates.SENT

    def fill(self, pane: Any) -> None:
        """Put these values into a pane in which a picture of this kind is drawn, unless it shows
        them already: titles say what is drawn, grids of heads with their unit behind it.
        """
        title = str(self.options.get("title", ""))
        if pane.object.title.text not in (title, f"{title} ({self.options.get('unit')})"):
            updates.fill(self.kind, pane, self.options)


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
        values = self.frame[self.by].tolist() if self.values is None else list(self.values)
        return [parse_head(str(name)) for name in values] if self.picks == "head" else values

    @property
    def heading(self) -> str:
        """The caption, and on a page what its rows are good for."""
        click = _CLICK.get(self.picks, "A row is chosen")
        return f"{self.caption}. {click}; a heading sorts." if self.picks else self.caption


@dataclass(frozen=True)
class Beside:
    """Items side by side, as long as there is room.

    Args:
        width: how wide each wants to be in pixels; 0 is as wide as it is.
        most: how wide it becomes at most.
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


def key_groups(run: Result) -> int | None:
    """How many key-value heads the model has, for a grid of heads."""
    groups = run.provenance.model.get("n_kv_heads")
    return groups if isinstance(groups, int) else None


def grids(
    arrays: Sequence[tuple[xr.DataArray, Scale]], picks: str = "", *given: Any, **more: Any
) -> Beside:
    """Grids of the same heads beside each other; see `draw.grids_beside`."""
    drawn = draw.grids_beside(arrays, *given, **more)
    return Beside([Picture("head_grid", picks=picks, **options) for options in drawn], width=0)


def still(items: Sequence[Item], schema: Schema) -> list[Any]:
    """The items as parts that need no Python behind them."""
    return [one for item in items for one in _still(item, schema)]


def _still(item: Item, schema: Schema) -> list[Any]:
    if isinstance(item, Picture):
        return [item.drawn()]
    if isinstance(item, Table):
        return [drawing.Table(item.frame, item.caption, schema.headings(item.of))]
    if isinstance(item, Beside):
        return beside(still(item.items, schema))
    return [item.markup if isinstance(item, Clicks) else item]


def beside(parts: list[Any]) -> list[Any]:
    """Pictures side by side; where there is text among them, everything under each other."""
    return [drawing.Row(parts)] if parts and all(map(drawing.is_drawing, parts)) else parts
