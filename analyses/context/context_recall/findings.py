"""What a run says of needles, wordings, passkeys and a user's own contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.context.context_recall.signed_numbers import signed
from analyses.context.context_recall.variance import REST
from analyses.measures.recall_contexts import PRIOR
from analyses.measures.statistics import rate_interval
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from workbench.result import Result

NEEDLES = (
    "task", "needle", "kind", "filler", "depth", "length", "wording_of_question", "evidence", "ask",
    "answer", "choice", "closed_book", "outcome", "correct", "exact", "rank", "logprob",
    "gain",
)  # fmt: skip
OWN = (
    "line", "ask", "answer", "choice", "outcome", "correct", "exact", "rank", "candidates",
    "logprob", "stands", "cut",
)  # fmt: skip
FACTOR_WORDS = {
    "needle": "which fact it is",
    "wording": "the wording of the fact",
    "wording_of_question": "the wording of the question",
    "filler": "the text around it",
    "depth": "its depth",
    "length": "the length of the text",
    REST: "all else",
}


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of needles that a run keeps."""
    return frame[list(NEEDLES)]


def place(depth: float) -> str:
    """A depth in words."""
    return {0.0: "the very beginning", 1.0: "the very end"}.get(depth, f"depth {percent(depth)}")


def add_needles(result: Result, frame: pd.DataFrame, model: str) -> None:
    """How many are found, and where fewest; and what kind of fact."""
    hidden = frame[frame["task"] == "needle"]
    hits = hidden["correct"].to_numpy(bool)
    low, high = rate_interval(hits, hidden["needle"].to_numpy())
    cells = result.tables["cells"]
    worst = cells.sort_values(["rate", "logprob"]).iloc[0]
    longest, rate = int(hidden["length"].max()), float(hits.mean())
    asked = hidden.groupby("wording_of_question", sort=False)["correct"].mean()
    says = (
        f"{model} finds {100 * rate:.0f} of 100 needles in texts of up to {longest:,} tokens (95 %:"
        f" {100 * low:.0f} to {100 * high:.0f}), fewest at {place(worst['depth'])} of"
        f" {int(worst['length']):,} tokens ({100 * worst['rate']:.0f} of 100)."
        f" {_by_question(asked)} Greedy decoding says {100 * hidden['exact'].mean():.0f} of 100"
        " word for word."
    )
    values = {
        "rate": rate,
        "exact": float(hidden["exact"].mean()),
        "worst": float(worst["rate"]),
        "n": float(len(hidden)),
        **{str(kind).replace(" ", "_"): float(each) for kind, each in asked.items()},
    }
    interval = {"rate": (low, high)}
    result.add(Finding("found", values, says, unit="share of needles", interval=interval))
    _add_kinds(result, hidden)
    _add_matters(result, "matters", "Over depths and lengths")


def _by_question(asked: pd.Series) -> str:
    """Both wordings of the question in a sentence."""
    one, other = 100 * float(asked["as stated"]), 100 * float(asked["other words"])
    return (
        f"Asked as the text states the fact, {one:.0f} of 100 are found, in other words"
        f" {other:.0f}."
    )


def _add_kinds(result: Result, hidden: pd.DataFrame) -> None:
    """Facts that agree with what the model says closed-book, and those that do not."""
    by = hidden.groupby("kind", sort=False)
    values = {
        str(kind).replace(" ", "_"): float(rate) for kind, rate in by["correct"].mean().items()
    }
    spoken = [f"{_kind(kind)} {percent(part['correct'].mean())}" for kind, part in by]
    against = hidden[hidden["kind"] == "disagrees"]
    says = f"Found of {', '.join(spoken)}"
    if len(against):
        prior = float((against["outcome"] == PRIOR).mean())
        values["prior"] = prior
        says += f"; to {percent(prior)} of these last questions it answers as without the text"
    result.add(Finding("kinds", values, f"{says}.", unit="share of needles"))


def _kind(kind: object) -> str:
    words = {
        "made up": "made-up facts",
        "agrees": "facts that are true of the world",
        "disagrees": "facts that contradict the world",
    }
    return words[str(kind)]


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Factors by their share of the variance, the largest first, all else last."""
    known = table.dropna(subset="share").assign(rest=table["factor"] == REST)
    return known.sort_values(["rest", "share"], ascending=[True, False]).drop(columns="rest")


def _add_matters(result: Result, name: str, where: str) -> None:
    """What explains most of how likely the answer is."""
    table = result.tables[name]
    known = in_order(table)
    if known.empty:
        return
    spoken = [f"{FACTOR_WORDS[row.factor]} {percent(row.share)}" for row in known.itertuples()]
    says = (
        f"{where}, of what varies in how much likelier the text makes the answer, explain:"
        f" {', '.join(spoken)}."
    )
    values = {str(row.factor).replace(" ", "_"): float(row.share) for row in known.itertuples()}
    intervals = {
        str(row.factor).replace(" ", "_"): (float(row.low), float(row.high))
        for row in known.itertuples()
        if np.isfinite(row.low)
    }
    result.add(
        Finding(name, values, says, unit="share of the variance", interval=intervals or None)
    )


def add_controls(result: Result) -> None:
    """Whether texts of known truth come out as they must."""
    table = result.tables["controls"].set_index("control")
    absent = table.loc["no needle in the text"]
    says = (
        f"Without a needle greedy decoding says its answer {percent(absent['exact'])} of the time"
        f" (false alarms; 95 %: {percent(absent['exact_low'])} to {percent(absent['exact_high'])},"
        f" {int(absent['n'])} questions), and it is the likeliest of its candidates"
        f" {percent(absent['rate'])} of the time, which a guess would be about 12 %."
    )
    values = {"false_alarms": float(absent["exact"]), "guessed": float(absent["rate"])}
    interval = {"false_alarms": (float(absent["exact_low"]), float(absent["exact_high"]))}
    name = "the same, its keys hidden"
    if name in table.index:
        shown, seen = table.loc[name], table.loc["needle in a short text"]
        says += (
            f" With its keys hidden from all later tokens the answer's log-probability falls from"
            f" {signed(seen['logprob'], 1)} to {signed(shown['logprob'], 1)} nats."
        )
        values["hidden_loses"] = float(seen["logprob"] - shown["logprob"])
    result.add(Finding("false_alarms", values, says, unit="share of questions", interval=interval))


def add_wordings(result: Result, frame: pd.DataFrame, params: Params) -> None:
    """What matters in short texts, and how much the question's wording does."""
    tokens = int(frame["length"].max())
    _add_matters(result, "wordings", f"In texts of {tokens:,} tokens")
    by = frame.groupby("wording_of_question", sort=False)["correct"].mean()
    spoken = ", ".join(f"{kind} {percent(rate)}" for kind, rate in by.items())
    values = {str(kind).replace(" ", "_"): float(rate) for kind, rate in by.items()}
    says = f"By the question's wording, found: {spoken}."
    result.add(Finding("question", values, says, unit="share of needles"))


def add_passkey(result: Result, frame: pd.DataFrame) -> None:
    """How many passkeys are found."""
    hits = frame["correct"].to_numpy(bool)
    low, high = rate_interval(hits, np.arange(len(hits)) // 2)
    cells = result.tables["passkey"].sort_values("rate")
    worst = cells.iloc[0]
    says = (
        f"{percent(hits.mean())} of {counted(len(frame), 'question')} about a passkey are answered"
        f" right (95 %: {percent(low)} to {percent(high)}), {percent(frame['exact'].mean())} by"
        " greedy decoding"
    )
    if worst["rate"] < cells.iloc[-1]["rate"]:
        says += (
            f"; worst at {place(worst['depth'])} of {int(worst['length']):,} tokens"
            f" ({percent(worst['rate'])})"
        )
    says += "."
    result.add(
        Finding(
            "passkey",
            {"rate": float(hits.mean()), "exact": float(frame["exact"].mean())},
            says,
            unit="share of questions",
            interval={"rate": (low, high)},
        )
    )


def add_tasks(result: Result) -> None:
    """One finding for each further task."""
    for part, rows in result.tables["tasks"].groupby("part", sort=False):
        spoken = [
            f"{task_name(row)} {percent(row.rate)} (95 %: {percent(row.low)} to"
            f" {percent(row.high)}; a guess {percent(row.guess)})"
            for row in rows.itertuples()
        ]
        says = f"Part {part}, right answers: {'; '.join(spoken)}."
        if part == "order":
            said = float(np.average(rows["first"], weights=rows["n"]))
            says += f" It says A {percent(said)} of the time."
        if part == "missing":
            said = float(np.average(rows["intrusions"], weights=rows["n"]))
            says += f" A number that is in the list is said {percent(said)} of the time."
        values = {task_name(row).replace(" ", "_"): float(row.rate) for row in rows.itertuples()}
        result.add(Finding(f"task_{part}", values, says, unit="share of questions"))


def task_name(row: Any) -> str:
    """What a row of the further tasks is called: what it alone does not share with its task."""
    plain = {"left", "pair", "key", "value", "standing rule"}
    kind = "" if row.kind in plain else f", {row.kind}"
    return f"{row.task}, {row.condition}{kind}"


def add_own(result: Result) -> None:
    """What of the user's own questions is answered."""
    table = result.tables["own"]
    absent, several = int((table["stands"] == 0).sum()), int((table["stands"] > 1).sum())
    cut = int((table["cut"] > 0).sum())
    closed = int((table["candidates"] > 1).sum())
    says = (
        f"Greedy decoding gives {int(table['exact'].sum())} of {counted(len(table), 'answer')} of"
        f" your file word for word"
    )
    if closed:
        right = int((table["correct"] & (table["candidates"] > 1)).sum())
        says += f"; {right} of {closed} are the likeliest of their candidates"
    says += "."
    if absent:
        verb, whose = ("does", "its") if absent == 1 else ("do", "their")
        says += f" {counted(absent, 'answer')} {verb} not stand in {whose} context."
    if several:
        verb = "stands" if several == 1 else "stand"
        says += f" {counted(several, 'answer')} {verb} there several times, so that it cannot be"
        says += " told which place is recalled."
    if cut:
        most = int(table["cut"].max())
        says += f" The beginnings of the contexts of {counted(cut, 'question')} were cut off, up to"
        says += f" {most:,} tokens: they are longer than the model's window."
    values = {"exact": float(table["exact"].mean()), "correct": float(table["correct"].mean())}
    result.add(Finding("own", values, says, unit="share of questions"))
