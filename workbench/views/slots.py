"""How one item stands on a page, and how it is filled again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw.view import (
    STYLES,
    html_pane,
    live_part,
    live_picture,
    need_panel,
    scrolling,
    shown_cells,
    tabulator,
    wrapping,
)
from workbench.selection import head_name, parse_head
from workbench.views.items import Beside, Clicks, Item, Picture, Table
from workbench.views.pick import Pick

if TYPE_CHECKING:
    from workbench.result import Result
    from workbench.schema import Schema


_WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}


# A column is at least as wide as its widest picture else: Panel takes a given 0 for "not given".
_NARROW = ":host { min-width: 0 !important; }"


_LOOK: dict[str, Any] = {"stylesheets": [STYLES], "margin": (2, 0, 6, 0)}


@dataclass(frozen=True)
class Page:
    """What all parts of one view on one page share.

    Args:
        figures: the view's pictures from top to bottom, drawn already; may be empty.
    """

    run: Result
    pick: Pick
    figures: Iterator[Any]
    schema: Schema


def _column(objects: list[Any], **options: Any) -> Any:
    return need_panel().Column(*objects, **{**_WIDE, "stylesheets": [_NARROW], **options})


def _pictures(items: Sequence[Item]) -> int:
    """How many pictures there are among them."""
    return sum(
        _pictures(item.items) if isinstance(item, Beside) else isinstance(item, Picture)
        for item in items
    )


class _Several:
    """Items in a box, which is laid out anew where they are of other kinds than before.

    Args:
        place: lays out one of them.
    """

    def __init__(self, box: Any, page: Page, place: Callable[[Any], Any] = lambda one: one) -> None:
        self.box, self._page, self._place = box, page, place
        self._slots: list[_Slot] = []

    def fill(self, items: Sequence[Item]) -> None:
        if [_kind(item) for item in items] == [slot.kind for slot in self._slots]:
            for slot, item in zip(self._slots, items, strict=True):
                slot.fill(item)
            return
        self._slots = [_SLOTS[_kind(item)](item, self._page) for item in items]
        self.box.objects = [self._place(slot.panel) for slot in self._slots]


class _Slot:
    """One item on a page."""

    kind: str
    panel: Any

    def fill(self, item: Any) -> None:
        """Show this item instead."""
        raise NotImplementedError


class _Text(_Slot):
    kind = "text"

    def __init__(self, item: Markup | str, page: Page) -> None:
        self.panel = html_pane(_markup(item))

    def fill(self, item: Markup | str) -> None:
        text = str(_markup(item))
        if self.panel.object != text:
            self.panel.object = text


class _Clicks(_Slot):
    kind = "clicks"

    def __init__(self, item: Clicks, page: Page) -> None:
        from workbench.draw.layer_token_table import clicks, listening

        self._listening, self._tokens, pick = listening, item.tokens, page.pick

        def clicked(at: Sequence[int]) -> None:
            if at[-1] < self._tokens:
                also = {"layer": at[0]} if len(at) == 2 else {}
                pick.selection.param.update(pos=at[-1], **also)

        self._pane = html_pane(listening(item.markup))
        self.panel = clicks(self._pane, clicked)

    def fill(self, item: Clicks) -> None:
        self._tokens = item.tokens
        text = str(self._listening(item.markup))
        if self._pane.object != text:
            self._pane.object = text


class _Table(_Slot):
    kind = "table"

    def __init__(self, item: Table, page: Page) -> None:
        self._item, self._pick = item, page.pick
        selectable = "toggle" if item.picks == "head" else 1
        options = {"selectable": selectable} if item.picks else {}
        headings = page.schema.headings(item.of)
        self._rows = tabulator(item.frame, height=item.height, headings=headings, **options)
        self._caption = _Text(draw.says(_caption(item)), page)
        caption = [self._caption.panel] if item.caption else []
        self.panel = need_panel().Column(*caption, self._rows, stylesheets=[_NARROW], **_WIDE)
        if item.picks:
            self._rows.on_click(self._clicked)
            page.pick.watch([item.picks], self._mark)
            self._mark()

    def fill(self, item: Table) -> None:
        if not item.frame.equals(self._item.frame):
            self._rows.value = shown_cells(item.frame)[0]
        self._caption.fill(draw.says(_caption(item)))
        self._item = item
        if item.picks:
            self._mark()

    def _clicked(self, event: Any) -> None:
        choices = self._item.choices()
        if 0 <= event.row < len(choices):
            value = choices[event.row]
            if self._item.picks == "head":
                value = parse_head(str(value))
            elif self._item.picks in ("prompt", "pos", "layer"):
                value = int(value)
            self._pick.choose(self._item.picks, value)

    def _mark(self) -> None:
        if self._item.picks == "head":
            head = self._pick.head
            chosen = [head_name(*h) for h in self._pick.selection.heads] or (
                [head_name(*head)] if head is not None else []
            )
        else:
            chosen = [self._pick[self._item.picks]]
        places = {value: row for row, value in enumerate(self._item.choices())}
        rows = [places[value] for value in chosen if value in places]
        if self._rows.selection != rows:
            self._rows.selection = rows


class _Picture(_Slot):
    kind = "picture"

    def __init__(self, item: Picture, page: Page) -> None:
        figure = next(page.figures, None)
        self._item, self._pane = item, live_picture(item.drawn() if figure is None else figure)
        self.panel = scrolling(self._pane)
        if figure is not None and item.can_be_filled:
            self._fill_if_other(item)
        if item.picks == "head":
            draw.link_grid(self._pane, page.pick.selection)
        elif item.picks == "pos":
            from bokeh.events import Tap

            self._pane.object.on_event(Tap, partial(self._tapped, page.pick))

    def _tapped(self, pick: Pick, event: Any) -> None:
        if event.y is not None and event.y == event.y and round(event.y) >= 0:
            pick.choose("pos", round(event.y))

    def fill(self, item: Picture) -> None:
        if item.can_be_filled:
            self._fill_if_other(item)
        else:
            self._pane.object = live_picture(item.drawn()).object
        self._item = item

    def _fill_if_other(self, item: Picture) -> None:
        if not item.stands_in(self._pane.object):
            item.fill(self._pane)


class _Beside(_Slot):
    kind = "beside"

    def __init__(self, item: Beside, page: Page) -> None:
        look = {"flex": f"1 1 {item.width}px"}
        look |= {"max-width": f"{item.most}px"} if item.most else {}

        def place(one: Any) -> Any:
            return need_panel().Column(one, styles=look, stylesheets=[_NARROW], **_WIDE)

        self._several = _Several(wrapping(sizing_mode="stretch_width"), page, place)
        self.panel = self._several.box
        self.fill(item)

    def fill(self, item: Beside) -> None:
        self._several.fill(item.items)


class _Other(_Slot):
    """Whatever HoloViews and Panel can show."""

    kind = "other"

    def __init__(self, item: Any, page: Page) -> None:
        figure = next(page.figures, None) if draw.view.is_drawing(item) else None
        self.panel = need_panel().Column(live_part(item if figure is None else figure), **_WIDE)

    def fill(self, item: Any) -> None:
        self.panel.objects = [live_part(item)]


_CLICK = {
    "head": "A row chooses the head",
    "prompt": "A row is shown above",
    "pos": "A row chooses the token",
    "layer": "A row chooses the layer",
    "feature": "A row chooses the feature",
}


_SLOTS: dict[str, Any] = {
    slot.kind: slot for slot in (_Text, _Clicks, _Table, _Picture, _Beside, _Other)
}


def _kind(item: Item) -> str:
    if isinstance(item, Picture):
        return "picture"
    if isinstance(item, Table):
        return "table"
    if isinstance(item, Clicks):
        return "clicks"
    if isinstance(item, Beside):
        return "beside"
    return "text" if isinstance(item, str) else "other"


def _markup(item: Markup | str) -> Markup:
    return item if isinstance(item, Markup) else draw.says(item)


def _caption(item: Table) -> str:
    click = _CLICK.get(item.picks, "A row is chosen")
    return f"{item.caption}. {click}; a heading sorts." if item.picks else item.caption


def _chosen(pick: Pick, name: str, value: Any) -> None:
    if value is not None and value != pick[name]:
        pick.choose(name, value)
