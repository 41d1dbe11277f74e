"""What a recall-capacity run looks like."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from analyses.claims import view as claims_view
from analyses.state.recall_capacity import claims, schema
from analyses.state.recall_capacity import selections as sel
from analyses.state.recall_capacity.small_model_views import SMALL_VIEWS
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_recall = partial(
    v.chart, "curves", ylabel="pairs recalled (%)", ylim=(-3.0, 103.0), percent=True,
    interval=("low", "high"),
)  # fmt: skip
_sizes = partial(v.chart, "curves", ylabel="examples", yticks=sel.EXAMPLE_TICKS)
_ANSWERS = {"new": colour.CONTEXT, "old": colour.MEMORY, "other": colour.OTHER}
_NOT_RUN = "the part {!r} was not run"


def _live(run: Result, pick: v.Pick) -> list[v.Item]:
    """What one memory holds, by frequency."""
    made = sel.live_margins(run, pick)
    curve = partial(
        v.picture, "lines", frame=made["frame"], x="rank", xticks=sel.RANKS,
        xlabel="item, the most frequent first",
    )  # fmt: skip
    right = curve(
        series={"right": ("right class", colour.BLUE_STROKE)}, ylim=(-3.0, 103.0),
        title=f"Right classes (%): {made['where']}", ylabel="items (%)",
    )  # fmt: skip
    margin = curve(
        series={"margin": ("margin", colour.FUNCTION)}, ylabel="score",
        title=f"Margin of the right class: {made['where']}",
    )  # fmt: skip
    return [sel.live_sentence(run, pick), v.Beside([right, margin], width=420)]


ANSWER = v.Answer(("recall", "state_size", "order"), ("State size", 0), ("guess",))
VIEWS = [
    v.View("Pairs", needs="by_pairs", parts=[
        v.finding("recall", "span"),
        _recall(
            sel.by_pairs, "pairs", "share", "curve", scale="doublings", xlabel="pairs in the row",
            title="Recall by number of pairs (%)",
        ),
        v.finding("guess"),
        v.says(schema.RECALL, small=True),
        v.table("by_pairs"),
    ], otherwise=_NOT_RUN.format("recall")),
    v.View("Order and gap", needs="by_order", parts=[
        v.finding("order"),
        _recall(
            sel.by_order, "quarter", "recall", "row", xlabel="quarter of the row where it is read",
            title="Recall by place of the pair (%)", xticks=sel.QUARTERS,
        ),
        v.finding("gap"),
        _recall(
            sel.by_gap, "gap", "recall", "row", xlabel="filler tokens before the question",
            title="Recall after a gap (%)", needs="by_gap",
        ),
        v.table("by_order"),
        v.table("by_gap"),
    ], otherwise=_NOT_RUN.format("recall")),
    v.View("Read twice, bound again", needs="by_reading", parts=[
        v.finding("repeats"),
        v.chart(
            "intervals", sel.by_reading, "row", "reading", unit="pairs recalled (%)", zero=False,
            title="The same rows, read once and twice (%)",
        ),
        v.finding("rebinding"),
        v.chart(
            "rate_bars", sel.rebinding, words=_ANSWERS, of="questions", needs="rebinding",
            title="Keys that were read again with another value (% of questions)",
        ),
        v.table("by_reading"),
        v.table("rebinding"),
    ], otherwise=_NOT_RUN.format("recall")),
    v.View("State size", needs="state_size", parts=[
        v.finding("state_size"),
        _recall(
            sel.state_size, "log_bytes", "recall", "curve", per="title", xticks=sel.byte_ticks,
            xlim=sel.byte_range, xlabel="bytes of state, one layer", height=320,
        ),
        v.finding("designs"),
        v.chart(
            "intervals", sel.designs, "row", "against", unit="points of recall",
            title="Memories with a planted router against other designs (points)",
        ),
        v.finding("mimetic", "forgetting"),
        v.chart(
            "rate_bars", sel.forgetting, words=_ANSWERS, of="questions",
            title="Organisms trained with keys that are bound again (% of such keys)",
        ),
        v.says(schema.BYTES, small=True),
        v.table("state_steps", "From each state to the next larger one"),
        v.table("designs", "Several memories against one"),
        v.table("learning_steps", "When each training learned"),
        v.table(sel.stored, "Every organism and training", of="state_size"),
    ], otherwise=_NOT_RUN.format("state_size")),
    v.View("Outer product", needs="errors", parts=[
        v.finding("error_law", "law_trend", "equal_storage"),
        v.chart(
            "curves", sel.error_curves, "at", "error", "curve", hues=sel.ERROR_HUES,
            dash=sel.ERROR_DASH, xticks=sel.dimension_ticks, yticks=sel.LOG_ERRORS,
            xlabel="dimension d", ylabel="error", title="Error by dimension, both axes logarithmic",
            height=380,
        ),
        v.says(schema.OUTER, small=True),
        v.says(schema.LIVE),
        v.row(
            v.knob("dimension", "Dimension", sel.dimensions),
            v.knob("number", "Items", sel.numbers),
            v.knob("exponent", "Frequency: x to the power of −", sel.exponents),
            v.knob("rule", "Stored", sel.rules, width=280),
        ),
        v.on(["dimension", "number", "exponent", "rule"], _live),
        v.table(sel.top_slopes, "Slopes", of="slopes"),
        v.table("errors"),
    ], otherwise=_NOT_RUN.format("outer_product")),
    v.View("Attention and state", needs="memories", parts=[
        v.finding("memories"),
        v.chart(
            "intervals", sel.memories, "row", "condition", unit="pairs recalled (%)", zero=False,
            title="Recall without one of the memories (%)",
        ),
        v.table("memories"),
    ], otherwise=_NOT_RUN.format("memories")),
    v.View("Heads", needs="head_capacity", parts=[
        v.finding("heads", "context_length"),
        _sizes(
            sel.by_heads, "log_heads", "log_capacity", "curve", xlabel="heads",
            title="Largest set fitted, by heads (both axes logarithmic)", xticks=sel.HEAD_TICKS,
        ),
        _sizes(
            sel.by_context, "log_context", "log_capacity", "curve", xlabel="tokens of context",
            title="Largest set fitted, by tokens of context (both axes logarithmic)",
            xticks=sel.HEAD_TICKS,
        ),
        v.table("head_capacity"),
        v.table("head_sets", "Every set"),
    ], otherwise=_NOT_RUN.format("heads")),
    v.View("Chains", needs="chains", parts=[
        v.finding("chains"),
        v.chart(
            "curves", sel.chains, "step", "recall", "distance", per="model", percent=True,
            ylim=(-3.0, 103.0), xlabel="training step", ylabel="right answers (%)",
            title="{}: answers along a chain (%)",
        ),
        v.table("chain_steps", "When each distance was learned"),
    ], otherwise=_NOT_RUN.format("chains")),
    *SMALL_VIEWS,
    replace(claims_view(claims.CLAIMS, claims.ABOUT), otherwise="no part with a claim was run"),
]  # fmt: skip
