"""Adapters (PEFT) that are attached to a model: what the card says of them, and what of them its
fingerprint holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.errors import BadInput


def _layers(module: Any) -> Iterator[tuple[str, Any]]:
    """The layers that adapters stand around, by name; whoever attached them."""
    return (
        (name, part)
        for name, part in module.named_modules()
        if hasattr(part, "adapter_layer_names")
    )


def describe(module: Any) -> str:
    """Each adapter with its kind, ranks and matrices: "lora 'default', rank 4, on q_proj,
    v_proj". "" if there is none.
    """
    on: dict[str, list[str]] = {}
    ranks: dict[str, set[int]] = {}
    state: dict[str, set[str]] = {}
    for path, layer in _layers(module):
        names = [
            n
            for n in path.split(".")
            if not n.isdigit() and n not in ("base_layer", "token_adapter")
        ]
        for adapter in sorted(layer._get_available_adapters()):
            on.setdefault(adapter, []).append(names[-1])
            state.setdefault(adapter, set()).add(_state(layer, adapter))
            rank = getattr(layer, "r", None)
            rank = rank.get(adapter) if isinstance(rank, dict) else None
            ranks.setdefault(adapter, set()).update([rank] if isinstance(rank, int) else [])
    configs = getattr(module, "peft_config", None) or {}
    found = []
    for adapter, where in on.items():
        config = configs.get(adapter) if isinstance(configs, dict) else None
        kind = getattr(getattr(config, "peft_type", None), "value", "adapter").lower()
        several = sorted(ranks[adapter])
        rank = " to ".join(dict.fromkeys(map(str, [*several[:1], *several[-1:]])))
        parts = [f"{kind} {adapter!r}", f"rank {rank}" if rank else ""]
        parts += [
            f"on {', '.join(dict.fromkeys(where))}",
            " and ".join(sorted(s for s in state[adapter] if s)),
        ]
        found.append(", ".join(part for part in parts if part))
    return "; ".join(found)


def names(module: Any) -> tuple[str, ...]:
    """The adapters attached to a model, by name; quick to ask."""
    base = module.get_base_model() if hasattr(module, "get_base_model") else module
    return tuple(getattr(base, "peft_config", None) or ())


def _state(layer: Any, adapter: str) -> str:
    if adapter in getattr(layer, "merged_adapters", ()):
        return "merged into the weights"
    return "" if adapter in layer.active_adapters and not layer.disable_adapters else "switched off"


def settings(module: Any) -> Iterator[str]:
    """What of each adapter's layer is no tensor and decides what it computes, in words for a
    fingerprint.
    """
    for path, layer in _layers(module):
        scaling = getattr(layer, "scaling", None)
        sizes = sorted(scaling.items()) if isinstance(scaling, dict) else scaling
        yield (
            f"{path} {list(layer.active_adapters)} {layer.disable_adapters}"
            f" {list(layer.merged_adapters)} {sizes}"
        )


def check(module: Any) -> None:
    """Refuse adapters that are no change of the weights.

    Raises:
        BadInput: names the kind.
    """
    configs = getattr(module, "peft_config", None)
    for config in configs.values() if isinstance(configs, dict) else ():
        kind = str(getattr(getattr(config, "peft_type", ""), "value", ""))
        if getattr(config, "is_prompt_learning", False):
            why = "it reads tokens that are not in the prompt"
        elif getattr(config, "alora_invocation_tokens", None) is not None or kind in (
            "XLORA",
            "POLY",
        ):
            why = "it changes the weights at some tokens and not at others"
        else:
            continue
        raise BadInput(
            f"This model has an adapter of the kind {kind.lower().replace('_', ' ')}: {why}.",
            "adapters that change weights (LoRA and its kin)",
            "Load the base model, or one whose adapter changes weights.",
        )
