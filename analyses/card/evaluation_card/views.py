"""What a card looks like."""

from __future__ import annotations

from analyses.card.evaluation_card import schema
from analyses.card.evaluation_card import selections as sel
from workbench import views as v
from workbench.draw import colour

_HUES = {sel.TOLD: colour.MEMORY, sel.NOT_TOLD: colour.OTHER}

ANSWER = v.Answer(("card", "differ"), picture=("Card", 0), beside=sel.FINDINGS)
VIEWS = [
    v.View("Card", needs="card", parts=[
        v.chart("intervals", sel.from_null, "question", "what", hues=_HUES,
                unit="standard errors from the null (±8 at most)",
                title="How far each number lies from chance"),
        v.finding(*sel.FINDINGS),
        v.says(schema.CARD, small=True),
    ]),
    v.View("Numbers", needs="card", parts=[
        v.table(sel.measured, "Numbers, with what chance gives", of="card"),
    ]),
    v.View("Not measured", needs="card", parts=[
        v.table(sel.missing, "What is open, and how long it takes", of="card"),
    ]),
    v.View("Memories", needs="memories", parts=[
        v.table("memories", "The memories of this model"),
    ]),
    v.View("Beside", needs="differences", otherwise="no other model was given", parts=[
        v.finding("differ"),
        v.says(schema.DIFFERENCES),
        v.chart("intervals", sel.changed, "question", "what", hues=_HUES,
                unit="standard errors from no difference (±8 at most)",
                title="This model less the other"),
        v.table("differences"),
    ]),
]  # fmt: skip
