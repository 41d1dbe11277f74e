"""What a knowledge-conflict run looks like: what is answered, which heads decide, at what cost."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup

from analyses.context.knowledge_conflict import evidence_view, schema
from analyses.context.knowledge_conflict import selections as sel
from analyses.context.knowledge_conflict.headroom import WINS
from workbench import draw
from workbench import views as v
from workbench.draw import colour, passage
from workbench.result import Result

_THESE = "The data behind these pictures"
_GRIDS = {
    "effect_memory": v.Scale("Memory", "logits", "lowers", "raises"),
    "effect_context": v.Scale("Context", "logits", "lowers", "raises"),
    "effect_difference": v.Scale("Memory − context", "logits", "context", "memory"),
}
_RATES = {answer: colour.CATEGORY[answer] for answer in ("memory", "context", "other")}
_FIRST = {f"p_{answer}": (f"{answer} answer", colour.CATEGORY[answer]) for answer in WINS}
_DEPTH = {
    f"{part} → {wins}": colour.CATEGORY[wins]
    for part in ("attention", "MLP")
    for wins in ("memory", "context")
}
_answers = partial(v.chart, "lines", ylabel="share of prompts (%)", ylim=(-3.0, 103.0))
_dial = partial(_answers, xlabel="dial: −1 memory … 0 no intervention … +1 context")
_cost = partial(v.chart, "labelled_bars", sel.cost, "condition", from_first=True)


def _untold(run: Result) -> list[Markup]:
    """A note for each group of heads that this run could not tell."""
    return [draw.empty_state(*note) for note in sel.undetermined(run)]


def _told(table: str, what: str) -> v.ViewPart:
    """What could not be told; where that does not explain why a table is not there, what does."""
    missing = draw.empty_state(f"{what} not measured.", v.AGAIN)
    return v.show(lambda run: _untold(run) or (None if sel.has_rows(run, table) else missing))


def _about_heads(run: Result) -> Markup:
    return draw.outline_key(
        f"{schema.EFFECTS} {sel.comparison_count(run)} Ranked by {sel.ranking(run)}.",
        {f"{group} head": colour.CATEGORY[group] for group in WINS.values()},
    )  # fmt: skip


def _head(run: Result, pick: v.Pick) -> list[Markup] | Markup:
    """One head in numbers, and what it attends to; on several prompts to unfold."""
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


ANSWER = v.Answer(("base", "prune_context", "prune_memory"), ("Rates", 0), ("random",))
VIEWS = [
    v.View("Rates", needs="rates", parts=[
        v.finding("base", "prune_*"),
        v.says(sel.comparison_count),
        v.chart(
            "rate_bars", sel.held_out_rates,
            title="Answers from memory, from the context, or other (% of prompts)",
        ),
        v.show(_untold),
        v.finding("random_for_*"),
        v.chart(
            "dots", sel.random_sets, "favoured", "line", lines=sel.beside_random,
            title="Random baseline: as many random heads (% of prompts)",
            xlabel="prompts with the answer after the arrow (%)", needs="random_sets",
        ),
        v.table("rates", _THESE),
    ]),
    v.View("Heads", needs="heads", parts=[
        v.says(_about_heads),
        v.show(lambda run: "The random baseline is under Rates.", needs="random_sets"),
        v.show(_untold),
        v.heads(
            "heads", _GRIDS, marks=sel.pruned_heads, one_scale=True,
            describe="memory − context {effect_difference:+.2f} logits",
            beside=[
                v.row(
                    v.knob("head", "Head, by its effect", sel.by_name),
                    v.knob("prompt", "Prompt", sel.prompts, width=300),
                ),
                v.on(["head", "prompt"], _head, needs="attention", examples=sel.strongest),
            ],
        ),
        v.on("head", lambda run, pick: v.picture(
            "bars", **sel.per_fact(run, pick.head), unit="logits",
            xlabel="facts of the select half, sorted",
        ), needs="effects"),
        v.finding("stability_*", small=True),
        v.table("stability", "How often each head is selected over bootstrap draws of the facts"),
        v.table(sel.ranked, "All heads, largest effect first", of="heads", picks="head"),
    ], first={
        "head": sel.chosen_head,
        "prompt": sel.chosen_fact,
        "prompts": lambda run, pick: [pick.prompt],
    }),
    v.View("Depth", needs="depth", parts=[
        v.says(sel.pushes),
        v.chart(
            "lines", sel.depth, "layer", _DEPTH, ylabel="logits", height=340,
            dash={column: "dashed" for column in _DEPTH if column.startswith("MLP")},
            title="Direct logit attribution to each answer, by layer (logits)",
        ),
        v.says(schema.DIRECT, small=True),
        v.table(sel.depth),
    ]),
    v.View("Facts", needs="facts", parts=[
        v.says(sel.outcome_counts),
        v.finding("known"),
        v.on("prompt", lambda run, pick: draw.token_strip(
            **sel.tokens(run, pick.prompt), title=f"Prompt {pick.prompt}",
            unit=f"the model followed: {sel.outcome(run, pick.prompt)}",
        ), needs="tokens"),
        v.table(sel.facts, "All known facts", of="facts", picks="prompt", by="fact"),
    ], first={"prompt": sel.chosen_fact}),
    v.View("Dial", parts=[
        v.says(schema.DIAL),
        _told("dial", "The dial was"),
        _dial(
            lambda run: sel.in_percent(run.tables["dial"]), "value", _RATES, title="Answers (%)",
            needs="dial",
        ),
        _dial(
            "dial", "value", _FIRST, title="Probability of the two answers' first token",
            ylabel="probability", ylim=(-0.03, 1.03),
        ),
        v.table("dial", _THESE),
    ]),
    v.View("How many heads", parts=[
        v.says(schema.HOW_MANY),
        _told("k_curve", "The number of heads was"),
        v.says(sel.comparison_count),
        _answers(
            sel.k_curve, "k", _RATES, per="title", xlabel="heads off", height=270, needs="k_curve"
        ),
        v.table("k_curve", _THESE),
    ]),
    v.View("Cost", parts=[
        v.says(schema.COST),
        _told("cost", "The cost was"),
        _cost("closed_book", said="{:%}", title="Closed-book accuracy on held-out facts (%)"),
        _cost("loss", title="Loss on neutral text (nats per token; lower is better)"),
        v.table(sel.cost, _THESE, of="cost"),
    ]),
    v.View("Transfer", needs="transfer", parts=[
        v.says(schema.TRANSFER),
        v.show(_untold),
        v.finding("transfer_*", small=True),
        v.chart(
            "matrix", sel.transfer_gains, "selected_on", "evaluated_on", "points", per="title",
            unit="points", signed=True, top=sel.largest_gain,
        ),
        v.table("transfer", _THESE),
    ], otherwise="this run did not test its heads on other relations and formats (an option)"),
    *evidence_view.VIEWS,
]  # fmt: skip
