"""What a run looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import view as claims_view
from analyses.training.training_order import claims, schema
from analyses.training.training_order import selections as sel
from analyses.training.training_order.change_scatter import change_scatter
from workbench import draw
from workbench import views as v
from workbench.draw import colour

if TYPE_CHECKING:
    import holoviews as hv

    from workbench.result import Result

_HUES = {"text of the blocks": colour.MEMORY, "planted sentences": colour.CONTEXT}


def _scatter(run: Result, pick: v.Pick) -> hv.Overlay:
    said = next(words for words, kind in sel.OF.items() if kind == pick["of"])
    return change_scatter(sel.points(run, pick), f"{pick['by']}: {said}".capitalize())


def _words(run: Result, pick: v.Pick) -> list[v.Item]:
    return [draw.paragraph(sel.order_in_words(run, pick))]


ANSWER = v.Answer(("estimate", "sentences", "price"), picture=("Predictors", 0), beside=("rivals",))
VIEWS = [
    v.View("Predictors", needs="predictors", parts=[
        v.finding("estimate", "rivals"),
        v.chart("intervals", sel.predictors, "predictor", "what", hues=_HUES,
                title="Rank correlations", unit="rank correlation"),
        v.says(schema.PREDICTORS),
        v.table("predictors", "All predictors"),
    ]),
    v.View("Estimated and real", needs="changes", parts=[
        v.finding("sentences"),
        v.says(schema.ABOUT),
        v.row(
            v.knob("by", "Predicted by", sel.by, width=240),
            v.knob("of", "Of", lambda run: sel.OF, width=240),
            v.knob("which", "Order", sel.which, width=240),
        ),
        v.on(["by", "of", "which"], _scatter),
        v.on("which", _words),
        v.table("changes"),
    ]),
    v.View("Distance", needs="orders", parts=[
        v.finding("distance"),
        v.chart("curves", sel.errors, "distance", "nats", "what",
                xlabel="share of pairs read the other way round", ylabel="nats per token",
                title="Error by distance"),
        v.table("orders", "The orders", order=["distance"]),
    ]),
    v.View("Position", needs="positions", parts=[
        v.finding("position"),
        v.says(schema.POSITIONS),
        v.row(
            v.chart("curves", sel.positions, "position", "apart", "what", hues=_HUES,
                    interval=("low", "high"), xlabel="position at which a block is read",
                    ylabel="nats per token", title="Loss at the end, by position"),
            v.chart("lines", sel.recited, "position", {"share": ("tokens", colour.CONTEXT)},
                    xlabel="position at which it is read", ylabel="tokens (%)",
                    title="Sentences: tokens that come out"),
            widths=(420, 420),
        ),
        v.table("positions"),
    ]),
    v.View("What was read", needs="blocks", parts=[
        v.finding("price"),
        v.table("blocks", "The blocks"),
        v.table("times", "Time"),
    ]),
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
