"""A view, and what stands first: what an analysis declares, and how front ends get at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import draw
from workbench.draw import view as drawing
from workbench.draw.layout import narrow_column
from workbench.schema import Schema
from workbench.views.parts import ColumnPart, Knob, Names, ViewPart, lacks
from workbench.views.pick import First, Page, Pick

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
    parts: Sequence[ViewPart]
    needs: Names = ()
    otherwise: str | Callable[[Result], str] = ""
    first: First = field(default_factory=dict)

    def missing(self, run: Result) -> bool:
        """Whether this run lacks what the view needs."""
        return lacks(run, self.needs)

    def unavailable_reason(self, run: Result) -> str:
        """Why the tab is left out; "" if it is not."""
        if not self.missing(run):
            return ""
        return self.otherwise if isinstance(self.otherwise, str) else self.otherwise(run)

    def pick(self, run: Result) -> Pick:
        """What is chosen, as this view sees it."""
        knobs = [part for part in ColumnPart(*self.parts).inside() if isinstance(part, Knob)]
        offered = {knob.name: knob.offered for knob in knobs}
        return Pick(run, self.first, offered, title=self.title)

    def still(self, run: Result, schema: Schema = NONE) -> list[Any]:
        """The parts that need no Python behind them (see `workbench.draw.view`)."""
        if self.missing(run):
            return [draw.empty_state("This was not measured.", AGAIN)]
        return ColumnPart(*self.parts).still(Page(self.pick(run), schema, iter(())))

    def live(self, run: Result, figures: Sequence[Any] = (), schema: Schema = NONE) -> Any:
        """The Panel object, linked to what is chosen; `figures`: those of `still`, if drawn."""
        if self.missing(run):
            return drawing.live_column(self.still(run, schema))
        pick = self.pick(run)
        if "head" in self.first and pick.selection.head is None:
            pick.choose("head", pick.head)  # grids and tables of the whole page mark it
        made = ColumnPart(*self.parts).live(Page(pick, schema, iter(figures)))
        return made[0] if made else narrow_column()

    def bound(self, run: Result, schema: Schema = NONE) -> drawing.View:
        """The view of one run, as front ends take it."""
        linked = ColumnPart(*self.parts).is_linked and not self.missing(run)
        return drawing.View(
            lambda: self.still(run, schema),
            live=(lambda figures: self.live(run, figures, schema)) if linked else None,
            why_not=self.unavailable_reason(run),
            settle=lambda: self.pick(run).settle(),
        )


@dataclass(frozen=True)
class Answer:
    """What stands first: on the page, in the report and on Home's card.

    Args:
        says: findings, read as sentences, the first one large; of those that a run has three.
        picture: title of the view and number of the picture in it that carries the answer.
        beside: findings of the control it must be read against.
        otherwise: pictures in its place, for runs that lack that view; the first that is there.
    """

    says: tuple[str, ...]
    picture: tuple[str, int] | None = None
    beside: tuple[str, ...] = ()
    otherwise: tuple[tuple[str, int], ...] = ()


def bound(views: Sequence[View], run: Result, schema: Schema = NONE) -> dict[str, drawing.View]:
    """The views of one run by title."""
    return {view.title: view.bound(run, schema) for view in views}
