"""What an extraction run looks like: the texts first, charts around them."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup

from analyses.weights.extraction import schema, texts
from analyses.weights.extraction import selections as sel
from analyses.weights.extraction.access_view import ACCESS
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_EXTRACTED = {"exact": colour.MEMORY, "sampled": colour.FUNCTION}
_TIMING = {"read early": colour.CONTEXT, "read late": colour.MEMORY, "read spread": colour.FUNCTION}
_MODELS = dict(zip(
    sel.MODELS.values(), (colour.FUNCTION, colour.MEMORY, colour.CONTEXT), strict=True
))  # fmt: skip
# Bars of the share of windows, and curves of leading tokens and losses.
_shares = partial(v.chart, "rate_bars", of="windows")
_curves = partial(v.chart, "curves", ylabel="tokens")
_checkpoints = partial(_curves, xlabel="training step")


def _window(run: Result, pick: v.Pick) -> list[Markup]:
    return [texts.strip(run, pick.prompt), texts.greedy(run, pick.prompt)]


ANSWER = v.Answer(("greedy", "sampled"), picture=("Rates", 0), beside=("nonmembers",))
VIEWS = [
    v.View("Documents", needs="documents", otherwise="the texts are those of a ledger", parts=[
        v.says("Can this model reproduce my documents?"),
        v.finding("documents"),
        v.show(texts.document_cards),
        v.finding("verdict_thresholds", small=True),
        v.says(schema.VERDICTS, small=True),
        v.table(sel.documents, "Every document", of="documents"),
        v.table("pattern_controls", "Reproduced passages that may be patterns"),
        v.table("left_out", "Not tested"),
    ]),
    v.View("Texts", needs="windows", first={"prompt": sel.chosen_window}, parts=[
        v.finding("greedy", more="Hover for a token's probability and the first choice."),
        v.on("prompt", _window, examples=sel.worth_reading),
        v.table(
            sel.windows, "All windows, the longest matches first", of="windows", picks="prompt",
            by="window",
        ),
    ]),
    v.View("Rates", needs="rates", parts=[
        v.finding("greedy", "sampled", "repeats", "nonmembers"),
        _shares(
            sel.by_text, names="name", words=_EXTRACTED, title="Suffixes extracted, by text (%)"
        ),
        _shares(
            sel.of_all_kinds, names="read", words=_EXTRACTED,
            title="Suffixes extracted, by repeats in training (%)",
        ),
        _curves(
            sel.by_repeats, "repeats", "prefix_match", "kind", scale="doublings", height=320,
            title="Mean prefix match, by repeats in training", xlabel="repeats in training",
        ),
        v.says(sel.extraction_paths, small=True),
        v.table("rates"),
    ]),
    v.View("Sampling", needs="extraction_by_queries", parts=[
        v.says(schema.SAMPLING),
        _curves(
            sel.extracted_by_queries, "queries", "rate", "curve", per="title", scale="powers",
            percent=True, level={"greedy": "greedy_rate"}, ylim=sel.sampling_limits,
            xlabel="samples n", ylabel="share of windows (%)",
        ),
        v.table("extraction_by_queries"),
    ]),
    v.View("Context", needs="context", otherwise="only one length of the prefix was tested", parts=[
        v.finding("context"),
        _curves(
            sel.context, "context_length", "prefix_match", "group",
            title="Mean prefix match, by length of the prefix", xlabel="tokens of the prefix",
        ),
        v.table("context"),
    ]),
    v.View("Membership", needs="membership", otherwise=sel.no_membership, parts=[
        v.finding("membership"),
        _curves(
            sel.membership, "repeats", "auc", "score", scale="doublings", level={"chance": 0.5},
            ylim=(0.3, 1.03), xlabel="repeats in training", ylabel="AUC",
            title="Membership scores: AUC by repeats in training",
        ),
        v.says(schema.MEMBERSHIP, small=True),
        v.table("membership"),
    ]),
    v.View("Two models", needs="overlap", otherwise="no reference model was given", parts=[
        v.finding("overlap"),
        _shares(
            sel.overlap, names="group", words=_MODELS,
            title="Suffixes that greedy decoding reproduces, of all windows (%)",
        ),
        v.table("overlap"),
    ]),
    v.View("Compression", needs="compression", otherwise="no strings were given", parts=[
        v.finding("compression"),
        v.chart(
            "labelled_bars", "compression", "string", "compression_ratio",
            title="Tokens of the string per token of its prompt; above 1 it counts as memorized",
        ),
        v.table("compression", "The prompts"),
    ]),
    ACCESS,
    v.View("Training", needs="checkpoints", parts=[
        v.finding("training"),
        _checkpoints(
            sel.checkpoints, "step", "prefix_match", "read",
            title="Mean prefix match during training, by repeats",
        ),
        _checkpoints(
            sel.checkpoints, "step", "loss", "read", ylabel="nats per token",
            title="Loss on the suffixes during training (nats per token)",
        ),
        _checkpoints(
            sel.by_timing, "step", "prefix_match", "when", per="repeats", hues=_TIMING,
            title="Texts with {} repeats: mean prefix match, by when they were read",
        ),
        v.table("checkpoints"),
    ], otherwise="the part 'checkpoints' was not run"),
]  # fmt: skip
