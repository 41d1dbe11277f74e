"""What an analysis says its result looks like: a list of views, each a list of parts (an example is
in docs/writing-an-analysis.md).

From this one list the Explorer, the notebook, the report, its printed form and the thumbnails are
made; nothing in an analysis knows which of them is looking. A part is a function of the run and of
what is chosen; `on` names what it depends on, and is made again when that moves.

I want sentences, pictures, tables        -> words.py
I want what depends on what is chosen     -> parts.py (`on`, `knob`), pick.py (what is chosen)
I want something to choose by a click     -> draw/items.py (tables, grids and cells that `pick`)
I want to know how it becomes a page      -> view.py, parts.py (laid out), slots.py (filled)

Everything heavy (Panel, HoloViews) is imported inside functions.
"""

from workbench.draw.head_grids import Scale
from workbench.draw.items import Clicks, Picture, Table
from workbench.draw.items import Picture as picture
from workbench.draw.items import Row as Beside
from workbench.views.parts import ColumnPart as column
from workbench.views.parts import Item, ViewPart
from workbench.views.parts import Knob as knob
from workbench.views.parts import On as on
from workbench.views.parts import RowPart as row
from workbench.views.pick import Pick
from workbench.views.view import AGAIN, Answer, View, bound
from workbench.views.words import (
    DATA,
    chart,
    finding,
    heads,
    key_groups,
    key_pad,
    live_only,
    says,
    show,
    table,
)

__all__ = [
    "AGAIN", "DATA", "Answer", "Beside", "Clicks", "Item", "Pick", "Picture", "Scale", "Table",
    "View", "ViewPart", "bound", "chart", "column", "finding", "heads", "key_groups",
    "key_pad", "knob", "live_only", "on", "picture", "row", "says", "show", "table",
]  # fmt: skip
