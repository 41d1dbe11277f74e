"""Whether a linear probe of the states tells forgotten passages from ones that were never read:
what a model no longer says may still be seen in it (2410.02760, 2409.02228).

A probe tells the two sets apart by anything in which they differ: they have to be of the same kinds
and lengths, and what counts is how much better it does in this model than in one that read neither.
Where kinds lie far apart and each is as common in both sets, a fold with more forgotten passages of
a kind leaves fewer of them to be trained on, and held-out AUC falls below one half by itself (0.35
on the planted organism). So kinds are named: they are spread evenly over the folds, and their means
taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.measures.statistics import auc
from hooks.eager_eval import steady
from hooks.hook_points import hook_sites
from hooks.sites import SITES, Place
from hooks.unlearning.texts import Text
from workbench.errors import BadInput
from workbench.progress import Progress

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

BATCH = 16
FOLDS = 5
REPEATS = 5
"""Cross-validations with other folds, whose scores are averaged: which fold a text is in moves the
AUC of 150 texts by 0.05.
"""
SHUFFLES = 20
POOLINGS = ("mean", "last")
"""Of the residual stream behind a layer: over a text's predicted tokens, or at its last one."""
PENALTY = 1.0
"""One over the variance that a logit has before training. On the planted organism 0.3 to 10 find
the same, within 0.02, and choosing one inside the training folds finds less.
"""
_STEPS = 30  # of Newton's method, at most

States = dict[tuple[int, str], Float[np.ndarray, "text d_model"]]


def probe(
    model: InstrumentedModel,
    forget: Sequence[Text],
    holdout: Sequence[Text],
    layers: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """How well a logistic regression on the states of a layer tells forgotten passages from
    never-read ones that it was not trained on.

    `FOLDS`-fold cross-validation, both sets in the same shares in every fold. Beside it the same on
    labels that are shuffled within each kind, once each.

    Args:
        layers: None is all.
        kinds: what sort of text each is, first the forgotten, then the never-read ones; None: all
            are alike.

    Returns:
        A row per layer and pooling: `layer`, `pooling` (of `POOLINGS`), `auc` with its 95 %
        interval `low` and `high` (as wide as the AUC of shuffled labels varies; a formula that
        takes scores for independent says too little), mean (`shuffled`), lowest and highest
        (`shuffled_low`, `shuffled_high`) of `SHUFFLES` shuffles, and `n`, passages in all.

    Raises:
        BadInput: fewer than two passages per fold on one side, or not a kind for each.
    """
    if min(len(forget), len(holdout)) < 2 * FOLDS:
        raise BadInput(
            f"{len(forget)} forgotten and {len(holdout)} never-read passages are too few for a"
            " probe.",
            f"{2 * FOLDS} or more of each",
            "Give more passages.",
        )
    label = np.repeat([1.0, 0.0], [len(forget), len(holdout)])
    named = [""] * len(label) if kinds is None else list(kinds)
    if len(named) != len(label):
        raise BadInput(
            f"{len(named)} kinds are named for {len(label)} passages.", "one each", "Name them all."
        )
    kind = np.unique(named, return_inverse=True)[1]
    progress = progress or Progress()
    wanted = list(range(model.n_layers)) if layers is None else list(layers)
    states = pooled_states(model, [*forget, *holdout], wanted)
    shuffled = [_shuffled(label, kind, seed + n) for n in range(SHUFFLES)]
    rows = []
    for done, ((layer, pooling), x) in enumerate(states.items()):
        progress(done / len(states), f"Probe of layer {layer}")
        value = held_out_auc(x, label, kind, seed, REPEATS)
        null = [held_out_auc(x, other, kind, seed + n) for n, other in enumerate(shuffled)]
        half = 1.96 * float(np.std(null, ddof=1))
        rows.append(
            {
                "layer": layer,
                "pooling": pooling,
                "auc": value,
                "low": max(0.0, value - half),
                "high": min(1.0, value + half),
                "shuffled": float(np.mean(null)),
                "shuffled_low": min(null),
                "shuffled_high": max(null),
                "n": len(label),
            }
        )
    return pd.DataFrame(rows)


@torch.no_grad()
def pooled_states(
    model: InstrumentedModel, texts: Sequence[Text], layers: Sequence[int], batch: int = BATCH
) -> States:
    """By layer and pooling the residual stream of each text, from one pass."""
    width = model.card.d_model
    found = {(layer, p): np.zeros((len(texts), width)) for layer in layers for p in POOLINGS}
    places = [Place(SITES["resid_post"], layer) for layer in layers]
    for chosen in model.batch_indices([len(t.ids) for t in texts], batch):

        def take(place: Place, x: Tensor, chosen: list[int] = chosen) -> None:
            assert place.layer is not None  # all of these are of layers
            for i, own in zip(chosen, x, strict=True):
                read = own[-len(texts[i].targets) :].double()
                found[place.layer, "mean"][i] = read.mean(0).cpu().numpy()
                found[place.layer, "last"][i] = read[-1].cpu().numpy()

        with steady(model.module), hook_sites(model, places, take):
            given = model.batch([list(texts[i].ids) for i in chosen])
            model.forward(**given.kwargs(), use_cache=False, logits_to_keep=1)
    return found


def _shuffled(
    label: Float[np.ndarray, " text"], kind: Int[np.ndarray, " text"], seed: int
) -> Float[np.ndarray, " text"]:
    """The labels of each kind in another order: as common in every kind as they are."""
    draw = np.random.default_rng(seed)
    found = label.copy()
    for value in np.unique(kind):
        found[kind == value] = draw.permutation(label[kind == value])
    return found


def held_out_auc(
    x: Float[np.ndarray, "text d_model"],
    label: Float[np.ndarray, " text"],
    kind: Int[np.ndarray, " text"],
    seed: int,
    repeats: int = 1,
) -> float:
    """AUC of texts with label 1 against those with 0, each scored by a regression that was trained
    on the other folds.
    """
    score = np.zeros(len(label))
    for repeat in range(repeats):
        fold = _folds(label, kind, seed + repeat)
        for held in range(FOLDS):
            train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
            own = _without_means(x, kind, train)
            score[test] += fitted(own[train], label[train], own[test])
    return auc(score[label == 1], score[label == 0])[0]


def _without_means(
    x: Float[np.ndarray, "text d_model"],
    kind: Int[np.ndarray, " text"],
    train: Int[np.ndarray, " trained"],
) -> Float[np.ndarray, "text d_model"]:
    """The states less the mean of their kind among the texts trained on."""
    found: np.ndarray = x - x[train].mean(0)
    for value in np.unique(kind[train]):
        found[kind == value] = x[kind == value] - x[train][kind[train] == value].mean(0)
    return found


def _folds(
    label: Float[np.ndarray, " text"], kind: Int[np.ndarray, " text"], seed: int
) -> Int[np.ndarray, " text"]:
    """The fold of each text; both labels and all kinds are spread evenly."""
    draw = np.random.default_rng([seed, 5])
    order = draw.permutation(len(label))
    order = order[np.lexsort((kind[order], label[order]))]  # stable: by lot within label and kind
    fold = np.zeros(len(label), int)
    fold[order] = np.arange(len(label)) % FOLDS
    return fold


def fitted(
    x: Float[np.ndarray, "text d_model"],
    label: Float[np.ndarray, " text"],
    test: Float[np.ndarray, "other d_model"],
    penalty: float = PENALTY,
) -> Float[np.ndarray, " other"]:
    """Logits of a logistic regression for other texts: the weights w and the bias that minimise
    the sum of losses + penalty/2 · |w|², over inputs standardised on the training texts and
    divided by √d_model.

    Newton's method on the texts' products: there are fewer texts than numbers in a state.
    """
    mean, spread = x.mean(0), np.maximum(x.std(0), 1e-8)
    own, other = ((each - mean) / spread / x.shape[1] ** 0.5 for each in (x, test))
    # A large input that is always the same stands for a bias that is not held down.
    bias = 1e2
    products, others = own @ own.T + bias, other @ own.T + bias
    dual = np.zeros(len(x))
    for _ in range(_STEPS):
        logit = products @ dual
        p = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        curvature = np.maximum(p * (1 - p), 1e-6)
        wanted = logit + (label - p) / curvature
        new = np.linalg.solve(products + np.diag(penalty / curvature), wanted)
        moved = np.abs(new - dual).max()
        dual = new
        if moved < 1e-8 * max(1.0, np.abs(dual).max()):
            break
    found: np.ndarray = others @ dual
    return found
