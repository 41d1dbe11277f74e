"""An adapter from names alone, for modules that keep what they read last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.product_keys import zeroed_rows
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots, Space
from workbench.errors import BadInput

NAMES = ("keys", "values", "index", "weight", "gate")
_NEEDED = ("values", "index", "weight")


def by_names(
    kind: type[nn.Module] | Callable[[nn.Module], bool],
    names: Mapping[str, str],
    *,
    name: str = "memory",
    mass: float | None = 1.0,
    joins: Literal["sum", "concat"] = "sum",
    space: Space = "learned",
) -> MemoryAdapter:
    """Adapter for modules that keep numbers and weights of the slots they read last.

    Args:
        names: where they stand, from the module on: `{"values": "memory.values.weight", "index":
            "memory.last_indices", "weight": "memory.last_scores"}`, and `keys` and `gate` if there
            are any. Index and weight are (batch, pos, head, read), without the head where there is
            one, or with one axis of tokens for batch and pos.
        mass: what the weights of a head sum to; None where they need not.

    Raises:
        BadInput: a name that means nothing here, or one that is needed and missing. When a module
            is read: a path that leads nowhere, or shapes that do not fit.
    """
    if wrong := [each for each in names if each not in NAMES]:
        raise BadInput(
            f"A mapping has no name {wrong[0]!r}.", f"some of {', '.join(NAMES)}", "Correct it."
        )
    if missing := [each for each in _NEEDED if each not in names]:
        raise BadInput(
            f"The mapping lacks {' and '.join(missing)}.",
            f"{', '.join(_NEEDED)} at least",
            "Say where they stand in the module.",
        )

    def slots(module: nn.Module) -> MemorySlots:
        value = _at(module, names["values"]).detach()
        key = _at(module, names["keys"]).detach() if "keys" in names else None
        _check(value.dim() in (2, 3), names["values"], value, "(slot, d_value), heads in front")
        count = value.shape[-2]
        if key is not None:
            _check(
                key.dim() in (2, 3) and key.shape[-2] == count,
                names["keys"], key, f"(slot, d_key) of {count} slots, heads in front",
            )  # fmt: skip
        return MemorySlots(count, key, value, space)

    def reads(call: MemoryCall) -> MemoryReads:
        out = call.output
        tokens = out.shape[0] * out.shape[1] if out.dim() == 3 else out.shape[0]
        index = _per_head(_at(call.module, names["index"]).detach(), tokens, names["index"])
        weight = _per_head(_at(call.module, names["weight"]).detach(), tokens, names["weight"])
        _check(index.shape == weight.shape, names["weight"], weight, f"{tuple(index.shape)}")
        _check(not index.is_floating_point(), names["index"], index, "whole numbers")
        gate = None
        if "gate" in names:
            gate = _at(call.module, names["gate"]).detach()
            _check(gate.numel() == index[..., 0].numel(), names["gate"], gate, "one for each head")
            gate = gate.reshape(index.shape[:3])
        return MemoryReads(weight, index.long(), gate, mass)

    def zeroed(module: nn.Module, which: Tensor) -> AbstractContextManager[None]:
        return zeroed_rows(_at(module, names["values"]), which)

    return MemoryAdapter(name, kind, slots, reads, joins=joins, zeroed=zeroed)


def _at(module: nn.Module, path: str) -> Tensor:
    found: Any = module
    for step in path.split("."):
        found = getattr(found, step, None)
    if not isinstance(found, Tensor):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise BadInput(
            f"{type(module).__name__} has {what} at {path!r}.",
            "a tensor",
            "Correct the mapping; a module keeps what it read only once it was called.",
        )
    return found


def _per_head(x: Tensor, tokens: int, name: str) -> Tensor:
    """(batch, pos, head, read) of any of the forms that are taken."""
    if x.dim() == 4 and x.shape[0] * x.shape[1] == tokens:
        return x
    if x.dim() == 3 and x.shape[0] * x.shape[1] == tokens:
        return x[:, :, None]
    if x.dim() == 3 and x.shape[0] == tokens:
        return x[None]
    _check(x.dim() == 2 and x.shape[0] == tokens, name, x, f"so many reads of {tokens} tokens")
    return x[None, :, None]


def _check(fits: bool, name: str, x: Tensor, expected: str) -> None:
    if not fits:
        raise BadInput(
            f"{name!r} is {str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}.",
            expected,
            "Correct the mapping, or write an adapter of functions.",
        )
