"""Which tokens open the model's memory, and which features do they open?

Method: Zhang et al. 2025 (function tokens), on any model with sparse autoencoders, with the
controls that its reviews asked for; docs/function-tokens.md has the definitions, what was measured,
what of the paper comes out again, and where this departs.

corpus.py           the text that is read
words.py            function tokens by frequency, and the function words of grammar
scan.py             one pass over the text: graphs, examples, losses
baselines.py        random directions, an untrained twin
graph.py            tokens × features, and what fewer occurrences would have shown
top_examples.py     examples of each feature
coverage.py         coverage and degree, each beside what would explain it away
facts.py            facts the model knows
reactivation.py     ablation and steering of what is active again at the last token
transitions.py      losses by transition
ngrams.py           beside mere counting
training.py         the same along a training, and the features that are alive at its steps
feature_stats.py    what a feature says: logits, neighbours, tokens
prompt_features.py  single prompts, token by token
cache.py            what took minutes, kept for the next run
findings.py         from numbers to tables and findings
claims.py           claim by claim
schema.py           what tables, arrays and findings mean
selections.py       what the pages show of the tables
views.py            how it looks
feature_view.py     … one feature, one token, one prompt
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field, field_validator, model_validator

from analyses.claims import say_claims
from analyses.features.function_tokens import (
    baselines,
    cache,
    claims,
    corpus,
    facts,
    findings,
    prompt_features,
    reactivation,
    reactivation_findings,
    training,
    transitions,
)
from analyses.features.function_tokens import coverage as measures
from analyses.features.function_tokens.playground_tab import playground
from analyses.features.function_tokens.scan import Seen, graph_alone, look
from analyses.features.function_tokens.schema import SCHEMA
from analyses.features.function_tokens.views import ANSWER, VIEWS
from hooks.features.load import open_features
from hooks.features.sae import SAE, SKIP
from workbench.autoencoders import shipped
from workbench.errors import BadInput
from workbench.models.conversation import typed
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

__all__ = ["ANSWER", "SCHEMA", "VIEWS", "Params", "name", "playground", "question", "run"]

name = "function-tokens"
question = "Which tokens open the model's memory, and which features do they open?"
_CALIBRATED = 16  # windows on which random directions get their thresholds
PROMPTS = [
    "The capital of Russia is Moscow. The capital of the United Kingdom is",
    "Question: What is the capital of Japan?\nAnswer:",
    "To be, or not to be, that is the",
]


class Params(BaseModel, frozen=True, extra="forbid"):
    features: list[str] = Field(
        [],
        description=(
            "Autoencoders: names, folders, or RELEASE/ID of SAELens. Empty: those that come with"
            " the workbench for this model"
        ),
        max_length=16,
    )
    texts: str = Field(
        "",
        description=(
            "What to read: a text file, .jsonl, a folder of them, or the name of a data set. Empty:"
            " the mixture that every machine has (`workbench sae train` reads it too)"
        ),
        max_length=2000,
    )
    tokens: int = Field(200_000, ge=1000, le=10**10, description="Tokens to read")
    context: int = Field(128, ge=16, le=100_000, description="Tokens of a window")
    coverage: float = Field(
        0.4, gt=0, lt=1, description="Share of all tokens that function tokens make up together"
    )
    sweep: list[float] = Field(
        [0.2, 0.3, 0.5, 0.6], description="Other shares to compare with", max_length=20
    )
    relation: str = Field(
        "capital", description="Facts that are asked about, as in knowledge-conflict"
    )
    facts: int = Field(40, ge=0, le=1000, description="Facts at most; 0 leaves retrieval out")
    prompts: list[str] = Field(
        PROMPTS,
        description="Prompts whose features are shown token by token",
        max_length=50,
        json_schema_extra={"multiline": True},
    )
    chat: bool = Field(
        False, description="Read these prompts in the model's chat format, each as what a user says"
    )
    untrained: int = Field(
        24_576,
        ge=0,
        le=10**9,
        description=(
            "Tokens that an untrained twin of the model reads as a baseline; 0 leaves it out"
        ),
    )
    training: str = Field(
        "organism/planted",
        description=(
            "A model that keeps steps of its training, for losses and living features along it;"
            " empty leaves it out"
        ),
    )
    training_features: list[str] = Field(
        [],
        description=(
            "Folders of autoencoders that were trained on steps of it (workbench sae train --model"
            " NAME@step-N). Empty: those that come with the workbench"
        ),
        max_length=64,
    )
    trace: str = Field(
        "",
        description=(
            "A folder that keeps what is active, and what facts and training took; from it the same"
            " run reads no text. Empty: nothing is kept"
        ),
        max_length=2000,
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Of the order of the text and of everything drawn"
    )

    @field_validator("sweep")
    @classmethod
    def _shares(cls, shares: list[float]) -> list[float]:
        if not all(0 < share < 1 for share in shares):
            raise ValueError("each must lie between 0 and 1")
        return shares

    @model_validator(mode="after")
    def _is_there(self) -> Params:
        """What can be wrong with a name is said before a model is loaded."""
        if self.training:
            training.Kept.of(self.training, self.training_features)
        return self


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read the text once, then ask what it shows. See the package's docstring for the parts."""
    progress(0.0, "Opening the autoencoders")
    opened = _opened(model, params)
    labels = _labels(opened)
    limit = model.card.context_length
    if limit and params.context > limit:
        raise BadInput(
            f"Windows of {params.context} tokens do not fit.",
            f"at most {limit:,}",
            "Choose shorter ones.",
        )
    progress(0.01, "Reading the text")
    text = corpus.cut(model, params.texts, params.tokens, params.context, params.seed)
    occurrences = np.bincount(text.ids[:, SKIP:].ravel(), minlength=model.card.d_vocab)
    types = measures.Types.of(occurrences, params.coverage)
    result = Result(name)
    findings.add_text(result, params.texts, text, labels, opened)

    calibration = text.ids[:_CALIBRATED]
    passing = baselines.vectors(model, opened, calibration)
    active = [float((f.encode(passing[f.place]) > 0).sum(-1).float().mean()) for f in opened]
    random = baselines.random_directions(opened, active, passing, params.seed)
    mixed = corpus.shuffled(text.ids, SKIP, params.seed)
    folder = Path(params.trace).expanduser() if params.trace else None
    part = progress.subprogress(0.03, 0.62)
    seen, losses = look(
        model, opened, random, text.ids, mixed, types.is_function, folder and folder / "read", part
    )
    findings.add_list(result, model, types, text.ids, seen, labels)
    findings.add_coverage(result, seen, labels, types, params.sweep)
    findings.add_reactivation(result, seen, labels)
    of_text = {
        "model": model.card.weight_hash,
        "text": hashlib.sha256(text.ids.tobytes()).hexdigest()[:16],
        "features": [[label, f.digest] for label, f in zip(labels, opened, strict=True)],
        "list": [params.coverage, params.seed],
    }
    part = progress.subprogress(0.62, 0.65)
    about = cache.tables(
        folder and folder / "features",
        of_text,
        lambda: {"features": findings.described_features(model, seen, labels, types, part)},
    )
    findings.add_features(result, model, seen, labels, types, text.ids, about["features"])
    progress.checkpoint(result)
    if params.untrained:
        some = text.ids[: max(_CALIBRATED, params.untrained // params.context)]
        part = progress.subprogress(0.65, 0.78)
        of_twin = cache.tables(
            folder and folder / "untrained",
            {**of_text, "tokens": some.size},
            lambda: {
                "untrained": _untrained(model, seen, labels, types, some, active, params.seed, part)
            },
        )
        findings.add_untrained(result, of_twin["untrained"], some.size)
        progress.checkpoint(result)

    findings.add_transitions(
        result,
        transitions.here(losses, text.ids, types.is_function, progress.subprogress(0.78, 0.8)),
    )
    reactivation_findings.add_prompts(
        result,
        prompt_features.looked_at(
            opened, labels, [typed(p, params.chat) for p in params.prompts], types.is_function
        ),
    )
    if params.facts:
        part = progress.subprogress(0.8, 0.93)
        of_facts = {
            "facts": [params.relation, params.facts, params.seed],
            **{k: of_text[k] for k in ("model", "features")},
        }
        measured = cache.tables(
            folder and folder / "facts",
            of_facts,
            lambda: reactivation.measured(
                opened,
                labels,
                facts.known(
                    model, params.relation, params.facts, params.seed, part.subprogress(0.0, 0.4)
                ),
                params.seed,
                part.subprogress(0.4, 1.0),
            ),
        )
        reactivation_findings.add_retrieval(result, model, measured, types)
        progress.checkpoint(result)
    if params.training:
        part = progress.subprogress(0.93, 1.0)
        followed = training.Kept.of(params.training, params.training_features)
        along = cache.tables(
            folder and folder / "training",
            {"training": [params.training, followed.fingerprint, params.coverage, params.seed]},
            lambda: training.along(followed, params.coverage, params.seed, str(model.device), part),
        )
        findings.add_training(result, along["training_losses"], params.training)
        findings.add_alive(result, along["live_features"], params.training)
    say_claims(result, claims.CLAIMS, claims.PAPER)
    progress(1.0, "Done")
    return result


def _opened(model: InstrumentedModel, params: Params) -> list[SAE]:
    names = params.features or [
        n for n, entry in shipped().items() if entry.card.get("model") == model.card.name
    ]
    if not names:
        raise BadInput(
            f"No autoencoder comes with the workbench for {model.card.name}.",
            "one or more, made for this model",
            f"Train them (workbench sae train --model {model.card.name} --layer N) or name them"
            " (features).",
        )
    opened = [open_features(ref, model) for ref in names]
    for features in opened:
        if features.place.layer is None:
            raise BadInput(
                f"{features.name} belongs to no layer.", "a site of one layer", "Choose another."
            )
    return sorted(opened, key=lambda f: (f.place.layer, f.place.name))


def _labels(opened: Sequence[SAE]) -> list[str]:
    """A short name for each: its layer where that is enough."""
    layers = [f"L{f.place.layer}" for f in opened]
    places = [f"{f.place.site.short} {layer}" for f, layer in zip(opened, layers, strict=True)]
    for short in (layers, places):
        if len(set(short)) == len(short):
            return short
    return [f"{place} ({n})" for n, place in enumerate(places, 1)]


def _untrained(
    model: InstrumentedModel,
    seen: Sequence[Seen],
    labels: Sequence[str],
    types: measures.Types,
    ids: np.ndarray,
    active: list[float],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    progress(0.0, "Drawing an untrained twin")
    twin = baselines.untrained(model, seed)
    features = [s.features for s in seen]
    random = baselines.random_directions(
        features, active, baselines.vectors(twin, features, ids[:_CALIBRATED]), seed
    )
    graphs = graph_alone(twin, random, ids, progress.subprogress(0.05, 1.0))
    occurrences = np.bincount(ids[:, SKIP:].ravel(), minlength=len(types.occurrences))
    return measures.untrained_table(seen, graphs, labels, types, occurrences)
