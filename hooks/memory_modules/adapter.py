"""An adapter: three pure functions that say of a module class what its slots are, how they are read
and how they are written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Int
from torch import Tensor, nn

from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots, MemoryWrite
from hooks.memory_modules.written_slots import compare


@dataclass(frozen=True)
class MemoryAdapter:
    """How to look into one kind of memory.

    Attributes:
        name: what the memory is called.
        applies: the module class, or a function that knows its modules.
        slots: module to what it holds now.
        reads: one call of it to what was read.
        writes: the slots before and after a call to what was written. The default compares them.
        inside: names of submodules whose inputs and outputs `reads` wants (`call.inside`).
        joins: whether the heads are added ("sum") or stand beside each other ("concat").
        rest: what comes out beside what is read (a bias); None is nothing.
        zeroed: a context manager inside which these slots give nothing, made in the module itself
            and not by what `reads` says: what the conformance test compares with.
        restore: puts slots back as they were; memories that are written have it, or nothing can be
            frozen.
        stand_in: a part of every model (neurons), which is a memory only as one may read it.
        called: the last part of the module's name in the model, of classes that serve for other
            things too; empty is any.
        is_read: whether a call reads; None is every one. A memory that learns while it reads calls
            itself to learn, and that is left as it is.
        around: what is on while calls are watched, of memories whose reads neither the call nor
            submodules show.
    """

    name: str
    applies: type[nn.Module] | Callable[[nn.Module], bool]
    slots: Callable[[nn.Module], MemorySlots]
    reads: Callable[[MemoryCall], MemoryReads]
    writes: Callable[[MemorySlots, MemorySlots], list[MemoryWrite]] = compare
    inside: tuple[str, ...] = ()
    joins: Literal["sum", "concat"] = "sum"
    rest: Callable[[MemoryCall], Tensor] | None = None
    zeroed: Callable[[nn.Module, Int[Tensor, " slot"]], AbstractContextManager[None]] | None = None
    restore: Callable[[nn.Module, MemorySlots], None] | None = None
    stand_in: bool = False
    called: str = ""
    is_read: Callable[[MemoryCall], bool] | None = None
    around: Callable[[nn.Module], AbstractContextManager[None]] | None = None

    def knows(self, module: nn.Module, name: str = "") -> bool:
        """Whether this module is of its kind; `name` is its own in the model."""
        if self.called and name.rpartition(".")[2] != self.called:
            return False
        if isinstance(self.applies, type):
            return isinstance(module, self.applies)
        return self.applies(module)

    @property
    def is_written(self) -> bool:
        """Whether the memory is written while text is read."""
        return self.restore is not None
