"""What a knowledge-conflict run looks like. Touches no model; reads and writes `result.selection`.

A run that was stopped early lacks tables: each view then says what is missing and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Table, View

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

AGAIN = "The run was stopped before it was measured; run the analysis again and let it finish."


def views(result: Result) -> dict[str, Any]:
    """Tabs, by the title a person reads. Nothing is computed until a tab is looked at."""
    from analyses.context.knowledge_conflict import head_view

    no_transfer = (
        ""
        if "transfer" in result.tables
        else "this run did not try its heads on other relations and formats (an option)"
    )
    return {
        "Rates": View(lambda: _rates(result)),
        "Heads": View(
            lambda: head_view.still(result), live=lambda pictures: head_view.live(result, pictures)
        ),
        "Depth": View(lambda: _depth(result)),
        "Facts": View(lambda: _facts(result), live=lambda _: _facts_live(result)),
        "Dial": View(lambda: _dial(result)),
        "How many heads": View(lambda: _k_curve(result)),
        "Cost": View(lambda: _cost(result)),
        "Transfer": View(lambda: _transfer(result), why_not=no_transfer),
    }


def picked(result: Result) -> dict[tuple[int, int], str]:
    """The heads that were switched off, with their group; where the run does not say, all that
    have a role.
    """
    heads = result.tables["chosen"] if "chosen" in result.tables else result.tables.get("heads")
    if heads is None:
        return {}
    word = "group" if "group" in heads else "role"
    return {
        (int(layer), int(head)): group
        for layer, head, group in zip(heads["layer"], heads["head"], heads[word], strict=True)
        if group
    }


def heads_compared(result: Result) -> str:
    """How many heads the found ones were picked from: said wherever a head is claimed to matter."""
    if "heads" not in result.tables:
        return ""
    groups = list(picked(result).values())
    found = " and ".join(
        f"{groups.count(g)} {g} head{'s'[: groups.count(g) != 1]}"
        for g in ("memory", "context")
        if g in groups
    )
    return f"{len(result.tables['heads'])} heads were compared; picked: {found or 'none'}."


RANKINGS = {
    "path": "path patching at the last position",
    "everywhere": "zero ablation at all positions",
}


def ranking(result: Result) -> str:
    """By what the roles were given, as a person says it."""
    rank_by = str(result.params.get("rank_by", "path"))
    return RANKINGS.get(rank_by, rank_by)


def _rates(result: Result) -> list[Any]:
    if "rates" not in result.tables:
        return [draw.note("The rates were not measured.", AGAIN)]
    rates = result.tables["rates"]
    proof = rates[rates["split"] == "prove"]
    held_out = not proof.empty
    shown = proof if held_out else rates
    # Random sets count a prompt once per set: how many prompts there are is what the untouched
    # model answered.
    untouched = shown[shown["condition"] == "no intervention"]
    n = int(untouched["n"].max()) if len(untouched) else 0
    who = (
        "subjects that had no part in choosing the heads"
        if held_out
        else "the subjects that also chose the heads: no proof yet"
    )
    parts: list[Any] = [
        draw.says(
            f"What the model answers when the prompt contradicts it, on {n} prompts about {who}."
            f" {heads_compared(result)}"
        ),
        draw.rate_bars(shown, title="Follows memory, context or neither (% of prompts)"),
    ]
    parts += untold(result)
    if "random_sets" in result.tables and not result.tables["random_sets"].empty:
        parts += _random(result.tables["random_sets"], shown)
    elif not _none_told(result):
        parts.append(
            draw.note(
                "No random control.",
                "Without random head sets of the same size the effect of the found heads proves"
                " little.",
            )
        )
    return [*parts, Table(rates, "The data behind these pictures")]


def _none_told(result: Result) -> bool:
    """Was the run whole, and no head named?"""
    return "chosen" in result.tables and result.tables["chosen"].empty


def _random(sets: pd.DataFrame, rates: pd.DataFrame) -> list[Any]:
    """The control: as many heads, drawn at random, and what the found heads do on the same line."""
    base = rates[rates["condition"] == "no intervention"]
    rows, lines, sentences = [], {}, []
    for group, gains in (("context", "memory"), ("memory", "context")):
        mine = sets[sets["group"] == group]
        found = rates[rates["condition"] == f"prune {group} heads"]
        if mine.empty:
            continue
        k = int(mine["k"].iloc[0])
        many = "head" if k == 1 else "heads"
        line = f"{k} {many} off → {gains}"
        rows.append(mine.assign(line=line, favoured=mine[gains]))
        lines[line] = {
            name: float(part[gains].iloc[0])
            for name, part in (("untouched", base), ("found heads off", found))
            if len(part)
        }
        if len(found):
            reach = int((mine[gains] >= found[gains].iloc[0]).sum())
            middle = 100 * mine[gains].median()
            sentences.append(
                f"Switching off the {k} {group} {many} gives {100 * found[gains].iloc[0]:.0f} %"
                f" {gains}; of {len(mine)} random sets of {k} {many} {reach} reach that (median"
                f" {middle:.0f} %)."
            )
    if not rows:
        return []
    import pandas as pd

    picture = draw.dots(
        pd.concat(rows),
        "favoured",
        "line",
        title="The control: as many random heads (% of prompts)",
        xlabel="share of prompts that follow the named answer (%)",
        lines=lines,
    )
    return [draw.says(" ".join(sentences)), picture]


def _depth(result: Result) -> list[Any]:
    if "depth" not in result.arrays:
        return [draw.note("The depth was not measured.", AGAIN)]
    depth = result.arrays["depth"]
    frame = depth.to_series().unstack(["component", "answer"])
    frame.columns = [f"{component} → {answer}" for component, answer in frame.columns]
    frame = frame.reset_index()
    words = {"attention": "attention", "mlp": "MLP"}
    series, dash = {}, {}
    for component in depth["component"].values:
        for answer in depth["answer"].values:
            column = f"{component} → {answer}"
            series[column] = (
                f"{words.get(component, component)} → {answer}",
                colour.CATEGORY.get(answer, colour.OTHER),
            )
            dash[column] = "solid" if component == "attention" else "dashed"
    top = frame.set_index("layer").abs().stack()
    layer, what = top.idxmax()
    return [
        draw.says(
            "How far each layer's attention and MLP push each answer at the last position, mean"
            f" over facts. The largest push is that of {what.replace('mlp', 'MLP')} in layer"
            f" {layer}: {frame.set_index('layer').loc[layer, what]:+.2f} logits."
        ),
        draw.lines(
            frame,
            "layer",
            series,
            dash=dash,
            title="Push toward each answer, by layer (logits)",
            xlabel="layer",
            ylabel="logits",
            height=340,
        ),
        draw.says(
            "Direct effect through the unembedding with the final norm frozen: what later layers"
            " make of it is not in it.",
            small=True,
        ),
        Table(frame, "The data behind this picture"),
    ]


def facts_table(result: Result) -> pd.DataFrame:
    """The facts as a person reads them, worst-known columns left out."""
    columns = [
        "fact",
        "subject",
        "answer",
        "counter",
        "outcome",
        "said",
        "p_memory",
        "p_context",
        "split",
        "format",
        "prompt",
    ]
    facts = result.tables["facts"]
    return facts[[c for c in columns if c in facts]]


def _facts(result: Result) -> list[Any]:
    if "facts" not in result.tables:
        return [draw.note("There are no facts in this run.", AGAIN)]
    facts = result.tables["facts"]
    counts = facts["outcome"].value_counts()
    mix = ", ".join(f"{counts.get(o, 0)} {o}" for o in ("memory", "context", "other"))
    known = ""
    if "candidates" in result.tables:
        candidates = result.tables["candidates"]
        knows = int(candidates["known"].sum())
        known = (
            f" The model knows {knows} of {len(candidates)} candidates without any context; the"
            " others are left out."
        )
    return [
        draw.says(
            f"{len(facts)} prompts, each contradicting one fact. What the model followed:"
            f" {mix}.{known}"
        ),
        Table(facts_table(result)),
    ]


def _facts_live(result: Result) -> Any:
    from workbench.draw.view import html_pane, live_column, need_panel, tabulator

    pn = need_panel()
    parts = _facts(result)
    if "facts" not in result.tables:
        return live_column(parts)
    shown = facts_table(result)
    table = tabulator(shown, height=420, selectable=1)
    prompt = html_pane(fact_strip(result, result.selection.prompt))

    def clicked(event: Any) -> None:
        if 0 <= event.row < len(shown):
            result.selection.prompt = int(shown["fact"].iloc[event.row])

    def chosen(*_: Any) -> None:
        prompt.object = str(fact_strip(result, result.selection.prompt))
        at = [i for i, fact in enumerate(shown["fact"]) if fact == result.selection.prompt]
        if table.selection != at:
            table.selection = at

    table.on_click(clicked)
    result.selection.param.watch(chosen, "prompt")
    chosen()
    return pn.Column(html_pane(parts[0]), prompt, table, sizing_mode="stretch_width")


def fact_strip(result: Result, fact: int) -> Any:
    """The conflict prompt of one fact with its spans marked."""
    tokens = result.tables.get("tokens")
    mine = tokens[tokens["fact"] == fact].sort_values("pos") if tokens is not None else None
    if mine is None or mine.empty:
        return draw.note("This prompt's tokens are not in the run.", AGAIN)
    about = result.tables["facts"].set_index("fact").loc[fact] if "facts" in result.tables else None
    unit = f"the model followed: {about['outcome']}" if about is not None else ""
    return draw.token_strip(
        list(mine["token"]), spans=list(mine["span"]), title=f"Prompt {fact}", unit=unit
    )


def _dial(result: Result) -> list[Any]:
    if "dial" not in result.tables or result.tables["dial"].empty:
        return untold(result) or [draw.note("The dial was not measured.", AGAIN)]
    dial = result.tables["dial"]
    percent = dial.assign(**{c: 100 * dial[c] for c in ("memory", "context", "other")})
    rates = {w: (w, colour.CATEGORY[w]) for w in ("memory", "context", "other")}
    probabilities = {
        "p_memory": ("memory answer", colour.MEMORY),
        "p_context": ("context answer", colour.CONTEXT),
    }
    xlabel = "dial: −1 memory … 0 untouched … +1 context"
    return [
        draw.says(
            "The found heads scaled by one number, on the held-out half. In Python:"
            " result.control('dial')(model, 0.5)."
        ),
        *untold(result),
        draw.lines(
            percent,
            "value",
            rates,
            title="Answers (%)",
            xlabel=xlabel,
            ylabel="share of prompts (%)",
            ylim=(-3, 103),
        ),
        draw.lines(
            dial,
            "value",
            probabilities,
            title="Probability of the two answers' first token",
            xlabel=xlabel,
            ylabel="probability",
            ylim=(-0.03, 1.03),
        ),
        Table(dial, "The data behind these pictures"),
    ]


def _k_curve(result: Result) -> list[Any]:
    if "k_curve" not in result.tables or result.tables["k_curve"].empty:
        return untold(result) or [draw.note("How many heads it takes was not measured.", AGAIN)]
    curve = result.tables["k_curve"]
    if "rank_by" in curve and result.params.get("rank_by") in set(curve["rank_by"]):
        curve = curve[
            curve["rank_by"] == result.params["rank_by"]
        ]  # other rankings are for comparison, in the table
    percent = curve.assign(**{c: 100 * curve[c] for c in ("memory", "context", "other")})
    rates = {w: (w, colour.CATEGORY[w]) for w in ("memory", "context", "other")}
    chosen = ""
    if "random_sets" in result.tables and not result.tables["random_sets"].empty:
        sizes = result.tables["random_sets"].groupby("group")["k"].first()
        chosen = (
            " Chosen: " + " and ".join(f"{k} {group} heads" for group, k in sizes.items()) + "."
        )
    parts: list[Any] = [
        draw.says(
            "Answers on the choosing half while more and more of the ranked heads are switched"
            f" off.{chosen}"
        ),
        *untold(result),
    ]
    for group, gains in (("context", "memory"), ("memory", "context")):
        mine = percent[percent["group"] == group]
        if not mine.empty:
            title = f"Switching off {group} heads: toward {gains} (%)"
            parts.append(
                draw.lines(
                    mine,
                    "k",
                    rates,
                    title=title,
                    xlabel="heads off",
                    ylabel="share of prompts (%)",
                    ylim=(-3, 103),
                    height=270,
                )
            )
    return [*parts, Table(result.tables["k_curve"], "The data behind these pictures")]


def _cost(result: Result) -> list[Any]:
    if _none_told(result) and untold(result):
        return untold(result)
    if "cost" not in result.tables or result.tables["cost"].empty:
        return [draw.note("The cost was not measured.", AGAIN)]
    cost = result.tables["cost"]
    percent = cost.assign(closed_book=100 * cost["closed_book"])
    base = cost[cost["condition"] == "no intervention"]
    says = (
        "What switching the heads off costs elsewhere: facts asked without any context, and loss on"
        " neutral text."
    )
    parts: list[Any] = [draw.says(says), *untold(result)]
    bars: list[tuple[str, Callable[[float], str], str]] = [
        ("closed_book", lambda v: f"{v:.0f} %", "Closed-book answers still right (%)"),
        ("loss", lambda v: f"{v:.2f}", "Loss on neutral text (nats per token; lower is better)"),
    ]
    for column, said, title in bars:
        before = float((percent[column])[base.index[0]]) if len(base) else None
        parts.append(
            draw.meters(percent, "condition", column, title=title, said=said, before=before)
        )
    return [*parts, Table(cost, "The data behind these pictures")]


def _transfer(result: Result) -> list[Any]:
    from analyses.context.knowledge_conflict.transfer import why_not

    if "transfer" not in result.tables:
        return [
            draw.note(
                "This run did not try its heads elsewhere.",
                "Run the analysis with its transfer option on.",
            )
        ]
    table = result.tables["transfer"]
    records = table.to_dict("records")
    dark = [bool(why_not(row)) for row in records]
    parts: list[Any] = [
        draw.says(
            "Heads found on one relation or format (rows), switched off on another (columns): by"
            " how many points the answer they should favour gains over the untouched model. The"
            " diagonal is found and used on the same. "
            + (
                "A dash: nothing can be told, as nearly all facts of that column are answered so"
                " already, or there are few."
                if any(dark)
                else ""
            )
        ),
        *untold(result),
    ]
    parts += [
        draw.says(f.says, small=True)
        for name, f in result.findings.items()
        if name.startswith("transfer_")
    ]
    points = [
        100
        * (
            r["memory"] - r["base_memory"]
            if r["group"] == "context"
            else r["context"] - r["base_context"]
        )
        for r in records
    ]
    gain = table.assign(
        points=[float("nan") if none else p for none, p in zip(dark, points, strict=True)]
    )
    top = colour.limit(gain["points"].dropna())
    for kind in dict.fromkeys(gain["kind"]):
        for group, gains in (("context", "memory"), ("memory", "context")):
            mine = gain[(gain["kind"] == kind) & (gain["group"] == group)]
            if not mine.empty:
                title = (  # a title is cut where its figure ends
                    f"{kind}s, {group} heads off:\ngain in {gains}"
                )
                parts.append(
                    draw.matrix(
                        mine,
                        "found_on",
                        "used_on",
                        "points",
                        title=title,
                        unit="points",
                        signed=True,
                        top=top,
                    )
                )
    return [*parts, Table(table, "The data behind these pictures")]


def untold(result: Result) -> list[Any]:
    """A note for each direction in which this run could not tell which heads decide."""
    toward = {"untold_context": "memory", "untold_memory": "the context"}
    return [
        draw.note(f"Toward {toward[name]}: cannot be told.", result.findings[name].says)
        for name in toward
        if name in result.findings
    ]
