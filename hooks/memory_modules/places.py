"""Where a model has memories: its memory modules, and the neurons that stand in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from torch import nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.domain_adapters import DOMAIN_ADAPTERS
from hooks.memory_modules.experts import EXPERTS
from hooks.memory_modules.feed_forward import feed_forward
from hooks.memory_modules.fetched_experts import EXPERT_RETRIEVAL
from hooks.memory_modules.gated_slots import GATED_SLOTS
from hooks.memory_modules.lora import LORA
from hooks.memory_modules.mixture_of_memories import MIXTURE_OF_MEMORIES
from hooks.memory_modules.nearest_tokens import NEAREST_TOKENS
from hooks.memory_modules.packages import PEER_PACKAGE, PKM_PACKAGE, TITANS_PACKAGE
from hooks.memory_modules.product_keys import PRODUCT_KEYS
from hooks.memory_modules.token_tables import TOKEN_TABLE
from hooks.memory_modules.vocabulary import MemorySlots
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

GROUP = "workbench.memory_adapters"
OURS = (
    PRODUCT_KEYS, EXPERT_RETRIEVAL, NEAREST_TOKENS, GATED_SLOTS, MIXTURE_OF_MEMORIES, EXPERTS, LORA,
    DOMAIN_ADAPTERS, TOKEN_TABLE, PEER_PACKAGE, PKM_PACKAGE, TITANS_PACKAGE,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class MemoryPlace:
    """A memory of a model.

    Attributes:
        name: as a site, e.g. `blocks.1.memory`; `blocks.1.neurons` of a feed-forward layer.
        layer: the decoder layer it lies in; None outside of them.
        module: the module whose output is the sum that is read.
    """

    name: str
    layer: int | None
    module: nn.Module
    adapter: MemoryAdapter

    def slots(self) -> MemorySlots:
        """What it holds now."""
        return self.adapter.slots(self.module)


@cache
def _points() -> tuple[EntryPoint, ...]:
    # Which packages are installed does not change, and looking takes a twentieth of a second.
    return tuple(entry_points(group=GROUP))


def adapters() -> list[MemoryAdapter]:
    """Those of other packages (entry points of `workbench.memory_adapters`), then ours.

    Raises:
        BadInput: one that cannot be loaded, or is no `MemoryAdapter`.
    """
    found = []
    for point in _points():
        try:
            adapter = point.load()
        except Exception as error:  # whatever somebody else's module does when it is imported
            raise BadInput(
                f"The memory adapter {point.name!r} ({point.value}) cannot be loaded: {error}",
                "an importable MemoryAdapter",
                "Correct or uninstall the package that brings it.",
            ) from error
        if not isinstance(adapter, MemoryAdapter):
            raise BadInput(
                f"The memory adapter {point.name!r} is a {type(adapter).__name__}.",
                "a hooks.memory_modules.MemoryAdapter",
                "Let the entry point name one.",
            )
        found.append(adapter)
    return [*found, *OURS]


def memory_places(
    model: InstrumentedModel, known: Sequence[MemoryAdapter] | None = None
) -> list[MemoryPlace]:
    """The memory modules of a model, in order of its layers; none where it has none.

    Args:
        known: the adapters that are tried, the first one that knows a module wins. None: all.
    """
    known = adapters() if known is None else known
    found: list[MemoryPlace] = []
    taken: set[int] = set()
    for layer, inside, module in _modules(model):
        adapter = next((each for each in known if each.knows(module, inside)), None)
        if adapter is None or id(module) in taken:
            continue
        taken.add(id(module))
        same = sum(place.layer == layer for place in found)
        name = "memory" if layer is None else f"blocks.{layer}.memory"
        found.append(MemoryPlace(f"{name}.{inside}" if same else name, layer, module, adapter))
    return found


def neuron_places(model: InstrumentedModel) -> list[MemoryPlace]:
    """The feed-forward layers of a model, each as a memory whose slots are its neurons."""
    found = []
    for layer, block in enumerate(model.layout.blocks):
        if (pair := feed_forward(block)) is not None:
            found.append(MemoryPlace(f"blocks.{layer}.neurons", layer, *pair))
    return found


def places_or_neurons(model: InstrumentedModel) -> list[MemoryPlace]:
    """The memory modules of a model, or its feed-forward neurons where it has none.

    Raises:
        Unfit: it has neither.
    """
    found = memory_places(model) or neuron_places(model)
    if not found:
        raise Unfit(
            f"{model.card.name} has no memory module, and no feed-forward layer that ends in one"
            " matrix.",
            "a memory module that an adapter knows, or feed-forward layers",
            "Write an adapter: `workbench modules scaffold CLASS` prints its skeleton.",
        )
    return found


def _modules(model: InstrumentedModel) -> list[tuple[int | None, str, nn.Module]]:
    """(layer, name inside of it, module) of every module."""
    listed: list[tuple[int | None, str, nn.Module]] = []
    inside: set[int] = set()
    for layer, block in enumerate(model.layout.blocks):
        for name, module in block.module.named_modules():
            listed.append((layer, name, module))
            inside.add(id(module))
    return listed + [
        (None, name, module)
        for name, module in model.module.named_modules()
        if id(module) not in inside
    ]
