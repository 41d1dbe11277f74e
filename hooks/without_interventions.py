"""The model as it is by itself: what is found out once and remembered must not depend on what is
on at that moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hooks.attention import untapped
from hooks.eager_eval import steady

if TYPE_CHECKING:
    from torch import nn

# Hooks of these belong to the model: they fetch, mask or adapt its weights, or only record.
_OWN = ("transformers.", "accelerate.", "torch.", "peft.", "bitsandbytes.", "torchao.")


def is_own(hook: Any) -> bool:
    """Whether a library that carries the model hung this hook, and not somebody who looks at it
    or changes it.
    """
    return (getattr(getattr(hook, "func", hook), "__module__", None) or "").startswith(_OWN)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Inside, no change is on, the workbench's or anybody's own hooks, and what is attached here is
    off again behind.

    The module runs in evaluation mode, in its own precision, without gradients. Every probe whose
    answer is kept (`InstrumentedModel.layout`, `ignores_padding`, sizes of sites) runs in here.
    """
    parts = list(module.modules())
    with ExitStack() as stack:
        stack.enter_context(steady(module))
        stack.enter_context(torch.no_grad())
        for device in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(untapped(parts))
        stack.enter_context(without_hooks(parts, lambda hook: not is_own(hook)))
        yield


@contextmanager
def without_hooks(parts: Iterable[Any], off: Callable[[Any], bool]) -> Iterator[None]:
    """Inside, the forward hooks of these modules for which `off` says so are not called."""
    with ExitStack() as stack:
        for part in parts:
            for name in ("_forward_pre_hooks", "_forward_hooks"):
                hooks = vars(part)[name]
                if any(off(hook) for hook in hooks.values()):
                    # Another dictionary for a while: handles keep to the one they were put in, and
                    # still work.
                    vars(part)[name] = OrderedDict(
                        (key, hook) for key, hook in hooks.items() if not off(hook)
                    )
                    stack.callback(vars(part).__setitem__, name, hooks)
        yield
