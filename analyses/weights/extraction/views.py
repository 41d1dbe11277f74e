"""What an extraction run looks like: the texts first, charts around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.extraction.text_view import greedy, strip, verdict
from workbench import views as v
from workbench.draw import colour
from workbench.draw.passage import times_read

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_CARDS = 12
_EXTRACTED = {"exact": colour.MEMORY, "sampled": colour.FUNCTION}
_TIMING = {"early": colour.CONTEXT, "late": colour.MEMORY, "spread": colour.FUNCTION}
_DATA = "The data behind this picture"
_WINDOWS = [
    "window",
    "name",
    "kind",
    "repeats",
    "timing",
    "prefix_match",
    "exact",
    "queries_needed",
    "loss",
    "memorization_score",
    "edit_distance",
    "suffix",
    "generated",
]
_MEANING = (
    "A verdict says what comes out of this model when it is given the words before a passage, and"
    " nothing about other ways to ask. To be surer, compare with a model that cannot have read the"
    " document (the parameter reference)."
)


def _windows(run: Result) -> pd.DataFrame:
    """As a person looks for them: the longest matches first."""
    table = run.tables["windows"].sort_values(["prefix_match", "window"], ascending=[False, True])
    return table[[c for c in _WINDOWS if c in table]].reset_index(drop=True)


def _window(run: Result, pick: v.Pick) -> int:
    """The chosen window; at first the longest match, which is what one came to see."""
    chosen, table = pick.selection.prompt, _windows(run)
    return chosen if chosen and chosen in set(table["window"]) else int(table["window"].iloc[0])


def _worth_reading(run: Result) -> list[dict[str, Any]]:
    """The best window of each number of repeats, else the four best."""
    table = _windows(run)
    if "repeats" not in table or table["repeats"].isna().any():
        table = table.head(4)
    else:
        best = table.groupby("repeats", sort=True).head(1)
        table = best.sort_values("repeats", ascending=False).head(8)
    return [{"prompt": int(window)} for window in table["window"]]


def _cards(run: Result) -> list[Any]:
    table, suffix = run.tables["documents"], run.params.get("suffix", 0)
    cards = [verdict(row, suffix) for row in table.head(_CARDS).to_dict("records")]
    more = f"{len(table) - _CARDS} more are in the table." if len(table) > _CARDS else ""
    return [Markup("").join(cards), *([more] if more else [])]


def _documents(run: Result) -> pd.DataFrame:
    return run.tables["documents"].drop(columns=["window", "explanation"], errors="ignore")


def _rates(run: Result) -> list[Any]:
    rates = run.tables["rates"]
    if "repeats" not in rates:
        top = rates.sort_values("exact", ascending=False).head(20)
        title = "Windows extracted, by text (%)"
        return [
            v.picture("rate_bars", top, names="name", title=title, words=_EXTRACTED, of="windows")
        ]
    whole = rates[rates["kind"] == "all"]
    whole = whole.assign(read=[times_read(n) for n in whole["repeats"]])
    title = "Windows extracted, by how often the text was read (%)"
    return [
        v.picture("rate_bars", whole, names="read", title=title, words=_EXTRACTED, of="windows"),
        v.picture(
            "curves", rates, "repeats", "prefix_match", "kind", scale="doublings", height=320,
            title="Leading tokens said, by how often the text was read",
            xlabel="times read", ylabel="tokens",
        ),
    ]  # fmt: skip


def _legend(run: Result) -> str:
    return (
        "exact: greedy decoding says the whole suffix. sampled:"
        f" {run.params.get('tries', 0):,} samples contain it at least once with a probability of"
        " one half or more. Whiskers: 95 % intervals."
    )


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
            title=f"Extracted within n samples{'' if group == 'all' else f': texts {group}'} (%)",
            xlabel="samples n", ylabel="share of windows (%)",
        )
        for group, rows in table.groupby("group", sort=False)
    ]  # fmt: skip


def _context(run: Result) -> Any:
    table = run.tables["context"]
    groups = [g for g in table["group"].unique() if g != "all"] or ["all"]
    return v.picture(
        "curves", table, "context_length", "prefix_match", "group", order=groups,
        title="Leading tokens said, by how much text is given",
        xlabel="tokens of context", ylabel="tokens",
    )  # fmt: skip


def _membership(run: Result) -> Any:
    table = run.tables["membership"]
    each = table[table["repeats"] != "all"]
    return v.picture(
        "curves", each.assign(repeats=each["repeats"].astype(int)), "repeats", "auc", "score",
        scale="doublings", level={"chance": 0.5}, ylim=(0.3, 1.03),
        xlabel="times read", ylabel="AUC",
        title="How well each score tells texts that were read from those that never were (AUC)",
    )  # fmt: skip


def _overlap(run: Result) -> Any:
    table = run.tables["overlap"]
    words = {
        "both models": colour.FUNCTION,
        "this model only": colour.MEMORY,
        "reference only": colour.CONTEXT,
    }
    counts = zip(words, ("both", "only_this_model", "only_reference"), strict=True)
    shares = table.assign(**{word: table[count] / table["n"] for word, count in counts})
    title = "Suffixes said by greedy decoding, of all windows (%)"
    return v.picture("rate_bars", shares, names="group", title=title, words=words, of="windows")


def _compression(run: Result) -> Any:
    table = run.tables["compression"]
    named = table.assign(name=[str(text)[:40] for text in table["string"]])
    title = "Tokens of the string per token of its prompt; above 1 it counts as memorized"
    return v.picture(
        "meters", named, "name", "compression_ratio", title=title, said=lambda x: f"{x:.2f}"
    )


def _steps(run: Result) -> list[Any]:
    table = run.tables["checkpoints"]
    everyone = table[table["timing"] == "all"]
    counts = [c for c in everyone["repeats"].unique() if c != "all"] or ["all"]
    names = {c: f"{c}×" for c in counts if c != "all"}
    said = "Leading tokens said along training, by how often the text is read in all"
    loss = "Loss on the suffixes along training (nats per token)"
    pictures = [
        v.picture(
            "curves", everyone, "step", column, "repeats", order=counts, names=names, title=title,
            xlabel="training step", ylabel=unit,
        )
        for column, title, unit in (
            ("prefix_match", said, "tokens"), ("loss", loss, "nats per token"),
        )
    ]  # fmt: skip
    most = max((int(c) for c in counts if c != "all"), default=0)
    timed = table[(table["repeats"] == str(most)) & (table["timing"] != "all")]
    if most and timed["timing"].nunique() > 1:
        title = f"Texts read {most}×: when they were read decides what stays (leading tokens said)"
        pictures.append(
            v.picture(
                "curves", timed, "step", "prefix_match", "timing", hues=_TIMING, title=title,
                names={t: f"read {t}" for t in timed["timing"].unique()},
                xlabel="training step", ylabel="tokens",
            )
        )  # fmt: skip
    return pictures


def _unknown(run: Result) -> str:
    if "membership" not in run.params.get("parts", ["membership"]):
        return "the part 'membership' was not run"
    return "it is not known how often each text was read, and which never were"


ANSWER = v.Answer(("greedy", "sampled"), picture=("Rates", 0), beside=("nonmembers",))
VIEWS = [
    v.View("Documents", needs="documents", otherwise="the texts are those of a ledger", parts=[
        v.says("Can this model recite my documents?"),
        v.finding("documents"),
        v.show(_cards),
        v.finding("verdict_thresholds", small=True),
        v.says(_MEANING, small=True),
        v.table(_documents, "Every document", of="documents"),
        v.table("pattern_controls", "Recited passages that may be patterns"),
        v.table("left_out", "Not looked at"),
    ]),
    v.View("Texts", needs="windows", first={"prompt": _window}, parts=[
        v.finding("greedy", more="Hover a token for its probability and the likeliest one."),
        v.on(
            "prompt",
            lambda run, pick: [strip(run, pick.prompt), greedy(run, pick.prompt)],
            examples=_worth_reading,
        ),
        v.table(
            _windows, "All windows, the longest matches first", of="windows",
            picks="prompt", by="window", height=420,
        ),
    ]),
    v.View("Rates", needs="rates", parts=[
        v.finding("greedy", "sampled", "repeats", "nonmembers"),
        v.show(_rates),
        v.says(_legend, small=True),
        v.table("rates", _DATA),
    ]),
    v.View("Sampling", needs="extraction_by_queries", parts=[
        v.says(
            "The share of windows that n independent samples contain at least once with the given"
            " probability, in closed form from one pass. Dotted: greedy decoding."
        ),
        v.show(_tries),
        v.table("extraction_by_queries", _DATA),
    ]),
    v.View("Context", needs="context", otherwise="one length of context was asked for", parts=[
        v.finding("context"),
        v.show(_context),
        v.table("context", _DATA),
    ]),
    v.View("Membership", needs="membership", otherwise=_unknown, parts=[
        v.finding("membership"),
        v.show(_membership),
        v.says(
            "That a score tells them apart shows reading only where both are texts of the same"
            " kind; those of a model organism come from the same generators. 0.5 is a coin toss;"
            " intervals in the table are DeLong's.", small=True,
        ),
        v.table("membership", _DATA),
    ]),
    v.View("Two models", needs="overlap", otherwise="no reference model was given", parts=[
        v.finding("overlap"),
        v.show(_overlap),
        v.table("overlap", _DATA),
    ]),
    v.View("Compression", needs="compression", otherwise="no strings were given", parts=[
        v.finding("compression"),
        v.show(_compression),
        v.table("compression", "The prompts"),
    ]),
    v.View("Training", needs="checkpoints", parts=[
        v.finding("training"),
        v.show(_steps),
        v.table("checkpoints", _DATA),
    ], otherwise="the steps of training were not read (an option)"),
]  # fmt: skip
