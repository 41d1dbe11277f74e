"""What a run looks like."""

from __future__ import annotations

from analyses.claims import view as claims_view
from analyses.weights.fact_tracing import claims, schema
from analyses.weights.fact_tracing import selections as sel
from analyses.weights.fact_tracing.constants import CLASSES, PERMUTED, RANDOM, SPANS
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_CLASS_HUES = dict(
    zip(
        (*CLASSES, PERMUTED),
        ("#c9a227", "#b0708f", colour.MEMORY, colour.BLUE_STROKE, colour.FUNCTION, colour.OTHER),
        strict=True,
    )
)
_KIND_HUES = {"states": colour.OTHER, "MLPs": colour.MEMORY, "attention": colour.FUNCTION}
_SPAN_HUES = dict(
    zip(
        SPANS,
        (colour.MEMORY, "#c9a227", colour.CONTEXT, colour.FUNCTION, "#b0708f", colour.OTHER),
        strict=True,
    )
)
_PARTS = {
    "attention": colour.FUNCTION,
    "recurrent layer": colour.CONTEXT,
    "MLP": colour.MEMORY,
}
_EXTRACTED = {"the answer": colour.MEMORY, "another fact's": colour.OTHER}
_ENRICHED = {
    "rate": ("true of the subject", colour.MEMORY),
    "other": ("true of another subject", colour.BLUE_STROKE),
    "random": ("random tokens", colour.OTHER),
}
_EDITED = {
    "new": ("new answer's probability", colour.MEMORY),
    "effect": ("trace, as a share of its largest", colour.BLUE_STROKE),
}
_LAYERS = "layer"


def _lines(run: Result, pick: v.Pick) -> v.Item:
    kind = next((word for word, value in sel.kinds(run).items() if value == pick["kind"]), "")
    return v.picture(
        "curves", sel.classes(run, pick["kind"], pick["corruption"]), "layer", "effect", "tokens",
        interval=("low", "high"), hues=_CLASS_HUES, order=sel.order(run), xlabel=_LAYERS,
        ylabel="points of probability that come back", height=380,
        title=f"Restoring {kind}, {pick['corruption']}: mean of facts",
    )  # fmt: skip


def _map(run: Result, pick: v.Pick) -> v.Clicks:
    words = list(sel.words(run, pick.prompt)["token"])
    table = draw.effect_table(
        sel.effects(run, pick.prompt, pick["kind"]), words, (pick.layer, pick.pos), signed=True,
        caption="What comes back of this fact", unit="points",
    )  # fmt: skip
    return v.Clicks(table, len(words))


def _strip(run: Result, pick: v.Pick) -> v.Clicks:
    table = sel.words(run, pick.prompt)
    values = sel.effects(run, pick.prompt, pick["kind"]).sel(layer=pick.layer).values
    strip = draw.token_strip(
        list(table["token"]), [float(x) for x in values], signed=True,
        notes=list(table["kind"]), title=f"Layer {pick.layer}", unit="points that come back",
    )  # fmt: skip
    return v.Clicks(strip, len(table))


def _fact(run: Result, pick: v.Pick) -> list[v.Item]:
    return [
        draw.paragraph(sel.cell_in_words(run, pick)),
        v.picture(
            "curves", sel.along_layers(run, pick), "layer", "effect", "kind", hues=_KIND_HUES,
            xlabel=_LAYERS, ylabel="points that come back", title="This token, by layer",
        ),
    ]  # fmt: skip


ANSWER = v.Answer(
    ("early_site", "late_site", "extraction"), picture=("Trace", 0), beside=("early_above", "order")
)
VIEWS = [
    v.View("Trace", needs="by_class", parts=[
        v.finding("early_site", "early_above", "late_site", "early_state", "total_effect*",
                  "peak_*"),
        v.says(schema.TRACE),
        v.row(v.knob("kind", "Restored", sel.kinds), v.knob("corruption", "Corrupted by",
                                                            sel.corruptions)),
        v.on(["kind", "corruption"], _lines),
        v.says("One fact. Click a cell or a token for its own numbers."),
        v.knob("prompt", "Fact", sel.facts, width=420),
        v.row(
            v.on(["kind", "prompt", "layer", "pos"], _map),
            v.column(v.on(["kind", "prompt", "layer"], _strip),
                     v.on(["prompt", "layer", "pos"], _fact)),
            widths=(420, 420),
        ),
        v.table("facts", "All facts", picks="prompt", by="fact"),
        v.table("sites", "The sites, under both corruptions"),
        v.finding("known", small=True),
    ], first={"prompt": sel.fact, "layer": sel.layer, "pos": sel.pos}),
    v.View("Severed", needs="severed", parts=[
        v.finding("severed"),
        v.says(schema.SEVERED),
        v.chart("curves", sel.severed, "layer", "effect", "kind", interval=("low", "high"),
                xlabel=_LAYERS, ylabel="points of probability that come back", height=380,
                title="Restored states of the last subject token"),
    ]),
    v.View("Knockout", needs="knockout", parts=[
        v.finding("knockout", "order"),
        v.says(schema.KNOCKOUT),
        v.chart("curves", "knockout", "layer", "change", "span", interval=("low", "high"),
                percent=True, hues=_SPAN_HUES, order=SPANS, xlabel=_LAYERS, height=400,
                ylabel="change of the answer's probability (%)",
                title="What the last token does not see"),
        v.says(f"“{RANDOM}” are as many of the prompt's other tokens as the subject has.",
               small=True),
        v.table("knockout"),
    ]),
    v.View("Extraction", needs="events", parts=[
        v.finding("extraction", "extracted_by"),
        v.row(
            v.chart("rate_bars", sel.extracted, names="part", words=_EXTRACTED, of="facts",
                    title="Facts whose answer some layer writes (%)"),
            v.chart("curves", "events", "layer", "rate", "part", percent=True, hues=_PARTS,
                    xlabel=_LAYERS, ylabel="facts (%)",
                    title="Extraction events by layer"),
            widths=(420, 420),
        ),
        v.table("events"),
    ]),
    v.View("Heads", needs="heads", parts=[
        v.finding("head"),
        v.heads("heads", {
            "rate": v.Scale("Answer near the top", "share of held-out facts", "", "more often"),
            "other": v.Scale("Another's answer", "the same of another fact's", "", "more often"),
        }, describe="median rank {rank:,.0f}; near the top for {rate:.0%} of held-out facts",
            one_scale=True),
        v.table("heads", "All heads", order=["-rate"], picks="head"),
    ]),
    v.View("Enrichment", needs="enrichment", parts=[
        v.finding("enrichment"),
        v.chart("lines", "enrichment", "layer", _ENRICHED, bands={"rate": ("low", "high")},
                xlabel=_LAYERS, ylabel="share among the 50 likeliest tokens",
                title="What can be read from the last subject token"),
        v.table("enrichment"),
    ]),
    v.View("Wordings", needs="shared", parts=[
        v.finding("shared_*"),
        v.says(schema.SHARED),
        v.chart("intervals", sel.alike, "pair", "what", title="How alike maps are",
                unit="correlation"),
        v.row(
            v.chart("curves", sel.of_subject, "layer", "share", "name", percent=True,
                    xlabel=_LAYERS, ylabel="of what was lost (%)",
                    title="States of the last subject token"),
            v.chart("curves", sel.of_last, "layer", "share", "name", percent=True,
                    xlabel=_LAYERS, ylabel="of what was lost (%)",
                    title="States of the last token"),
            widths=(420, 420),
        ),
        v.table("shared"),
    ]),
    v.View("Editing", needs="edits", parts=[
        v.finding("best_layer"),
        v.chart("lines", sel.edits_by_layer, "layer", _EDITED, xlabel=_LAYERS,
                ylabel="mean of facts", title="Where an edit holds, and where tracing points"),
        v.table("edits"),
    ]),
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
