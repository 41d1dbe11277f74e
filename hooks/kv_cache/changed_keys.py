"""The same context with other keys and values in its cache: what a compressed cache comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hooks.kv_cache.context_memory import ContextMemory, LayerMemory

Change = Callable[[int, LayerMemory], LayerMemory]


def with_layers(context: ContextMemory, change: Change) -> ContextMemory:
    """A context whose layers hold what `change(layer, memory)` gives; the given one stays."""
    layers = {layer: change(layer, memory) for layer, memory in context.layers.items()}
    return replace(context, layers=layers)
