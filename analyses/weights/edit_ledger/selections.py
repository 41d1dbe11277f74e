"""What is looked at of a run: the chosen fact, method, question and edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.rates import COUNTED, hits, with_knowledge
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

SHOWN = ("in_other_words", "accuracy", "neighbours_unmoved")


def method_rates(run: Result) -> pd.DataFrame:
    """The three rates that stand first, one row per method."""
    table = run.tables["methods"]
    return table.rename(columns=_TITLES | {f"{n}{s}": f"{t}{s}" for n, t in _TITLES.items()
                                           for s in ("_low", "_high")})  # fmt: skip


_TITLES = {
    "in_other_words": "in other words",
    "accuracy": "the sentence",
    "neighbours_unmoved": "neighbours",
}


def kinds_by_method(run: Result) -> pd.DataFrame:
    """Percent of questions of each kind that end as an edit that holds would have it: new answers
    where the fact is asked for, old ones elsewhere.
    """
    import pandas as pd

    answers = with_knowledge(run.tables["answers"])
    rows = []
    for name, (kinds, how) in COUNTED.items():
        if how not in ("new", "unmoved"):
            continue
        for method, mine in answers.groupby("method", sort=False):
            counted, _ = hits(mine, name)
            if len(counted):
                kept = "unmoved" if how == "unmoved" else "new answer"
                rows.append(
                    {
                        "question": f"{', '.join(kinds)}: {kept}",
                        "method": method,
                        "percent": 100 * float(counted.mean()),
                    }
                )
    return pd.DataFrame(rows)


def behind_other_text(run: Result, answer: str) -> pd.DataFrame:
    """Percent of questions behind other text, and of the plain sentence, that get an answer, by
    method; nothing where they were not asked.

    Args:
        answer: "gives_new" or "gives_old".
    """
    import pandas as pd

    table = run.tables["answers"]
    if not set(c.ROBUST) & set(table["kind"]):
        return pd.DataFrame()
    asked = table[table["kind"].isin([c.PROMPT, *c.ROBUST])]
    frame = asked.groupby(["kind", "method"], sort=False)[answer].mean().mul(100)
    frame = frame.rename("percent").reset_index()
    return frame.replace({"kind": {c.PROMPT: "the plain sentence"}})


def methods(run: Result) -> dict[str, str]:
    """The methods of a run by their names."""
    return {name: name for name in dict.fromkeys(run.tables["answers"]["method"])}


def first_method(run: Result, pick: Pick) -> str:
    """The first method that is no null."""
    chosen = pick.kept("method")
    found = methods(run)
    nulls = {c.METHODS[null] for null in c.NULLS}
    named = [name for name in found if name not in nulls]
    return chosen if chosen in found else (named or list(found))[0]


def fact_of(run: Result, pick: Pick) -> int:
    """The chosen fact; the first where none is chosen."""
    chosen = pick.selection.prompt
    return chosen if chosen in set(run.tables["facts"]["fact"]) else 0


def before_and_after(run: Result, pick: Pick) -> pd.DataFrame:
    """Every question about one fact: what the model says without the edit and with it."""
    table = run.tables["answers"]
    mine = table[table["fact"] == pick.prompt]
    base = mine[mine["method"] == c.METHODS["none"]].reset_index(drop=True)
    after = mine[mine["method"] == pick["method"]].reset_index(drop=True)
    frame = after[["kind", "prompt", "says", "gives_new", "gives_old", "new"]].copy()
    frame.insert(2, "before", base["says"])
    frame["new less old (nats)"] = after["logp_new"] - after["logp_old"]
    return frame


def fact_words(run: Result, pick: Pick) -> str:
    """What was edited, in a sentence."""
    row = run.tables["facts"].set_index("fact").loc[pick.prompt]
    edits = run.tables["edits"]
    mine = edits[(edits["fact"] == pick.prompt) & (edits["method"] == pick["method"])].iloc[0]
    loss = f"{mine['loss_change']:+.3f}".replace("-", "−")
    known = mine["known"]
    others = f"; {percent(known)} of other known facts are still answered rightly"
    return (
        f"{row['subject']}: “{row['old']}” becomes “{row['new']}”, by {pick['method']}. Loss on"
        f" neutral text {loss} nats per token{others if known == known else ''}."
    )


def texts(run: Result, pick: Pick) -> list[str]:
    """What the model writes about the subject, without and with the edit, as sentences."""
    edits = run.tables["edits"]
    mine = edits[edits["fact"] == pick.prompt].set_index("method")
    fact = run.tables["facts"].set_index("fact").loc[pick.prompt]
    said = []
    for method in dict.fromkeys([c.METHODS["none"], pick["method"]]):
        row = mine.loc[method]
        said.append(
            f"With {method} it writes: “{fact['subject']} is {row['writes']}” Words are like those"
            f" of texts about {fact['new']} by {row['consistency']:.2f}, about {fact['old']} by"
            f" {row['consistency_old']:.2f} (1 is alike)."
        )
    return said


def halves(run: Result) -> pd.DataFrame:
    """Percent of paraphrases with the new answer, of the less and the better known half."""
    table = run.tables["popularity"]
    return table.assign(percent=100 * table["in_other_words"])[["method", "half", "percent"]]


def sequences(run: Result) -> dict[str, str]:
    return {name: name for name in dict.fromkeys(run.tables["ledger"]["method"])}


def first_sequence(run: Result, pick: Pick) -> str:
    chosen, found = pick.kept("sequence"), sequences(run)
    return chosen if chosen in found else next(iter(found))


def matrix(run: Result, sequence: str) -> pd.DataFrame:
    """Percent of the edits of each batch that hold after each later one."""
    table = run.tables["ledger"]
    mine = table[table["method"] == sequence]
    frame = mine.groupby(["made", "tested"])["holds"].mean().reset_index()
    frame["percent"] = 100 * frame.pop("holds")
    frame["edited in"] = [f"batch {n + 1}" for n in frame.pop("made")]
    frame["asked after"] = [f"{n + 1}" for n in frame.pop("tested")]
    return frame


def edits_at_end(run: Result, sequence: str) -> pd.DataFrame:
    """Every edit of a sequence: held when made, holds at the end."""
    table = run.tables["ledger"]
    mine = table[table["method"] == sequence]
    first = mine[mine["made"] == mine["tested"]].set_index("edit")["holds"]
    end = mine[mine["tested"] == mine["tested"].max()].copy()
    end["at_first"] = first.reindex(end["edit"]).to_numpy()
    return end[
        ["edit", "subject", "made", "at_first", "holds", "reverts", "in_other_words", "says"]
    ]


def held_over_edits(run: Result) -> pd.DataFrame:
    """Share of all edits so far that hold, of those of the first batch, and of paraphrases."""
    import pandas as pd

    table = run.tables["ledger"]
    rows = []
    for (method, _), mine in table.groupby(["method", "tested"], sort=False):
        edits = int(mine["edit"].max()) + 1
        first = mine[mine["made"] == 0]
        several = table["method"].nunique() > 1
        for name, value in (
            ("all edits so far", mine["holds"].mean()),
            ("those of the first batch", first["holds"].mean()),
            ("all, in other words", mine["in_other_words"].mean()),
        ):
            label = f"{method}: {name}" if several else name
            rows.append({"edits": edits, "share": float(value), "which": label})
    return pd.DataFrame(rows)


def known_elsewhere(run: Result) -> pd.DataFrame:
    """Other known facts by edits; nothing where the model knows none."""
    return run.tables["drift"].dropna(subset=["known"])


def layers(run: Result) -> pd.DataFrame:
    """Rates by layer, of the facts that choose and of the others."""
    return run.tables["layers"].rename(
        columns={"in_other_words_low": "low", "in_other_words_high": "high"}
    )


def _best_layer(run: Result) -> list[str]:
    finding = run.findings.get("best_layer")
    return [] if finding is None else [f"layer {int(finding.values['value'])}"]


CHOICES = {"best layer to edit": _best_layer}
