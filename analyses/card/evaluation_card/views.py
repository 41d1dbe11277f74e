"""What a card looks like."""

from __future__ import annotations

from analyses.card.evaluation_card import schema
from analyses.card.evaluation_card import selections as sel
from workbench import views as v
from workbench.draw import colour

_HUES = {sel.TOLD: colour.MEMORY, sel.NOT_TOLD: colour.OTHER}

ANSWER = v.Answer(("card", "differ"), picture=("Card", 0))
VIEWS = [
    v.View("Card", needs="card", parts=[
        v.chart("intervals", sel.from_null, "question", "what", hues=_HUES,
                unit="standard errors from the null (±8 at most)",
                title="How far each number lies from chance"),
        v.finding(*sel.FINDINGS),
        v.says(schema.CARD, small=True),
        v.table(sel.measured, "Numbers, with what chance gives", of="card"),
        v.table(sel.missing, "Not measured", of="card"),
        v.table("memories", "The memories of this model"),
    ]),
    v.View("Beside", needs="differences", parts=[
        v.finding("differ"),
        v.says(schema.DIFFERENCES),
        v.chart("intervals", sel.changed, "question", "what", hues=_HUES,
                unit="standard errors from no difference (±8 at most)",
                title="This model less the other"),
        v.table("differences"),
    ]),
    v.View("Everything", needs="card", parts=[v.table("card", "The whole card")]),
]  # fmt: skip
