"""Parts as linked Panel objects: made once, and filled again when what they depend on moves.

Choosing sends numbers and text into what stands there; nothing is laid out anew but where a part
gives other kinds of items than before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

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
from workbench.result import Result
from workbench.schema import Schema
from workbench.selection import head_name, parse_head
from workbench.views.items import Beside, Clicks, Item, Picture, Table
from workbench.views.parts import (
    AnyPart,
    Column,
    Download,
    Heads,
    KeyPad,
    Knob,
    Number,
    Part,
    Row,
    lacks,
)
from workbench.views.pick import Pick

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


def column(parts: Sequence[AnyPart], page: Page, **options: Any) -> Any:
    """The parts from top to bottom."""
    return _column(_objects(parts, page), **options)


def _column(objects: list[Any], **options: Any) -> Any:
    return need_panel().Column(*objects, **{**_WIDE, "stylesheets": [_NARROW], **options})


def _objects(parts: Sequence[AnyPart], page: Page) -> list[Any]:
    return [made for part in parts for made in _live(part, page)]


def _live(part: AnyPart, page: Page) -> list[Any]:
    if isinstance(part, Part):
        return [] if lacks(part, page.run) else [_linked(part, page)]
    if isinstance(part, Row):
        return [_row(part, page)]
    if isinstance(part, Column):
        objects = _objects(part.parts, page)
        return [_column(objects)] if objects else []
    if isinstance(part, Heads):
        return _heads(part, page)
    if isinstance(part, Knob):
        return [_knob(part, page)]
    if isinstance(part, Number):
        return [_number(part, page)]
    if isinstance(part, KeyPad):
        return [] if lacks(part, page.run) else [_key_pad(part, page)]
    return [_download(part, page)] if part.needs(page.run) else []


def _row(part: Row, page: Page) -> Any:
    boxes = []
    for i, (inner, width) in enumerate(zip(part.parts, part.widths, strict=True)):
        if not (objects := _live(inner, page)):
            continue
        if isinstance(inner, Knob):  # one that is not seen then takes no room
            boxes += objects
            continue
        styles = {"flex": f"1 1 {width}px"} if width else {"max-width": "100%"}
        if part.sticky and i == len(part.parts) - 1:
            styles |= {"position": "sticky", "top": "8px", "align-self": "flex-start"}
        look = {"sizing_mode": "stretch_width"} if width else _as_wide_as_pictures(objects)
        boxes.append(_column(objects, styles=styles, **look))
    gap = "0 12px" if all(isinstance(inner, Knob) for inner in part.parts) else "8px 24px"
    return wrapping(*boxes, gap=gap, sizing_mode="stretch_width")


def _as_wide_as_pictures(objects: list[Any]) -> dict[str, Any]:
    """A box beside others is as wide as the words in it, and its pictures would be cut off."""
    panes = [pane for one in objects for pane in one.select(need_panel().pane.Bokeh)]
    wide = max((pane.object.width or 0 for pane in panes), default=0)
    narrow = f":host {{ min-width: min({wide}px, 100%) !important; }}"
    return {"sizing_mode": None, "stylesheets": [narrow if wide else _NARROW]}


def _linked(part: Part, page: Page) -> Any:
    """A part's items in a column, filled again whenever one of its keys moves."""
    if part.examples is not None:  # a still page has other pictures here, and more of them
        for values in part.examples(page.run):
            items = part.items(page.run, page.pick.at(**values))
            for _ in range(_pictures(items)):
                next(page.figures, None)
        page = replace(page, figures=iter(()))
    shown = _Several(need_panel().Column(stylesheets=[_NARROW], **_WIDE), page)

    def fill() -> None:
        shown.fill(part.items(page.run, page.pick))

    fill()
    if part.keys:
        page.pick.watch(part.keys, fill)
    return shown.box


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
    return f"{item.caption}. {_CLICK[item.picks]}; a heading sorts." if item.picks else item.caption


def _heads(part: Heads, page: Page) -> list[Any]:
    panes = [_Picture(picture, page).panel for picture in part.pictures(page.run)]
    for pane in panes:
        pane.sizing_mode = None
    return [wrapping(*panes, gap="4px 10px"), _key_pad(part.pad(), page)]


def _key_pad(part: KeyPad, page: Page) -> Any:
    from workbench.draw.keyboard import key_pad

    layers, heads = part.places(page.run)

    def describe(layer: int, head: int) -> str:
        return part.describe(page.run, page.pick, (layer, head))

    return key_pad(page.pick.selection, layers, heads, describe)


def _knob(part: Knob, page: Page) -> Any:
    pick, options = page.pick, dict(page.pick.offered(part.name))
    widget = need_panel().widgets.Select(
        name=part.label, options=options, width=part.width, visible=bool(options), **_LOOK
    )
    if (value := pick[part.name]) in options.values():
        widget.value = value  # before it holds the knob's value
    if pick.is_shared(part.name):
        widget.param.watch(lambda event: _chosen(pick, part.name, event.new), "value")
    else:
        pick.turned_by(part.name, widget)

    def follow() -> None:
        options, value = dict(pick.offered(part.name)), pick[part.name]
        if widget.options != options:
            shown = value if value in options.values() else None
            widget.param.update(options=options, value=shown, visible=bool(options))
        if widget.value != value and value in options.values():
            widget.value = value

    follow()
    pick.watch(part.keys, follow)
    if pick.is_shared(part.name):
        pick.watch(part.name, follow)
    return widget


def _number(part: Number, page: Page) -> Any:
    pick = page.pick
    widget = need_panel().widgets.IntInput(
        name=part.label, value=part.number(pick), start=0, width=part.width, **_LOOK
    )

    def follow() -> None:
        widget.value = part.number(pick)

    def typed(event: Any) -> None:
        if event.new is not None and event.new != part.number(pick):
            pick.choose(part.name, part.value(pick, event.new))
            follow()  # nothing may have that number

    widget.param.watch(typed, "value")
    pick.watch([part.name], follow)
    return widget


def _chosen(pick: Pick, name: str, value: Any) -> None:
    if value is not None and value != pick[name]:
        pick.choose(name, value)


def _download(part: Download, page: Page) -> Any:
    import io

    pn = need_panel()

    def file() -> io.BytesIO:
        return io.BytesIO(part.file(page.run, page.pick)[1])

    button = pn.widgets.FileDownload(
        callback=file,
        filename="",
        label=part.label,
        width=240,
        stylesheets=[STYLES],
        margin=(20, 0, 6, 0),
    )

    def name() -> None:
        button.filename = part.file(page.run, page.pick)[0]

    name()
    page.pick.watch(part.keys, name)
    return button
