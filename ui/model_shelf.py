"""The models that the server holds: the current one, which pages and programs talk to, and others
that were opened before.

Models are read one at a time, in a thread, while the current one still answers. Whatever does not
come to be (too large, broken, cancelled) changes nothing. Where memory is short the least recently
used is let go, and that is said; never the current one unasked, and never one that somebody holds.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ui.model_loading import ModelLoading
from ui.model_slot import Load, ModelSlot
from workbench import disk_space
from workbench.errors import WorkbenchError
from workbench.grid.engine import Loading
from workbench.models.fits import WORKING_ROOM
from workbench.progress import Progress


class NoRoom(WorkbenchError):
    """A model does not fit into memory; `replaceable`: it would without the current one."""

    def __init__(self, what: str, expected: str, do: str, replaceable: bool) -> None:
        super().__init__(what, expected, do)
        self.replaceable = replaceable


@dataclass(frozen=True)
class Notice:
    """Something that happened to the models, for every page; later ones have higher numbers."""

    number: int
    text: str


@dataclass(frozen=True)
class LoadProblem:
    """What came of the last model that could not be loaded."""

    ref: str
    error: WorkbenchError


class ModelShelf:
    """See the module.

    Args:
        ref: the first model: anything `wb.load` takes, or an already-built `InstrumentedModel`.
        load: how to load a reference (for tests); None fetches it and is `wb.load`.
        loading: how `wb.load` is told to load every model.
        need: bytes that a reference takes; None from it where that is not known.
        free: bytes that can still be filled; None from it where the system does not say.

    Attributes:
        current: the slot of the model that answers; a switch replaces the slot.
        memory_needed: bytes that a reference takes; None from it where that is not known.
        next: what becomes current once it is loaded.
    """

    def __init__(
        self,
        ref: Any,
        load: Load | None = None,
        need: Callable[[Any], int | None] | None = None,
        free: Callable[[], int | None] | None = None,
        loading: Loading | None = None,
    ) -> None:
        self.current = ModelSlot(ref)
        self.next: ModelSlot | None = None
        self.notice: Notice | None = None
        self.problem: LoadProblem | None = None
        self._load = load
        self._loading = ModelLoading(loading)
        self.memory_needed = need or self._loading.memory_needed
        self._free_bytes = free or self._loading.memory_free
        self._slots = [self.current]
        self._sizes: dict[int, int] = {}
        self._held: Counter[int] = Counter()
        self._lock = threading.RLock()
        self._reading = threading.Lock()

    def start(self) -> None:
        """Begin loading the first model, unless it is there already."""
        if self.current.state == "loading":
            self._begin(self.current)

    # -- what pages ask for ------------------------------------------------------------------------

    def open(self, ref: str, replace: bool = False, accept_terms: bool = False) -> ModelSlot:
        """Make another model the current one: at once if it is in memory, else when it is loaded.

        What was being loaded to become current is cancelled, since this is wanted instead.

        Args:
            replace: the current model may be let go before, if there is no room for both.
            accept_terms: whoever asks has read the model's terms of use and accepts them.
        """
        with self._lock:
            slot, before = self._find(ref), self.next
            self.problem = self.next = None
            if before is not None and before is not slot:
                self._give_up(before)
            new = slot is None
            if slot is None:
                slot = ModelSlot(ref)
                self._slots.append(slot)
            if slot.state == "ready":
                self._switch(slot)
            elif self.current.state != "ready" and self.current is not slot:
                self._give_up(self.current)  # nothing answers yet, so there is nothing to keep
                self._switch(slot)
            elif self.current is not slot:
                self.next = slot
            if new:
                self._begin(slot, replace, accept_terms)
            return slot

    def get(self, ref: str) -> ModelSlot:
        """A model beside the current one: from memory, or loading from now on."""
        with self._lock:
            slot = self._find(ref)
            if slot is None:
                slot = ModelSlot(ref)
                self._slots.append(slot)
                self._begin(slot)
            slot.used = time.monotonic()
            return slot

    @property
    def loading(self) -> ModelSlot | None:
        """What is being loaded now, if anything: what was asked for last."""
        with self._lock:
            if self.next is not None:
                return self.next
            waiting = [slot for slot in self._slots if slot.state == "loading"]
            return waiting[-1] if waiting else None

    def cancel(self) -> None:
        """Stop loading what `loading` says."""
        with self._lock:
            slot = self.loading
            if slot is not None:
                slot.cancel()
                self._ended(slot)

    def loaded(self) -> list[ModelSlot]:
        """What is in memory, the last used first."""
        with self._lock:
            ready = [slot for slot in self._slots if slot.state == "ready"]
            return sorted(ready, key=lambda slot: slot.used, reverse=True)

    def unload(self, ref: str) -> None:
        """Let a model go that is in memory and not needed.

        Raises:
            WorkbenchError: it is the current one, or a run has it.
        """
        with self._lock:
            slot = self._find(ref)
            if slot is None or slot.state != "ready":
                return
            if slot is self.current or self._held[slot.serial]:
                why = "it is the current model" if slot is self.current else "a run has it"
                raise WorkbenchError(
                    f"{slot.name} cannot be unloaded: {why}.",
                    do="Choose another model first, or wait for the run.",
                )
            self._drop(slot)

    def free(self) -> int | None:
        """Bytes of memory that can still be filled; None where the system does not say."""
        return self._free_bytes()

    def fit(self, needed: int | None) -> str:
        """Whether a model of this size can be loaded now: "fits", "replace" (if the current one may
        go), "too large", or "" where that cannot be told.
        """
        free = self.free()
        if needed is None or free is None:
            return ""
        if self._loading.spills:
            return "fits"
        with self._lock:
            for replace, word in ((False, "fits"), (True, "replace")):
                if needed + WORKING_ROOM <= free + self._in(self._idle(None, replace)):
                    return word
        return "too large"

    # -- who holds which ---------------------------------------------------------------------------

    def hold(self, slot: ModelSlot) -> None:
        """Keep a model in memory until `release`; several may hold the same."""
        with self._lock:
            self._held[slot.serial] += 1

    def release(self, slot: ModelSlot) -> None:
        """The end of one `hold`."""
        with self._lock:
            self._held[slot.serial] -= 1

    @contextmanager
    def using(self, slot: ModelSlot) -> Iterator[None]:
        """Inside, the model stays in memory."""
        self.hold(slot)
        try:
            yield
        finally:
            self.release(slot)

    # -- loading -----------------------------------------------------------------------------------

    def _find(self, ref: Any) -> ModelSlot | None:
        return next(
            (
                slot
                for slot in self._slots
                if slot.state != "failed" and (slot.ref == ref or slot.name == ref)
            ),
            None,
        )

    def _begin(self, slot: ModelSlot, replace: bool = False, accept_terms: bool = False) -> None:
        def load(ref: Any, progress: Progress) -> Any:
            if self._load is None:
                fetch(ref, progress, accept_terms)
            progress.check()
            self._make_room(slot, replace)
            return (self._load or self._loading.read)(ref, progress)

        def work() -> None:
            with self._reading:
                slot.run(load)
            self._ended(slot)

        threading.Thread(target=work, name="load-model", daemon=True).start()

    def _ended(self, slot: ModelSlot) -> None:
        with self._lock:
            wanted = self.next is slot
            if wanted:
                self.next = None
            if slot.state == "failed":
                if slot in self._slots and slot is not self.current:
                    self._slots.remove(slot)
                if slot.error is not None and not slot.cancelled:
                    self.problem = LoadProblem(str(slot.ref), slot.error)
            elif wanted:
                self._switch(slot)

    def _switch(self, slot: ModelSlot) -> None:
        before, self.current = self.current, slot
        slot.used = time.monotonic()
        if before.state == "failed" and before in self._slots and before is not slot:
            self._slots.remove(before)

    def _give_up(self, slot: ModelSlot) -> None:
        """Nobody waits for it any more, unless it is a run that is queued."""
        if slot.state == "loading" and not self._held[slot.serial]:
            slot.cancel()
            if slot in self._slots:
                self._slots.remove(slot)

    # -- memory ------------------------------------------------------------------------------------

    def _idle(self, wanted: ModelSlot | None, replace: bool) -> list[ModelSlot]:
        """What may be let go for `wanted`, the least recently used first, the current one last."""
        free = [
            slot
            for slot in self.loaded()
            if slot is not wanted
            and not self._held[slot.serial]
            and (replace or slot is not self.current)
        ]
        return sorted(free, key=lambda slot: (slot is self.current, slot.used))

    def _in(self, slots: list[ModelSlot]) -> int:
        return sum(self._sizes.get(slot.serial, 0) for slot in slots)

    def _make_room(self, slot: ModelSlot, replace: bool) -> None:
        needed = self.memory_needed(slot.ref)
        if needed is None:
            return
        with self._lock:
            free = self.free()
            idle = self._idle(slot, replace)
            room = None if free is None else free + self._in(idle)
            if room is not None and self._loading.spills:
                needed = min(needed, max(0, room - WORKING_ROOM))  # the rest goes to the folder
            # Asked first: nothing is let go for a model that would not fit even then.
            if room is not None and needed + WORKING_ROOM > room:
                raise self._refusal(slot, needed, room)
            for other in idle:
                free = self.free()
                if free is None or needed + WORKING_ROOM <= free:
                    break
                self._drop(other, f" to make room for {slot.name}")
                if other is self.current:
                    self._switch(slot)
                    self.next = None
            self._sizes[slot.serial] = needed

    def _drop(self, slot: ModelSlot, why: str = "") -> None:
        name = slot.name
        self._slots.remove(slot)
        slot.drop()
        gc.collect()  # a module and its hooks know each other
        number = self.notice.number + 1 if self.notice is not None else 1
        self.notice = Notice(number, f"{name} was unloaded{why}.")

    def _refusal(self, slot: ModelSlot, needed: int, free: int) -> NoRoom:
        size = disk_space.size
        with_current = free + self._in([self.current] if self.current in self._slots else [])
        replaceable = (
            self.current.state == "ready"
            and not self._held[self.current.serial]
            and needed + WORKING_ROOM <= with_current
        )
        do = (
            f"Unload {self.current.name} for it, close other programs, or choose a smaller model."
            if replaceable
            else "Close other programs, wait for runs that have a model, or choose a smaller one."
        )
        return NoRoom(
            f"{slot.name} does not fit: its weights need {size(needed)} of memory and the passes"
            f" about {size(WORKING_ROOM)}; {size(free)} are free.",
            f"at most {size(max(0, free - WORKING_ROOM))}",
            do,
            replaceable,
        )


def fetch(ref: Any, progress: Progress, accept_terms: bool) -> None:
    """Bring a model onto this machine, so that it is known how large it is.

    Raises:
        WorkbenchError, Cancelled: see `workbench.models.pull` and `ensure`.
    """
    from workbench import models

    part = progress.subprogress(0.0, 0.6)
    if accept_terms and ref in models.known():
        models.pull(ref, part, accept_terms=True)
    elif isinstance(ref, str):
        models.ensure(ref, part)
