"""Parts as linked Panel objects: made once, and filled again when what they depend on moves.

Choosing sends numbers and text into what stands there; nothing is laid out anew but where a part
gives other kinds of items than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.draw.view import (
    STYLES,
    need_panel,
    wrapping,
)
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
from workbench.views.slots import (
    _LOOK,
    _NARROW,
    _WIDE,
    Page,
    _chosen,
    _column,
    _Picture,
    _pictures,
    _Several,
)

if TYPE_CHECKING:
    pass


def column(parts: Sequence[AnyPart], page: Page, **options: Any) -> Any:
    """The parts from top to bottom."""
    return _column(_objects(parts, page), **options)


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


def _download(part: Download, page: Page) -> Any:
    import io

    pn = need_panel()

    def file() -> io.BytesIO:
        return io.BytesIO(part.file(page.run, page.pick))

    button = pn.widgets.FileDownload(
        callback=file,
        filename="",
        label=part.label,
        width=240,
        stylesheets=[STYLES],
        margin=(20, 0, 6, 0),
    )

    def name() -> None:
        button.filename = part.name(page.run, page.pick)

    name()
    page.pick.watch(part.keys, name)
    return button
