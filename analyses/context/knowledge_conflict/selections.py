"""What of a run's tables and arrays one picture, table or text shows.

A run that was stopped early lacks tables; where nothing could be told, some have no rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from analyses.context.knowledge_conflict.constants import OUTCOMES, Head
from analyses.context.knowledge_conflict.headroom import WINS, pair_without_headroom
from workbench.draw.colour import symmetric_limit
from workbench.selection import head_name, parse_head
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

METHODS = {
    "effect": "path patching",
    "zero": "zero ablation",
    "mean": "mean ablation",
    "zero_all_positions": "zero ablation, all positions",
}
"""How what a head adds was measured: the columns of `heads` begin so, and what a person reads."""
SPANS = {
    "attends_subject": "subject",
    "attends_context_answer": "context answer",
    "attends_question": "question",
}
_RANKINGS = {
    "path": "path patching at the last position",
    "zero": "zero ablation at the last position",
    "mean": "mean ablation at the last position",
    "zero_all_positions": "zero ablation at all positions",
}
_RANKED = [
    *("label", "role", "rank", "effect_memory", "effect_context", "effect_difference"),
    *("effect_difference_low", "effect_difference_high", *SPANS),
    *(f"{method}_{answer}" for method in ("zero", "mean", "zero_all_positions") for answer in WINS),
]
_LISTED = [
    *(
        "fact",
        "subject",
        "answer",
        "counterfactual",
        "outcome",
        "generated",
        "p_memory",
        "p_context",
    ),
    *("split", "prompt"),
]


def has_rows(run: Result, table: str) -> bool:
    """Whether the run has the table, and not an empty one."""
    return table in run.tables and not run.tables[table].empty


# -- heads -----------------------------------------------------------------------------------------


def pruned_heads(run: Result) -> dict[Head, str]:
    """The heads that were switched off, with their group; where the run does not say, all that
    have a role.
    """
    heads = run.tables.get("selected_heads", run.tables.get("heads"))
    if heads is None:
        return {}
    word = "group" if "group" in heads else "role"
    return {
        (int(layer), int(head)): group
        for layer, head, group in zip(heads["layer"], heads["head"], heads[word], strict=True)
        if group
    }


def comparison_count(run: Result) -> str:
    """How many heads the found ones were picked from: said wherever a head is claimed to matter."""
    if "heads" not in run.tables:
        return ""
    groups = list(pruned_heads(run).values())
    found = [counted(groups.count(g), f"{g} head") for g in WINS.values() if g in groups]
    return (
        f"{len(run.tables['heads'])} heads were compared; selected:"
        f" {' and '.join(found) or 'none'}."
    )


def undetermined(run: Result) -> list[tuple[str, str]]:
    """For each group of heads that this run could not tell: that it is so, and why."""
    groups = {"undetermined_context": "Context", "undetermined_memory": "Memory"}
    return [
        (f"{group} heads cannot be told.", run.findings[name].says)
        for name, group in groups.items()
        if name in run.findings
    ]


def ranking(run: Result) -> str:
    """By what the roles were given, as a person says it."""
    return _RANKINGS[run.params.get("rank_by", "zero_all_positions")]


def ranked(run: Result) -> pd.DataFrame:
    """All heads, the largest effect on memory − context first, in the columns a person compares."""
    table = run.tables["heads"]
    order = table["effect_difference"].abs().sort_values(ascending=False).index
    return table.loc[order, [c for c in _RANKED if c in table]].reset_index(drop=True)


def by_name(run: Result) -> dict[str, Head | None]:
    """All heads by their name and role, in the order of `ranked`."""
    table = ranked(run)
    return {
        f"{label} · {role}" if role else label: parse_head(label)
        for label, role in zip(table["label"], table["role"], strict=True)
    }


def chosen_head(run: Result, pick: Pick) -> Head:
    """The head that is looked at: the chosen one, at first that of the largest effect."""
    chosen = pick.selection.head
    if chosen is not None and head_name(*chosen) in set(run.tables["heads"]["label"]):
        return chosen
    first = parse_head(ranked(run)["label"].iloc[0])
    assert first is not None, "the table names its heads"
    return first


def head(run: Result, at: Head) -> dict[str, Any]:
    """What was measured of one head, and in words `part`, its role, and `about`, that and its
    place by path patching.
    """
    table = run.tables["heads"]
    place = table["effect_difference"].abs().rank(ascending=False, method="min")
    index = table.index[(table["layer"] == at[0]) & (table["head"] == at[1])][0]
    row = table.loc[index].to_dict()
    part = f"{row['role']} head {row['rank']:.0f}" if row["role"] else "no role"
    about = f"{part}; rank {place[index]:.0f} of {len(table)} by path patching"
    return {**row, "part": part, "about": about}


def effect_formats(row: Mapping[str, Any]) -> dict[str, str]:
    """What a person reads of a head to which numbers, as formats of its row: every way of
    measuring, and what it attends to. What was not measured of it is left out.
    """
    added = "memory {{{0}_memory:+.3f}}, context {{{0}_context:+.3f}} logits"
    effect = (
        "{effect_difference:+.2f} logits (95 %: {effect_difference_low:+.2f} to"
        " {effect_difference_high:+.2f})"
    )
    return {
        "memory − context": effect,
        **{
            name: added.format(method)
            for method, name in METHODS.items()
            if row.get(f"{method}_memory", math.nan) == row.get(f"{method}_memory")
        },
        **{f"attends to {name}": f"{{{span}:%}} on average" for span, name in SPANS.items()},
    }


def strongest(run: Result) -> list[dict[str, Any]]:
    """The first heads of both groups, each on three prompts."""
    table, prompts = run.tables["heads"], [int(n) for n in run.tables["facts"]["fact"].head(3)]
    first = table[table["role"] != ""].sort_values(["rank", "role"]).head(6)
    return [{"head": parse_head(label), "prompts": prompts} for label in first["label"]]


def per_fact(run: Result, at: Head) -> dict[str, Any]:
    """What the head adds to memory − context on each fact that chose, in logits, largest first:
    values, names and title of `draw.bars`.
    """
    path = run.arrays["effects"].sel({"method": "path", "layer": at[0], "head": at[1]})
    values = (path.sel(answer="memory") - path.sel(answer="context")).to_series()
    values = values.sort_values(ascending=False)
    subjects = run.tables["facts"].set_index("fact")["subject"]
    return {
        "values": list(values),
        "names": [f"{subjects[fact]} (prompt {fact})" for fact in values.index],
        "title": f"{head_name(*at)} on each of {len(values)} facts: memory − context (logits)",
    }


# -- facts -----------------------------------------------------------------------------------------


def facts(run: Result) -> pd.DataFrame:
    """The facts in the columns a person reads."""
    return run.tables["facts"][_LISTED]


def chosen_fact(run: Result, pick: Pick) -> int:
    """The fact that is looked at: the chosen one, at first the first."""
    numbers, chosen = run.tables["facts"]["fact"], pick.selection.prompt
    return chosen if chosen in set(numbers) else int(numbers.iloc[0])


def prompts(run: Result) -> dict[str, int]:
    """The facts by what their prompts say."""
    columns = ("fact", "subject", "answer", "counterfactual", "outcome")
    return {
        f"{fact} · {subject}: {answer} / {counterfactual} ({outcome})"[:90]: int(fact)
        for fact, subject, answer, counterfactual, outcome in zip(
            *(run.tables["facts"][c] for c in columns), strict=True
        )
    }


def outcome(run: Result, fact: int) -> str:
    """What the model followed."""
    return str(run.tables["facts"].set_index("fact").loc[fact, "outcome"])


def tokens(run: Result, fact: int) -> dict[str, Any]:
    """The tokens of a fact's prompt and their spans, for `draw.token_strip`."""
    table = run.tables["tokens"]
    rows = table[table["fact"] == fact].sort_values("pos")
    return {"tokens": list(rows["token"]), "spans": list(rows["span"])}


def attention(run: Result, at: Head, fact: int) -> dict[str, Any]:
    """The same with the head's attention from the last position to each of them."""
    shown, where = tokens(run, fact), {"fact": fact, "layer": at[0], "head": at[1]}
    values = run.arrays["attention"].sel(where).values[: len(shown["tokens"])]
    return {**shown, "values": list(values)}


def outcome_counts(run: Result) -> str:
    """What the unchanged model followed, counted."""
    counts = run.tables["facts"]["outcome"].value_counts()
    mix = ", ".join(f"{counts.get(outcome, 0)} {outcome}" for outcome in OUTCOMES)
    prompts_ = counted(int(counts.sum()), "prompt")
    return f"{prompts_}, each contradicting one known fact. The model followed: {mix}."


# -- answers ---------------------------------------------------------------------------------------


def held_out_rates(run: Result) -> pd.DataFrame:
    """The rates on the half that had no part in choosing the heads."""
    table = run.tables["rates"]
    return table[table["split"] == "held_out"]


def random_sets(run: Result) -> pd.DataFrame:
    """The random sets, with `line`, what was done and which answer that should favour, and
    `favoured`, the share of that answer.
    """
    sets = run.tables["random_sets"]
    lines = [_line(k, group) for k, group in zip(sets["k"], sets["group"], strict=True)]
    favoured = [row[WINS[row["group"]]] for row in sets.to_dict("records")]
    return sets.assign(line=lines, favoured=favoured)


def beside_random(run: Result) -> dict[str, dict[str, float]]:
    """By `line` of the random sets: that share of the unchanged model and without the group."""
    rates = held_out_rates(run).set_index("condition")
    sizes = run.tables["random_sets"].groupby("group", sort=False)["k"].first()
    return {
        _line(k, group): {
            "no intervention": float(rates[WINS[group]]["no intervention"]),
            "selected heads off": float(rates[WINS[group]][f"prune {group} heads"]),
        }
        for group, k in sizes.items()
    }


def _line(k: int, group: str) -> str:
    return f"{counted(k, 'head')} off → {WINS[group]}"


def in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """The rates of a table in percent."""
    return table.assign(**{o: 100 * table[o] for o in OUTCOMES})


def k_curve(run: Result) -> pd.DataFrame:
    """Of the run's own ranking, the rates in percent, with the title of what is switched off; other
    rankings are for comparison.
    """
    curve = run.tables["k_curve"].sort_values("group", kind="stable")
    rows = in_percent(curve[curve["rank_by"] == run.params.get("rank_by", "zero_all_positions")])
    titles = {g: f"{g.capitalize()} heads switched off: answers (%)" for g in rows["group"]}
    return rows.assign(title=rows["group"].map(titles))


def depth(run: Result) -> pd.DataFrame:
    """What attention and MLP of each layer push toward each answer, in logits: columns such as
    "MLP → memory".
    """
    words = {"attention": "attention", "mlp": "MLP"}
    frame = run.arrays["depth"].to_series().unstack(["component", "answer"])
    frame.columns = [f"{words[component]} → {answer}" for component, answer in frame.columns]
    return frame.reset_index()


def pushes(run: Result) -> str:
    """What `depth` shows, and what pushes most."""
    by_place = depth(run).set_index("layer").stack()
    layer, what = by_place.abs().idxmax()
    return (
        "Direct logit attribution of each layer's attention and MLP to each answer at the last"
        f" position, mean over facts. The largest is {what} in layer {layer}:"
        f" {by_place[layer, what]:+.2f} logits."
    )


def cost(run: Result) -> pd.DataFrame | None:
    """What was measured elsewhere, if there are heads whose price it is."""
    named = "selected_heads" not in run.tables or has_rows(run, "selected_heads")
    return run.tables.get("cost") if named else None


def transfer_gains(run: Result) -> pd.DataFrame:
    """The table `transfer` with `points`, by how many the wanted answer gains (NaN where nothing
    can be told), and the title of what was switched off where.
    """
    table = run.tables["transfer"]
    points = [
        math.nan
        if pair_without_headroom(row)
        else 100 * (row[WINS[row["group"]]] - row[f"base_{WINS[row['group']]}"])
        for row in table.to_dict("records")
    ]
    titles = [  # cut where its figure ends
        f"{across}s, {group} heads off:\ngain in {WINS[group]}"
        for across, group in zip(table["across"], table["group"], strict=True)
    ]
    return table.assign(points=points, title=titles)


def largest_gain(run: Result) -> float:
    """The limit of one scale for all of `transfer_gains`."""
    return symmetric_limit(transfer_gains(run)["points"])


def _chosen(group: str) -> Callable[[Result], list[str]]:
    def labels(run: Result) -> list[str]:
        table = run.tables.get("selected_heads")
        return [] if table is None else list(table.loc[table["group"] == group, "label"])

    return labels


CHOICES = {f"{group} heads": _chosen(group) for group in ("context", "memory")}
"""What a run chooses, by what a person calls it; counted over seeds."""
