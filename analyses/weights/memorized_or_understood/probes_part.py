"""Part `probes`: whether it can be read off the MLPs that a statement about a puzzle is true (Xie
et al. 2024).

The model reads a puzzle and a statement about one of its people, by a coin a true or a false one.
A logistic regression on what the MLP of a layer writes at the last token is trained on four fifths
of the puzzles and asked of the others. Beside it: labels that were shuffled, and an untrained twin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from analyses.measures.exposure_dose import logistic
from analyses.measures.statistics import auc
from analyses.measures.understood_puzzles import PuzzleLanguage
from analyses.measures.untrained_twin import untrained
from analyses.weights.memorized_or_understood import puzzle_sets
from analyses.weights.memorized_or_understood.constants import (
    FRESH,
    MODEL,
    SHUFFLED,
    TRAINED,
    UNTRAINED,
)
from hooks.capture import capture
from workbench.cost import Cost
from workbench.puzzles import PosedPuzzle
from workbench.result import Finding

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

FOLDS = 5
PEOPLE = 3
"""Of the puzzles that a model is asked which was not trained on any: of two there are too few."""
_FITTED = 0.02  # seconds for a regression
_BASE, _PERSON, _FORMAL = 60, 28, 11  # tokens, as in puzzles_part.py


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of one reading of every puzzle by the model and its twin, and of the regressions."""
    record = puzzle_sets.record_of(model)
    own = 3 if record is not None else 2
    tokens = _FORMAL * 3 if record is not None else _BASE + _PERSON * PEOPLE
    rows = own * params.probed
    return Cost(forward=rows * tokens, passes=rows / 16,
                seconds=_FITTED * FOLDS * model.n_layers * (own + 1))  # fmt: skip


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the table `probes` and what is said of it."""
    language, sets = _sets(model, params)
    rows: list[dict[str, object]] = []
    for at, (of, puzzles) in enumerate(sets.items()):
        part = progress.subprogress(at / (len(sets) + 1), (at + 1) / (len(sets) + 1))
        rows += _probed(model, MODEL, of, language, puzzles, params.seed, part)
    twin = untrained(model, params.seed)
    part = progress.subprogress(len(sets) / (len(sets) + 1), 1.0)
    rows += _probed(twin, UNTRAINED, FRESH, language, sets[FRESH], params.seed, part)
    result.tables["probes"] = pd.DataFrame(rows)
    _say(result)


def _sets(
    model: InstrumentedModel, params: Params
) -> tuple[PuzzleLanguage, dict[str, Sequence[PosedPuzzle]]]:
    language, record = puzzle_sets.language_of(model), puzzle_sets.record_of(model)
    if record is None:
        return language, {FRESH: puzzle_sets.drawn(language, PEOPLE, params.probed, params)}
    return language, {
        TRAINED: record.trained()[: params.probed],
        FRESH: record.untrained()[: params.probed],
    }


def statements(
    language: PuzzleLanguage, puzzles: Sequence[PosedPuzzle], seed: int
) -> tuple[list[str], Float[np.ndarray, " puzzle"]]:
    """A text for each puzzle that ends with what its first person is said to be, and whether that
    is true; half of them are, and each word is as often true as false.
    """
    lot, texts = np.random.default_rng([seed, 23]), []
    true = np.zeros(len(puzzles))
    firsts = np.array([one.answers[0] for one in puzzles])
    for answer in (True, False):  # as many true ones among knights as among knaves
        own = np.flatnonzero(firsts == answer)
        true[lot.permutation(own)[: len(own) // 2]] = 1
    for one, yes in zip(puzzles, true, strict=True):
        before, right, wrong = language.steps(one)[0]
        texts.append(language.prompt(one) + before + (right if yes else wrong))
    return texts, true


def _probed(
    model: InstrumentedModel,
    who: str,
    of: str,
    language: PuzzleLanguage,
    puzzles: Sequence[PosedPuzzle],
    seed: int,
    progress: Progress,
) -> list[dict[str, object]]:
    texts, true = statements(language, puzzles, seed)
    states = capture(
        model, texts, sites="mlp_out", positions=[-1], progress=progress.subprogress(0, 0.5)
    )["mlp_out"]
    values = np.asarray(states.squeeze("pos").transpose("layer", "prompt", "d_model"), float)
    lot, rows = np.random.default_rng([seed, 29]), []
    shuffled = lot.permutation(true)
    for layer, own in enumerate(values):
        progress(0.5 + layer / len(values) / 2, f"Probing layer {layer + 1} of {len(values)}")
        labels = {who: true} | ({SHUFFLED: shuffled} if who == MODEL and of == FRESH else {})
        for name, label in labels.items():
            value, low, high = auc(*_held_out(own, label, seed))
            rows.append({"model": name, "of": of, "layer": layer, "auc": value, "low": low,
                         "high": high, "n": len(true)})  # fmt: skip
    return rows


def _held_out(
    states: Float[np.ndarray, "puzzle d_model"], label: Float[np.ndarray, " puzzle"], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the true and of the false statements, each from a regression that was trained on
    the other folds.
    """
    n, width = states.shape
    fold = np.zeros(n, int)
    lot = np.random.default_rng([seed, 31])
    for value in (0, 1):  # both labels evenly over the folds
        own = np.flatnonzero(label == value)
        fold[lot.permutation(own)] = np.arange(len(own)) % FOLDS
    score = np.zeros(n)
    for held in range(FOLDS):
        train, test = fold != held, fold == held
        design = np.column_stack([np.ones(n), states])
        # One over the variance of a logit before training, as if inputs were divided by √d_model.
        beta = logistic(design[train], label[train], ridge=width)
        score[test] = design[test] @ beta - (design[train] @ beta).mean()
    return score[label == 1], score[label == 0]


def _say(result: Result) -> None:
    """The last layer was named before; the best of all is set against the best of the nulls."""
    table = result.tables["probes"]
    own = table[(table["model"] == MODEL) & (table["of"] == FRESH)]
    shuffled = table[table["model"] == SHUFFLED]
    twin = table[table["model"] == UNTRAINED]
    last, best = own.iloc[-1], own.loc[own["auc"].idxmax()]
    most = max(float(shuffled["auc"].max()), float(twin["auc"].max()))
    above = float(best["low"]) > most
    says = (
        "Whether a statement about a fresh puzzle is true can be read off the last layer's MLP with"
        f" AUC {last['auc']:.2f} ({last['low']:.2f} to {last['high']:.2f}), at best"
        f" {best['auc']:.2f} in layer {best['layer']}; labels that were shuffled give up to"
        f" {shuffled['auc'].max():.2f}, an untrained model up to {twin['auc'].max():.2f}:"
        f" {'more than that' if above else 'not surely more than that'}."
    )
    values = {"last": float(last["auc"]), "best": float(best["auc"]),
              "layer": float(best["layer"]), "shuffled": float(shuffled["auc"].max()),
              "untrained": float(twin["auc"].max())}  # fmt: skip
    trained = table[table["of"] == TRAINED]
    if len(trained):
        values["trained"] = float(trained.iloc[-1]["auc"])
        says += f" Of puzzles it has read it is {values['trained']:.2f} in the last layer."
    values = {key: value for key, value in values.items() if not math.isnan(value)}
    span = {"last": (float(last["low"]), float(last["high"]))}
    result.add(Finding("probes", values, says, unit="AUC", interval=span))
