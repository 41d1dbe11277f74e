"""How a map of the feed-forward layers looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import view as claims_view
from analyses.modules.ffn_map import claims, schema
from analyses.modules.ffn_map import selections as sel
from analyses.modules.ffn_map.constants import neuron_name
from workbench import draw
from workbench import views as v
from workbench.draw import colour

if TYPE_CHECKING:
    from workbench.result import Result

_MASKED = {"smallest": "smallest masked", "random": "random ones masked"}
_CLICK = "Circles are neurons that were looked at alone. Click a neuron for its card."
_NOT_RUN = "this part was not asked for"
_NO_MATRIX = f"{_NOT_RUN}, or no neuron tells a capability better than chance"
_MASKED_HUES = {"smallest": colour.MEMORY, "random": colour.OTHER}
_CONTEXTS = {
    "before": ("before it", "What stands before the token."),
    "token": ("token", "Where the neuron is this active."),
    "activation": ("activation", "With its sign."),
    "capability": ("prompt of", "The capability whose prompt it is."),
}
_ANSWERS = {
    "text": ("prompt", "What the model reads."),
    "answer": ("answer", "How it should go on."),
    "before": ("says", "The likeliest tokens, given the answer's before them."),
    "after": ("says without the neurons", "The same with the neurons held at their means."),
    "rise": ("rise", "Of the loss on the answer, nats per token."),
}


def _map(run: Result, pick: v.Pick) -> list[v.Item]:
    shown = pick["shown"]
    strength, kind = sel.strength_and_kind(run, shown)
    what = "best-told capability" if shown == sel.ALL else shown
    return [
        draw.kind_key("Colours:", sel.names(run)),
        v.picture(
            "neuron_map", strength, kind, kinds=sel.names(run), says="average precision",
            marked=sel.marked(run, shown), least=sel.least(run), picks="feature",
            title=f"Neurons above chance, by layer: {what}",
        ),
    ]  # fmt: skip


def _card(run: Result, pick: v.Pick) -> list[v.Item]:
    at = sel.neuron(run, pick)
    items: list[v.Item] = [
        sel.about(run, at),
        v.picture(
            "labelled_bars", sel.precisions(run, at), "capability", "precision",
            title=f"{neuron_name(*at)}: average precision",
        ),
        *sel.tokens(run, at),
    ]  # fmt: skip
    rows = sel.contexts(run, at)
    if rows is not None and len(rows):
        items.append(v.Table(rows, f"{neuron_name(*at)}: where it is most active",
                             headings=_CONTEXTS))  # fmt: skip
    return items


def _matrix(run: Result, pick: v.Pick) -> v.Item:
    return v.picture(
        "matrix", sel.matrix(run, pick["k"]), "capability", "neurons of", "rise", decimals=2,
        title="Loss rises by", unit="nats per token", signed=True,
        picks="capability,of",
    )  # fmt: skip


def _cell(run: Result, pick: v.Pick) -> list[v.Item]:
    caption = f"{pick['capability']}, without the neurons of {pick['of']}: held-out prompts"
    return [sel.cell(run, pick), v.Table(sel.answers(run, pick), caption, headings=_ANSWERS)]


ANSWER = v.Answer(
    ("clearest", "dissociation", "map"), picture=("Ablation", 0), beside=("matched", "untrained")
)
VIEWS = [
    v.View("Ablation", needs="matrix", otherwise=_NO_MATRIX, parts=[
        v.finding("clearest", "dissociation", "matched", "pairs"),
        v.says(schema.MATRIX),
        v.knob("k", "Ablated", sel.sizes),
        v.on("k", _matrix, picks="cell"),
        v.row(v.knob("capability", "Capability", sel.names),
              v.knob("of", "Neurons of", sel.owners)),
        v.on(["k", "capability", "of"], _cell),
        v.chart("intervals", sel.selectivity, "capability", "what", unit="nats per token",
                title="How selective each ablation is"),
        v.chart("curves", sel.by_size, "k", "column", "capability", hues=sel.hues,
                interval=("column_low", "column_high"), scale="doublings", xlabel="neurons",
                ylabel="own less others (nats per token)", title="By the number of neurons"),
        v.finding("selective_*", small=True),
        v.table("selectivity", "All differences"),
        v.table("sets", "The neurons that were held, and those matched with them"),
    ]),
    v.View("Map", needs="precision", otherwise=_NOT_RUN, first={"feature": sel.chosen}, parts=[
        v.finding("map", "untrained", "unmapped", "always"),
        v.says(schema.MAP),
        v.knob("shown", "Colour by", sel.maps, width=260),
        v.row(
            v.column(v.on("shown", _map, picks="feature"), v.says(_CLICK)),
            v.on("feature", _card),
            widths=(640, 440),
        ),
        v.chart("curves", "layers", "layer", "share", "capability", percent=True, hues=sel.hues,
                xlabel="layer", ylabel="of its neurons (%)", title="Neurons above chance by layer"),
        v.table("capabilities", "The capabilities"),
    ]),
    v.View("Sparsity", needs="sparsity", otherwise=_NOT_RUN, parts=[
        v.finding("sparsity"),
        v.says(schema.SPARSITY),
        v.chart("curves", "sparsity", "share", "rise", "masked", per="capability", abreast=2,
                names=_MASKED, hues=_MASKED_HUES, interval=("low", "high"), xlabel="share masked",
                ylabel="rise (nats per token)", title="{}"),
        v.table("sparsity"),
    ]),
    v.View("Partitions", needs="partitions", otherwise=_NOT_RUN, parts=[
        v.finding("partitions", "experts"),
        v.says(schema.PARTITIONS),
        v.table("partitions", "Groups by layer"),
        v.table("experts", "Where the best neurons of each capability lie", order=["p"]),
    ]),
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
