"""Several workers for one job on one model: a trace in shards, a long text in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import models
from workbench.disk_space import memory_free, size
from workbench.errors import BadInput, WorkbenchError
from workbench.grid import local, where
from workbench.grid.drive import Driver
from workbench.grid.engine import Loading, WorkerTask
from workbench.models import weight_sizes
from workbench.wording import counted

_THREADS = 1
"""Of torch, in every worker. With more, sums are rounded in another order, and the numbers would
depend on how many workers share the processors.
"""

_LEAST = 500_000_000
"""Bytes that a worker takes beside its model, at least: Python and torch."""


@dataclass(frozen=True)
class Workers:
    """Processes that each load the model by themselves.

    Attributes:
        model: the reference by which they load it, as `wb.load` takes it.
        n: how many; fewer where there is less to do.
        engine: "local" (processes of this machine) or "ray".
        address: of the Ray cluster's head; None takes one that is found, else starts one here.
        loading: how they load it.
        say: hears, before they begin, how much there is to do for how many.
    """

    model: str
    n: int
    engine: str = "local"
    address: str | None = None
    loading: Loading = field(default_factory=Loading)
    say: Callable[[str], None] = field(default=lambda text: None, compare=False)

    def check(self) -> None:
        """Raises BadInput for no workers, an engine that there is not, a cluster that does not
        answer, or a model that others cannot load.
        """
        if self.n < 1:
            raise BadInput(f"There are {self.n} workers.", "at least 1", "Ask for more.")
        if not isinstance(self.model, str):
            raise BadInput(
                f"Workers cannot load {type(self.model).__name__!r} by its name.",
                "the name, folder or file of a model",
                "Save the model to a folder, and give that.",
            )
        models.locate(self.model)
        where.check(self._where)

    @property
    def _where(self) -> where.Where:
        return where.Where(self.engine, self.address, self.n, self.loading)

    @contextmanager
    def hired(self, n_pieces: int | None = None, piece: str = "") -> Iterator[Driver]:
        """A driver of as many workers as so many pieces need; behind it they have ended.

        Args:
            n_pieces: None where that is not known yet.
            piece: what one is called, for people.

        Raises:
            BadInput: no cluster answers.
            WorkbenchError: this machine has no memory for so many.
        """
        n = self.n if n_pieces is None else min(self.n, n_pieces)
        if self.engine == "local":
            self._check_memory(n)
        idle = self.n - n
        more = f" The other {idle:,} would have nothing to do." if idle else ""
        work = "" if n_pieces is None else f"{counted(n_pieces, piece)} on "
        self.say(f"{work}{counted(n, 'worker')}.{more}")
        engine, n = where.start(self._where, [self.model], n)
        with engine:
            yield Driver(engine, n)

    def task(
        self, work: str, given: Mapping[str, Any], target: Path, model: str = ""
    ) -> WorkerTask:
        """What one of them is given, see `WorkerTask`.

        Args:
            model: another model, loaded where and as precisely as `wb.load` does by itself.
        """
        loading = Loading(self.loading.device) if model else self.loading
        return WorkerTask(work, model or self.model, given, target, loading, _THREADS)

    def _check_memory(self, n: int) -> None:
        """Raises WorkbenchError where n copies of the weights do not fit beside each other in the
        memory of the processor.
        """
        how, weights = self.loading, weight_sizes.of_reference(self.model)
        free = memory_free()
        if free is None or how.offload or how.bits or local.cards(how.device):
            return
        narrow = how.dtype in ("bfloat16", "float16")
        needed = _LEAST + (0 if weights is None else weights.float32 // (2 if narrow else 1))
        if n * needed > free:
            fit = free // needed
            raise WorkbenchError(
                f"{counted(n, 'worker')} with {self.model} would take about {size(n * needed)} of"
                f" memory, and {size(free)} are free.",
                f"at most {counted(fit, 'worker')}" if fit else "room for a second copy of it",
                "Use fewer workers or none, or more machines (--engine ray).",
            )
