"""What a knowledge-conflict run looks like: what is answered, which heads decide, at what cost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from markupsafe import Markup

from analyses.context.knowledge_conflict import selections as sel
from analyses.context.knowledge_conflict.headroom import WINS
from workbench import draw
from workbench import views as v
from workbench.draw import colour, passage

if TYPE_CHECKING:
    from workbench.result import Result

_DATA, _THESE = "The data behind this picture", "The data behind these pictures"
_GRIDS = {
    "effect_memory": v.Scale("Memory", "logits", "lowers", "raises"),
    "effect_context": v.Scale("Context", "logits", "lowers", "raises"),
    "effect_difference": v.Scale("Memory − context", "logits", "context", "memory"),
}
_RATES = {answer: (answer, colour.CATEGORY[answer]) for answer in ("memory", "context", "other")}
_FIRST = {f"p_{answer}": (f"{answer} answer", colour.CATEGORY[answer]) for answer in WINS}
_DIAL = "dial: −1 memory … 0 no intervention … +1 context"
_answers = partial(v.chart, "lines", ylabel="share of prompts (%)", ylim=(-3.0, 103.0))


def _untold(run: Result) -> list[Markup]:
    """A note for each group of heads that this run could not tell."""
    groups = {"undetermined_context": "Context", "undetermined_memory": "Memory"}
    return [
        draw.empty_state(f"{group} heads cannot be told.", run.findings[name].says)
        for name, group in groups.items()
        if name in run.findings
    ]


def _told(table: str, what: str) -> v.ViewPart:
    """What could not be told; where that does not explain why a table is not there, what does."""
    missing = draw.empty_state(f"{what} not measured.", v.AGAIN)
    return v.show(lambda run: _untold(run) or (None if sel.has_rows(run, table) else missing))


def _about_heads(run: Result) -> Markup:
    return draw.outline_key(
        "What each head adds to each answer's logit at the last position (path patching, mean over"
        " the select half): blue raises the answer, red lowers it."
        f" {sel.comparison_count(run)} Ranked by {sel.ranking(run)}.",
        {f"{group} head": colour.CATEGORY[group] for group in WINS.values()},
    )  # fmt: skip


def _head(run: Result, pick: v.Pick) -> list[Markup] | Markup:
    """One head in numbers, and where it looks; on several prompts to unfold."""
    row = sel.head(run, pick.head)
    card = draw.card(row["label"], row, sel.effect_formats(row), row["about"])
    unit = "attention from the last position · one prompt, not a finding"
    strips = [
        draw.token_strip(**one, title=f"{row['label']} on prompt {n}", unit=unit)
        for n, one in ((n, sel.attention(run, pick.head, n)) for n in pick["prompts"])
    ]
    if len(strips) == 1:
        return [card, *strips]
    return passage.folded(row["label"], card, *strips, small=row["part"], is_open=row["rank"] == 1)


def _depth(run: Result) -> v.Picture:
    frame = sel.depth(run)
    series = {c: (c, colour.CATEGORY[c.split(" → ")[1]]) for c in frame.columns[1:]}
    return v.picture(
        "lines", frame, "layer", series, xlabel="layer", ylabel="logits", height=340,
        dash={column: "dashed" for column in series if column.startswith("MLP")},
        title="Direct logit attribution to each answer, by layer (logits)",
    )  # fmt: skip


def _transfer(run: Result) -> list[v.Picture]:
    every = sel.transfer_gains(run)
    top = colour.symmetric_limit(points for rows in every.values() for points in rows["points"])
    cells = ("selected_on", "evaluated_on", "points")
    return [
        v.picture("matrix", rows, *cells, title=title, unit="points", signed=True, top=top)
        for title, rows in every.items()
    ]


def _cost(column: str, said: str, title: str) -> v.ViewPart:
    def make(run: Result) -> v.Picture | None:
        if (cost := sel.cost(run)) is None:
            return None
        before = float(cost[column].iloc[0])
        given = (cost, "condition", column)
        return v.picture("labelled_bars", *given, title=title, said=said.format, before=before)

    return v.show(make)


ANSWER = v.Answer(("base", "prune_context", "prune_memory"), ("Rates", 0), ("random",))
VIEWS = [
    v.View("Rates", needs="rates", parts=[
        v.finding("base", "prune_*"),
        v.says(sel.comparison_count),
        v.show(lambda run: v.picture(
            "rate_bars", sel.held_out_rates(run),
            title="Answers from memory, from the context, or other (% of prompts)",
        )),
        v.show(_untold),
        v.finding("random_for_*"),
        v.show(lambda run: v.picture(
            "dots", sel.random_sets(run), "favoured", "line", lines=sel.beside_random(run),
            title="Random baseline: as many random heads (% of prompts)",
            xlabel="prompts with the answer after the arrow (%)",
        ), needs="random_sets"),
        v.table("rates", _THESE),
    ]),
    v.View("Heads", needs="heads", parts=[
        v.says(_about_heads),
        v.show(lambda run: "The random baseline is under Rates.", needs="random_sets"),
        v.show(_untold),
        v.row(
            v.heads(
                "heads", _GRIDS, marks=sel.pruned_heads, one_scale=True,
                describe=lambda row: f"memory − context {row['effect_difference']:+.2f} logits",
            ),
            v.column(
                v.row(
                    v.knob("head", "Head, by its effect", lambda run, pick: sel.by_name(run)),
                    v.knob("prompt", "Prompt", lambda run, pick: sel.prompts(run), width=300),
                ),
                v.on(["head", "prompt"], _head, needs="attention", examples=sel.strongest),
            ),
            widths=(640, 300),
        ),
        v.on("head", lambda run, pick: v.picture(
            "bars", **sel.per_fact(run, pick.head), unit="logits",
            xlabel="facts of the select half, sorted",
        ), needs="effects"),
        v.finding("stability_*", small=True),
        v.table("stability", "How often each head is selected over bootstrap draws of the facts"),
        v.table(
            sel.ranked, "All heads, largest effect first", of="heads", picks="head", by="label",
            height=330,
        ),
    ], first={
        "head": lambda run, pick: sel.chosen_head(run),
        "prompt": lambda run, pick: sel.chosen_fact(run),
        "prompts": lambda run, pick: [pick.prompt],
    }),
    v.View("Depth", needs="depth", parts=[
        v.says(sel.pushes),
        v.show(_depth),
        v.says(
            "Direct effect through the unembedding, with the scale of the final norm frozen."
            " Effects through later layers are not included.", small=True,
        ),
        v.table(sel.depth, _DATA),
    ]),
    v.View("Facts", needs="facts", parts=[
        v.says(sel.outcome_counts),
        v.finding("known"),
        v.on("prompt", lambda run, pick: draw.token_strip(
            **sel.tokens(run, pick.prompt), title=f"Prompt {pick.prompt}",
            unit=f"the model followed: {sel.outcome(run, pick.prompt)}",
        ), needs="tokens"),
        v.table(sel.facts, of="facts", picks="prompt", by="fact", height=420),
    ], first={"prompt": lambda run, pick: sel.chosen_fact(run)}),
    v.View("Dial", parts=[
        v.says(
            "One number scales the selected heads. Answers on the held-out half. In Python:"
            " result.control('dial')(model, 0.5)."
        ),
        _told("dial", "The dial was"),
        _answers(
            lambda run: sel.percent(run.tables["dial"]), "value", _RATES, title="Answers (%)",
            xlabel=_DIAL, needs="dial",
        ),
        _answers(
            "dial", "value", _FIRST, title="Probability of the two answers' first token",
            xlabel=_DIAL, ylabel="probability", ylim=(-0.03, 1.03),
        ),
        v.table("dial", _THESE),
    ]),
    v.View("How many heads", parts=[
        v.says("Answers on the select half with the first 1, 2, … ranked heads switched off."),
        _told("k_curve", "The number of heads was"),
        v.says(sel.comparison_count),
        _answers(
            sel.k_curve, "k", _RATES, per="title", title="{}", xlabel="heads off", height=270,
            needs="k_curve",
        ),
        v.table("k_curve", _THESE),
    ]),
    v.View("Cost", parts=[
        v.says(
            "Side effects of switching the selected heads off: closed-book accuracy on held-out"
            " facts, and loss on neutral text."
        ),
        _told("cost", "The cost was"),
        _cost("closed_book", "{:.0%}", "Closed-book accuracy on held-out facts (%)"),
        _cost("loss", "{:.2f}", "Loss on neutral text (nats per token; lower is better)"),
        v.table(sel.cost, _THESE, of="cost"),
    ]),
    v.View("Transfer", needs="transfer", parts=[
        v.says(
            "Heads selected on one relation or format (rows), switched off on another (columns)."
            " Numbers are points by which the favoured answer gains over no intervention. On the"
            " diagonal, heads are selected and evaluated on the same one. A dash: cannot be told,"
            " because nearly all facts of the column have that answer already, or because there"
            " are too few facts."
        ),
        v.show(_untold),
        v.finding("transfer_*", small=True),
        v.show(_transfer),
        v.table("transfer", _THESE),
    ], otherwise="this run did not test its heads on other relations and formats (an option)"),
]  # fmt: skip
