"""What a run looks like."""

from __future__ import annotations

from analyses import claims as claim_views
from analyses.weights.unlearning_audit import claims
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import selections as sel
from analyses.weights.unlearning_audit.fact_groups import ELM, LABELS
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_SAID = {sel.SAID: colour.MEMORY, sel.KEPT: colour.CONTEXT}
_BITS = dict(zip(
    sel.BITS_WORDS.values(), (colour.MEMORY, colour.FUNCTION, colour.CONTEXT), strict=True
))  # fmt: skip


def _evidence(run: Result, pick: v.Pick) -> list[v.Item]:
    about, frame, of = sel.evidence(run, pick)
    return [draw.paragraph(about), v.Table(frame, "Evidence", of=of)]


def _criteria(run: Result, pick: v.Pick) -> v.Item:
    return v.Table(
        sel.of_model(run, pick), "Every criterion: choose one for its evidence", of="audit",
        picks="prompt", by="number",
    )  # fmt: skip


def _relearning(run: Result, pick: v.Pick) -> v.Item:
    return v.picture(
        "curves", sel.relearning(run, pick["trained_on"]), "step", "exact", "model", percent=True,
        scale="doublings", xlabel="steps of training",
        ylabel="tokens that are first choice (%)", title="Passages that are not trained on",
    )  # fmt: skip


def _folds(way: str, criterion: str, title: str, ylabel: str) -> v.ViewPart:
    return v.chart(
        "curves", lambda run: sel.folds(run, way, criterion), "folds", "value", "model",
        xlabel="folds forgotten", ylabel=ylabel, title=title,
    )  # fmt: skip


def _reaches(table: str, method: str) -> list[v.ViewPart]:
    """What the parts on facts show, of one method."""
    return [
        v.row(
            v.chart("matrix", lambda run: sel.reach(run, table), "facts", "training", "percent",
                    longest=40, title="Forgotten, of the way to chance", unit="%", top=100.0),
            v.chart("curves", lambda run: sel.answer_probes(run, method), "layer", "accuracy",
                    "model", percent=True, level={"chance": 0.5}, xlabel="layer",
                    ylabel="right above wrong (%)", title="A linear probe of the answers, mean"),
            widths=(560, 600),
        ),
        v.finding("answers_inside", small=True),
        v.table(table, "Questions right before and after"),
        v.table(lambda run: sel.of_method(run, "erased", method), "What it took, and what else"
                " changed", of="erased"),
    ]  # fmt: skip


ANSWER = v.Answer(
    ("verdict", "left", "utility", "spread", "concept"),
    picture=("Audit", 0),
    beside=("noise", "spread_beside"),
)
VIEWS = [
    v.View("Audit", needs="audit", parts=[
        v.row(
            v.chart("rate_bars", sel.first_choices, names="model", words=_SAID,
                    xlabel="tokens that are first choice (%)",
                    title="Said by heart (% of tokens)"),
            v.chart("matrix", sel.against_original, "criterion", "model", "percent", longest=30,
                    title="Left of the original", unit="%", top=100.0),
            widths=(600, 640),
        ),
        v.finding("verdict", "left", "leak", "utility", "knowledge", "no_reference", "too_few",
                  "not_reached", "no_questions"),
        v.table("verdicts", "Verdicts"),
        v.table(sel.all_criteria, "Every model by every criterion", of="audit"),
        v.finding("noise", small=True),
        v.table("unlearning", "How each method went"),
    ]),
    v.View("Passages", needs="passages",
           first={"model": sel.first_model, "prompt": sel.criterion_of}, parts=[
        v.knob("model", "Model", sel.models, width=260),
        v.on(["model"], _criteria),
        v.on(["model", "prompt"], _evidence),
    ]),
    v.View("Path", needs="path", parts=[
        v.finding("path"),
        v.chart("curves", sel.path, "forget_nats", "kept", "model", percent=True,
                xlabel="loss on the passages to forget (nats per token)",
                ylabel="first choice on passages to keep (%)",
                title="What is kept as forgetting goes on"),
        v.table("path", "Every measured step"),
    ]),
    v.View("Folds", needs="folds", parts=[
        v.finding("more", "in_turn", "not_installed"),
        v.row(
            _folds("at once", "kept", "At once: what is kept", "verbatim (%)"),
            _folds("one after another", "kept", "One after another: what is kept", "verbatim (%)"),
            widths=(420, 420),
        ),
        v.row(
            _folds("at once", "verbatim", "At once: what is left", "verbatim (%)"),
            _folds("one after another", "verbatim", "One after another: what is left",
                   "verbatim (%)"),
            widths=(420, 420),
        ),
        v.table("folds"),
    ]),
    v.View("Relearning", needs="relearning", first={"trained_on": sel.first_training}, parts=[
        v.finding("relearnt"),
        v.knob("trained_on", "Trained on", sel.trainings, width=420),
        v.on("trained_on", _relearning),
        v.table("recovery"),
    ]),
    v.View("Rounding", needs="rounding", parts=[
        v.finding("rounded"),
        v.chart("rate_bars", sel.rounding, names="model", words=_BITS,
                xlabel="tokens that are first choice (%)",
                title="Passages to forget, after rounding (% of tokens)"),
        v.table("codes", "What rounding undoes of each change"),
    ]),
    v.View("Sampling", needs="sampling", parts=[
        v.finding("sampled"),
        v.chart("curves", sel.sampling, "place", "log10_p", "model",
                xlabel="passages, the likeliest first",
                ylabel="log10 of the probability", title="How probably one sample says the rest"),
        v.table("sampling"),
    ]),
    v.View("Lens", needs="lens", parts=[
        v.finding("inside"),
        v.chart("curves", sel.lens, "layer", "first_choice", "model", percent=True,
                xlabel="layer", ylabel="first choice (%)",
                title="Forgotten tokens, read out of each layer"),
    ]),
    v.View("Probes", needs="probes", parts=[
        v.finding("probes"),
        v.chart("curves", sel.probes, "layer", "auc", "model", interval=("low", "high"),
                level={"chance": 0.5}, xlabel="layer", ylabel="AUC, held-out passages",
                title="A linear probe: to forget or never read"),
        v.table("probes"),
    ]),
    v.View("Put back", needs="reset", parts=[
        v.finding("put_back"),
        v.row(
            v.chart("curves", sel.patched, "layer", "exact_memorization", "model", percent=True,
                    xlabel="layer whose states are the original's", ylabel="first choice (%)",
                    title="States of the original put in"),
            v.chart("curves", sel.between, "share", "exact_memorization", "model", percent=True,
                    xlabel="share of the change", ylabel="first choice (%)",
                    title="From the original to the unlearned weights"),
            widths=(420, 420),
        ),
        v.chart("matrix", sel.reset, "module", "model", "percent", longest=24,
                title="One module put back", unit="%", top=100.0),
        v.table("moved", "How far each module moved"),
    ]),
    v.View("Prompts", needs="prompts", parts=[
        v.finding("prompts"),
        v.chart("matrix", sel.prompts, "behind", "model", "percent", longest=40,
                title="Ends of the passages: first choice", unit="%", top=100.0),
        v.table("shortest", "Searched prompts"),
    ]),
    v.View("Spreading", needs=c.SPREADING,
           parts=[v.finding("spread", "spread_beside"), *_reaches(c.SPREADING, LABELS)]),
    v.View("Concept", needs=c.CONCEPT, parts=[v.finding("concept"), *_reaches(c.CONCEPT, ELM)]),
    claim_views.view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
