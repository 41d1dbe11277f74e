"""Task arithmetic: what training on texts added to the weights, taken off until the texts count as
forgotten (Ilharco et al. 2023).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hooks.eager_eval import steady
from hooks.unlearning.texts import nats_of_all
from hooks.unlearning.training_loop import Attempt, UnlearningRun, is_on_path

if TYPE_CHECKING:
    from workbench.progress import Progress

FIRST = 0.1
GROWS = 1.1
MOST = 60
EPOCHS = 10


def factor(step: int) -> float:
    """How many vectors are taken off at a step: 0, 0.1, 0.11, …, each a tenth more."""
    return 0.0 if step == 0 else FIRST * GROWS ** (step - 1)


def take_off(training: UnlearningRun, trained: Attempt, progress: Progress) -> Attempt:
    """The first factor at which the texts count as forgotten, of a training that made them
    likelier; or the last at which the model still knows what it is to retain.

    Returns:
        An attempt whose path goes over factors; the log of the training, with what was found.
    """
    model, weights = training.model, training.trained
    vector, start = trained.best, weights.snapshot()
    attempt = Attempt(trained.log)
    whole: list[tuple[int, float]] = []
    stopped, reached, last = f"{factor(MOST):.2g} task vectors did not suffice", False, MOST
    with weights.on(), steady(model.module):
        for step in range(MOST + 1):
            progress(step / (MOST + 1), f"Taking off {factor(step):.2g} task vectors")
            snapshot = weights.scaled(vector, -factor(step))
            weights.restore(snapshot)
            weights.write()
            whole.append((step, float(nats_of_all(model, training.forget).mean())))
            if training.knows_nothing(float(nats_of_all(model, training.retain).mean())):
                last = step - 1
                stopped = (
                    f"with {factor(step):.2g} task vectors taken off the loss of what is to be"
                    f" retained was above that of guessing; {factor(last):.2g} are kept"
                )
                attempt.exploded = True
                break
            before = snapshot
            if training.with_path and is_on_path(step):
                attempt.path[step] = snapshot
            if whole[-1][1] >= training.settings.aim:
                reached, last = True, step
                stopped = f"the texts count as forgotten with {factor(step):.2g} task vectors off"
                break
    attempt.path[last] = before
    weights.restore(start)
    attempt.log = replace(
        trained.log,
        whole=tuple(whole),
        step=last,
        alpha=factor(last),
        stopped=f"{stopped}, after training on the texts for {trained.log.steps} steps",
        reached=reached,
    )
    return attempt
