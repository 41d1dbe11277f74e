"""What an extraction run looks like: the texts first, charts around them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.extraction import schema
from analyses.weights.extraction.text_view import greedy, strip, verdict
from workbench import views as v
from workbench.draw import colour
from workbench.draw.passage import times_read

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_CARDS = 12
_EXTRACTED = {"exact": colour.MEMORY, "sampled": colour.FUNCTION}
_TIMING = {
    "read early": colour.CONTEXT,
    "read late": colour.MEMORY,
    "read spread": colour.FUNCTION,
}
_DATA = "The data behind this picture"
_WINDOWS = [
    *("window", "name", "kind", "repeats", "timing", "prefix_match", "exact", "queries_needed"),
    *("loss", "memorization_score", "edit_distance", "suffix", "generated"),
]
_MODELS = {
    "both": ("both models", colour.FUNCTION),
    "only_this_model": ("this model only", colour.MEMORY),
    "only_reference": ("reference only", colour.CONTEXT),
}
# Bars of the share of windows, and curves of leading tokens and losses.
_shares = partial(v.chart, "rate_bars", of="windows")
_curves = partial(v.chart, "curves")
_checkpoints = partial(_curves, xlabel="training step")


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


def _texts(run: Result) -> pd.DataFrame | None:
    """Rates of the texts, the highest first, where it is not known how often they were read."""
    rates = run.tables["rates"]
    return None if "repeats" in rates else rates.sort_values("exact", ascending=False).head(20)


def _repeats(run: Result) -> pd.DataFrame | None:
    """Rates by how often a text was read, over all kinds and for each."""
    rates = run.tables["rates"]
    if "repeats" not in rates:
        return None
    return rates.assign(read=[times_read(n) for n in rates["repeats"]])


def _all_kinds(run: Result) -> pd.DataFrame | None:
    rates = _repeats(run)
    return None if rates is None else rates[rates["kind"] == "all"]


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


def _single(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of single groups; of all together where there are no others."""
    single = table[table[column] != "all"]
    return table if single.empty else single


def _membership(run: Result) -> pd.DataFrame:
    each = run.tables["membership"].query("repeats != 'all'")
    return each.assign(repeats=each["repeats"].astype(int))


def _overlap(run: Result) -> pd.DataFrame:
    table = run.tables["overlap"]
    return table.assign(**{word: table[count] / table["n"] for count, (word, _) in _MODELS.items()})


def _steps(run: Result) -> pd.DataFrame:
    """Along training, by how often a text is read in all."""
    table = run.tables["checkpoints"]
    rows = _single(table[table["timing"] == "all"], "repeats")
    return rows.assign(read=[n if n == "all" else f"{n}×" for n in rows["repeats"]])


def _timing(run: Result) -> pd.DataFrame | None:
    """Along training, the texts that are read most often, by when; None where that is one time."""
    table = run.tables["checkpoints"]
    counts = table.loc[table["repeats"] != "all", "repeats"].astype(int)
    timed = table[(table["repeats"] == str(counts.max())) & (table["timing"] != "all")]
    return timed.assign(when="read " + timed["timing"]) if timed["timing"].nunique() > 1 else None


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
        v.says(schema.VERDICTS, small=True),
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
        _shares(_texts, names="name", words=_EXTRACTED, title="Windows extracted, by text (%)"),
        _shares(
            _all_kinds, names="read", words=_EXTRACTED,
            title="Windows extracted, by how often the text was read (%)",
        ),
        _curves(
            _repeats, "repeats", "prefix_match", "kind", scale="doublings", height=320,
            title="Leading tokens said, by how often the text was read",
            xlabel="times read", ylabel="tokens",
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
    v.View("Context", needs="context", otherwise="one length of context was asked for", parts=[
        v.finding("context"),
        _curves(
            lambda run: _single(run.tables["context"], "group"), "context_length", "prefix_match",
            "group", title="Leading tokens said, by how much text is given",
            xlabel="tokens of context", ylabel="tokens",
        ),
        v.table("context", _DATA),
    ]),
    v.View("Membership", needs="membership", otherwise=_unknown, parts=[
        v.finding("membership"),
        _curves(
            _membership, "repeats", "auc", "score", scale="doublings", level={"chance": 0.5},
            ylim=(0.3, 1.03), xlabel="times read", ylabel="AUC",
            title="How well each score tells texts that were read from those that never were (AUC)",
        ),
        v.says(schema.MEMBERSHIP, small=True),
        v.table("membership", _DATA),
    ]),
    v.View("Two models", needs="overlap", otherwise="no reference model was given", parts=[
        v.finding("overlap"),
        _shares(
            _overlap, names="group", words=dict(_MODELS.values()),
            title="Suffixes said by greedy decoding, of all windows (%)",
        ),
        v.table("overlap", _DATA),
    ]),
    v.View("Compression", needs="compression", otherwise="no strings were given", parts=[
        v.finding("compression"),
        v.chart(
            "meters", lambda run: run.tables["compression"].assign(
                name=run.tables["compression"]["string"].astype(str).str[:40]),
            "name", "compression_ratio", said="{:.2f}".format,
            title="Tokens of the string per token of its prompt; above 1 it counts as memorized",
        ),
        v.table("compression", "The prompts"),
    ]),
    v.View("Training", needs="checkpoints", parts=[
        v.finding("training"),
        _checkpoints(
            _steps, "step", "prefix_match", "read", ylabel="tokens",
            title="Leading tokens said along training, by how often the text is read in all",
        ),
        _checkpoints(
            _steps, "step", "loss", "read", ylabel="nats per token",
            title="Loss on the suffixes along training (nats per token)",
        ),
        _checkpoints(
            _timing, "step", "prefix_match", "when", per="repeats", ylabel="tokens", hues=_TIMING,
            title="Texts read {}×: when they were read decides what stays (leading tokens said)",
        ),
        v.table("checkpoints", _DATA),
    ], otherwise="the steps of training were not read (an option)"),
]  # fmt: skip
