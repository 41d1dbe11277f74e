"""The model behind the pages: loaded in a background thread, so that the pages are up at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from workbench.errors import WorkbenchError

SlotState = Literal["loading", "ready", "failed"]


class ModelSlot:
    """Where the model will be.

    Args:
        ref: anything `wb.load` takes, or an already-built `InstrumentedModel`.
        load: how to load a reference (for tests); None is `wb.load`.
    """

    def __init__(self, ref: Any, load: Callable[[Any], Any] | None = None) -> None:
        self.ref = ref
        self.error: WorkbenchError | None = None
        self._load = load
        self._model: Any = None
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._done = threading.Event()
        if hasattr(ref, "card"):
            self._model, self._seconds = ref, 0.0
            self._done.set()

    def start(self) -> None:
        """Begin loading, unless there is a model already."""
        if not self._done.is_set():
            self._started = time.monotonic()
            threading.Thread(target=self._run, name="load-model", daemon=True).start()

    def _run(self) -> None:
        try:
            if self._load is None:
                import workbench as wb

                self._load = wb.load
            self._model = self._load(self.ref)
        except WorkbenchError as error:
            self.error = error
        except Exception as error:
            # Whatever a library raises while reading weights must reach the page: nobody looks at
            # this thread.
            self.error = WorkbenchError(
                f"The model {self.name!r} could not be loaded: {type(error).__name__}: {error}",
                "a causal language model that transformers can read",
                "Start again with another --model; `workbench models` lists those that are known.",
            )
        finally:
            self._seconds = time.monotonic() - self._started
            self._done.set()

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
        return self._model

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

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until loading has ended, well or badly."""
        return self._done.wait(timeout)
