"""What a function-tokens run looks like: each curve beside its controls, and tokens, features
and prompts to click through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.features.function_tokens import feature_view, prompt_view
from analyses.features.function_tokens.coverage import CURVES
from analyses.features.function_tokens.reactivation import ABLATIONS, STEERINGS
from analyses.features.function_tokens.transitions import GROUPS, MEASURES
from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Row, Table, View

if TYPE_CHECKING:
    from workbench.result import Result

AGAIN = "The run was stopped before it came to this; run the analysis again and let it finish."
HUES = {
    "features": colour.FUNCTION,
    "content": colour.CONTEXT,
    "mixed": colour.BLUE_STROKE,
    "random": colour.OTHER,
    "strong": colour.FUNCTION,
    "equal": colour.FUNCTION,
    "content_equal": colour.CONTEXT,
}
DASHES = {"strong": "dotted", "random": "dashed", "mixed": "dashed"}
GROUP_HUES = {
    "F→F": colour.FUNCTION,
    "F→C": colour.MEMORY,
    "C→F": colour.BLUE_STROKE,
    "C→C": colour.CONTEXT,
}
_PARTS = ((0, 6, "Tokens and features"), (6, 11, "Retrieval"), (11, None, "Losses and training"))
_MANY_TOKENS = 2000  # rows of the table of tokens


def views(result: Result) -> dict[str, Any]:
    """Tabs, by the title a person reads. Nothing is computed until a tab is looked at."""
    no_facts = (
        "no facts were asked about (the parameter facts is 0)"
        if result.params.get("facts") == 0
        else ""
    )
    no_prompts = "no prompts were given" if result.params.get("prompts") == [] else ""
    return {
        "Claims": View(lambda: _claims(result)),
        "Coverage": View(lambda: _coverage(result)),
        "Tokens": View(
            lambda: _tokens(result),
            live=lambda pictures: feature_view.live_tokens(result, pictures, degrees),
        ),
        "Features": View(
            lambda: feature_view.still(result), live=lambda _: feature_view.live(result)
        ),
        "Prompts": View(
            lambda: prompt_view.still(result),
            live=lambda _: prompt_view.live(result),
            why_not=no_prompts,
        ),
        "Retrieval": View(lambda: _retrieval(result), why_not=no_facts),
        "Transitions": View(lambda: _transitions(result)),
    }


def _says(result: Result, *names: str) -> list[Any]:
    return [draw.says(result.findings[name].says) for name in names if name in result.findings]


def _stopped() -> list[Any]:
    return [draw.note("The run did not come to this.", AGAIN)]


def _claims(result: Result) -> list[Any]:
    if "claims" not in result.tables:
        return _stopped()
    about = (
        "Statements of Zhang et al. 2025 and what their reviews asked, each with what this run says"
        " of it on its own model and text. One model on which a statement holds makes no law; one"
        " on which it does not may be smaller, or have other features."
    )
    table = result.tables["claims"]
    notes = [f"{name}: {said}." for name, said in result.provenance.notes.items()]
    return [
        *_says(result, "claims"),
        draw.says(about, small=True),
        *(Table(table[first:last], title) for first, last, title in _PARTS),
        draw.says(" ".join(notes), small=True),
        Table(result.tables["autoencoders"], "The autoencoders whose features are meant"),
    ]


def _coverage(result: Result) -> list[Any]:
    if "coverage" not in result.tables:
        return _stopped()
    table = result.tables["coverage"]
    last = int(result.findings["list"].values["tokens"])
    legend = (
        "Beside the features: edges above 5 % of a feature's largest activation alone; the tokens"
        " of each window in another order, so that which token stood where is lost; directions"
        " drawn at random, each as often active as a feature; and as many tokens of text drawn from"
        " content tokens."
    )
    parts: list[Any] = [*_says(result, "first", "same_number"), draw.says(legend, small=True)]
    for at in dict.fromkeys(table["at"]):
        mine = table[table["at"] == at]
        shown = mine.assign(**{c: 100 * mine[c] for c in CURVES})
        chosen = ["features", "strong", "mixed", "random", "content"]
        parts.append(
            draw.lines(
                shown,
                "n",
                {c: (CURVES[c], HUES[c]) for c in chosen},
                title=(
                    f"{at}: features that the most frequent tokens reach ({last} are function"
                    " tokens)"
                ),
                xlabel="tokens, most frequent first",
                ylabel="of all living features (%)",
                dash=DASHES,
                logx=True,
                ylim=(0, 104),
            )
        )
    parts += _says(result, "equal")
    fair = []
    for at in dict.fromkeys(table["at"]):
        mine = table[(table["at"] == at) & (table["n"] <= last)]
        shown = mine.assign(**{c: 100 * mine[c] for c in CURVES})
        fair.append(
            draw.lines(
                shown,
                "n",
                {c: (CURVES[c], HUES[c]) for c in ("equal", "content_equal")},
                title=f"{at}: in equally many occurrences",
                xlabel="tokens, most frequent first",
                ylabel="of all living features (%)",
            )
        )
    parts += fair
    if "shares" in result.tables:
        parts.append(
            Table(
                _percent(
                    result.tables["shares"],
                    ["share", "features", "content", "equal", "content_equal"],
                ),
                "Other shares of the text that function tokens make up (all in %)",
            )
        )
    if "untrained" in result.tables:
        parts += _says(result, "untrained")
        for at in dict.fromkeys(result.tables["untrained"]["at"]):
            mine = result.tables["untrained"]
            mine = mine[mine["at"] == at]
            series = {
                "features": ("features", colour.FUNCTION),
                "random": ("random directions", colour.OTHER),
                "untrained": ("random directions, untrained twin", colour.MEMORY),
            }
            parts.append(
                draw.lines(
                    mine.assign(**{c: 100 * mine[c] for c in series}),
                    "n",
                    series,
                    title=f"{at}: before training, on less text",
                    xlabel="function tokens, most frequent first",
                    ylabel="of all living directions (%)",
                    ylim=(0, 104),
                )
            )
    return parts


def _percent(table: Any, columns: list[str]) -> Any:
    return table.assign(**{c: 100 * table[c] for c in columns})


def degrees(result: Result, at: str, column: str = "degree") -> Any:
    """Degree of every token type against how often it stands in the text."""
    table = result.tables["tokens"]
    what = {"degree": "features of each token", "equal": "in equal occurrences"}[column]
    name = f"{column} {at}"
    known = table[table[name].notna()]
    return draw.cloud(
        known,
        "occurrences",
        name,
        "token",
        list(known["class"] == "function"),
        title=f"{at}: {what}",
        xlabel="occurrences",
        ylabel="features",
        many="content tokens",
        few="function tokens",
    )


def listed_tokens(result: Result) -> Any:
    """The most frequent types, as a person looks through them."""
    table = result.tables["tokens"].head(_MANY_TOKENS)
    shown = table.drop(columns=["id"]).assign(
        share=100 * table["share"], windows=100 * table["windows"]
    )
    return shown.rename(
        columns={"share": "share of text, %", "windows": "in windows, %", "word": "by grammar"}
    )


def _tokens(result: Result) -> list[Any]:
    if "tokens" not in result.tables:
        return _stopped()
    labels = list(result.tables["autoencoders"]["at"])
    pairs = [Row([degrees(result, at), degrees(result, at, "equal")]) for at in labels]
    shaded = draw.says("Points are function tokens, shaded are content tokens.", small=True)
    return [
        *_says(result, "list", "equal"),
        shaded,
        *pairs,
        Table(listed_tokens(result).head(200), "The most frequent tokens"),
    ]


def _retrieval(result: Result) -> list[Any]:
    parts: list[Any] = []
    if "again" in result.tables:
        parts += _says(result, "again")
        table = result.tables["again"]
        for at in dict.fromkeys(table["at"]):
            mine = (
                table[table["at"] == at]
                .pivot(index="distance", columns="class", values="more")
                .mul(100)
                .reset_index()
            )
            parts.append(
                draw.lines(
                    mine,
                    "distance",
                    {
                        "function": ("at function tokens", colour.FUNCTION),
                        "content": ("at content tokens", colour.CONTEXT),
                    },
                    title=f"{at}: features of a content token that are active again later",
                    xlabel="tokens later",
                    ylabel="of its features, above chance (points)",
                    height=250,
                )
            )
    if "ablation_means" not in result.tables:
        return parts or _stopped()
    parts += _says(result, "ablation")
    parts += _by_condition(
        result, "ablation_means", ABLATIONS, "What the answer loses when features are switched off"
    )
    parts += _says(result, "steering")
    parts += _by_condition(
        result, "steering_means", STEERINGS, "Set to another subject's: how far its answer rises"
    )
    parts += _along(result)
    return parts


def _by_condition(result: Result, name: str, named: dict[str, str], title: str) -> list[Any]:
    """Means over facts under each condition, a chart for each wording that was measured."""
    wordings, table = result.tables["wordings"], result.tables[name]
    parts: list[Any] = []
    for wording, example in zip(wordings["wording"], wordings["example"], strict=True):
        mine = table[table["wording"] == wording]
        if mine.empty:
            continue
        shown = mine.assign(condition=mine["condition"].map(named))
        parts.append(draw.says(f"“{_short(example)}”", small=True))
        parts.append(
            draw.intervals(
                shown, "condition", "at", _by_place(result), title=title, unit="nats of ln p"
            )
        )
    return parts


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else "…" + line[-59:]


def _by_place(result: Result) -> dict[str, str]:
    palette = [
        colour.BLUE_STROKE,
        colour.FUNCTION,
        colour.MEMORY,
        colour.CONTEXT,
        colour.OTHER,
        colour.QUESTION,
    ]
    return {
        at: palette[n % len(palette)] for n, at in enumerate(result.tables["autoencoders"]["at"])
    }


def _along(result: Result) -> list[Any]:
    import pandas as pd

    from analyses.measures.statistics import mean_interval

    table = result.tables["along"]
    parts: list[Any] = []
    for wording in dict.fromkeys(table["wording"]):
        mine = table[table["wording"] == wording]
        if mine["pos"].nunique() < 3:
            continue
        rows = []
        for (at, pos), some in mine.groupby(["at", "pos"], sort=False):
            token = some["token"].mode().iloc[0] if some["token"].nunique() == 1 else "subject"
            mean, (low, high) = mean_interval(some["moved"].to_numpy())
            kind = some["class"].mode().iloc[0]
            rows.append((at, f"{pos}: “{token}” ({kind})", mean, low, high, len(some)))
        frame = pd.DataFrame(rows, columns=["at", "where", "mean", "low", "high", "n"])
        parts.append(
            draw.intervals(
                frame,
                "where",
                "at",
                _by_place(result),
                title=f"Steered at one token after another ({wording})",
                unit="nats",
            )
        )
    return parts


def _transitions(result: Result) -> list[Any]:
    if "transitions" not in result.tables:
        return _stopped()
    table = result.tables["transitions"]
    shown = table.assign(
        mean=table["loss"],
        low=table["loss"] - 1.96 * table["error"],
        high=table["loss"] + 1.96 * table["error"],
    ).assign(measure=table["measure"].map(MEASURES))
    hues = {
        MEASURES["model"]: colour.FUNCTION,
        MEASURES["trigram"]: colour.OTHER,
        MEASURES["unigram"]: colour.BLUE_STROKE,
    }
    parts: list[Any] = [
        *_says(result, "transitions"),
        draw.intervals(
            shown,
            "group",
            "measure",
            hues,
            title="Loss by last and next token (F function, C content)",
            unit="nats",
        ),
    ]
    if "training" in result.tables:
        training = result.tables["training"]
        of_model = training[training["measure"] == "model"].pivot(
            index="step", columns="group", values="loss"
        )
        counted = training[training["measure"] == "trigram"].pivot(
            index="step", columns="group", values="loss"
        )
        both = of_model.join(counted, rsuffix=" by trigrams").interpolate().reset_index()
        series = {g: (g, GROUP_HUES[g]) for g in GROUPS}
        series |= {f"{g} by trigrams": (f"{g}, trigrams", GROUP_HUES[g]) for g in GROUPS}
        parts += _says(result, "training")
        parts.append(
            draw.lines(
                both,
                "step",
                series,
                title=f"Loss along the training of {result.params.get('training', 'a model')}",
                xlabel="step of training",
                ylabel="nats per token",
                dash={f"{g} by trigrams": "dashed" for g in GROUPS},
            )
        )
    parts += _alive(result)
    shares = 100 * table["n"] / table.groupby("measure")["n"].transform("sum")
    return [
        *parts,
        Table(
            table.assign(**{"share of tokens, %": shares}),
            "Loss by transition; the error is the standard error over windows",
        ),
    ]


def _alive(result: Result) -> list[Any]:
    """Features alive at the steps of a training, and whose edges they are."""
    if "alive" not in result.tables:
        return []
    parts: list[Any] = _says(result, "alive")
    for at, table in result.tables["alive"].groupby("at", sort=False):
        shown = table.assign(
            alive=100 * table["alive"] / table["width"],
            function_edges=100 * table["function_edges"],
            mixed_edges=100 * table["mixed_edges"],
        )
        edges = {
            "function_edges": ("edges", colour.FUNCTION),
            "mixed_edges": ("tokens shuffled", colour.OTHER),
        }
        for series, title in (
            ({"alive": ("features", colour.BLUE_STROKE)}, "features alive, of all"),
            (edges, "edges of function tokens, of all"),
        ):
            parts.append(
                draw.lines(
                    shown,
                    "step",
                    series,
                    title=f"{at}: {title}",
                    xlabel="step of training",
                    ylabel="%",
                    dash={"mixed_edges": "dashed"},
                    height=240,
                )
            )
    return [
        *parts,
        Table(result.tables["alive"], "Autoencoders of steps, each trained on that step"),
    ]
