"""Going on with less at once where memory runs out: what is finished is kept, and it is said.

The numbers are those of the smaller batch: the same but for rounding.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

from workbench.errors import WorkbenchError
from workbench.wording import counted

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Output = TypeVar("Output")
_ON_PROCESSOR = "DefaultCPUAllocator"  # how torch says it there


class OutOfMemory(UserWarning):
    """Memory ran out, and a smaller batch was taken."""


def fits(model: InstrumentedModel, work: Callable[[], object]) -> bool:
    """Whether some work was done; False where memory ran out, which is noted and freed.

    Raises:
        Exception: whatever else the work raises.
    """
    try:
        work()
        return True
    except MemoryError:
        pass
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _ON_PROCESSOR not in str(error):
            raise
    # Here and not above: while the error is looked at, it keeps what had been computed.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if not model.shrunk:
        warnings.warn("Memory ran out; it goes on with smaller batches.", OutOfMemory, stacklevel=3)
    model.shrunk += 1
    return False


def in_parts(
    model: InstrumentedModel, items: Sequence[int], work: Callable[[list[int]], object]
) -> None:
    """Do `work` for all items, in halves and halves of these where memory runs out.

    Raises:
        WorkbenchError: it runs out with a single one.
    """
    for _ in results_in_parts(model, items, work):
        pass


def results_in_parts(
    model: InstrumentedModel, items: Sequence[int], work: Callable[[list[int]], Output]
) -> Iterator[tuple[list[int], Output]]:
    """As `in_parts`, with what `work` gives: (items of a part, that) in the order of the items."""
    waiting = [list(items)]
    while waiting:
        part, found = waiting.pop(0), list[Output]()

        def now(part: list[int] = part, found: list[Output] = found) -> None:
            found.append(work(part))

        if fits(model, now):
            yield part, found.pop()
            continue
        if len(part) == 1:
            raise no_room()
        waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]


def no_room() -> WorkbenchError:
    """What is said where nothing is left to make smaller."""
    return WorkbenchError(
        "Memory ran out with a single prompt at once.",
        "room for one pass beside the weights",
        "Ask for shorter prompts or fewer sites, load the model with --dtype bfloat16 or"
        " --offload FOLDER, or close other programs.",
    )


def says(model: InstrumentedModel) -> str | None:
    """The sentence for a run; None where memory sufficed."""
    if not model.shrunk:
        return None
    return f"Memory ran out: {counted(model.shrunk, 'batch')} went on in smaller pieces."
