"""What a run looks like."""

from __future__ import annotations

from markupsafe import Markup

from analyses.prompt.provenance import schema
from analyses.prompt.provenance import selections as sel
from analyses.prompt.provenance.verdict_rule import RULE
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.draw.passage import boxed
from workbench.draw.tokens import Span
from workbench.result import Result

_MEASURED = {sel.MEASURED: colour.MEMORY, sel.BY_CHANCE: colour.OTHER}
_HIDDEN = {
    "hidden from all that follows": colour.CONTEXT,
    "hidden from the question": colour.BLUE_STROKE,
}
_OFF = {"these heads": colour.FUNCTION, "as many random ones": colour.OTHER}
_TAKEN = {sel.PUSHED: colour.FUNCTION, sel.BY_LOT: colour.OTHER}
_READ = {sel.WAS_READ: colour.MEMORY, sel.NEVER: colour.OTHER}
_SURPRISES = {
    "nats": ("the model", colour.BLUE_STROKE),
    "unigram": ("counts of tokens", colour.OTHER),
}
_SHOWN = 6  # places
_MARKS = {
    "subject": Span("the subject of the question", colour.MEMORY),
    "question": Span("the question", colour.OTHER),
}


def _answer(run: Result, source: str, says: str) -> v.Clicks:
    words, values = sel.answer_words(run), run.tables["answer"][source].tolist()
    strip = draw.token_strip(words, values, signed=True, title=says, unit="nats")
    return v.Clicks(strip, len(words))


def _answers(run: Result) -> list[v.Clicks]:
    found = [("weights", "What the weights give to each token of the answer")]
    if "no_context" not in run.findings:
        found.insert(0, ("prompt", "What the prompt gives to each token of the answer"))
    return [_answer(run, source, says) for source, says in found]


def _prompt(run: Result) -> v.Clicks:
    words, parts = sel.prompt_words(run), list(run.tables["prompt"]["part"])
    values = sel.sentence_costs(run) if "sentences" in run.tables else None
    title = "The prompt, coloured by what its sentences cost the answer" if values else "The prompt"
    strip = draw.token_strip(
        words, values, signed=values is not None, spans=parts, marks=_MARKS, title=title,
        unit="nats that the answer loses without the sentence",
    )  # fmt: skip
    return v.Clicks(strip, len(words))


def _tokens(run: Result, column: str, title: str) -> v.Clicks:
    words, values = sel.prompt_words(run), run.tables["tokens"][column].tolist()
    strip = draw.token_strip(words, values, signed=True, title=title, unit="nats")
    return v.Clicks(strip, len(words))


def _trace(run: Result, pick: v.Pick) -> v.Clicks:
    words = sel.trace_words(run)
    table = draw.effect_table(
        run.arrays["trace"], words, (pick.layer, pick.pos), signed=True,
        caption="What comes back", unit="points",
    )  # fmt: skip
    return v.Clicks(table, len(words))


def _places(run: Result) -> list[Markup]:
    """Documents around the rarest spans, each with the span marked in its context."""
    shown = Markup('<p class="wb-said-text">… {}<strong>{}</strong>{} …</p>')
    return [
        boxed(f"{row.place} · {row.count:,} in all", colour.CONTEXT,
              shown.format(row.before, row.match, row.after))
        for row in run.tables["spans"].head(_SHOWN).itertuples()
    ]  # fmt: skip


ANSWER = v.Answer(("verdict", "prompt", "weights"), picture=("Split", 0), beside=("closed_book",))
VIEWS = [
    v.View("Split", needs="effects", parts=[
        v.finding("verdict", "prompt", "weights", "state", "memory_modules", "no_context"),
        v.row(
            v.chart("intervals", sel.sources, "source", "what", hues=_MEASURED,
                    unit="nats of the answer's log-probability",
                    title="What each source gives to the answer"),
            v.column(v.show(_prompt), v.show(_answers)),
            widths=(420, 420),
        ),
        v.says(schema.SPLIT),
        v.says(RULE, small=True),
        v.finding("interaction", "probability", small=True),
        v.table("effects"),
        v.table("cells", "Every cell"),
    ]),
    v.View("Sentences", needs="sentences", otherwise=sel.no_context, parts=[
        v.finding("sentence", "changing", "passed_on"),
        v.says(schema.SENTENCES),
        v.row(
            v.chart("intervals", sel.long_sentences, "sentence", "what", hues=_HIDDEN,
                    unit="nats that the answer loses", title="Each sentence hidden alone"),
            v.column(
                v.knob("sentence", "Sentence", sel.sentences, width=400),
                v.on("sentence", lambda run, pick: draw.paragraph(sel.chosen_sentence(run, pick))),
                v.show(_prompt),
            ),
            widths=(420, 420),
        ),
        v.table("sentences", "All sentences", picks="sentence", by="sentence"),
    ], first={"sentence": sel.sentence}),
    v.View("Tokens", needs="tokens", parts=[
        v.finding("token", "gradient"),
        v.says(schema.TOKENS),
        v.show(lambda run: _tokens(run, "cost", "Hidden from the answer")),
        v.show(lambda run: _tokens(run, "gradient", "Gradient × embedding")),
        v.table("tokens", order=["-cost"]),
    ]),
    v.View("Heads", needs="heads", parts=[
        v.finding("prompt_heads", "weights_heads"),
        v.says(schema.HEADS),
        v.heads("heads", {
            "effect": v.Scale("Head off", "nats", "answer less likely", "more likely"),
            "on_context": v.Scale("Looks at the context", "share of attention", "", "more"),
            "on_subject": v.Scale("Looks at the subject", "share of attention", "", "more"),
        }, describe="{effect:+.2f} nats; {on_context:.0%} of its attention on the context,"
                    " {on_subject:.0%} on the subject", marks=sel.marks),
        v.chart("intervals", sel.switched_off, "heads", "what", hues=_OFF,
                unit="nats that the answer loses", title="Heads off at the end, together"),
        v.says("The line of random heads goes from the least to the most of ten draws.",
               small=True),
        v.table(sel.group_rows, "What is said with heads off", of="groups"),
        v.table("heads", "All heads", order=["effect"], picks="head"),
    ]),
    v.View("Features", needs="features", parts=[
        v.finding("feature", "again"),
        v.says(schema.FEATURES),
        v.chart("intervals", sel.taken_out, "feature", "what", hues=_TAKEN,
                unit="nats that the answer loses",
                title="Features taken out at the end: the 16 that count most"),
        v.table("features", "All features that are active there", order=["effect"]),
    ]),
    v.View("Training", needs="training", parts=[
        v.finding("taught", "above_never"),
        v.says(schema.TRAINING),
        v.chart("intervals", sel.pulls, "text", "what", hues=_READ, unit="pull",
                title="The texts that pull most toward the answer"),
        v.table("training", "All texts", order=["-pull"]),
    ]),
    v.View("Closed-book", needs="closed_book", parts=[
        v.finding("closed_book"),
        v.says(schema.CLOSED),
        v.chart("labelled_bars", "closed_book", "wording", "probability", said="{:.1%}",
                hue=colour.MEMORY, title="Probability of the answer without the context"),
        v.table("closed_book", "What the model says"),
    ]),
    v.View("Recited", needs="surprise", parts=[
        v.finding("recited", "corpus"),
        v.says(schema.RECITED),
        v.chart("lines", "surprise", "place", _SURPRISES, ylabel="nats",
                xlabel="token of the answer", title="How surprising each token of the answer is"),
        v.says(sel.no_corpus),
        v.show(_places, needs="spans"),
        v.table("spans", "All places that are shown"),
        v.table("surprise"),
    ]),
    v.View("Trace", needs="trace", parts=[
        v.finding("trace"),
        v.says(schema.TRACED),
        v.row(
            v.on(["layer", "pos"], _trace),
            v.on("pos", lambda run, pick: v.picture(
                "lines", frame=sel.trace_along(run, pick), x="layer",
                series={"back": ("this token", colour.BLUE_STROKE)}, ylabel="points that come back",
                title=f"“{sel.trace_words(run)[pick.pos].strip()}”, by layer")),
            widths=(420, 420),
        ),
    ], first={"pos": sel.trace_pos, "layer": sel.trace_layer}),
    v.View("Samples", needs="coverage", parts=[
        v.finding("coverage"),
        v.says(schema.SAMPLED),
        v.chart("intervals", sel.covered, "start", "model", unit="% of what is said",
                title="Stands in the corpus"),
        v.table("coverage"),
        v.table("samples", "What was said", order=["-share"]),
    ]),
]  # fmt: skip
