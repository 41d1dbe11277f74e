"""How a module runs while somebody looks at it or changes it: as Python, not compiled; and in
evaluation mode.

`torch.compile` does not ask whether hooks have come since it compiled a module, so a change would
do nothing, and one that was on at the first call would stay for good.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hooks.held_attributes import held, is_held

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def running(module: nn.Module) -> Iterator[None]:
    """Inside, whatever was compiled runs as the Python it was compiled from.

    The whole module (`torch.compile(model)`, also by the name that the user has for it), parts
    (`layer.compile()`), their `forward`, and what `generate` would compile by itself for a static
    cache.
    """
    with ExitStack() as stack:
        # Flex attention is itself compiled, and needs far more memory as Python: it stays, if
        # nothing else is compiled.
        implementation = getattr(getattr(module, "config", None), "_attn_implementation", None)
        flex = str(implementation).startswith("flex")
        if not flex or any(_is_compiled(part) for part in module.modules()):
            stack.enter_context(_not_compiled())
        if hasattr(module, "get_compiled_call"):
            stack.enter_context(held(module, "get_compiled_call", lambda config: module.__call__))
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, the module and all its parts are in evaluation mode (no dropout, no gradient
    checkpointing).

    Afterwards each part is in the mode it was in.
    """
    training = [part for part in module.modules() if part.training or is_held(part, "training")]
    with held(training, "training", False):
        yield


@contextmanager
def steady(module: nn.Module) -> Iterator[None]:
    """`running` and `evaluating`: how the workbench itself runs a model.

    A change that is on leaves the mode to its user.
    """
    with running(module), evaluating(module):
        yield


def _is_compiled(part: Any) -> bool:
    return part._compiled_call_impl is not None or hasattr(
        part.forward, "_torchdynamo_orig_callable"
    )


_lock = threading.RLock()
_eager: list[Any] = []  # the compiler's stance, while somebody needs it; and how many do
_needed = [0]


@contextmanager
def _not_compiled() -> Iterator[None]:
    """The compiler's stance belongs to the process: counted, like everything that several hold."""
    with _lock:
        if not _needed[0]:
            _eager.append(torch.compiler.set_stance("force_eager"))
        _needed[0] += 1
    try:
        yield
    finally:
        with _lock:
            _needed[0] -= 1
            if not _needed[0]:
                _eager.pop().__exit__(None, None, None)
