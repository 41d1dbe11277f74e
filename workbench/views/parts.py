"""What a view is made of: parts, each with a still form and a live one; and what lays them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.draw import view as drawing
from workbench.draw.items import Clicks, Picture, Table
from workbench.draw.items import Row as Beside
from workbench.draw.layout import box, narrow_column
from workbench.schema import Schema
from workbench.selection import OF_PAGE
from workbench.views.pick import Page, Pick
from workbench.views.slots import Slots

if TYPE_CHECKING:
    from workbench.result import Result

Item = Any
"""`Markup` (trusted HTML), `str` (text, escaped), what `workbench.draw.items` has, or anything
HoloViews or Panel can show.
"""
Names = str | Sequence[str]
_LOOK: dict[str, Any] = {"stylesheets": [drawing.STYLES], "margin": (2, 0, 6, 0)}


class ViewPart:
    """Something in a view."""

    @property
    def is_bare(self) -> bool:
        """Whether it takes no room beside others while it is not seen."""
        return False

    @property
    def is_linked(self) -> bool:
        """Whether anything in it waits for Python."""
        return True

    def inside(self) -> Iterator[ViewPart]:
        """It, or the parts in it."""
        yield self

    def still(self, page: Page) -> list[Any]:
        """What needs no Python: what a click would choose stands there as it is at first."""
        return []

    def live(self, page: Page) -> list[Any]:
        """Panel objects, linked to what is chosen."""
        raise NotImplementedError


@dataclass(frozen=True)
class On(ViewPart):
    """Items that are made from the run and from what is chosen.

    Args:
        keys: what it depends on, e.g. "head" or ["prompt", "pos"]; it is made again when one of
            these moves.
        make: gives an item, a list of them, or None.
        needs: tables and arrays without which there is nothing to show.
        picks: what a click on it chooses, where that does not depend on what is chosen.
        examples: values of the keys that a still page shows one after another, instead of what is
            chosen.
    """

    keys: Names
    make: Callable[[Result, Pick], Any]
    needs: Names = ()
    picks: str = ""
    examples: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None

    @property
    def is_linked(self) -> bool:
        return bool(self.keys or self.picks or self.examples)

    def items(self, pick: Pick) -> list[Item]:
        made = self.make(pick.run, pick)
        if made is None:
            return []
        return list(made) if isinstance(made, list | tuple) else [made]

    def still(self, page: Page) -> list[Any]:
        pick = page.pick
        if lacks(pick.run, self.needs):
            return []
        shown = [pick.at(**given) for given in self.examples(pick.run)] if self.examples else [pick]
        return [one for each in shown for one in still(self.items(each), page.schema)]

    def live(self, page: Page) -> list[Any]:
        pick = page.pick
        if lacks(pick.run, self.needs):
            return []
        if self.examples:  # a still page has other pictures here, and more of them
            for given in self.examples(pick.run):
                for _ in range(_pictures(self.items(pick.at(**given)))):
                    next(page.figures, None)
            page = replace(page, figures=iter(()))
        keys = names(self.keys)
        here = replace(page, place=(next(page.parts),), is_moved=pick.is_moved(keys))
        shown = Slots(narrow_column(), here)
        shown.fill(self.items(pick))
        pick.watch(keys, lambda: shown.fill(self.items(pick)))
        return [shown.panel]


class ColumnPart(ViewPart):
    """Parts from top to bottom."""

    def __init__(self, *parts: ViewPart) -> None:
        self.parts = parts

    @property
    def is_linked(self) -> bool:
        return any(part.is_linked for part in self.parts)

    def inside(self) -> Iterator[ViewPart]:
        for part in self.parts:
            yield from part.inside()

    def still(self, page: Page) -> list[Any]:
        return [one for part in self.parts for one in part.still(page)]

    def live(self, page: Page) -> list[Any]:
        objects = [made for part in self.parts for made in part.live(page)]
        return [narrow_column(*objects)] if objects else []


class RowPart(ColumnPart):
    """Parts side by side, as long as there is room.

    Args:
        widths: for each, how wide it wants to be in pixels; 0 is as wide as what is in it.
        sticky: the last one stays in sight while the others scroll by.
    """

    def __init__(self, *parts: ViewPart, widths: Sequence[int] = (), sticky: bool = False) -> None:
        super().__init__(*parts)
        self.widths, self.sticky = widths or [0] * len(parts), sticky

    def still(self, page: Page) -> list[Any]:
        return drawing.beside(super().still(page))

    def live(self, page: Page) -> list[Any]:
        boxes = []
        for part, width in zip(self.parts, self.widths, strict=True):
            objects = part.live(page)
            if objects and not part.is_bare:
                is_sticky = self.sticky and part is self.parts[-1]
                objects = [box(objects, width, is_sticky)]
            boxes += objects
        gap = "0 12px" if all(part.is_bare for part in self.parts) else "8px 24px"
        return [drawing.flow_row(*boxes, gap=gap, sizing_mode="stretch_width")]


@dataclass(frozen=True)
class Knob(ViewPart):
    """A list to choose from, or a number to type.

    Args:
        name: one of `selection.OF_PAGE`, then the whole page follows; or a name of this view's own.
        options: words to values, or words that are the values; a function of the run. With `keys`,
            of the run and of what is chosen, and made again when one of these moves.
        typed: the words are numbers from zero, too many for a list.
    """

    name: str
    label: str
    options: Callable[..., Mapping[Any, Any] | Sequence[str]]
    keys: Names = ()
    width: int = 200
    typed: bool = False

    @property
    def is_bare(self) -> bool:
        return not self.typed

    def offered(self, pick: Pick) -> dict[Any, Any]:
        """Words to values."""
        made = self.options(pick.run, *([pick] if self.keys else []))
        return dict(made) if isinstance(made, Mapping) else {word: word for word in made}

    def live(self, page: Page) -> list[Any]:
        pick, widgets = page.pick, drawing.need_panel().widgets
        kind = partial(widgets.IntInput, start=0) if self.typed else widgets.Select
        widget = kind(name=self.label, width=self.width, **_LOOK)

        def follow() -> None:
            options, value = self.offered(pick), pick[self.name]
            word = next((word for word, one in options.items() if one == value), None)
            if self.typed:
                widget.value = word
            else:
                shown = {"value": None if word is None else value, "visible": bool(options)}
                fresh = {} if options == widget.options else {"options": options}
                widget.param.update(**fresh, **shown)  # the same options would all be compared
            if self.name not in OF_PAGE and pick.kept(self.name) is None:
                pick.choose(self.name, None)  # what is offered no longer is not kept

        def moved(event: Any) -> None:
            chosen = self.offered(pick).get(event.new) if self.typed else event.new
            if chosen is not None and chosen != pick[self.name]:
                pick.choose(self.name, chosen)
            elif chosen is None and event.new is not None:
                follow()  # nothing has that number

        follow()
        widget.param.watch(moved, "value")
        pick.watch([self.name, *names(self.keys)], follow)
        return [widget]


def lacks(run: Result, needs: Names) -> bool:
    """Whether the run has no table or array of one of these names; an empty table is none."""
    return any(
        run.tables[name].empty if name in run.tables else name not in run.arrays
        for name in names(needs)
    )


def names(given: Names) -> tuple[str, ...]:
    """One name or several, as several."""
    return (given,) if isinstance(given, str) else tuple(given)


def still(items: Sequence[Item], schema: Schema) -> list[Any]:
    """The items as parts that need no Python behind them."""
    return [one for item in items for one in _still(item, schema)]


def _still(item: Item, schema: Schema) -> list[Any]:
    if isinstance(item, Picture):
        return [item.drawn()]
    if isinstance(item, Table):
        return [replace(item, headings={**schema.headings(item.of), **item.headings})]
    if isinstance(item, Beside):
        return drawing.beside(still(item.parts, schema))
    return [item.markup if isinstance(item, Clicks) else item]


def _pictures(items: Sequence[Item]) -> int:
    """How many pictures there are among them."""
    return sum(
        _pictures(item.parts) if isinstance(item, Beside) else isinstance(item, Picture)
        for item in items
    )
