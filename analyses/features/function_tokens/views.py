"""What a function-tokens run looks like: curves beside controls, and what to click through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses import claims as of_papers
from analyses.features.function_tokens import curve_data, selections
from analyses.features.function_tokens.claims import CLAIMS
from analyses.features.function_tokens.coverage import CURVES
from analyses.features.function_tokens.feature_view import feature, of_token, prompt, steer
from analyses.features.function_tokens.transitions import GROUPS, MEASURES
from workbench import views as v
from workbench.draw.colour import BLUE_STROKE, CONTEXT, FUNCTION, MEMORY, OTHER

if TYPE_CHECKING:
    from workbench.result import Result

_CURVES = {
    "coverage": FUNCTION,
    "above_5pct": FUNCTION,
    "shuffled": BLUE_STROKE,
    "random_directions": OTHER,
}
_REACHED = {name: (CURVES[name], hue) for name, hue in (_CURVES | {"content": CONTEXT}).items()}
_MATCHED = {
    "matched": (CURVES["matched"], FUNCTION),
    "content_matched": (CURVES["content_matched"], CONTEXT),
}
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
_LOSSES = {f"{g}{by}": (f"{g}{by}", hue) for by in ("", ", trigrams") for g, hue in _GROUPS}
_FREQUENT, _LIVING = "tokens, most frequent first", "of all living features (%)"
_NO_FACTS = "No facts were asked about (the parameter facts is 0)."
_PLACES = v.knob("sae", "At", lambda run, _: {at: at for at in selections.places(run)}, width=120)


def _at_features(run: Result, pick: v.Pick) -> dict[str, tuple[str, int]]:
    """A place chooses its first feature; the chosen one stays at its own."""
    of_place = {at: (at, selections.first_feature(run, at)) for at in selections.places(run)}
    return of_place | {pick.feature[0]: pick.feature}


def _numbers(run: Result, pick: v.Pick) -> dict[int, tuple[str, int]]:
    table, at = run.tables["features"], pick.feature[0]
    return {number: (at, number) for number in table.loc[table["sae"] == at, "feature"].tolist()}


def _features(run: Result, pick: v.Pick) -> v.Table:
    table = selections.listed(run, at := pick.feature[0])
    rows = selections.choices(at, table)
    caption = f"All living features of {at}, those on the most token types first"
    return v.Table(table, caption, "feature", values=rows, height=360, of="features")


def _no_facts(run: Result) -> str | None:
    asked = run.params.get("facts") != 0
    return None if "ablation_means" in run.tables else v.AGAIN if asked else _NO_FACTS


def _losses(run: Result) -> v.Picture:
    title, table = "Loss by last and next token (F function, C content)", curve_data.losses(run)
    return v.picture(
        "intervals", table, "transition", "predictor", _MEASURES, title=title, unit="nats"
    )


_FIRST = {
    "sae": selections.chosen_place,
    "token": selections.chosen_token,
    "feature": selections.chosen_feature,
    "prompt": selections.chosen_prompt,
    "pos": selections.chosen_pos,
}
ANSWER = v.Answer(
    ("coverage", "frequency_matched"), picture=("Coverage", 0), beside=("coverage_vs_content",)
)
VIEWS = [
    v.View("Claims", needs="claims", parts=[
        v.finding("claims"),
        v.says(
            "Statements of Zhang et al. 2025 and what their reviews asked, each with what this run"
            " says of it on its own model and text. One model on which a statement holds makes no"
            " law; one on which it does not may be smaller, or have other features.", small=True,
        ),
        of_papers.part(CLAIMS),
        v.says(curve_data.what_was_read, small=True),
        v.table("autoencoders", "The autoencoders whose features are meant"),
    ]),
    v.View("Coverage", needs="coverage", parts=[
        v.finding("coverage", "coverage_vs_content"),
        v.says(
            "Beside the features: edges above 5 % of a feature's largest activation alone; the"
            " tokens of each window in another order, so that which token stood where is lost;"
            " directions drawn at random, each as often active as a feature; and as many tokens of"
            " text drawn from content tokens.", small=True,
        ),
        v.each(
            "lines", curve_data.coverage_curves, "where", "n_types", _REACHED, title="{}",
            xlabel=_FREQUENT, ylabel=_LIVING, logx=True, ylim=(0, 104),
            dash={"above_5pct": "dotted", "random_directions": "dashed", "shuffled": "dashed"},
        ),
        v.finding("frequency_matched"),
        v.each(
            "lines", curve_data.coverage_curves, "sae", "n_types", _MATCHED, xlabel=_FREQUENT,
            ylabel=_LIVING, title="{}: in equally many occurrences",
        ),
        v.table(
            curve_data.coverage_by_share, of="coverage_by_share",
            caption="Other shares of the text that function tokens make up (all in %)",
        ),
        v.finding("untrained"),
        v.each(
            "lines", curve_data.untrained, "sae", "n_types", _UNTRAINED,
            xlabel=f"function {_FREQUENT}",
            ylabel="of all living directions (%)", ylim=(0, 104),
            title="{}: before training, on less text",
        ),
    ]),
    v.View("Tokens", needs=["tokens", "features"], first=_FIRST, parts=[
        v.finding("function_tokens", "frequency_matched"),
        v.says("Points are function tokens, shaded are content tokens.", small=True),
        v.each(
            "cloud", selections.degrees, "where", "occurrences", "features", "token", "function",
            title="{}", xlabel="occurrences", ylabel="features", abreast=2,
            many="content tokens", few="function tokens",
        ),
        _PLACES,
        v.on(["sae", "token"], of_token, examples=v.live_only),
        v.table(
            selections.listed_tokens, "The most frequent tokens", of="tokens",
            picks="token", by="id", height=420,
        ),
    ]),
    v.View("Features", needs="features", first=_FIRST, parts=[
        v.row(
            v.knob("feature", "At", _at_features, width=120),
            v.knob("feature", "Feature", _numbers, width=120, typed=True),
            v.on("feature", steer, examples=v.live_only),
        ),
        v.on("feature", feature, examples=selections.worth_reading),
        v.on("feature", _features),
    ]),
    v.View("Prompts", needs="prompt_tokens", first=_FIRST, parts=[
        v.says(
            "Underlined solid: function tokens. Choose a token: coloured are the tokens that share"
            " its features; the table names them, and the content tokens before it at which they"
            " were active. Choose one: the prompt is coloured by it, and the tab Features shows it."
        ),
        v.row(
            v.knob("prompt", "Prompt", lambda run, _: selections.prompts(run), width=330), _PLACES
        ),
        v.on(
            ["prompt", "pos", "sae", "feature"], prompt,
            examples=lambda run: [{"prompt": n} for n in selections.prompts(run).values()],
        ),
    ], otherwise=lambda run: "no prompts were given" if run.params.get("prompts") == [] else ""),
    v.View("Retrieval", needs="reactivation", parts=[
        v.finding("reactivation"),
        v.each(
            "lines", curve_data.reactivation, "sae", "distance", _AGAIN, xlabel="tokens later",
            ylabel="of its features, above chance (points)", height=250,
            title="{}: features of a content token that are active again later",
        ),
        v.says(_no_facts),
        v.finding("ablation"),
        v.each(
            "intervals", curve_data.ablation_means,
            "example", "condition", "sae", unit="nats of ln p",
            title="“{}”: what the answer loses when features are switched off",
        ),
        v.finding("steering"),
        v.each(
            "intervals", curve_data.steering_means,
            "example", "condition", "sae", unit="nats of ln p",
            title="“{}”: how far another subject's answer rises when set to it",
        ),
        v.each(
            "intervals", curve_data.means_by_position, "wording", "where", "sae", unit="nats",
            title="Steered at one token after another ({})",
        ),
    ]),
    v.View("Transitions", needs="transitions", parts=[
        v.finding("transitions"),
        v.show(_losses),
        v.finding("training"),
        v.each(
            "lines", curve_data.along_training, "model", "step", _LOSSES, ylabel="nats per token",
            title="Loss along the training of {}", xlabel="step of training",
            dash={name: "dashed" for name in _LOSSES if "trigrams" in name},
        ),
        v.finding("live_features"),
        v.each(
            "lines", curve_data.alive, "sae", "step", {"alive": ("features", BLUE_STROKE)},
            title="{}: features alive, of all", xlabel="step of training", ylabel="%", height=240,
        ),
        v.each(
            "lines", curve_data.alive, "sae", "step", _EDGES, xlabel="step of training", ylabel="%",
            title="{}: edges of function tokens, of all", dash={"shuffled_edge_share": "dashed"},
            height=240,
        ),
        v.table("live_features", "Autoencoders of steps, each trained on that step"),
        v.table(
            curve_data.listed_losses, of="transitions",
            caption="Loss by transition; the error is the standard error over windows",
        ),
    ]),
]  # fmt: skip
