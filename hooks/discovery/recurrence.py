"""What the recurrent part of each layer keeps from token to token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hooks import states
from hooks.discovery.trace_modules import TOKENS
from hooks.layout import STATE_DIMS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hooks.layout import Block


def with_states(model: PreTrainedModel, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks with the shapes of their recurrent states, or why there are none to read."""
    mixers = {layer: b.mixer for layer, b in enumerate(blocks) if b.mixer is not None}
    if not mixers:
        return blocks
    size = int(model.config.vocab_size)
    ids = [i % size for i in TOKENS]
    reason = "the family keeps none, or not where its cache or its kernels show it"
    shapes: dict[int, dict[str, tuple[int, ...]]] = {}
    parallel: dict[int, dict[str, tuple[int, ...]]] = {}
    divided: frozenset[int] = frozenset()
    try:
        shapes = states.shapes(model, mixers, ids)
        parallel, divided = states.parallel_shapes(model, mixers, ids, shapes)
    except (ValueError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        # Everything else about the model can still be looked at.
        reason = f"it cannot be read token by token: {error}"
    return tuple(
        replace(
            block,
            states=shapes.get(layer, {}) | parallel.get(layer, {}),
            parallel_states=frozenset(parallel.get(layer, {})),
            divides_state=layer in divided,
            unavailable_reason={
                **block.unavailable_reason,
                **{
                    site: reason
                    for site in STATE_DIMS
                    if layer in mixers
                    and site not in shapes.get(layer, {}) | parallel.get(layer, {})
                },
            },
        )
        for layer, block in enumerate(blocks)
    )
