"""Which layers of a model have a state that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


ROUTER = "router_weights"
"""The site of a router among memories."""


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why nothing can be said of this model's states, or None."""
    blocks = model.layout.blocks
    if not any("state" in block.states for block in blocks):
        return (
            "it carries no state from token to token; its attention keeps the keys and values of"
            " all tokens, which the question Inside one prompt shows."
        )
    return None


def has_kernels(model: InstrumentedModel) -> bool:
    """Whether what the kernel of any recurrent layer is given can be read."""
    return any("state_q" in block.parallel_states for block in model.layout.blocks)


def no_kernels(model: InstrumentedModel) -> str | None:
    """Why only the states themselves can be read, or None."""
    if has_kernels(model):
        return None
    return "what the kernels of its recurrent layers are given cannot be read; its states can."


def no_router(model: InstrumentedModel) -> str | None:
    """Why there is no router to look at, or None."""
    if ROUTER in model.sites:
        return None
    return "it has no router that chooses among several memories."


def recurrent_layers(
    model: InstrumentedModel, wanted: Sequence[int] | None
) -> tuple[list[int], list[int]]:
    """(layers to look at, recurrent layers that are left out since their kernels cannot be read).

    Where no kernel can be read all layers with a state are looked at, their states alone.

    Raises:
        BadInput: a layer that has no state to look at.
    """
    blocks = model.layout.blocks
    stateful = [n for n, block in enumerate(blocks) if "state" in block.states]
    readable = [n for n in stateful if "state_q" in blocks[n].parallel_states] or stateful
    others = [n for n in stateful if n not in readable]
    for layer in wanted or ():
        if layer not in readable:
            raise BadInput(
                f"Layer {layer} of {model.card.name} has no state that can be read.",
                f"some of {', '.join(map(str, readable))}",
                "Choose recurrent layers, or none for all of them.",
            )
    return (sorted(set(wanted)) if wanted else readable), others
