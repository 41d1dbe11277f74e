"""What a model reads while something runs: tokens and passes, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Counted:
    """Tokens and passes through the whole model; a layer counts as its share of one."""

    forward: float = 0.0
    passes: float = 0.0
    backward: float = 0.0


@contextmanager
def counting(model: Any) -> Iterator[Counted]:
    """Count what goes through the layers of a model inside."""
    counted, share = Counted(), 1 / model.n_layers

    def read(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rows, length = (args[0] if args else kwargs["hidden_states"]).shape[:2]
        counted.forward += share * rows * length
        counted.passes += share

    def went_back(module: Any, given: Any, got: Any) -> None:
        if got[0] is not None:
            rows, length = got[0].shape[:2]
            counted.backward += share * rows * length

    handles = []
    for block in model.layout.blocks:
        handles.append(block.module.register_forward_pre_hook(read, with_kwargs=True))
        handles.append(block.module.register_full_backward_hook(went_back))
    try:
        yield counted
    finally:
        for handle in handles:
            handle.remove()
