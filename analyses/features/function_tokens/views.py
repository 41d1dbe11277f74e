"""What a function-tokens run looks like: curves beside controls, and what to click through."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from analyses import claims as of_papers
from analyses.features.function_tokens import claims, curve_data, schema
from analyses.features.function_tokens import selections as sel
from analyses.features.function_tokens.constants import CURVES, GROUPS, MEASURES
from workbench import draw
from workbench import views as v
from workbench.draw.colour import BLUE_STROKE, CONTEXT, FUNCTION, MEMORY, OTHER
from workbench.result import Result

_HUES = (FUNCTION, FUNCTION, BLUE_STROKE, OTHER, CONTEXT, FUNCTION, CONTEXT)
_COVERAGE = list(zip(CURVES, zip(CURVES.values(), _HUES, strict=True), strict=True))
_REACHED, _MATCHED = dict(_COVERAGE[:5]), dict(_COVERAGE[5:])
_UNTRAINED = {
    "coverage": ("features", FUNCTION),
    "random_directions": ("random directions", OTHER),
    "untrained_directions": ("random directions, untrained twin", MEMORY),
}
_AGAIN = {c: (f"at {c} tokens", h) for c, h in (("function", FUNCTION), ("content", CONTEXT))}
_EDGES = {
    "function_edge_share": ("edges", FUNCTION),
    "shuffled_edge_share": ("tokens shuffled", OTHER),
}
_MEASURES = dict(zip(MEASURES.values(), (FUNCTION, OTHER, BLUE_STROKE), strict=True))
_GROUPS = list(zip(GROUPS, (FUNCTION, MEMORY, BLUE_STROKE, CONTEXT), strict=True))
_LOSSES = {f"{group}{by}": hue for by in ("", ", trigrams") for group, hue in _GROUPS}
_FREQUENT = "tokens, most frequent first"
_PLACES = v.knob("sae", "At", sel.places, width=120)

# A picture for each place, each fact, and each step of training.
_reached = partial(v.chart, "lines", ylabel="of all living features (%)", xlabel=_FREQUENT)
_facts = partial(v.chart, "intervals", unit="nats of ln p", per="example")
_trained = partial(v.chart, "lines", xlabel="step of training")


def _feature(run: Result, pick: v.Pick) -> list[v.Item]:
    """What is known of the chosen feature: its activations, tokens and contexts."""
    at, number = pick.feature
    counts, edges = sel.histogram(run, at, number)
    bars = v.picture(
        "histogram", counts=counts, edges=edges, xlabel="activation", of="tokens",
        title=f"Feature {number} at {at}: tokens by activation",
    )  # fmt: skip
    return [
        Markup("").join(draw.paragraph(line) for line in sel.described(run, at, number)),
        draw.steer_code(*sel.to_steer(run, at, number)),
        v.Beside([bars, v.Table(sel.fires_on(run, at, number))], width=320, most=560),
        "Top activations, each from another window of the text:",
        draw.peak_strips(sel.contexts(run, at, number)),
    ]


def _rows(at: str, table: Any, caption: str = "", of: str = "features") -> v.Table:
    """Features of a place, to choose from."""
    return v.Table(table, caption, "feature", of=of, values=sel.choices(at, table))


def _features(run: Result, pick: v.Pick) -> v.Table:
    at = pick.feature[0]
    caption = f"All living features of {at}, those on the most token types first"
    return _rows(at, sel.listed(run, at), caption)


def _of_token(run: Result, pick: v.Pick) -> list[v.Item]:
    """The features of the chosen token type."""
    at, token = pick["sae"], pick["token"]
    return [sel.about_token(run, at, token), _rows(at, sel.of_token(run, at, token))]


def _prompt(run: Result, pick: v.Pick) -> list[v.Item]:
    """The chosen prompt, the features of its chosen token, and the chosen one of these."""
    at, number, pos, one = pick["sae"], pick.prompt, pick.pos, pick.selection.feature
    table, words = sel.links(run, at, number, pos), sel.tokens_of(run, number)
    strip, of_one = partial(draw.token_strip, list(words["token"]), spans=sel.spans(words)), ""
    if one in sel.choices(at, table):  # as long as it is active at the chosen token
        values, title = sel.strengths(run, at, number, one[1]), f"Feature {one[1]} at {at}."
        of_one = strip(values, title=title, unit="activation")
    values = sel.shared(run, at, number, pos)
    title = f"Chosen: token {pos}, “{words['token'].iloc[pos].strip()}”."
    unit = "share of a token's features that are active at the chosen token"
    caption = f"Features active at token {pos}, {at}"
    return [
        v.Clicks(strip(values, title=title, unit=unit), len(words)),
        sel.counted_links(table, pos),
        Markup(of_one),
        _rows(at, table, caption, of=""),
    ]


_FIRST = {
    "sae": sel.chosen_place,
    "token": sel.chosen_token,
    "feature": sel.chosen_feature,
    "prompt": sel.chosen_prompt,
    "pos": sel.chosen_pos,
}
ANSWER = v.Answer(
    ("coverage", "frequency_matched"), picture=("Coverage", 0), beside=("coverage_vs_content",)
)
VIEWS = [
    of_papers.view(
        claims.CLAIMS, claims.ABOUT, v.says(curve_data.what_was_read, small=True),
        v.table("autoencoders", "The autoencoders"),
    ),
    v.View("Coverage", needs="coverage", parts=[
        v.finding("coverage", "coverage_vs_content"),
        v.says(schema.BESIDE, small=True),
        _reached(
            curve_data.coverage_curves, "n_types", _REACHED, per="where", logx=True, ylim=(0, 104),
            dash={"above_5pct": "dotted", "random_directions": "dashed", "shuffled": "dashed"},
        ),
        v.finding("frequency_matched"),
        _reached(
            curve_data.coverage_curves, "n_types", _MATCHED, per="sae",
            title="{}: at equal frequency",
        ),
        v.table(
            curve_data.coverage_by_share, of="coverage_by_share",
            caption="Function tokens by other shares of the text (all in %)",
        ),
        v.finding("untrained"),
        _reached(
            curve_data.untrained, "n_types", _UNTRAINED, per="sae", xlabel=f"function {_FREQUENT}",
            ylabel="of all living directions (%)", ylim=(0, 104),
            title="{}: with and without training, on less text",
        ),
    ]),
    v.View("Tokens", needs=["tokens", "features"], first=_FIRST, parts=[
        v.finding("function_tokens", "frequency_matched"),
        v.says("Points are function tokens, shaded are content tokens.", small=True),
        v.chart(
            "density_scatter", sel.degrees, "occurrences", "features", "token", "function",
            per="where", abreast=2, xlabel="occurrences", ylabel="features", many="content tokens",
            few="function tokens",
        ),
        _PLACES,
        v.on(["sae", "token"], _of_token, examples=v.live_only),
        v.table(
            sel.listed_tokens, "The most frequent tokens", of="tokens", picks="token", by="id"
        ),
    ]),
    v.View("Features", needs="features", first=_FIRST, parts=[
        v.row(
            v.knob("feature", "At", sel.at_features, "feature", 120),
            v.knob("feature", "Feature", sel.numbers, "feature", 120, typed=True),
            v.on("feature", lambda run, pick: draw.steer_form(*sel.to_steer(run, *pick.feature)),
                 examples=v.live_only),
        ),
        v.on("feature", _feature, examples=sel.example_features),
        v.on("feature", _features),
    ]),
    v.View("Prompts", needs="prompt_tokens", first=_FIRST, parts=[
        v.says(schema.PROMPTS),
        v.row(v.knob("prompt", "Prompt", sel.prompts, width=330), _PLACES),
        v.on(["prompt", "pos", "sae", "feature"], _prompt, examples=sel.every_prompt),
    ], otherwise=lambda run: "no prompts were given" if run.params.get("prompts") == [] else ""),
    v.View("Retrieval", parts=[
        v.finding("reactivation"),
        v.chart(
            "lines", curve_data.reactivation, "distance", _AGAIN, per="sae", xlabel="tokens later",
            ylabel="of its features, above baseline (points)", height=250,
            title="{}: reactivation of a content token's features",
        ),
        v.says(sel.no_facts),
        v.finding("ablation"),
        _facts(
            curve_data.ablation_means, "condition", "sae",
            title="“{}”: drop of ln p(answer) under zero ablation of features",
        ),
        v.finding("steering"),
        _facts(
            curve_data.steering_means, "condition", "sae",
            title="“{}”: logit difference toward another subject's answer, by steering",
        ),
        _facts(
            curve_data.means_by_position, "where", "sae", per="wording", unit="nats",
            title="Change of the logit difference, steered at one token ({})",
        ),
    ]),
    v.View("Transitions", parts=[
        v.says(sel.no_losses),
        v.finding("transitions"),
        v.chart(
            "intervals", curve_data.losses, "transition", "predictor", _MEASURES, unit="nats",
            title="Loss by last and next token (F function, C content)",
        ),
        v.finding("training"),
        _trained(
            curve_data.along_training, "step", _LOSSES, per="model", ylabel="nats per token",
            title="Loss during the training of {}",
            dash={name: "dashed" for name in _LOSSES if "trigrams" in name},
        ),
        v.finding("live_features"),
        _trained(
            curve_data.alive, "step", {"alive": ("features", BLUE_STROKE)}, per="sae", ylabel="%",
            title="{}: living features, of all", height=240,
        ),
        _trained(
            curve_data.alive, "step", _EDGES, per="sae", ylabel="%", height=240,
            title="{}: edges of function tokens, of all", dash={"shuffled_edge_share": "dashed"},
        ),
        v.table("live_features", "Autoencoders trained on single steps"),
        v.table(
            curve_data.listed_losses, of="transitions",
            caption="Loss by transition, with the standard error over windows",
        ),
    ]),
]  # fmt: skip
