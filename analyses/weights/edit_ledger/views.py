"""What a run looks like."""

from __future__ import annotations

from analyses import claims as claim_views
from analyses.weights.edit_ledger import claims
from analyses.weights.edit_ledger import selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_RATES = {
    "in other words": colour.FUNCTION,
    "the sentence": colour.CONTEXT,
    "neighbours": colour.BLUE_STROKE,
}


def _answers(run: Result, pick: v.Pick) -> list[v.Item]:
    return [
        draw.paragraph(sel.fact_words(run, pick)),
        v.Table(sel.before_and_after(run, pick), "Before and after", of="answers"),
        *map(draw.paragraph, sel.texts(run, pick)),
    ]


def _matrix(run: Result, pick: v.Pick) -> v.Item:
    return v.picture(
        "matrix", sel.matrix(run, pick["sequence"]), "edited in", "asked after", "percent",
        title="Edits that hold", unit="%", top=100.0,
    )  # fmt: skip


def _edits(run: Result, pick: v.Pick) -> v.Item:
    return v.Table(sel.edits_at_end(run, pick["sequence"]), "Every edit", of="ledger")


ANSWER = v.Answer(
    ("holds", "remembered", "neighbours", "elsewhere"), picture=("Methods", 0), beside=("reverts",)
)
VIEWS = [
    v.View("Methods", needs="methods", parts=[
        v.row(
            v.chart("rate_bars", sel.method_rates, names="method", words=_RATES, of="facts",
                    title="What each method gets (%)"),
            v.chart("matrix", sel.kinds_by_method, "question", "method", "percent", longest=46,
                    title="Every kind of question", unit="%", top=100.0),
            widths=(600, 640),
        ),
        v.finding("holds", "neighbours", "elsewhere", "not_known", "too_few"),
        v.finding("sentence", "two_steps", "writing", "less_known", "undone"),
        v.table("methods", "All rates with their intervals"),
        v.chart("matrix", sel.halves, "method", "half", "percent", needs="popularity",
                longest=46, title="In other words", unit="%", top=100.0),
        v.table("popularity", "Less and better known halves"),
        v.table("edits", "Every edit"),
    ]),
    v.View("Answers", needs="answers", first={"method": sel.first_method, "prompt": sel.fact_of},
           parts=[
        v.knob("method", "Method", sel.methods, width=200),
        v.table("facts", "Choose a fact", picks="prompt", by="fact"),
        v.on(["method", "prompt"], _answers),
    ]),
    v.View("Robust", needs="answers", otherwise="the part `robust` was not run", parts=[
        v.finding("asked_otherwise", "reverts"),
        v.row(
            v.chart("matrix", lambda run: sel.behind_other_text(run, "gives_new"), "method",
                    "kind", "percent", longest=46, title="The new answer comes", unit="%",
                    top=100.0),
            v.chart("matrix", lambda run: sel.behind_other_text(run, "gives_old"), "method",
                    "kind", "percent", longest=46,
                    title="The old answer comes back", unit="%",
                    top=100.0),
            widths=(620, 620),
        ),
    ]),
    v.View("Layers", needs="layers", parts=[
        v.finding("best_layer"),
        v.chart("curves", sel.layers, "layer", "in_other_words", "facts", percent=True,
                interval=("low", "high"), xlabel="layer that is edited",
                ylabel="paraphrases with the new answer (%)", title="r-ROME by layer"),
        v.table("layers", "All layers"),
    ]),
    v.View("Ledger", needs="ledger", first={"sequence": sel.first_sequence}, parts=[
        v.finding("remembered", "first_forgotten"),
        v.chart("curves", sel.held_over_edits, "edits", "share", "which", percent=True,
                xlabel="edits so far", ylabel="edits that hold (%)",
                title="What is left of the edits"),
        v.knob("sequence", "Sequence", sel.sequences, width=200),
        v.on("sequence", _matrix),
        v.on("sequence", _edits),
        v.finding("removed", small=True),
        v.table("taken_out", "One change left out"),
    ]),
    v.View("Drift", needs="drift", parts=[
        v.finding("breakdown"),
        v.row(
            v.chart("curves", "drift", "edits", "loss_change", "method", xlabel="edits so far",
                    ylabel="nats per token", title="Loss on neutral text, change"),
            v.chart("curves", sel.known_elsewhere, "edits", "known", "method", percent=True,
                    xlabel="edits so far", ylabel="facts (%)",
                    title="Other known facts, still right"),
            widths=(420, 420),
        ),
        v.chart("curves", "drift", "edits", "norm", "method", xlabel="edits so far",
                ylabel="of the matrices", title="Size of all changes"),
        v.table("drift"),
    ]),
    claim_views.view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
