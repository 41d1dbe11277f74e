"""A picture and what it is drawn from: drawn when it is shown, filled with other values later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench import draw
from workbench.draw import colour, updates

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from workbench.draw.head_grids import Scale


class Picture:
    """A picture of the drawing vocabulary and what it is drawn from.

    Args:
        kind: the name in `workbench.draw` of what draws it.
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
    top = colour.limit(v for a in values.values() for v in a.values.ravel()) if one_scale else None
    said = {} if hover is None else {**values, **hover}
    return [
        Picture(
            "head_grid",
            picks=picks,
            values=values[scale.title],
            title=scale.title,
            unit=scale.unit,
            low_word=scale.low,
            high_word=scale.high,
            hover={name: array for name, array in said.items() if name != scale.title},
            top=top,
            labels=i == 0,
            **more,
        )
        for i, (_, scale) in enumerate(arrays)
    ]
