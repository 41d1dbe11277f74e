"""The Prompts tab: a prompt as text, coloured by class, and what of its content tokens is active
again at a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench import draw
from workbench.draw import colour
from workbench.draw.tokens import SPANS, TEMPLATE, Span

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

FUNCTION, CONTENT = "function token", "content token"
MARKS = {
    TEMPLATE: SPANS[TEMPLATE],
    FUNCTION: Span(FUNCTION, colour.FUNCTION, "solid"),
    CONTENT: Span(CONTENT, colour.CONTEXT, "dotted"),
}


def tokens_of(result: Result, prompt: int) -> pd.DataFrame:
    table = result.tables["prompt_tokens"]
    return table[table["prompt"] == prompt].sort_values("pos")


def active(result: Result, at: str, prompt: int) -> pd.DataFrame:
    table = result.tables["prompt_features"]
    return table[(table["at"] == at) & (table["prompt"] == prompt)]


def links(result: Result, at: str, prompt: int, pos: int) -> pd.DataFrame:
    """Features active at a token, each with the content tokens before it at which it was active:
    columns feature, activation, here, written at (the tokens), strongest there, fires on.
    """
    import pandas as pd

    mine, words = active(result, at, prompt), tokens_of(result, prompt).set_index("pos")
    described = result.tables["features"]
    described = described[described["at"] == at].set_index("feature")["fires_on"]
    here = mine[mine["pos"] == pos].sort_values("activation", ascending=False)
    earlier = mine[(mine["pos"] < pos) & mine["pos"].map(words["class"]).eq("content")]
    rows = []
    for row in here.itertuples():
        before = earlier[earlier["feature"] == row.feature].sort_values("pos")
        places = [f"“{words.loc[p, 'token'].strip()}” ({p})" for p in before["pos"]]
        strongest = float(before["activation"].max()) if len(before) else float("nan")
        rows.append(
            (
                int(row.feature),
                float(row.activation),
                ", ".join(places),
                strongest,
                described.get(row.feature, ""),
            )
        )
    columns = [
        "feature",
        "activation here",
        "active before at",
        "strongest before",
        "fires mostly on",
    ]
    return pd.DataFrame(rows, columns=columns)


def strip(result: Result, at: str, prompt: int, pos: int, feature: int | None = None) -> Markup:
    """The prompt.

    Coloured by how many of a token's features are active at the chosen one, or by one feature's
    activation.
    """
    words, mine = tokens_of(result, prompt), active(result, at, prompt)
    here = set(mine.loc[mine["pos"] == pos, "feature"])
    if feature is None:
        shared = mine[mine["feature"].isin(here)].groupby("pos")["feature"].count()
        total = mine.groupby("pos")["feature"].count()
        values = [
            float(shared.get(p, 0) / max(1, total.get(p, 1))) if p != pos else 0.0
            for p in words["pos"]
        ]
        unit = "of a token's features that are active at the chosen token (share)"
        title = f"Chosen: token {pos}, “{words.set_index('pos').loc[pos, 'token'].strip()}”."
    else:
        of_feature = mine[mine["feature"] == feature].set_index("pos")["activation"]
        values = [float(of_feature.get(p, 0.0)) for p in words["pos"]]
        unit, title = "activation", f"Feature {feature} at {at}."
    spans = [FUNCTION if kind == "function" else CONTENT for kind in words["class"]]
    if "part" in words:
        spans = [
            TEMPLATE if part == "template" else span
            for part, span in zip(words["part"], spans, strict=True)
        ]
    return draw.token_strip(
        list(words["token"]), values, spans=spans, marks=MARKS, title=title, unit=unit
    )


def _intro() -> Markup:
    return draw.says(
        "Underlined solid: function tokens. Choose a token: coloured are the tokens that share its"
        " features; the table names them, and the content tokens before it at which they were"
        " active."
    )


def _last_function(result: Result, prompt: int) -> int:
    words = tokens_of(result, prompt)
    function = words.loc[words["class"] == "function", "pos"]
    return int(function.max() if len(function) else words["pos"].max())


def still(result: Result) -> list[Any]:
    from workbench.draw.view import Table

    if "prompt_tokens" not in result.tables:
        return [
            draw.note("The run did not come to this.", "Run the analysis again and let it finish.")
        ]
    parts: list[Any] = [_intro()]
    labels = list(result.tables["autoencoders"]["at"])
    at = labels[len(labels) // 2]
    for prompt in dict.fromkeys(result.tables["prompt_tokens"]["prompt"]):
        pos = _last_function(result, int(prompt))
        parts.append(strip(result, at, int(prompt), pos))
        parts.append(
            Table(links(result, at, int(prompt), pos), f"Features active at token {pos}, {at}")
        )
    return parts


def live(result: Result) -> Any:
    """Linked: a prompt, a place, a token of it, one of its features."""
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.view import (
        STYLES,
        html_pane,
        live_column,
        need_panel,
        safe_columns,
        tabulator,
        wrapping,
    )

    if "prompt_tokens" not in result.tables:
        return live_column(still(result))
    pn, pick = need_panel(), result.selection
    prompts = list(dict.fromkeys(int(p) for p in result.tables["prompt_tokens"]["prompt"]))
    labels = list(result.tables["autoencoders"]["at"])

    def said(prompt: int) -> str:
        text = " ".join("".join(tokens_of(result, prompt)["token"]).split())
        return text if len(text) < 60 else text[:59] + "…"

    which = pn.widgets.Select(
        name="Prompt", options={said(p): p for p in prompts}, width=330, stylesheets=[STYLES]
    )
    place = pn.widgets.Select(
        name="At", options=labels, value=labels[len(labels) // 2], width=120, stylesheets=[STYLES]
    )
    text, one, about = html_pane(Markup("")), html_pane(Markup("")), html_pane(Markup(""))
    table = tabulator(
        links(result, place.value, prompts[0], _last_function(result, prompts[0])),
        height=360,
        selectable=1,
    )
    frame: list[pd.DataFrame] = []

    def pos() -> int:
        last = int(tokens_of(result, which.value)["pos"].max())
        return (
            pick.pos
            if pick.pos is not None and pick.pos <= last
            else _last_function(result, which.value)
        )

    def changed(*_: Any) -> None:
        text.object = str(listening(strip(result, place.value, which.value, pos())))
        frame[:] = [links(result, place.value, which.value, pos())]
        again = int((frame[0]["active before at"] != "").sum())
        about.object = str(
            draw.says(
                f"{len(frame[0])} features are active at token {pos()}; {again} of them were at a"
                " content token before it."
            )
        )
        table.value = safe_columns(frame[0])[0]
        one.object = ""

    def feature_chosen(event: Any) -> None:
        if 0 <= event.row < len(frame[0]):
            feature = int(frame[0]["feature"].iloc[event.row])
            one.object = str(strip(result, place.value, which.value, pos(), feature))

    def clicked(at: Sequence[int]) -> None:
        pick.pos = at[-1]

    def prompt_chosen(_: Any) -> None:
        pick.pos = None
        changed()

    which.param.watch(prompt_chosen, "value")
    place.param.watch(changed, "value")
    pick.param.watch(changed, "pos")
    table.on_click(feature_chosen)
    changed()
    return pn.Column(
        html_pane(_intro()),
        wrapping(which, place),
        clicks(text, clicked),
        about,
        one,
        table,
        sizing_mode="stretch_width",
        min_width=0,
    )
