"""The Heads tab: three linked grids, what one head does to each fact and where it looks, and a
table of all heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.context.knowledge_conflict.views import AGAIN, heads_compared, picked, ranking, untold
from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Row, Table
from workbench.selection import head_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from workbench.result import Result

GRIDS = {
    "effect_memory": ("Memory", "lowers", "raises"),
    "effect_context": ("Context", "lowers", "raises"),
    "effect_difference": ("Memory − context", "context", "memory"),
}
METHODS = {
    "effect": "path patching",
    "total": "total effect",
    "zero": "zero ablation",
    "mean": "mean ablation",
    "everywhere": "zero ablation, all positions",
}
SPANS = {
    "attends_subject": "subject",
    "attends_context_answer": "context answer",
    "attends_question": "question",
}


def head_array(result: Result, column: str) -> xr.DataArray:
    """A column of the heads table as (layer, head)."""
    table = result.tables["heads"]
    return table.set_index(["layer", "head"])[column].sort_index().to_xarray()


def grids(result: Result) -> list[Any]:
    """The three grids on one colour scale."""
    arrays = {column: head_array(result, column) for column in GRIDS}
    top = colour.limit(v for array in arrays.values() for v in array.values.ravel())
    hover = {title: arrays[column] for column, (title, *_) in GRIDS.items()}
    groups = result.provenance.model.get("n_kv_heads")
    return [
        draw.head_grid(
            arrays[column],
            title=title,
            unit="logits",
            low_word=low,
            high_word=high,
            hover={name: array for name, array in hover.items() if name != title},
            marks=picked(result),
            groups=groups if isinstance(groups, int) else None,
            top=top,
            labels=i == 0,
        )
        for i, (column, (title, low, high)) in enumerate(GRIDS.items())
    ]


def intro(result: Result) -> Markup:
    """What the colours mean, and how much a single strong head is worth."""
    control = ""
    if "random_sets" in result.tables and len(result.tables["random_sets"]):
        control = " Whether the found heads matter is shown against random heads under Rates."
    keys = Markup('<span style="border:2.5px solid {};border-radius:3px;padding:0 6px">{}</span>')
    return Markup('<p class="wb-says">{} {} {} {}</p>').format(
        "What each head adds at the last position to each answer's logit (path patching, mean over"
        f" the choosing half): blue raises, red lowers. {heads_compared(result)} Ranked by"
        f" {ranking(result)}.{control}",
        "Outlined:",
        keys.format(colour.MEMORY, "memory head"),
        keys.format(colour.CONTEXT, "context head"),
    )


def ranked(result: Result) -> Any:
    """The heads table, strongest first, in the columns a person compares."""
    table = result.tables["heads"]
    order = table["effect_difference"].abs().sort_values(ascending=False).index
    columns = [
        "label",
        "role",
        "rank",
        "effect_memory",
        "effect_context",
        "effect_difference",
        "low",
        "high",
    ]
    columns += [
        c
        for c in [
            *SPANS,
            *(f"{m}_{a}" for m in METHODS if m != "effect" for a in ("memory", "context")),
        ]
        if c in table
    ]
    return table.loc[order, columns].reset_index(drop=True)


def strongest_head(result: Result) -> tuple[int, int]:
    """(layer, head) of the largest effect on memory − context."""
    heads = result.tables["heads"]
    row = heads.loc[heads["effect_difference"].abs().idxmax()]
    return int(row["layer"]), int(row["head"])


def card(result: Result, layer: int, head: int) -> Markup:
    """One head in numbers: every method, and where it looks on average."""
    table = result.tables["heads"]
    found = table[(table["layer"] == layer) & (table["head"] == head)]
    if found.empty:
        return draw.note(f"{head_name(layer, head)} was not measured.", "Choose another head.")
    row = found.iloc[0]
    place = int(
        table["effect_difference"].abs().rank(ascending=False, method="min")[found.index[0]]
    )
    role = (
        f"{row['role']} head {int(row['rank'])}"
        if row["role"] and row["rank"] == row["rank"]
        else "no role"
    )
    lines = [
        Markup("<tr><th>{}</th><td>{}</td><td>{}</td></tr>").format(
            name, f"{row[f'{method}_memory']:+.3f}", f"{row[f'{method}_context']:+.3f}"
        )
        for method, name in METHODS.items()
        if f"{method}_memory" in row
    ]
    shares = ", ".join(f"{name} {100 * row[c]:.0f} %" for c, name in SPANS.items() if c in row)
    return Markup(
        "<style>.k{{border-collapse:collapse;font:13px/1.6 var(--wb-font,sans-serif)}}.k"
        " th{{text-align:left;font-weight:500;padding-right:14px}}.k"
        " td{{text-align:right;padding-left:14px;font-variant-numeric:tabular-nums}}.k thead"
        " th{{font-weight:400;opacity:.75}}h3{{font:650 17px var(--wb-font,sans-serif);margin:0 0"
        ' 4px}}</style><h3>{} <span class="wb-small">{}; by path patching {} of {}</span></h3><p'
        ' class="wb-says">Memory − context {} logits <span class="wb-small">(95 %: {} to'
        " {})</span></p><table class=k><thead><tr><th>what it adds"
        " (logits)</th><td>memory</td><td>context</td></tr></thead><tbody>{}</tbody></table><p"
        ' class="wb-says wb-small">Attends on average: {}.</p>'
    ).format(
        row["label"],
        role,
        place,
        len(table),
        f"{row['effect_difference']:+.2f}",
        f"{row['low']:+.2f}",
        f"{row['high']:+.2f}",
        Markup("").join(lines),
        shares or "not measured",
    )


def per_fact(result: Result, layer: int, head: int) -> dict[str, Any] | None:
    """What the head adds to memory − context on each fact, sorted: the words and values of
    `draw.bars`; None if not there.
    """
    effects = result.arrays.get("effects")
    if effects is None or layer not in effects["layer"] or head not in effects["head"]:
        return None
    path = effects.sel({"method": "path", "layer": layer, "head": head})
    values = (
        (path.sel(answer="memory") - path.sel(answer="context"))
        .to_series()
        .sort_values(ascending=False)
    )
    subjects = (
        result.tables["facts"].set_index("fact")["subject"] if "facts" in result.tables else {}
    )
    return {
        "values": list(values),
        "names": [f"{subjects.get(fact, '')} (prompt {fact})" for fact in values.index],
        "title": (
            f"{head_name(layer, head)} on each of {len(values)} facts: memory − context (logits)"
        ),
        "unit": "logits",
    }


def attention_strip(result: Result, layer: int, head: int, fact: int) -> Any:
    """Where the head looks from the last position of one prompt."""
    attention, tokens = result.arrays.get("attention"), result.tables.get("tokens")
    if attention is None or tokens is None:
        return draw.note("Attention was not kept in this run.", AGAIN)
    mine = tokens[tokens["fact"] == fact].sort_values("pos")
    if (
        mine.empty
        or fact not in attention["fact"]
        or layer not in attention["layer"]
        or head not in attention["head"]
    ):
        return draw.note(
            f"There is no attention of {head_name(layer, head)} on prompt {fact}.",
            "Choose another prompt.",
        )
    values = attention.sel({"fact": fact, "layer": layer, "head": head}).values[: len(mine)]
    return draw.token_strip(
        list(mine["token"]),
        list(values),
        spans=list(mine["span"]),
        title=f"{head_name(layer, head)} on prompt {fact}",
        unit="share of attention from the last position · one prompt, not a finding",
    )


def still(result: Result) -> list[Any]:
    """For the report: grids that hover, and the strongest heads' attention to unfold."""
    if "heads" not in result.tables:
        return [draw.note("The heads were not measured.", AGAIN)]
    table = result.tables["heads"]
    strongest = table[table["role"] != ""].sort_values(["rank", "role"]).head(6)
    facts = (
        [int(f) for f in result.tables["facts"]["fact"].head(3)] if "facts" in result.tables else []
    )
    folded: list[Markup] = []
    for at in strongest.itertuples():
        strips = Markup("").join(attention_strip(result, at.layer, at.head, fact) for fact in facts)
        folded.append(
            Markup(
                '<details class="wb-fold"{}><summary>{} <span class="wb-small">{} head'
                " {}</span></summary>{}{}</details>"
            ).format(
                "" if folded else Markup(" open"),
                at.label,
                at.role,
                int(at.rank),
                card(result, at.layer, at.head),
                strips,
            )
        )
    parts = [intro(result), *untold(result), Row(grids(result))]
    best = strongest_head(result)
    on_facts = per_fact(result, *best)
    if on_facts is not None:
        parts.append(draw.bars(**on_facts, xlabel="facts of the choosing half, sorted"))
    if folded:
        parts += [
            draw.says("The strongest heads, in numbers and on three prompts:"),
            Markup("").join(folded),
        ]
    return [*parts, *steady(result), Table(ranked(result), "All heads, strongest first")]


def steady(result: Result) -> list[Any]:
    """How far the chosen heads hang on the facts that chose them."""
    said = [
        draw.says(f.says, small=True)
        for name, f in result.findings.items()
        if name.startswith("stability_")
    ]
    if "stability" not in result.tables or not said:
        return []
    return [
        *said,
        Table(
            result.tables["stability"], "How often each head is chosen if the facts are drawn again"
        ),
    ]


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """For the page and the notebook: grids, details and table, all linked to the selection.

    Args:
        pictures: those of `still`: the three grids and the bars of the strongest head, drawn
            already or not.
    """
    from workbench.draw.keyboard import key_pad
    from workbench.draw.linking import link_heads
    from workbench.draw.view import (
        html_pane,
        live_column,
        live_part,
        live_picture,
        need_panel,
        scrolling,
        tabulator,
        wrapping,
    )

    if "heads" not in result.tables:
        return live_column(still(result))
    pn = need_panel()
    pick, table = result.selection, ranked(result)
    heads = result.tables["heads"]
    options = {
        f"{label}{f' · {role}' if role else ''}": label
        for label, role in zip(table["label"], table["role"], strict=True)
    }
    if pick.head is None or head_name(*pick.head) not in set(table["label"]):
        pick.choose(*strongest_head(result))
    choose_head = pn.widgets.Select(
        name="Head, strongest first", options=options, width=190, **_look()
    )
    choose_prompt = pn.widgets.Select(name="Prompt", options=_prompts(result), width=300, **_look())
    about, strip = html_pane(Markup("")), html_pane(Markup(""))
    panes = [live_picture(picture) for picture in pictures]
    maps, bars = panes[: len(GRIDS)], panes[len(GRIDS) :]
    listing = tabulator(table, height=330, selectable=1)

    def head_chosen() -> None:
        if pick.head is None:
            about.object, strip.object = (
                str(draw.note("No head is chosen.", "Click a cell, or choose one above.")),
                "",
            )
            return
        about.object = str(card(result, *pick.head))
        strip.object = str(attention_strip(result, pick.head[0], pick.head[1], pick.prompt))
        on_facts = per_fact(result, *pick.head)
        for pane in bars:
            if on_facts is not None and pane.object.title.text != on_facts["title"]:
                draw.fill_bars(pane, **on_facts)

    def prompt_chosen(*_: Any) -> None:
        if pick.prompt in choose_prompt.options.values():
            choose_prompt.value = pick.prompt
        if pick.head is not None:
            strip.object = str(attention_strip(result, pick.head[0], pick.head[1], pick.prompt))

    def from_prompt(event: Any) -> None:
        if event.new is not None:
            pick.prompt = event.new

    def describe(layer: int, head: int) -> str:
        row = heads[(heads["layer"] == layer) & (heads["head"] == head)]
        return (
            f"memory − context {row['effect_difference'].iloc[0]:+.2f} logits"
            if len(row)
            else "not measured"
        )

    choose_prompt.param.watch(from_prompt, "value")
    link_heads(pick, maps, choose_head, listing, list(table["label"]), head_chosen)
    pick.param.watch(prompt_chosen, "prompt")
    prompt_chosen()
    pad = key_pad(
        pick, sorted(set(heads["layer"].tolist())), sorted(set(heads["head"].tolist())), describe
    )
    left = pn.Column(wrapping(*maps, gap="4px 10px"), pad)
    look = {"min_width": 280, "sizing_mode": "stretch_width", "styles": {"flex": "1 1 300px"}}
    right = pn.Column(wrapping(choose_head, choose_prompt, gap="0 12px"), about, strip, **look)
    return pn.Column(
        html_pane(intro(result)),
        *(live_part(part) for part in untold(result)),
        wrapping(left, right, sizing_mode="stretch_width"),
        *(scrolling(pane) for pane in bars),
        *(live_part(part) for part in steady(result)),
        html_pane(
            draw.says("All heads, strongest first. A row chooses the head; a heading sorts.")
        ),
        listing,
        sizing_mode="stretch_width",
        min_width=0,
    )


def _prompts(result: Result) -> dict[str, int]:
    if "facts" not in result.tables:
        return {}
    facts = result.tables["facts"]
    return {
        f"{fact} · {subject}: {answer} / {counter} ({outcome})"[:90]: int(fact)
        for fact, subject, answer, counter, outcome in zip(
            facts["fact"],
            facts["subject"],
            facts["answer"],
            facts["counter"],
            facts["outcome"],
            strict=True,
        )
    }


def _look() -> dict[str, Any]:
    from workbench.draw.view import STYLES

    return {"stylesheets": [STYLES], "margin": (2, 0, 6, 0)}
