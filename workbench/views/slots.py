"""How one item stands on a page: made once, and filled again when what it shows moves.

Choosing sends numbers and text into what stands there; nothing is laid out anew but where a part
gives other kinds of items than before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from workbench import draw
from workbench.draw import view as drawing
from workbench.draw.items import Clicks, Picture, Row, Table
from workbench.draw.layer_token_table import clicks, listening
from workbench.draw.layout import narrow_column
from workbench.draw.linking import link_picture, link_table
from workbench.views.pick import Page


class Slots:
    """Items in a box, which is laid out anew where they are of other kinds than before.

    A slot is made from an item and the page, stands there as its `panel`, and shows another item
    of its kind by `fill`.
    """

    def __init__(self, box: Any, page: Page) -> None:
        self.panel, self._page = box, page
        self._slots: list[Any] = []

    def fill(self, items: Sequence[Any]) -> None:
        kinds = [_kind(item) for item in items]
        if kinds == [type(slot) for slot in self._slots]:
            for slot, item in zip(self._slots, items, strict=True):
                slot.fill(item)
            return
        self._slots = [
            kind(item, replace(self._page, place=(*self._page.place, n)))
            for n, (kind, item) in enumerate(zip(kinds, items, strict=True))
        ]
        self.panel.objects = [self.placed(slot.panel) for slot in self._slots]

    def placed(self, panel: Any) -> Any:
        """One of them, as it is laid out in the box."""
        return panel


class _Text:
    def __init__(self, item: Any, page: Page) -> None:
        self.panel = self._pane = drawing.html_pane(self._markup(item))

    def fill(self, item: Any) -> None:
        self._pane.object = str(self._markup(item))

    def _markup(self, item: Any) -> Markup:
        return item if isinstance(item, Markup) else draw.paragraph(item)


class _Clicks(_Text):
    def __init__(self, item: Clicks, page: Page) -> None:
        super().__init__(item, page)
        self._tokens, self._selection = item.tokens, page.pick.selection
        self.panel = clicks(self._pane, self._clicked)

    def fill(self, item: Clicks) -> None:
        super().fill(item)
        self._tokens = item.tokens

    def _markup(self, item: Clicks) -> Markup:
        return listening(item.markup)

    def _clicked(self, at: Sequence[int]) -> None:
        if at[-1] < self._tokens:
            layer = {"layer": at[0]} if len(at) == 2 else {}
            self._selection.param.update(pos=at[-1], **layer)


class _Table:
    def __init__(self, item: Table, page: Page) -> None:
        self._item, self._page, self._pick = item, page, page.pick
        self._caption = _Text(item.help, page)
        self.panel = narrow_column()
        self._let_go: Callable[[], None] = lambda: None
        self._make_rows()
        if item.picks:
            page.pick.watch([item.picks], self._mark)

    def _make_rows(self) -> None:
        """The rows anew: a widget keeps its columns."""
        item = self._item
        choosing: dict[str, Any] = {}
        if item.picks:
            choosing = {"selectable": "toggle" if item.picks == "head" else 1, "height": 420}
        headings = {**self._page.schema.headings(item.of), **item.headings}
        self._rows = drawing.tabulator(item.frame, headings=headings, **choosing)
        self._let_go()
        self._let_go = link_table(
            self._rows, self._pick.selection, self._pick.title, self._page.table(item.of)
        )
        self.panel.objects = [*([self._caption.panel] if item.caption else []), self._rows]
        if item.picks:
            self._rows.on_click(self._clicked)
            self._mark()

    def fill(self, item: Table) -> None:
        before, self._item = self._item, item
        self._caption.fill(item.help)
        if list(item.frame) != list(before.frame):
            self._make_rows()
            return
        if not item.frame.equals(before.frame):
            self._rows.value = drawing.shown_cells(item.frame)[0]
        if item.picks:
            self._mark()

    def _clicked(self, event: Any) -> None:
        choices = self._item.choices()
        if 0 <= event.row < len(choices):
            self._pick.choose(self._item.picks, choices[event.row])

    def _mark(self) -> None:
        picks = self._item.picks
        chosen = (picks == "head" and self._pick.selection.heads) or [self._pick[picks]]
        rows = {value: row for row, value in enumerate(self._item.choices())}
        self._rows.selection = [rows[value] for value in chosen if value in rows]


class _Picture:
    def __init__(self, item: Picture, page: Page) -> None:
        figure = next(page.figures, None)
        if figure is None or (page.is_moved and not item.can_be_filled):
            figure = item.drawn()
        self._pane = drawing.live_picture(figure)
        self.panel = drawing.scrolling(self._pane)
        if item.can_be_filled:
            item.fill(self._pane)
        link_picture(self._pane, item.picks, page.pick)

    def fill(self, item: Picture) -> None:
        if item.can_be_filled:
            item.fill(self._pane)
        else:
            self._pane.object = drawing.live_picture(item.drawn()).object


class _Beside(Slots):
    def __init__(self, item: Row, page: Page) -> None:
        gap = {} if item.width else {"gap": "4px 10px"}
        super().__init__(drawing.flow_row(sizing_mode="stretch_width", **gap), page)
        self._look = item
        self.fill(item)

    def fill(self, item: Any) -> None:
        super().fill(item.parts)

    def placed(self, panel: Any) -> Any:
        width, most = self._look.width, self._look.most
        if width:
            styles = {"flex": f"1 1 {width}px"} | ({"max-width": f"{most}px"} if most else {})
            return narrow_column(panel, styles=styles)
        panel.sizing_mode = None
        return panel


class _Other:
    """Whatever HoloViews and Panel can show."""

    def __init__(self, item: Any, page: Page) -> None:
        figure = next(page.figures, None) if drawing.is_drawing(item) else None
        self.panel = drawing.live_column([item if figure is None else figure])

    def fill(self, item: Any) -> None:
        self.panel.objects = [drawing.live_part(item)]


_KINDS: dict[type, Any] = {
    str: _Text, Clicks: _Clicks, Table: _Table, Picture: _Picture, Row: _Beside,
}  # fmt: skip


def _kind(item: Any) -> Any:
    return next((slot for kind, slot in _KINDS.items() if isinstance(item, kind)), _Other)
