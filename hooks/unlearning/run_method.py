"""Unlearning, from texts to a change of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hooks.eager_eval import steady
from hooks.editing.edit import fingerprint
from hooks.unlearning.contrast_mask import contrast_mask
from hooks.unlearning.methods import METHODS, Method
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.settings import Settings
from hooks.unlearning.steering import steered_layer, steered_names
from hooks.unlearning.task_vector import EPOCHS, take_off
from hooks.unlearning.text_sets import check_texts
from hooks.unlearning.texts import Text, nats_of_all
from hooks.unlearning.trained_weights import (
    MatrixEntries,
    Snapshot,
    TrainedWeights,
    low_rank,
    matrix_names,
)
from hooks.unlearning.training_loop import Attempt, UnlearningRun
from hooks.unlearning.training_state import TrainingState
from hooks.unlearning.unlearned import Unlearned
from hooks.unlearning.unlearning_log import UnlearningLog
from workbench.errors import NotFound
from workbench.models.weight_delta import Delta
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

LARGEST = 20_000_000
"""Parameters of a model whose matrices are trained themselves."""
RATES, RATES_OF_LARGE = (0.003, 0.01, 0.03), (1e-4, 3e-4, 1e-3, 3e-3)
"""What is tried where no rates are named. Steps of all weights add up along the width and the depth
of a model: SmolLM2-135M forgot two sentences in two steps at 0.001. In the organism's 2 M weights
every method but UNDIAL comes to the loss of unseen text at these rates; at 0.1 UNDIAL does too, by
breaking the model in two steps.
"""
Watch = Callable[[int, "InstrumentedModel"], None]


@ordinary
def unlearn(
    model: InstrumentedModel,
    method: str,
    forget: Sequence[Text],
    retain: Sequence[Text],
    settings: Settings,
    progress: Progress | None = None,
    watch: Watch | None = None,
    kept: Path | None = None,
) -> Unlearned:
    """Make texts unlikely. The model's weights are afterwards what they were.

    Each rate starts from the original weights, until one of them reaches the aim.

    Args:
        method: one of `METHODS`.
        forget, retain: no text may be in both. Methods without a retain term only look at what is
            to be retained, to say when a model is broken; it may be empty for them.
        watch: called with a step and the model as it was after it (its weights, not only its
            outputs), once all is done: for steps 0, 1, 2, 3, 5, 8, 12, 18, … of the training whose
            result is given back, and for the one that is kept. Steps of a task vector are those of
            its factor.
        kept: a folder for what a stop would cost: the same call goes on there. It is emptied at the
            end.

    Raises:
        NotFound: no such method.
        BadInput: no text to forget or none to retain, texts that are to be both forgotten and
            retained, quantized weights, or a folder with something else in it.
        Unfit: the model has nothing that the method trains.
        Cancelled: from `progress`.
    """
    if method not in METHODS:
        raise NotFound.named("method of unlearning", method, METHODS)
    progress, how = progress or Progress(), METHODS[method]
    check_texts(model, how.label, forget, retain, needs_retain=how.needs_retain)
    about = fingerprint(model, f"{how.label}: {len(forget)} texts are to be forgotten")
    base = model.card.weight_hash
    with steady(model.module):
        now = float(nats_of_all(model, forget).mean())
    if now >= settings.aim:
        log = UnlearningLog(
            whole=((0, now),),
            stopped=f"nothing was to be done: the texts have {now:.2f} nats per token already",
            reached=True,
        )
        if watch is not None:
            watch(0, model)
        return Unlearned(method, base, Delta(about[0], about[1], {}, {}, about[2]), log)
    if how.is_task_vector:
        epochs = math.ceil(EPOCHS * len(forget) / settings.batch)
        settings = replace(settings, steps=min(settings.steps, epochs))
    share = 0.5 if watch else 1.0
    trained = _trained(model, how, forget, retain, settings, progress.subprogress(0, 0.1 * share))
    state = TrainingState(kept, about[0], method, (forget, retain), settings) if kept else None
    attempt = _first_that_reaches(
        UnlearningRun(
            model,
            trained,
            how.objective(OriginalModel(model, trained), forget, settings),
            forget,
            retain,
            settings,
            math.inf if how.is_task_vector else settings.aim,
            state,
            with_path=watch is not None,
        ),
        how,
        progress.subprogress(0.1 * share, share),
    )

    def made(snapshot: Snapshot) -> Unlearned:
        trained.restore(snapshot)
        return Unlearned(method, base, trained.delta(about), attempt.log)

    done = made(attempt.best)
    if watch is not None:
        for n, step in enumerate(sorted(attempt.path)):
            progress(share + (1 - share) * n / len(attempt.path), f"Measuring after step {step}")
            with made(attempt.path[step]).applied(model):
                watch(step, model)
    if state is not None:
        state.clear()
    return done


def _trained(
    model: InstrumentedModel,
    how: Method,
    forget: Sequence[Text],
    retain: Sequence[Text],
    settings: Settings,
    progress: Progress,
) -> TrainedWeights:
    if how.trains == "down projections":
        names = steered_names(model, steered_layer(model, settings.layer))
        every = sum(model.module.get_parameter(n).numel() for n in matrix_names(model))
        return MatrixEntries(model, names, among=every)
    if how.trains == "masked weights":
        names = matrix_names(model)
        places = contrast_mask(model, names, forget, retain, settings.share, progress)
        return MatrixEntries(model, names, places)
    scope = settings.weights or ("all" if model.card.n_params < LARGEST else "lora")
    if scope == "all":
        return MatrixEntries(model, matrix_names(model))
    return low_rank(model, settings.seed)


def _first_that_reaches(training: UnlearningRun, how: Method, progress: Progress) -> Attempt:
    """The training at the smallest rate that reaches the aim, or the one that came nearest without
    breaking the model.
    """
    usual = RATES if training.model.card.n_params < LARGEST else RATES_OF_LARGE
    rates = sorted(set(training.settings.rates or usual))
    best, tried = Attempt(UnlearningLog()), list[UnlearningLog]()
    for n, rate in enumerate(rates):
        part = progress.subprogress(n / len(rates), (n + 1) / len(rates))
        hopeful = rate == rates[-1] or how.is_task_vector
        attempt = training.run(rate, part.subprogress(0, 0.8), hopeful=hopeful)
        if how.is_task_vector:
            attempt = take_off(training, attempt, part.subprogress(0.8, 1))
        tried.append(attempt.log)
        best = attempt if n == 0 else max(best, attempt, key=_success)
        if attempt.log.reached:
            break
    others = [log for log in tried if log.rate != best.log.rate]
    notes = [f"At a rate of {log.rate:g}: {log.stopped}." for log in others]
    best.log = replace(best.log, notes=(*training.objective.notes, *notes))
    return best


def _success(attempt: Attempt) -> tuple[bool, bool, float]:
    """What to go by: the aim, then a model that is whole, then how near it came."""
    nearest = max((found for _, found in attempt.log.whole), default=-math.inf)
    return attempt.log.reached, not attempt.exploded, nearest
