"""Forgetting by one method, with the path on which it gets there."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.memorized import exact_memorization
from analyses.weights.unlearning_audit.sets import Sets
from hooks.unlearning import METHODS, Settings, Unlearned, unlearn
from hooks.unlearning.texts import Text, nats_of_all

if TYPE_CHECKING:
    from analyses.weights.unlearning_audit.subjects import Subject
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

WATCHED = (c.FORGET, c.KEPT, c.NEUTRAL)
"""Sets that are measured on the path."""


@dataclass(frozen=True)
class Forgetting:
    """One method on the run's sets.

    Attributes:
        title: as tables have it.
        done: the change.
        path: rows of the table `path`.
        seconds: it took.
    """

    title: str
    done: Unlearned
    seconds: float
    path: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rates(self) -> tuple[float, ...] | None:
        """The rate that it took, to be taken again; None where nothing was to be done."""
        rate = self.done.log.rate
        return None if math.isnan(rate) else (rate,)


def aim_of(model: InstrumentedModel, reference: Subject | None, sets: Sets) -> tuple[float, str]:
    """Mean nats per token at which the passages count as forgotten, and whose they are: the
    reference's on the same passages; without one, the model's own on passages it never read.
    """
    if reference is not None:
        with reference.on() as other:
            return float(nats_of_all(other, sets.texts(c.FORGET)).mean()), "the reference has"
    if sets[c.UNSEEN]:
        found = float(nats_of_all(model, sets.texts(c.UNSEEN)).mean())
        return found, "the model has on passages it never read"
    found = float(nats_of_all(model, sets.texts(c.NEUTRAL)).mean())
    return found, "the model has on neutral prose (no passages it never read are given)"


def forget(
    model: InstrumentedModel,
    sets: Sets,
    method: str,
    aim: float,
    steps: int,
    seed: int,
    progress: Progress,
    *,
    rates: Sequence[float] | None = None,
    only: Sequence[Text] | None = None,
    watched: bool = True,
) -> Forgetting:
    """Forget the set's passages until their loss reaches `aim`.

    Args:
        rates: what is tried; None is the library's.
        only: of the passages to forget, these; None is all.
        watched: measure on the way.
    """
    settings = Settings(aim, steps, None if rates is None else tuple(rates), seed=seed)
    path: list[dict[str, Any]] = []
    title = METHODS[method].label

    def watch(step: int, model: InstrumentedModel) -> None:
        row: dict[str, Any] = {"model": title, "step": step}
        for name in WATCHED:
            texts = sets.texts(name)
            row[f"{name}_nats"] = float(nats_of_all(model, texts).mean()) if texts else None
            if name != c.NEUTRAL and texts:
                row[f"{name}_exact"] = 100 * float(exact_memorization(model, texts).mean())
        path.append(row)

    started = time.monotonic()
    done = unlearn(
        model,
        method,
        list(sets.texts(c.FORGET) if only is None else only),
        sets.texts(c.RETAIN),
        settings,
        progress,
        watch=watch if watched else None,
    )
    return Forgetting(title, done, time.monotonic() - started, path)
