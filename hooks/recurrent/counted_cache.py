"""Which models need a cache that counts the tokens it has read."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from transformers.cache_utils import LinearAttentionLayer

from workbench.state_lm.counted_cache import CountedCache

if TYPE_CHECKING:
    from torch import nn


def counted_cache(module: nn.Module) -> CountedCache | None:
    """An empty one, if this model needs it."""
    config: Any = getattr(module, "config", None)
    if config is None or "past_key_values" not in inspect.signature(module.forward).parameters:
        return None
    cache = CountedCache(config=config.get_text_config())
    # Layers that also keep keys count them; their classes are made from this one.
    linear = [type(layer) is LinearAttentionLayer for layer in cache.layers]
    return cache if linear and all(linear) else None
