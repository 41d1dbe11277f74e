"""How torch runs while the workbench works, whatever the caller has switched on around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def ordinary(function: F) -> F:
    """Call it outside `torch.inference_mode()`: the decorator of what is called from outside and
    makes tensors.

    Tensors made inside inference mode count no changes and have no gradients for as long as they
    live, and a trace or a cache made of them may be used later.
    """

    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        import torch

        if not torch.is_inference_mode_enabled():
            return function(*args, **kwargs)
        with torch.inference_mode(False):
            return function(*args, **kwargs)

    return inner  # type: ignore[return-value]


def make_ordinary(module: Any) -> None:
    """Give a module that was built inside `torch.inference_mode()` weights that can be
    differentiated by: copies, one by one.
    """
    from torch import nn

    new: dict[int, nn.Parameter] = {}  # a tied weight stays tied
    for part in module.modules():
        for name, weight in part._parameters.items():
            if type(weight) is nn.Parameter and weight.is_inference():
                if id(weight) not in new:
                    new[id(weight)] = nn.Parameter(
                        weight.detach().clone(), requires_grad=weight.requires_grad
                    )
                part._parameters[name] = new[id(weight)]
        for name, buffer in part._buffers.items():
            if buffer is not None and buffer.is_inference():
                part._buffers[name] = buffer.clone()
