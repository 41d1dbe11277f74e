"""One feature, the features of one token, and a prompt with those of a token of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.features.function_tokens import selections
from workbench import draw
from workbench import views as v

if TYPE_CHECKING:
    from workbench.result import Result


def feature(run: Result, pick: v.Pick) -> list[Any]:
    """What is known of the chosen feature: its activations, tokens and contexts."""
    (at, number), goal = pick.feature, selections.goal(run, *pick.feature)
    counts, edges = selections.histogram(run, at, number)
    title = f"Feature {number} at {at}: tokens by activation"
    bars = v.picture(
        "histogram", counts=counts, edges=edges, title=title, xlabel="activation", of="tokens"
    )
    return [
        Markup("").join(draw.says(line) for line in selections.described(run, at, number)),
        draw.steer_code(selections.name_of(run, at), number, goal),
        v.Beside([bars, v.Table(selections.fires_on(run, at, number))], width=320, most=560),
        "Where it is strongest, each from another window of the text:",
        draw.peak_strips(selections.contexts(run, at, number)),
    ]


def steer(run: Result, pick: v.Pick) -> Markup:
    at, goal = pick.feature[0], selections.goal(run, *pick.feature)
    return draw.steer_form(selections.name_of(run, at), pick.feature[1], goal)


def of_token(run: Result, pick: v.Pick) -> list[Any]:
    """The features of the chosen token type."""
    at, row = pick["sae"], run.tables["tokens"].set_index("id").loc[pick["token"]]
    found = selections.of_token(run, at, pick["token"])
    return [
        f"“{row['token']}”, a {row['class']} token, {row['occurrences']:,} occurrences: the"
        f" features most often active on it at {at}. Choose one; the tab Features then shows it.",
        v.Table(found, picks="feature", values=selections.choices(at, found), of="features"),
    ]


def prompt(run: Result, pick: v.Pick) -> list[Any]:
    """The chosen prompt, the features of its chosen token, and the chosen one of these."""
    at, number, pos, one = pick["sae"], pick.prompt, pick.pos, pick.selection.feature
    table, words = selections.links(run, at, number, pos), selections.tokens_of(run, number)
    features, of_one = selections.choices(at, table), Markup("")
    tokens, spans = list(words["token"]), selections.spans(words)
    if one in features:  # as long as it is active at the chosen token
        values, title = selections.strengths(run, at, number, one[1]), f"Feature {one[1]} at {at}."
        of_one = draw.token_strip(tokens, values, spans=spans, title=title, unit="activation")
    values = selections.shared(run, at, number, pos)
    title = f"Chosen: token {pos}, “{tokens[pos].strip()}”."
    unit = "of a token's features that are active at the chosen token (share)"
    strip = draw.token_strip(tokens, values, spans=spans, title=title, unit=unit)
    again = int((table["active_before"] != "").sum())
    said = f"{len(table)} features are active at token {pos}; {again} of them were at a content"
    caption = f"Features active at token {pos}, {at}"
    return [
        v.Clicks(strip, len(tokens)),
        f"{said} token before it.",
        of_one,
        v.Table(table, caption, picks="feature", values=features, height=360),
    ]
