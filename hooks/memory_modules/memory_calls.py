"""Calls of memories, as they go by: what was read and written in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from hooks.memory_modules.places import MemoryPlace
from hooks.memory_modules.read_sums import reads_of
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots, MemoryWrite
from workbench.errors import BadInput
from workbench.reentrant import reentrant

Answer = Callable[[MemoryCall], Tensor | None]


@dataclass(frozen=True)
class MemoryRecord:
    """One call of one memory.

    Attributes:
        place: which memory.
        number: which call of it, from 0.
        slots: as they stood when it was called.
        writes: what the call wrote; none of memories that are not written while text is read.
    """

    place: MemoryPlace
    number: int
    slots: MemorySlots
    reads: MemoryReads
    writes: list[MemoryWrite]
    call: MemoryCall


@reentrant
def recorded(places: Sequence[MemoryPlace]) -> Iterator[list[MemoryRecord]]:
    """Inside, every call of these memories is appended to the list that is given."""
    log: list[MemoryRecord] = []
    counts = dict.fromkeys(map(id, places), 0)

    def keep(place: MemoryPlace, call: MemoryCall) -> None:
        slots, reads = reads_of(place.adapter, call)
        writes: list[MemoryWrite] = []
        if place.adapter.is_written:
            writes = place.adapter.writes(slots, place.adapter.slots(place.module))
        log.append(MemoryRecord(place, counts[id(place)], slots, reads, writes, call))
        counts[id(place)] += 1

    with ExitStack() as stack:
        for place in places:
            stack.enter_context(watched(place, partial(keep, place)))
        yield log


@contextmanager
def watched(place: MemoryPlace, answer: Answer) -> Iterator[None]:
    """Inside, `answer` gets every call of a memory; a tensor that it gives stands in place of the
    output.
    """
    module, adapter = place.module, place.adapter
    inside: dict[str, tuple[tuple[Any, ...], Any]] = {}
    before: list[MemorySlots | None] = [None]

    def begin(_: nn.Module, args: tuple[Any, ...]) -> None:
        inside.clear()
        before[0] = adapter.slots(module) if adapter.is_written else None

    def end(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        call = MemoryCall(module, args, kwargs, out, dict(inside), before[0])
        if adapter.is_read is not None and not adapter.is_read(call):
            return None
        new = answer(call)
        if new is None or isinstance(out, Tensor):
            return new
        return (new, *out[1:])

    def part(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            inside[name] = (args, out)

        return hook

    with ExitStack() as stack:
        if adapter.around is not None:
            stack.enter_context(adapter.around(module))
        for name in adapter.inside:
            hook = submodule(module, name).register_forward_hook(part(name))
            stack.callback(hook.remove)
        stack.callback(module.register_forward_pre_hook(begin).remove)
        stack.callback(module.register_forward_hook(end, with_kwargs=True).remove)
        yield


def submodule(module: nn.Module, name: str) -> nn.Module:
    """By its name inside.

    Raises:
        BadInput: there is none.
    """
    inside: dict[str, nn.Module] = dict(module.named_modules())
    found = inside.get(name)
    if found is None:
        names = ", ".join(each for each in inside if each) or "none"
        raise BadInput(
            f"{type(module).__name__} has no submodule {name!r}.",
            f"one of: {names}",
            "Correct `inside` in the adapter.",
        )
    return found
