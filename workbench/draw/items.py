"""What a page shows, as data: a picture and what it is drawn from, a table, items side by side, and
text to click. Each has a still form; on a live page it is filled with other values later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench.draw import colour, updates
from workbench.draw.head_grids import Scale
from workbench.draw.kinds import KINDS
from workbench.selection import parse_head

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_CLICK = {
    "head": "A row chooses the head",
    "prompt": "A row is shown above",
    "pos": "A row chooses the token",
    "layer": "A row chooses the layer",
    "feature": "A row chooses the feature",
    "run": "A row says its answer and leads to it",
}


@dataclass(frozen=True)
class Table:
    """Rows to read, and on a page to choose by.

    Args:
        picks: what a click on a row chooses, if anything.
        by: the column whose value is chosen; for heads their names, such as L5H1.
        of: the table of the run whose schema gives the headings.
        values: what each row chooses, where that stands in no column.
        headings: heading and tooltip by column; a column without one is headed by its name.
    """

    frame: pd.DataFrame
    caption: str = ""
    picks: str = ""
    by: str = "label"
    of: str = ""
    values: Sequence[Any] | None = None
    headings: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def choices(self) -> list[Any]:
        """What each row chooses."""
        values = self.frame[self.by].tolist() if self.values is None else list(self.values)
        return [parse_head(str(name)) for name in values] if self.picks == "head" else values

    @property
    def help(self) -> str:
        """The caption, and on a page what its rows are good for."""
        click = _CLICK.get(self.picks, "A row is chosen")
        return f"{self.caption}. {click}; a heading sorts." if self.picks else self.caption


@dataclass(frozen=True)
class Row:
    """Items side by side, as long as there is room.

    Args:
        width: how wide each wants to be in pixels; 0 is as wide as it is.
        most: how wide it becomes at most.
    """

    parts: Sequence[Any]
    width: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Clicks:
    """A token strip or a table of cells in which a click chooses a token (and a layer).

    Args:
        tokens: how many tokens there are.
    """

    markup: Markup
    tokens: int


class Picture:
    """A picture of the drawing vocabulary and what it is drawn from.

    Args:
        kind: the name of what draws it, see `kinds.KINDS`.
        given, options: its arguments there; what may be sent later stands in `options`.
        picks: what a click chooses, see `linking.link_picture`.
    """

    def __init__(self, kind: str, *given: Any, picks: str = "", **options: Any) -> None:
        self.kind, self.given, self.picks, self.options = kind, given, picks, options

    def drawn(self) -> Any:
        """As a HoloViews element."""
        return KINDS[self.kind](*self.given, **self.options)

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


def grids(
    arrays: Sequence[tuple[xr.DataArray, Scale]],
    *,
    picks: str = "",
    hover: Mapping[str, xr.DataArray] | None = None,
    one_scale: bool = False,
    **more: Any,
) -> list[Picture]:
    """Grids of the same heads that stand beside each other; the first names the layers.

    Args:
        arrays: (layer, head), and how each is coloured.
        hover: further numbers by their name, (layer, head); with them, each grid says the others'.
        one_scale: all share their colours' limit.
        more: as `head_grid`.
    """
    values = {scale.title: array - scale.middle for array, scale in arrays}
    top = (
        colour.symmetric_limit(v for a in values.values() for v in a.values.ravel())
        if one_scale
        else None
    )
    numbers = {} if hover is None else {**values, **hover}
    return [
        Picture(
            "head_grid",
            picks=picks,
            values=values[scale.title],
            title=scale.title,
            unit=scale.unit,
            low_word=scale.low,
            high_word=scale.high,
            hover={name: array for name, array in numbers.items() if name != scale.title},
            top=top,
            labels=i == 0,
            **more,
        )
        for i, (_, scale) in enumerate(arrays)
    ]


def titled_grids(
    arrays: Mapping[str, xr.DataArray], unit: str, low: str, high: str, *, one_scale: bool = False
) -> Row:
    """Grids of the same heads by their titles, beside each other; `Scale` has the words."""
    scales = [(array, Scale(title, unit, low, high)) for title, array in arrays.items()]
    return Row(grids(scales, one_scale=one_scale))
