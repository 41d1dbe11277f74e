"""What the tab *Plant and watch* computes: sentences read by a copy of the small organism in a
thread of its own, and the trained copies that are asked afterwards.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import workbench as wb
from analyses.measures.exposure_twins import twin_of
from analyses.measures.exposure_watch import (
    WatchedText,
    WatchMoment,
    WatchPlan,
    When,
    check_plan,
    watch,
)
from workbench.errors import BadInput, Cancelled, NotFound, WorkbenchError
from workbench.progress import Progress, Update

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

ORGANISM = "organism/planted"
_HELD = 4  # trained copies; each is 10 MB
_OFTEN = 0.4  # seconds between two pictures of a training that goes on
_ASKED = 24  # tokens of an answer


@dataclass
class WatchedPlanting:
    """Sentences while they are read, and afterwards.

    Attributes:
        model: the copy that reads; None until it is loaded.
        moments: what it said, from before the first update on.
        says, left: the latest report of the training, and the seconds it will still take.
        error: why it ended before its last update.
        running: whether it goes on.
    """

    plan: WatchPlan | None = None
    model: InstrumentedModel | None = None
    moments: list[WatchMoment] = field(default_factory=list)
    says: str = "Opening the small organism"
    left: float | None = None
    error: WorkbenchError | Cancelled | None = None
    running: bool = True
    progress: Progress = field(default_factory=Progress)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def wrong(self) -> WorkbenchError | None:
        """What went wrong; to be stopped is no error."""
        return None if isinstance(self.error, Cancelled) else self.error

    @property
    def stopped(self) -> bool:
        return isinstance(self.error, Cancelled)


class Plantings:
    """The plantings of one server: one at a time trains, the last few can be asked."""

    def __init__(self, ref: Any = ORGANISM) -> None:
        self._ref = ref
        self._held: OrderedDict[str, WatchedPlanting] = OrderedDict()
        self._turn = threading.Lock()
        self._holding = threading.Lock()  # pages ask while a training goes on
        self._loading = threading.Lock()
        self._as_it_is: InstrumentedModel | None = None

    def _load(self) -> InstrumentedModel:
        model: InstrumentedModel = wb.load(self._ref)
        return model

    @property
    def unread(self) -> InstrumentedModel:
        """The organism as it is, which the trained copies are compared with."""
        with self._loading:  # two who ask at once load it once
            if self._as_it_is is None:
                self._as_it_is = self._load()
            return self._as_it_is

    def get(self, name: str) -> WatchedPlanting:
        """A planting that is still held.

        Raises:
            BadInput: nothing was planted yet.
            NotFound: it was let go.
        """
        if not name:
            raise BadInput(
                "Nothing was planted yet.",
                "a training to look at",
                "Write your sentences and press the button.",
            )
        with self._holding:
            planting = self._held.get(name)
        if planting is None:
            raise NotFound(
                "This planting is no longer held.",
                f"one of the last {_HELD} of this server",
                "Plant the sentences again.",
            )
        return planting

    def stop(self, name: str) -> None:
        """Let a training end after the update it is at."""
        with self._holding:
            planting = self._held.get(name)
        if planting is not None:
            planting.progress.cancel()

    def plant(self, rows: list[tuple[str, int, When]], steps: int) -> Iterator[WatchedPlanting]:
        """Train by what a person wrote, and yield the planting as it changes; whoever stops asking
        stops the training.

        Raises:
            BadInput: a sentence that cannot be read or watched, or another training goes on.
        """
        if not self._turn.acquire(blocking=False):
            raise BadInput(
                "Another planting is going on in this server.",
                "one at a time",
                "Wait until it is finished, or stop it.",
            )
        planting, news = WatchedPlanting(), queue.SimpleQueue[bool]()
        with self._holding:
            self._held[planting.name] = planting

        def heard(update: Update) -> None:
            planting.says, planting.left = update.says, update.left

        def moment(said: WatchMoment) -> None:
            if not planting.moments:  # only now is it worth another's place
                self._trim()
            planting.moments.append(said)
            news.put(True)

        def work() -> None:
            try:
                model = self._load()
                planting.plan = _plan(model, rows, steps)
                planting.progress.check()
                planting.model = model
                watch(model, planting.plan, moment, planting.progress)
            except (WorkbenchError, Cancelled) as problem:
                planting.error = problem
            except Exception as problem:  # whatever ends a thread is seen by nobody else
                planting.error = WorkbenchError(
                    f"The training broke off: {type(problem).__name__}: {problem}",
                    "a training that goes on to its last update",
                    "Plant the sentences again; if it breaks off again, please report this.",
                )
            finally:
                planting.running = False
                if not planting.moments:  # nothing to look at
                    with self._holding:
                        self._held.pop(planting.name, None)
                self._turn.release()
                news.put(False)

        planting.progress = Progress(heard)
        threading.Thread(target=work, daemon=True).start()
        try:
            yield planting
            shown = 0.0
            while news.get():
                if time.monotonic() - shown >= _OFTEN:
                    shown = time.monotonic()
                    yield planting
            yield planting
        finally:
            planting.progress.cancel()

    def _trim(self) -> None:
        with self._holding:
            while len(self._held) > _HELD:
                self._held.popitem(last=False)

    def ask(self, name: str, text: str) -> tuple[str, str]:
        """How a text goes on: the organism as it is, and the copy that read the sentences.

        Raises:
            BadInput, NotFound: no such copy, or it still reads, or there is nothing to go on from.
        """
        planting = self.get(name)
        if planting.running or planting.model is None:
            raise BadInput(
                "The organism is still reading." if planting.running else "It read nothing.",
                "a training that is over",
                "Wait for it, or stop it." if planting.running else "Plant the sentences again.",
            )
        if not text.strip():
            raise BadInput("There is no text.", "the beginning of one", "Type some words.")
        answers = [
            model.generate(text.rstrip(), max_new_tokens=_ASKED)
            for model in (self.unread, planting.model)
        ]
        return answers[0], answers[1]


def _plan(model: InstrumentedModel, rows: list[tuple[str, int, When]], steps: int) -> WatchPlan:
    # Checked before twins are made, which need sentences that are long enough.
    written = [(text.strip(), readings, when) for text, readings, when in rows if text.strip()]
    check_plan(model, WatchPlan(tuple(WatchedText(*row, twin="") for row in written), steps))
    return WatchPlan(
        tuple(
            WatchedText(text, readings, when, twin_of(model, text))
            for text, readings, when in written
        ),
        steps,
    )
