"""A view, and what stands first: what an analysis declares, and how front ends get at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import draw
from workbench.draw import view as drawing
from workbench.schema import Schema
from workbench.views.items import still
from workbench.views.parts import AnyPart, Column, Heads, Knob, Part, Row, lacks
from workbench.views.pick import First, Pick

if TYPE_CHECKING:
    from workbench.result import Result

NONE = Schema()
AGAIN = "The run was stopped before it came to this; run the analysis again and let it finish."


@dataclass(frozen=True)
class View:
    """What one tab shows.

    Args:
        title: what a person reads on the tab.
        needs: tables (with a row at least) and arrays without which there is nothing to show here.
        otherwise: why this run lacks them on purpose, or a function that says it; the tab is then
            left out, and that is said. Without it the tab says that the run was stopped.
        first: see `pick.First`.
    """

    title: str
    parts: Sequence[AnyPart]
    needs: str | Sequence[str] = ()
    otherwise: str | Callable[[Result], str] = ""
    first: First = field(default_factory=dict)

    def missing(self, run: Result) -> bool:
        """Whether this run lacks what the view needs."""
        needs = (self.needs,) if isinstance(self.needs, str) else self.needs
        return any(
            run.tables[name].empty if name in run.tables else name not in run.arrays
            for name in needs
        )

    def unavailable_reason(self, run: Result) -> str:
        """Why the tab is left out; "" if it is not."""
        if not self.missing(run):
            return ""
        return self.otherwise if isinstance(self.otherwise, str) else self.otherwise(run)

    def pick(self, run: Result) -> Pick:
        """What is chosen, as this view sees it."""
        return Pick(run, self.first, {k.name: k.options for k in _knobs(self.parts)})

    def still(self, run: Result, schema: Schema = NONE) -> list[Any]:
        """The parts that need no Python behind them (see `workbench.draw.view`)."""
        if self.missing(run):
            return [draw.note("This was not measured.", AGAIN)]
        pick = self.pick(run)
        return [item for part in self.parts for item in _still(part, run, pick, schema)]

    def live(self, run: Result, figures: Sequence[Any] = (), schema: Schema = NONE) -> Any:
        """The Panel object, linked to what is chosen.

        Args:
            figures: the pictures of `still`, drawn already or not.
        """
        from workbench.views.live import column
        from workbench.views.slots import Page

        if self.missing(run):
            return drawing.live_column(self.still(run, schema))
        pick = self.pick(run)
        if "head" in self.first and pick.selection.head is None:
            pick.choose("head", pick.head)  # grids and tables of the whole page mark it
        return column(self.parts, Page(run, pick, iter(figures), schema))

    @property
    def is_linked(self) -> bool:
        """Whether anything in it waits for Python."""
        return any(_is_linked(part) for part in self.parts)


@dataclass(frozen=True)
class Answer:
    """What stands first: on the page, in the report and on Home's card.

    Args:
        says: at most three findings, read as sentences, the first one large.
        picture: title of the view and number of the picture in it that carries the answer.
        beside: findings of the control it must be read against.
    """

    says: tuple[str, ...]
    picture: tuple[str, int] | None = None
    beside: tuple[str, ...] = ()


def bound(views: Sequence[View], run: Result, schema: Schema = NONE) -> dict[str, drawing.View]:
    """The views of one run by title, as front ends take them."""
    return {view.title: _bound(view, run, schema) for view in views}


def _bound(view: View, run: Result, schema: Schema) -> drawing.View:
    linked = view.is_linked and not view.missing(run)
    return drawing.View(
        lambda: view.still(run, schema),
        live=(lambda figures: view.live(run, figures, schema)) if linked else None,
        why_not=view.unavailable_reason(run),
    )


def _knobs(parts: Sequence[AnyPart]) -> Iterator[Knob]:
    for part in parts:
        if isinstance(part, Knob):
            yield part
        elif isinstance(part, Row | Column):
            yield from _knobs(part.parts)


def _is_linked(part: AnyPart) -> bool:
    if isinstance(part, Row | Column):
        return any(_is_linked(inner) for inner in part.parts)
    return not isinstance(part, Part) or bool(part.keys or part.picks)


def _still(part: AnyPart, run: Result, pick: Pick, schema: Schema) -> Iterator[Any]:
    """The items of a part without Python: what would be chosen by a click stands there as it is
    first, or as the part's examples say.
    """
    if isinstance(part, Part):
        if lacks(part, run):
            return
        picks = [pick.at(**values) for values in part.examples(run)] if part.examples else [pick]
        for each in picks:
            yield from still(part.items(run, each), schema)
    elif isinstance(part, Row):
        yield from _beside([item for p in part.parts for item in _still(p, run, pick, schema)])
    elif isinstance(part, Column):
        for inner in part.parts:
            yield from _still(inner, run, pick, schema)
    elif isinstance(part, Heads):
        yield drawing.Row(still(part.pictures(run), schema))


def _beside(items: list[Any]) -> Iterator[Any]:
    """Pictures side by side; where there is text among them, everything under each other."""
    if items and all(drawing.is_drawing(item) for item in items):
        yield drawing.Row(items)
    else:
        yield from items
