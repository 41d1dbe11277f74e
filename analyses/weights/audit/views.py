"""What an audit looks like."""

from __future__ import annotations

from analyses.weights.audit import schema
from analyses.weights.audit import selections as sel
from workbench import views as v
from workbench.draw import colour

_HUES = {sel.OUT: colour.MEMORY, sel.CONTROL: colour.OTHER}

ANSWER = v.Answer(("audit", "limits"), picture=("Verdict", 0), beside=("controls",))
VIEWS = [
    v.View("Verdict", needs="verdicts", parts=[
        v.chart("rate_bars", sel.by_kind, names="kind", words=_HUES, of="asked",
                title="What comes out, and what does where there is nothing to find (%)"),
        v.finding("audit", "controls", "limits"),
        v.says(schema.PROVED),
        v.says(schema.BLACK_BOX),
        v.table("verdicts", "By kind of material"),
        v.table("left_out", "What was not asked"),
    ]),
    v.View("Documents", needs="documents", otherwise="no documents were given", parts=[
        v.finding("documents"),
        v.table(sel.documents, "Every document, what comes out first", of="documents"),
    ]),
    v.View("Personal data", needs="personal", otherwise="no values were found", parts=[
        v.finding("personal"),
        v.table(sel.by_field, "By field", of="fields"),
        v.table(sel.values_out, "Every value, what comes out first", of="personal"),
        v.says(schema.PERSONAL, small=True),
    ]),
    v.View("Facts", needs="facts", otherwise="no facts were given", parts=[
        v.finding("facts"),
        v.table("facts", "Every fact", order=["-comes_out"]),
    ]),
    v.View("Test items", needs="items", otherwise="no test items were given", parts=[
        v.finding("items"),
        v.table("items", "Every item", order=["-comes_out"]),
        v.says(schema.ITEMS, small=True),
    ]),
]  # fmt: skip
