"""Adam on what a method trains, until the texts count as forgotten."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from hooks.eager_eval import steady
from hooks.unlearning.objectives import LossTerm, Objective
from hooks.unlearning.settings import Settings
from hooks.unlearning.texts import Text, nats_of_all
from hooks.unlearning.trained_weights import Snapshot, TrainedWeights
from hooks.unlearning.training_state import TrainingState
from hooks.unlearning.unlearning_log import UnlearningLog

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

KEEP_EVERY = 10
Terms = Callable[[Sequence[Text]], Iterator[LossTerm]]


@dataclass
class Attempt:
    """A training at one rate.

    Attributes:
        path: what is trained, at the step that is kept; and, where it is wanted, at steps on the
            way that lie apart by a growing number.
        exploded: whether it was given up.
    """

    log: UnlearningLog
    path: dict[int, Snapshot] = field(default_factory=dict)
    exploded: bool = False

    @property
    def best(self) -> Snapshot:
        return self.path[self.log.step]


def is_on_path(step: int) -> bool:
    """0, 1, 2, 3, 5, 8, 12, 18, 27, 41, …: half as many again."""
    at = 0
    while at < step:
        at = max(at + 1, math.ceil(at * 1.5))
    return at == step


@dataclass
class UnlearningRun:
    """A method on its texts.

    Attributes:
        aim: nats per token at which it ends; inf for none.
        state: where it is kept for going on after a stop, or None.
        with_path: keep what is trained as it was on the way too.
    """

    model: InstrumentedModel
    trained: TrainedWeights
    objective: Objective
    forget: Sequence[Text]
    retain: Sequence[Text]
    settings: Settings
    aim: float
    state: TrainingState | None = None
    with_path: bool = False

    def __post_init__(self) -> None:
        with steady(self.model.module):
            self._before = float(nats_of_all(self.model, self.retain).mean())
            self._start = float(nats_of_all(self.model, self.forget).mean())

    def run(self, rate: float, progress: Progress, *, hopeful: bool = True) -> Attempt:
        """Start from the original weights; afterwards they are back.

        Args:
            hopeful: go on to the last step, also where half of them brought little.

        Raises:
            Cancelled: from `progress`.
        """
        start = self.trained.snapshot()
        try:
            with self.trained.on(), steady(self.model.module):
                return self._steps(rate, progress, hopeful=hopeful)
        finally:
            self.trained.restore(start)
            for tensor in self.trained.tensors:
                tensor.grad = None

    def _steps(self, rate: float, progress: Progress, *, hopeful: bool) -> Attempt:
        adam = torch.optim.Adam(
            [
                {"params": [tensor], "lr": rate * spread}
                for tensor, spread in zip(self.trained.tensors, self.trained.spreads, strict=True)
            ]
        )
        attempt, first = Attempt(UnlearningLog(rate=rate)), 0
        if self.state is not None:
            first = self.state.resume(rate, self.trained, adam, attempt)
        last = self.settings.steps
        batches = self._batches(last + 1)
        before = self.trained.snapshot()
        for step in range(last + 1):
            forget, retain = next(batches)
            if step < first:
                continue
            progress(step / (last + 1), f"Unlearning at rate {rate:g}, step {step} of {last}")
            log = attempt.log
            losses = self._pass(forget, retain, wanted=step < last)
            attempt.log = log.with_batch(*losses)
            if why := self._exploded(attempt.log):
                self.trained.restore(before)
                self.trained.write()
                attempt.exploded, reached = True, self._reaches(attempt, step - 1)
                stopped = f"{why} at step {step}; step {step - 1} is kept"
                return _ended(attempt, step - 1, before, stopped, reached=reached)
            if self.state is not None and step > first and step % KEEP_EVERY == 0:
                self.state.keep(self.trained, adam, replace(attempt, log=log), step)
            before = self.trained.snapshot()
            halfway = not hopeful and step == max(1, last // 2)
            if losses[0] >= self.aim or halfway or step == last:
                if self._reaches(attempt, step):
                    stopped = f"the texts count as forgotten at step {step}"
                    return _ended(attempt, step, before, stopped, reached=True)
                if halfway and self._is_far(attempt.log):
                    stopped = f"{step} steps were less than a quarter of the way"
                    return _ended(attempt, step, before, stopped)
            if self.with_path and is_on_path(step):
                attempt.path[step] = before
            if step < last:
                adam.step()
                adam.zero_grad()
                self.trained.write()
        return _ended(attempt, last, before, f"all {last} steps were taken")

    def _reaches(self, attempt: Attempt, step: int) -> bool:
        found = float(nats_of_all(self.model, self.forget).mean())
        attempt.log = replace(attempt.log, whole=(*attempt.log.whole, (step, found)))
        return found >= self.aim

    def _is_far(self, log: UnlearningLog) -> bool:
        """Whether less than a quarter of the way is behind."""
        return log.whole[-1][1] < self._start + (self.aim - self._start) / 4

    def _exploded(self, log: UnlearningLog) -> str:
        """Why training cannot go on, or ""."""
        if len(log.total) < 2:
            return ""
        if not all(map(math.isfinite, (log.forget[-1], log.total[-1]))):
            return "the loss was no number"
        if self.knows_nothing(log.retain[-1]):
            return "the loss of what is to be retained was above that of guessing"
        return ""

    def knows_nothing(self, nats: float) -> bool:
        """Whether a loss on what is to be retained is above that of guessing; where that was so
        before, it never is.
        """
        guess = math.log(self.model.card.d_vocab)
        return self._before < guess < nats

    def _pass(
        self, forget: Sequence[Text], retain: Sequence[Text], *, wanted: bool
    ) -> tuple[float, float, float, float]:
        """Mean nats of both, divergence and loss of one batch; gradients are added."""
        objective = self.objective
        own = self._mean(forget, objective.forget, 1.0, wanted=wanted)
        other = self._mean(
            retain, objective.retain, objective.weight, wanted=wanted and objective.weight != 0
        )
        total = float(own.loss) + objective.weight * float(other.loss)
        return own.nats, other.nats, other.divergence, total

    def _mean(
        self, texts: Sequence[Text], terms: Terms, weight: float, *, wanted: bool
    ) -> LossTerm:
        """Mean over texts, read in as many passes as the model needs."""
        if not texts:
            return LossTerm(torch.zeros(()), float("nan"))
        found: list[LossTerm] = []
        for chosen in self.model.batch_indices([len(t.ids) for t in texts], len(texts)):
            with torch.set_grad_enabled(wanted):
                part = list(terms([texts[i] for i in chosen]))
                loss = torch.stack([term.loss for term in part]).sum() / len(texts)
            if wanted and bool(torch.isfinite(loss)):
                self.trained.add_gradients(weight * loss)
            found += [replace(term, loss=term.loss.detach()) for term in part]
        n = len(found)
        return LossTerm(
            torch.stack([term.loss for term in found]).sum() / n,
            sum(term.nats for term in found) / n,
            sum(term.divergence for term in found) / n,
        )

    def _batches(self, many: int) -> Iterator[tuple[list[Text], list[Text]]]:
        draw = torch.Generator().manual_seed(self.settings.seed)
        sides = [_cycled(side, self.settings.batch, draw) for side in (self.forget, self.retain)]
        for _ in range(many):
            yield next(sides[0]), next(sides[1])


def _ended(
    attempt: Attempt, step: int, left: Snapshot, stopped: str, *, reached: bool = False
) -> Attempt:
    """With what is kept of it."""
    attempt.path[step] = left
    attempt.log = replace(attempt.log, step=step, stopped=stopped, reached=reached)
    return attempt


def _cycled(texts: Sequence[Text], size: int, draw: torch.Generator) -> Iterator[list[Text]]:
    """So many texts at a time, in an order that is drawn anew whenever all had their turn."""
    size, left = min(size, len(texts)), list[int]()
    while True:
        while len(left) < size:
            left += torch.randperm(len(texts), generator=draw).tolist()
        yield [texts[i] for i in left[:size]]
        left = left[size:]
