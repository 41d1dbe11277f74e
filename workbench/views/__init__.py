"""What an analysis says its result looks like: a list of views, each a list of parts.

    from workbench import views as v

    VIEWS = [
        v.View("Rates", needs="rates", parts=[
            v.finding("greedy", "sampled"),
            v.show(lambda run: v.picture("rate_bars", run.tables["rates"], title="Extracted")),
            v.table("rates", "The data behind this picture"),
        ]),
    ]

From this one list the Explorer, the notebook, the report, its printed form and the thumbnails are
made; nothing in an analysis knows which of them is looking. A part is a function of the run and of
what is chosen; `on` names what it depends on, and is made again when that moves.

I want sentences, pictures, tables        -> parts.py
I want what depends on what is chosen     -> parts.py (`on`, `knob`), pick.py (what is chosen)
I want something to choose by a click     -> items.py (tables, grids and cells that `pick`)
I want to know how it becomes a page      -> live.py (linked), view.py (the list)

Everything heavy (Panel, HoloViews) is imported inside functions.
"""

from workbench.views.items import Beside, Clicks, Item, Picture, Table, picture
from workbench.views.parts import Download as download
from workbench.views.parts import Heads as heads
from workbench.views.parts import KeyPad as key_pad
from workbench.views.parts import Knob as knob
from workbench.views.parts import Number as number
from workbench.views.parts import (
    Part,
    Scale,
    column,
    each,
    finding,
    live_only,
    on,
    row,
    says,
    show,
    table,
)
from workbench.views.pick import Pick
from workbench.views.view import AGAIN, Answer, View, bound

__all__ = [
    "AGAIN",
    "Answer",
    "Beside",
    "Clicks",
    "Item",
    "Part",
    "Pick",
    "Picture",
    "Scale",
    "Table",
    "View",
    "bound",
    "column",
    "download",
    "each",
    "finding",
    "heads",
    "key_pad",
    "knob",
    "live_only",
    "number",
    "on",
    "picture",
    "row",
    "says",
    "show",
    "table",
]
