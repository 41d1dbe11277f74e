"""Reading a model's configuration, also where its fields differ from layer to layer."""

from __future__ import annotations

from typing import Any


def setting(config: Any, name: str) -> Any:
    """A field of a configuration; None where it has none, a list where each layer has its own."""
    try:
        return getattr(config, name, None)
    except (
        RuntimeError
    ):  # transformers does not give out one value for all layers where they differ
        return [
            setting(of_layer(config, layer), name) for layer in range(len(config.per_layer_config))
        ]


def of_layer(config: Any, layer: int) -> Any:
    """The configuration as one layer has it."""
    return config.per_layer_config[layer] if getattr(config, "is_heterogeneous", False) else config
