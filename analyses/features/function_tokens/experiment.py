"""The run: its parts, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    training_findings,
    transitions,
)
from analyses.features.function_tokens import coverage as measures
from analyses.features.function_tokens.constants import NAME
from analyses.features.function_tokens.costs import names
from analyses.features.function_tokens.costs import stages as costs
from analyses.features.function_tokens.params import Params
from analyses.features.function_tokens.parts import PARTS
from analyses.features.function_tokens.scan import ScanResult, graph_alone, scan_windows
from analyses.features.function_tokens.training_steps import TrainingSteps
from analyses.measures import untrained_twin
from hooks.features.load import open_features
from hooks.features.sae import SAE, SKIP
from workbench.cost import of_parts, stages
from workbench.errors import BadInput
from workbench.models.conversation import typed
from workbench.parts import running
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_CALIBRATED = 16  # windows on which random directions get their thresholds


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for. The package's docstring names them."""
    asked_for = running(PARTS, params)
    stage = stages(progress, model, of_parts(costs(model, params), asked_for))
    result = Result(NAME)
    if asked_for & {"coverage", "retrieval"}:
        _with_features(result, model, params, asked_for, stage)
        progress.checkpoint(result)
    if "training" in asked_for:
        _training(result, model, params, stage["training"])
    say_claims(result, claims.CLAIMS, claims.PAPER)
    progress(1.0, "Done")
    return result


@dataclass(frozen=True)
class _Opened:
    """What the parts with autoencoders share.

    Attributes:
        labels: a short name for each of the autoencoders.
        folder: keeps what took minutes, for the next run; None keeps nothing.
        digests: what the numbers depend on, by what they are kept under.
    """

    model: InstrumentedModel
    params: Params
    features: list[SAE]
    labels: list[str]
    text: corpus.Corpus
    types: measures.Types
    folder: Path | None

    @cached_property
    def digests(self) -> dict[str, Any]:
        return {
            "model": self.model.card.weight_hash,
            "text": hashlib.sha256(self.text.ids.tobytes()).hexdigest()[:16],
            "features": [
                [label, f.digest] for label, f in zip(self.labels, self.features, strict=True)
            ],
            "list": [self.params.coverage, self.params.seed],
        }

    def kept(
        self,
        name: str,
        digests: dict[str, Any],
        make: Callable[[], dict[str, pd.DataFrame]],
    ) -> dict[str, pd.DataFrame]:
        return cache.tables(self.folder and self.folder / name, digests, make)


def _with_features(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    asked_for: set[str],
    stage: Mapping[str, Progress],
) -> None:
    first = next(iter(stage.values()))
    first(0.0, "Opening the autoencoders")
    opened = _opened(model, params)
    labels = _labels(opened)
    limit = model.card.context_length
    if limit and params.context > limit:
        raise BadInput(
            f"Windows of {params.context} tokens do not fit.",
            f"at most {limit:,}",
            "Choose shorter ones.",
        )
    first(0.0, "Reading the text")
    text = corpus.cut(model, params.texts, params.tokens, params.context, params.seed)
    occurrences = np.bincount(text.ids[:, SKIP:].ravel(), minlength=model.card.d_vocab)
    types = measures.Types.of(occurrences, params.coverage)
    findings.add_text(result, params.texts, text, labels, opened)
    folder = Path(params.trace).expanduser() if params.trace else None
    shared = _Opened(model, params, opened, labels, text, types, folder)
    if "coverage" in asked_for:
        _coverage(result, shared, asked_for, stage)
    if "retrieval" in asked_for:
        _retrieval(result, shared, stage)


def _coverage(
    result: Result, of: _Opened, asked_for: set[str], stage: Mapping[str, Progress]
) -> None:
    """What is active while the text is read once; the baselines; the losses; single prompts."""
    model, params, labels, types, ids = of.model, of.params, of.labels, of.types, of.text.ids
    calibration = ids[:_CALIBRATED]
    passing = baselines.vectors(model, of.features, calibration)
    active = [float((f.encode(passing[f.place]) > 0).sum(-1).float().mean()) for f in of.features]
    random = baselines.random_directions(of.features, active, passing, params.seed)
    mixed = corpus.shuffled(ids, SKIP, params.seed)
    seen, losses = scan_windows(
        model,
        of.features,
        random,
        ids,
        mixed,
        types.is_function,
        of.folder and of.folder / "read",
        stage["read"],
    )
    findings.add_list(result, model, types, ids, seen, labels)
    findings.add_coverage(result, seen, labels, types, params.sweep)
    findings.add_reactivation(result, seen, labels)
    about = of.kept(
        "features",
        of.digests,
        lambda: {"features": findings.feature_table(model, seen, labels, types, stage["features"])},
    )
    findings.add_features(result, model, seen, labels, types, ids, about["features"])
    if "untrained" in asked_for:
        some = ids[: max(_CALIBRATED, params.untrained // params.context)]
        of_twin = of.kept(
            "untrained",
            {**of.digests, "tokens": some.size},
            lambda: {
                "untrained": _untrained(
                    model, seen, labels, types, some, active, params.seed, stage["untrained"]
                )
            },
        )
        findings.add_untrained(result, of_twin["untrained"], some.size)
    findings.add_transitions(
        result,
        transitions.model_transitions(
            losses, ids, types.is_function, stage["features"].subprogress(1.0, 1.0)
        ),
    )
    reactivation_findings.add_prompts(
        result,
        prompt_features.prompt_tables(
            of.features, labels, [typed(p, params.chat) for p in params.prompts], types.is_function
        ),
    )


def _retrieval(result: Result, of: _Opened, stage: Mapping[str, Progress]) -> None:
    """Facts that the model knows, and features that are active again at their last token."""
    params = of.params
    measured = of.kept(
        "facts",
        {
            "facts": [params.relation, params.facts, params.seed],
            **{k: of.digests[k] for k in ("model", "features")},
        },
        lambda: reactivation.measure(
            of.features,
            of.labels,
            facts.known(
                of.model,
                params.relation,
                params.facts,
                params.seed,
                stage["closed book"],
            ),
            params.seed,
            stage["changes"],
        ),
    )
    reactivation_findings.add_retrieval(result, of.model, measured, of.types)


def _training(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    followed = TrainingSteps.of(params.training, params.training_features)
    folder = Path(params.trace).expanduser() if params.trace else None
    along = cache.tables(
        folder and folder / "training",
        {"training": [params.training, followed.fingerprint, params.coverage, params.seed]},
        lambda: training.over_steps(
            followed, params.coverage, params.seed, str(model.device), progress
        ),
    )
    training_findings.add_training(result, along["training_losses"], params.training)
    training_findings.add_alive(result, along["live_features"], params.training)


def _opened(model: InstrumentedModel, params: Params) -> list[SAE]:
    wanted = names(model, params)
    if not wanted:
        raise BadInput(
            f"No autoencoder comes with the workbench for {model.card.name}.",
            "one or more, made for this model",
            f"Train them (workbench sae train --model {model.card.name} --layer N) or name them"
            " (features).",
        )
    opened = [open_features(ref, model) for ref in wanted]
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
    seen: Sequence[ScanResult],
    labels: Sequence[str],
    types: measures.Types,
    ids: np.ndarray,
    active: list[float],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    progress(0.0, "Drawing an untrained twin")
    twin = untrained_twin.untrained(model, seed)
    features = [s.features for s in seen]
    random = baselines.random_directions(
        features, active, baselines.vectors(twin, features, ids[:_CALIBRATED]), seed
    )
    graphs = graph_alone(twin, random, ids, progress.subprogress(0.05, 1.0))
    occurrences = np.bincount(ids[:, SKIP:].ravel(), minlength=len(types.occurrences))
    return measures.untrained_table(seen, graphs, labels, types, occurrences)
