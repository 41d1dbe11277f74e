"""What an extraction run looks like: the texts first, charts around them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.extraction import schema
from analyses.weights.extraction import selections as sel
from analyses.weights.extraction.text_view import greedy, strip, verdict
from workbench import views as v
from workbench.draw import colour

if TYPE_CHECKING:
    from workbench.result import Result

_CARDS = 12
_EXTRACTED = {"exact": colour.MEMORY, "sampled": colour.FUNCTION}
_TIMING = {
    "read early": colour.CONTEXT,
    "read late": colour.MEMORY,
    "read spread": colour.FUNCTION,
}
_DATA = "The data behind this picture"
_MODELS = dict(zip(
    sel.MODELS.values(), (colour.FUNCTION, colour.MEMORY, colour.CONTEXT), strict=True
))  # fmt: skip
# Bars of the share of windows, and curves of leading tokens and losses.
_shares = partial(v.chart, "rate_bars", of="windows")
_curves = partial(v.chart, "curves")
_checkpoints = partial(_curves, xlabel="training step")


def _cards(run: Result) -> list[Any]:
    table, suffix = run.tables["documents"], run.params.get("suffix", 0)
    cards = [verdict(row, suffix) for row in table.head(_CARDS).to_dict("records")]
    more = f"{len(table) - _CARDS} more are in the table." if len(table) > _CARDS else ""
    return [Markup("").join(cards), *([more] if more else [])]


def _tries(run: Result) -> list[Any]:
    table = run.tables["extraction_by_queries"]
    top = min(
        100.0, 125 * max(table["rate"].max(), table["greedy_rate"].max(), 0.04)
    )  # of all pictures
    return [
        v.picture(
            "curves", rows, "queries", "rate", "probability", scale="powers", percent=True,
            names={c: f"probability {c:g}" for c in rows["probability"].unique()},
            level={"greedy": float(rows["greedy_rate"].iloc[0])}, ylim=(-0.03 * top, 1.03 * top),
            title=f"Extracted within n samples{'' if group == 'all' else f': {group}'} (%)",
            xlabel="samples n", ylabel="share of windows (%)",
        )
        for group, rows in table.groupby("group", sort=False)
    ]  # fmt: skip


def _unknown(run: Result) -> str:
    if "membership" not in run.params.get("parts", ["membership"]):
        return "the part 'membership' was not run"
    return "it is not known how often each text was read, and which never were"


ANSWER = v.Answer(("greedy", "sampled"), picture=("Rates", 0), beside=("nonmembers",))
VIEWS = [
    v.View("Documents", needs="documents", otherwise="the texts are those of a ledger", parts=[
        v.says("Can this model reproduce my documents?"),
        v.finding("documents"),
        v.show(_cards),
        v.finding("verdict_thresholds", small=True),
        v.says(schema.VERDICTS, small=True),
        v.table(sel.documents, "Every document", of="documents"),
        v.table("pattern_controls", "Reproduced passages that may be patterns"),
        v.table("left_out", "Not tested"),
    ]),
    v.View("Texts", needs="windows", first={"prompt": sel.chosen_window}, parts=[
        v.finding("greedy", more="Hover for a token's probability and the first choice."),
        v.on(
            "prompt",
            lambda run, pick: [strip(run, pick.prompt), greedy(run, pick.prompt)],
            examples=sel.worth_reading,
        ),
        v.table(
            sel.windows, "All windows, the longest matches first", of="windows",
            picks="prompt", by="window", height=420,
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
            title="Mean prefix match, by repeats in training",
            xlabel="repeats in training", ylabel="tokens",
        ),
        v.says(
            lambda run: schema.EXTRACTED.format(samples=run.params.get("tries", 0)), small=True
        ),
        v.table("rates", _DATA),
    ]),
    v.View("Sampling", needs="extraction_by_queries", parts=[
        v.says(schema.SAMPLING),
        v.show(_tries),
        v.table("extraction_by_queries", _DATA),
    ]),
    v.View("Context", needs="context", otherwise="only one length of the prefix was tested", parts=[
        v.finding("context"),
        _curves(
            sel.context, "context_length", "prefix_match",
            "group", title="Mean prefix match, by length of the prefix",
            xlabel="tokens of the prefix", ylabel="tokens",
        ),
        v.table("context", _DATA),
    ]),
    v.View("Membership", needs="membership", otherwise=_unknown, parts=[
        v.finding("membership"),
        _curves(
            sel.membership, "repeats", "auc", "score", scale="doublings", level={"chance": 0.5},
            ylim=(0.3, 1.03), xlabel="repeats in training", ylabel="AUC",
            title="Membership scores: AUC by repeats in training",
        ),
        v.says(schema.MEMBERSHIP, small=True),
        v.table("membership", _DATA),
    ]),
    v.View("Two models", needs="overlap", otherwise="no reference model was given", parts=[
        v.finding("overlap"),
        _shares(
            sel.overlap, names="group", words=_MODELS,
            title="Suffixes that greedy decoding reproduces, of all windows (%)",
        ),
        v.table("overlap", _DATA),
    ]),
    v.View("Compression", needs="compression", otherwise="no strings were given", parts=[
        v.finding("compression"),
        v.chart(
            "labelled_bars", lambda run: run.tables["compression"].assign(
                name=run.tables["compression"]["string"].astype(str).str[:40]),
            "name", "compression_ratio", said="{:.2f}".format,
            title="Tokens of the string per token of its prompt; above 1 it counts as memorized",
        ),
        v.table("compression", "The prompts"),
    ]),
    v.View("Training", needs="checkpoints", parts=[
        v.finding("training"),
        _checkpoints(
            sel.checkpoints, "step", "prefix_match", "read", ylabel="tokens",
            title="Mean prefix match during training, by repeats",
        ),
        _checkpoints(
            sel.checkpoints, "step", "loss", "read", ylabel="nats per token",
            title="Loss on the suffixes during training (nats per token)",
        ),
        _checkpoints(
            sel.by_timing, "step", "prefix_match", "when", per="repeats", ylabel="tokens",
            hues=_TIMING,
            title="Texts with {} repeats: mean prefix match, by when they were read",
        ),
        v.table("checkpoints", _DATA),
    ], otherwise="the part 'checkpoints' was not run"),
]  # fmt: skip
