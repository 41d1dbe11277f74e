"""One model of the shelf: loading, there, or failed. See `ui.model_shelf`."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from workbench.errors import Cancelled, WorkbenchError
from workbench.progress import Progress, Update

SlotState = Literal["loading", "ready", "failed"]
Load = Callable[[Any, Progress], Any]
_serials = itertools.count(1)


class ModelSlot:
    """Where a model is, or will be.

    Args:
        ref: anything `wb.load` takes, or an already-built `InstrumentedModel`.

    Attributes:
        serial: a number that no other slot has; for whoever remembers what a model said.
        fraction, says: the latest report of loading it.
        used: when it was last asked for (monotonic seconds).
    """

    def __init__(self, ref: Any) -> None:
        self.ref = ref
        self.serial = next(_serials)
        self.error: WorkbenchError | None = None
        self.fraction, self.says = 0.0, ""
        self.used = time.monotonic()
        self._progress = Progress(self._heard)
        self._model: Any = None
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._done = threading.Event()
        if hasattr(ref, "card"):
            self._model, self._seconds = ref, 0.0
            self._done.set()

    def _heard(self, update: Update) -> None:
        self.fraction, self.says = update.fraction, update.says

    def run(self, load: Load) -> None:
        """Load it, in the thread that calls this; never raises."""
        self._started = time.monotonic()
        try:
            made = load(self.ref, self._progress)
            self._progress.check()  # cancelled where nothing was reported any more
            self._model = made
        except Cancelled:
            self._fail(_cancelled(self.name))
        except WorkbenchError as error:
            self._fail(error)
        except Exception as error:
            # Whatever a library raises while reading weights must reach the page: nobody looks at
            # this thread.
            self._fail(
                WorkbenchError(
                    f"The model {self.name!r} could not be loaded: {type(error).__name__}: {error}",
                    "a causal language model that transformers can read",
                    "Choose another model; the list says what can be opened here.",
                )
            )
        finally:
            if self._seconds is None:
                self._seconds = time.monotonic() - self._started
            self._done.set()

    def _fail(self, error: WorkbenchError) -> None:
        if self.error is None:
            self.error = error

    def cancel(self) -> None:
        """Stop loading. At once for whoever waits; the thread stops at its next report, and what it
        has read by then is let go.
        """
        if not self._done.is_set():
            self._fail(_cancelled(self.name))
            self._progress.cancel()
            self._done.set()

    @property
    def cancelled(self) -> bool:
        return self._progress.cancelled

    @property
    def name(self) -> str:
        """What was asked for, until the model itself says what it is called."""
        if self._model is not None:
            return str(self._model.card.name)
        return str(self.ref)

    @property
    def state(self) -> SlotState:
        if self.error is not None:
            return "failed"
        return "ready" if self._model is not None else "loading"

    @property
    def seconds(self) -> float:
        """How long loading took, or has taken so far."""
        return self._seconds if self._seconds is not None else time.monotonic() - self._started

    @property
    def model(self) -> Any | None:
        """The model, or None while there is none."""
        return self._model if self.error is None else None

    def need(self) -> Any:
        """The model. Raises `WorkbenchError` while it loads or when it could not be loaded."""
        if self.error is not None:
            raise self.error
        if self._model is None:
            raise WorkbenchError(
                f"{self.name} is still loading ({self.seconds:.0f} s so far).",
                do="Wait a moment; this page continues by itself.",
            )
        return self._model

    def drop(self) -> None:
        """Let the model go, to make room. Whoever still holds this slot is told."""
        self._fail(
            WorkbenchError(
                f"{self.name} was unloaded to make room for another model.",
                do="Choose it again; it is loaded anew.",
            )
        )
        self._model = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until loading has ended, well or badly."""
        return self._done.wait(timeout)


def _cancelled(name: str) -> WorkbenchError:
    return WorkbenchError(
        f"Loading {name} was cancelled.", do="Choose a model; the list says what can be opened."
    )
