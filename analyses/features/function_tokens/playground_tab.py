"""What the Playground's Features tab knows of function tokens: the class of a token, and what a
finished run says of an autoencoder's features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.features.function_tokens import words
from analyses.features.function_tokens.selections import typical_activation
from workbench.draw.tokens import CONTENT, FUNCTION, SPANS
from workbench.playground import FeatureInfo, FeaturesForm, Playground

if TYPE_CHECKING:
    from workbench.result import Result


def class_of(token: str) -> str:
    """By grammar alone."""
    return "function" if words.word_class(token) else "content"


def autoencoders(result: Result) -> list[str]:
    table = result.tables.get("autoencoders")
    return [] if table is None else [str(name) for name in table["name"]]


def describe(result: Result, name: str) -> FeatureInfo | None:
    """What the run knows of the autoencoder of that name."""
    if "features" not in result.tables or name not in autoencoders(result):
        return None
    at = result.tables["autoencoders"].set_index("name").loc[name, "sae"]
    tokens, features = result.tables["tokens"], result.tables["features"]
    features = features[features["sae"] == at].set_index("feature")
    return FeatureInfo(
        classes=dict(zip(tokens["id"].tolist(), tokens["class"], strict=True)),
        otherwise="content",
        fires_on=features["top_tokens"].to_dict(),
        typical=dict(enumerate(typical_activation(result, at).tolist())),
    )


playground = Playground(
    form=FeaturesForm(
        tab="features",
        title="Features",
        prompt="Question: What is the capital of Japan?\nAnswer: The capital of Japan is",
        marks={"function": SPANS[FUNCTION], "content": SPANS[CONTENT]},
        start="function",
        class_of=class_of,
        autoencoders=autoencoders,
        describe=describe,
        by_run="Function tokens by the list of a finished run.",
        by_itself="Function tokens by grammar: there is no function-tokens run of this model.",
    )
)
