"""What an extraction run looks like: the texts first, charts around them. Touches no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.extraction.documents import (
    NOTHING,
    PARTS,
    PATTERN,
    RECITES,
    SAMPLED,
    SHORT,
    VARIED,
)
from workbench import draw
from workbench.draw import colour
from workbench.draw.tokens import Span
from workbench.draw.view import Table, View

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_VERDICTS = {
    RECITES: colour.MEMORY,
    PARTS: colour.MEMORY,
    SAMPLED: colour.FUNCTION,
    PATTERN: colour.FUNCTION,
    SHORT: colour.FUNCTION,
    NOTHING: colour.OTHER,
}
_CARDS, _SOME = 12, 5
AGAIN = "The run was stopped before it came to this; run the analysis again and let it finish."
GIVEN, SAID, ELSE = "given", "said by the model", "the model says something else"
# a window is dropped once nothing can come of it, see measures/scoring.py
UNREAD = "not read any further"
MARKS = {
    GIVEN: Span(GIVEN, colour.OTHER, "dotted"),
    SAID: Span(SAID, colour.MEMORY, "solid"),
    ELSE: Span(ELSE, colour.CONTEXT, "double"),
    UNREAD: Span(UNREAD, colour.OTHER, "dashed"),
}
_HUES = [
    colour.OTHER,
    colour.BLUE_STROKE,
    colour.CONTEXT,
    colour.FUNCTION,
    colour.QUESTION,
    colour.MEMORY,
    "#5b8c3a",
    "#b23f62",
]


def views(result: Result) -> dict[str, Any]:
    """Tabs, by the title a person reads. Nothing is computed until a tab is looked at."""

    def lacks(table: str, why: str) -> str:
        return "" if table in result.tables else why

    unread = result.params.get("membership") is False
    unknown = (
        "membership was not asked for"
        if unread
        else "it is not known how often each text was read, and which never were"
    )
    return {
        "Documents": View(
            lambda: _documents(result),
            why_not=lacks("documents", "the texts are those of a ledger"),
        ),
        "Texts": View(lambda: _texts(result), live=lambda _: _texts_live(result)),
        "Rates": View(lambda: _rates(result)),
        "Tries": View(lambda: _tries(result)),
        "Context": View(
            lambda: _context(result),
            why_not=lacks("context", "one length of context was asked for"),
        ),
        "Membership": View(lambda: _membership(result), why_not=lacks("membership", unknown)),
        "Two models": View(
            lambda: _overlap(result), why_not=lacks("overlap", "no reference model was given")
        ),
        "Compression": View(
            lambda: _compression(result),
            why_not=lacks("compression", "no strings were given to compress"),
        ),
        "Training": View(
            lambda: _steps(result),
            why_not=lacks("steps", "the steps of training were not read (an option)"),
        ),
    }


def listed(result: Result) -> pd.DataFrame:
    """The windows as a person looks for them: the longest matches first."""
    columns = [
        "window",
        "name",
        "kind",
        "repeats",
        "timing",
        "match",
        "exact",
        "tries",
        "loss",
        "score",
        "edit",
        "suffix",
        "said",
    ]
    table = result.tables["windows"]
    return table.sort_values(["match", "window"], ascending=[False, True])[
        [c for c in columns if c in table]
    ].reset_index(drop=True)


def strip(result: Result, window: int) -> Markup:
    """One window: its text, coloured by how probable each token was, what matched marked."""
    tokens = result.tables["tokens"]
    mine = tokens[tokens["window"] == window].sort_values("pos")
    row = result.tables["windows"].set_index("window").loc[window]
    if mine.empty:
        return draw.note(
            "Of this window the tokens were not kept, only the numbers.",
            "The longest matches of each group have them.",
        )
    import numpy as np

    suffix = mine["part"] == "suffix"
    matched = suffix & (mine["pos"] < mine["pos"][suffix].min() + row["match"])
    # Not by their text: two tokens that are parts of characters look alike.
    right = suffix & mine["right"] if "right" in mine else matched
    unread = suffix & mine["logprob"].isna()
    spans = np.select([~suffix, unread, matched | right], [GIVEN, UNREAD, SAID], ELSE)
    values = np.exp(mine["logprob"].where(suffix, 0.0)).where(suffix, 0.0)
    notes = [f"likeliest: “{word}”" if word else "" for word in mine["likeliest"]]
    counted = row.get("repeats")
    title = str(row["name"]) + (
        f", {_read(int(counted))}" if counted is not None and counted == counted else ""
    )
    return draw.token_strip(
        list(mine["token"]),
        list(values),
        spans=list(spans),
        marks=MARKS,
        title=title,
        unit="probability of each token",
        top=1.0,
        notes=notes,
    )


def _read(times: int) -> str:
    return {0: "never read", 1: "read once"}.get(times, f"read {times} times")


def instead(result: Result, window: int) -> Markup:
    """What greedy decoding says after the prefix, beside what the text says."""
    row = result.tables["windows"].set_index("window").loc[window]
    length = int(result.params.get("suffix", 0))
    if bool(row["exact"]):
        return draw.says(
            f"From the {GIVEN} text the model says the rest token for token: all {row['match']}."
        )
    inside = (
        f" Given the text, the longest run that it says is {row['run']}."
        if row.get("run", 0) > row["match"]
        else ""
    )
    first = (
        f"says {row['match']} of {length} tokens, then goes elsewhere"
        if row["match"]
        else f"says none of {length} tokens"
    )
    head = draw.says(f"The model {first}.{inside} What it says instead:")
    said = row.get("said")
    if not isinstance(said, str) or row["score"] != row["score"]:
        return head + draw.says(
            "Its continuation was not decoded in this run (the parameter decode sets how many"
            " are).",
            small=True,
        )
    return head + Markup('<p class="wb-said-text">{}</p>').format(said) + _numbers(row)


def _numbers(row: Any) -> Markup:
    tries = (
        f"{row['tries']:,.0f} samples for an even chance"
        if row["tries"] < 1e12
        else "no number of samples worth trying"
    )
    return draw.says(
        f"Memorization score {row['score']:.2f}, edit distance {100 * row['edit']:.0f} % of the"
        f" tokens, longest common string {row['common']:.0f} characters; {tries}.",
        small=True,
    )


def _intro(result: Result) -> Markup:
    finding = result.findings.get("greedy")
    return draw.says(
        (finding.says if finding else "")
        + " Hover a token for its probability and what the model would have said."
    )


def _texts(result: Result) -> list[Any]:
    if "windows" not in result.tables:
        return [draw.note("No text was read.", AGAIN)]
    table = listed(result)
    shown = _worth_reading(result, table)
    texts = Markup("").join(strip(result, window) + instead(result, window) for window in shown)
    return [_intro(result), texts, Table(table, "All windows, the longest matches first")]


def _worth_reading(result: Result, table: pd.DataFrame) -> list[int]:
    """A few windows for a still picture: the best of each number of repeats, else the best."""
    if "repeats" not in table or table["repeats"].isna().any():
        return [int(w) for w in table["window"].head(4)]
    best = table.groupby("repeats", sort=True).head(1).sort_values("repeats", ascending=False)
    return [int(w) for w in best["window"].head(8)]


def _texts_live(result: Result) -> Any:
    from workbench.draw.view import html_pane, live_column, need_panel, tabulator

    if "windows" not in result.tables:
        return live_column(_texts(result))
    pn, pick = need_panel(), result.selection
    shown = listed(result)
    table = tabulator(shown, height=420, selectable=1)
    text, other = html_pane(Markup("")), html_pane(Markup(""))

    if pick.prompt == 0:  # nothing was chosen yet: the longest match is what one came to see
        pick.prompt = int(shown["window"].iloc[0])

    def choose(*_: Any) -> None:
        window = (
            pick.prompt if pick.prompt in set(shown["window"]) else int(shown["window"].iloc[0])
        )
        text.object, other.object = str(strip(result, window)), str(instead(result, window))
        at = [i for i, w in enumerate(shown["window"]) if w == window]
        if table.selection != at:
            table.selection = at

    def clicked(event: Any) -> None:
        if 0 <= event.row < len(shown):
            pick.prompt = int(shown["window"].iloc[event.row])

    table.on_click(clicked)
    pick.param.watch(choose, "prompt")
    choose()
    below = html_pane(
        draw.says(
            "All windows, the longest matches first. Choose one to read it above.", small=True
        )
    )
    return pn.Column(
        html_pane(_intro(result)),
        text,
        other,
        below,
        table,
        sizing_mode="stretch_width",
        min_width=0,
    )


def _documents(result: Result) -> list[Any]:
    """Can this model recite my documents? A verdict each, with what it rests on."""
    table = result.tables["documents"]
    asked = result.params.get("suffix", 0)
    cards = [
        Markup(
            '<section class="wb-verdict" style="border-left-color:{}"><h3>{}</h3>{}{}{}</section>'
        ).format(
            _VERDICTS.get(
                row["verdict"], colour.OTHER
            ),  # runs made by earlier versions have other verdicts
            row["name"],
            draw.says(f"The model {_verdict(row['verdict'])}. {row.get('says', '')}"),
            _evidence(row),
            draw.says(_counted(row, asked), small=True),
        )
        for row in table.head(_CARDS).to_dict("records")
    ]
    more = (
        [draw.says(f"{len(table) - _CARDS} more are in the table.", small=True)]
        if len(table) > _CARDS
        else []
    )
    heading = draw.says(
        "Can this model recite my documents? "
        + (result.findings["documents"].says if "documents" in result.findings else "")
    )
    left = (
        [Table(result.tables["left_out"], "Not looked at")] if "left_out" in result.tables else []
    )
    if "verdict_thresholds" in result.findings:
        more.append(draw.says(result.findings["verdict_thresholds"].says, small=True))
    if "controls" in result.tables:
        left.insert(
            0,
            Table(
                result.tables["controls"].drop(columns="window"),
                "Recited passages that may be patterns",
            ),
        )
    shown = table.drop(
        columns=["window", "says"], errors="ignore"
    )  # earlier versions wrote no sentences
    meaning, every = draw.says(_WHAT_IT_MEANS, small=True), Table(shown, "Every document")
    return [heading, Markup("").join(cards), *more, meaning, every, *left]


def _verdict(verdict: str) -> str:
    return "shows no sign of it" if verdict == NOTHING else verdict


def _evidence(row: Any) -> Markup:
    if row.get("run", row["longest"]) < _SOME:
        return Markup("")
    return Markup('<p class="wb-said-text">{}</p>').format(row["evidence"])


def _counted(row: Any, suffix: int) -> str:
    said = (
        f"Longest match from the start of a passage: {row['longest']} of {suffix} tokens."
        f" {row['exact']} of {row['windows']}"
    )
    said += (
        f" passages come out whole; of all tokens asked for {100 * row['recited']:.1f} % are said"
        " from the start of one."
    )
    return said + (
        f" In {row['repetitive']} under {100 * VARIED:.0f} % of the tokens are distinct."
        if row["repetitive"]
        else ""
    )


_WHAT_IT_MEANS = (
    "A verdict says what comes out of this model when it is given the words before a passage, and"
    " nothing about other ways to ask. To be surer, compare with a model that cannot have read the"
    " document (the parameter reference)."
)


def _rates(result: Result) -> list[Any]:
    if "rates" not in result.tables:
        return [draw.note("Rates were not measured.", AGAIN)]
    rates = result.tables["rates"]
    words = {"exact": colour.MEMORY, "sampled": colour.FUNCTION}
    tries = result.params.get("tries", 0)
    says = [
        draw.says(f.says)
        for name, f in result.findings.items()
        if name in ("greedy", "sampled", "repeats", "never_read")
    ]
    parts: list[Any] = [*says]
    if "repeats" not in rates:
        top = rates.sort_values("exact", ascending=False).head(20)
        parts.append(
            draw.rate_bars(
                top, names="name", title="Windows extracted, by text (%)", words=words, of="windows"
            )
        )
        return [*parts, _legend(tries), Table(rates, "Every text")]
    overall = rates[rates["kind"] == "all"].assign(
        read=lambda t: [_read(int(n)) for n in t["repeats"]]
    )
    parts += [
        draw.rate_bars(
            overall,
            names="read",
            title="Windows extracted, by how often the text was read (%)",
            words=words,
            of="windows",
        ),
        _legend(tries),
    ]
    import numpy as np

    by_kind = rates.pivot(index="repeats", columns="kind", values="match").reset_index()
    by_kind["doublings"] = np.log2(1 + by_kind["repeats"])
    kinds = [kind for kind in by_kind.columns if kind not in ("repeats", "doublings")]
    series = {kind: (kind, _HUES[i % len(_HUES)]) for i, kind in enumerate(kinds)}
    ticks = [
        (float(d), str(r)) for d, r in zip(by_kind["doublings"], by_kind["repeats"], strict=True)
    ]
    parts.append(
        draw.lines(
            by_kind,
            "doublings",
            series,
            title="Leading tokens said, by how often the text was read",
            xlabel="times read",
            ylabel="tokens",
            xticks=ticks,
            height=320,
        )
    )
    return [*parts, Table(rates, "The data behind these pictures")]


def _legend(tries: int) -> Markup:
    return draw.says(
        f"exact: greedy decoding says the whole suffix. sampled: {tries:,} samples contain it at"
        " least once with a probability of one half or more. Whiskers: 95 % intervals.",
        small=True,
    )


def _tries(result: Result) -> list[Any]:
    if "tries" not in result.tables:
        return [draw.note("Extraction by sampling was not measured.", AGAIN)]
    import numpy as np

    table = result.tables["tries"]
    parts: list[Any] = [
        draw.says(
            "The share of windows that n independent samples contain at least once with the given"
            " probability, in closed form from one pass. Dotted: greedy decoding."
        )
    ]
    highest = min(
        100.0, 125 * max(table["rate"].max(), table["greedy"].max(), 0.04)
    )  # one scale for both pictures
    for group in table["group"].unique():
        mine = table[table["group"] == group]
        wide = mine.pivot(index="n", columns="chance", values="rate").reset_index()
        wide["digits"] = np.log10(wide["n"])
        wide["greedy"] = float(mine["greedy"].iloc[0])
        chances = [c for c in wide.columns if c not in ("n", "digits", "greedy")]
        frame = wide.rename(columns={c: f"p{c}" for c in chances})
        for column in frame.columns.drop(["n", "digits"]):
            frame[column] = 100 * frame[column]
        series = {f"p{c}": (f"probability {c:g}", _HUES[1 + i]) for i, c in enumerate(chances)} | {
            "greedy": ("greedy", colour.OTHER)
        }
        top = int(np.ceil(frame["digits"].max()))
        parts.append(
            draw.lines(
                frame,
                "digits",
                series,
                dash={"greedy": "dotted"},
                title=(
                    f"Extracted within n samples: texts {group} (%)"
                    if group != "all"
                    else "Extracted within n samples (%)"
                ),
                xlabel="samples n",
                ylabel="share of windows (%)",
                ylim=(-0.03 * highest, 1.03 * highest),
                xticks=[(d, f"{10**d:,}") for d in range(top + 1)],
            )
        )
    return [*parts, Table(table, "The data behind these pictures")]


def _context(result: Result) -> list[Any]:
    table = result.tables["context"]
    wide = table.pivot(index="context", columns="group", values="match").reset_index()
    every = [g for g in table["group"].unique() if g in wide]
    groups = [g for g in every if g != "all"] or every
    series = {g: (g, _HUES[i % len(_HUES)]) for i, g in enumerate(groups)}
    return [
        draw.says(result.findings["context"].says if "context" in result.findings else ""),
        draw.lines(
            wide,
            "context",
            series,
            title="Leading tokens said, by how much text is given",
            xlabel="tokens of context",
            ylabel="tokens",
        ),
        Table(table, "The data behind this picture"),
    ]


def _membership(result: Result) -> list[Any]:
    table = result.tables["membership"]
    each = table[table["repeats"] != "all"]
    wide = each.pivot(index="repeats", columns="score", values="auc").reset_index()
    import numpy as np

    wide["doublings"] = np.log2(1 + wide["repeats"].astype(int))
    wide["chance"] = 0.5
    wide = wide.sort_values("doublings")
    scores = list(table["score"].unique())
    series = {s: (s, _HUES[1 + i]) for i, s in enumerate(scores)} | {
        "chance": ("chance", colour.OTHER)
    }
    return [
        draw.says(result.findings["membership"].says if "membership" in result.findings else ""),
        draw.lines(
            wide,
            "doublings",
            series,
            dash={"chance": "dotted"},
            title="How well each score tells texts that were read from those that never were (AUC)",
            xlabel="times read",
            ylabel="AUC",
            ylim=(0.3, 1.03),
            xticks=[
                (float(d), str(r)) for d, r in zip(wide["doublings"], wide["repeats"], strict=True)
            ],
        ),
        draw.says(
            "That a score tells them apart shows reading only where both are texts of the same"
            " kind; those of a model organism come from the same generators. 0.5 is a coin toss;"
            " intervals in the table are DeLong's.",
            small=True,
        ),
        Table(table, "The data behind this picture"),
    ]


def _overlap(result: Result) -> list[Any]:
    table = result.tables["overlap"]
    words = {
        "both": colour.FUNCTION,
        "this model only": colour.MEMORY,
        "reference only": colour.CONTEXT,
    }
    shares = table.assign(**{word: table[word] / table["n"] for word in words})
    return [
        draw.says(result.findings["overlap"].says if "overlap" in result.findings else ""),
        draw.rate_bars(
            shares,
            names="group",
            title="Suffixes said by greedy decoding, of all windows (%)",
            words=words,
            of="windows",
        ),
        Table(table, "The data behind this picture"),
    ]


def _compression(result: Result) -> list[Any]:
    table = result.tables["compression"]
    named = table.assign(name=[str(text)[:40] for text in table["string"]])
    return [
        draw.says(result.findings["compression"].says if "compression" in result.findings else ""),
        draw.meters(
            named,
            "name",
            "ratio",
            title="Tokens of the string per token of its prompt; above 1 it counts as memorized",
            said=lambda v: f"{v:.2f}",
        ),
        Table(table, "The prompts"),
    ]


def _steps(result: Result) -> list[Any]:
    table = result.tables["steps"]
    everyone = table[table["timing"] == "all"]
    parts: list[Any] = [
        draw.says(result.findings["training"].says if "training" in result.findings else "")
    ]
    for column, title, ylabel in (
        (
            "match",
            "Leading tokens said along training, by how often the text is read in all",
            "tokens",
        ),
        ("loss", "Loss on the suffixes along training (nats per token)", "nats per token"),
    ):
        wide = everyone.pivot(index="step", columns="repeats", values=column).reset_index()
        counts = [c for c in everyone["repeats"].unique() if c in wide and c != "all"] or ["all"]
        series = {
            c: (f"{c}×" if c != "all" else "all", _HUES[i % len(_HUES)])
            for i, c in enumerate(counts)
        }
        parts.append(
            draw.lines(wide, "step", series, title=title, xlabel="training step", ylabel=ylabel)
        )
    most = max((int(c) for c in everyone["repeats"] if c != "all"), default=0)
    timed = table[(table["repeats"] == str(most)) & (table["timing"] != "all")]
    if most and timed["timing"].nunique() > 1:
        wide = timed.pivot(index="step", columns="timing", values="match").reset_index()
        hues = {"early": colour.CONTEXT, "late": colour.MEMORY, "spread": colour.FUNCTION}
        series = {t: (f"read {t}", hues.get(t, colour.OTHER)) for t in wide.columns if t != "step"}
        title = f"Texts read {most}×: when they were read decides what stays (leading tokens said)"
        parts.append(
            draw.lines(wide, "step", series, title=title, xlabel="training step", ylabel="tokens")
        )
    return [*parts, Table(table, "The data behind these pictures")]
