"""A second module tree around the same parameters.

TransformerLens puts its components into the tree it is given, and nnsight replaces every `forward`
in it, for good. Both get a twin instead: other module objects, the same parameter and buffer
objects, no copy of any weight.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hooks.without_interventions import is_own
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from hooks.model import InstrumentedModel


def twin(model: InstrumentedModel, backend: str) -> PreTrainedModel:
    """The module again, sharing every parameter and buffer.

    Hooks on the top module are shared, all others left out.

    Raises:
        BadInput: the model is spread over several devices.
    """
    module = model.module
    if len(set(getattr(module, "hf_device_map", {}).values())) > 1:
        raise BadInput(
            f"{model.card.name} is spread over several devices, where {backend} cannot follow it.",
            "a model on one device",
            "Use the back end 'torch'.",
        )
    shared: dict[int, Tensor | dict[int, Any]] = {
        id(t): t for t in [*module.parameters(), *module.buffers()]
    }
    for part in module.modules():
        for hooks in hook_lists(part):
            # The top module's hooks follow positions: interventions need them wherever the pass
            # runs.
            shared[id(hooks)] = (
                hooks
                if part is module
                else type(hooks)((k, h) for k, h in hooks.items() if is_own(h))
            )
    return copy.deepcopy(module, shared)


def hook_lists(module: nn.Module) -> list[dict[int, Any]]:
    """The dictionaries in which a module keeps its forward and backward hooks."""
    return [
        v
        for k, v in vars(module).items()
        if k.startswith(("_forward", "_backward")) and isinstance(v, dict)
    ]


_kept: WeakKeyDictionary[InstrumentedModel, dict[str, tuple[Any, Any]]] = WeakKeyDictionary()


def copy_of(model: InstrumentedModel, name: str, build: Callable[[InstrumentedModel], Any]) -> Any:
    """What `build` made of the model before, made anew when a weight has changed since."""
    now = [(p.data_ptr(), p._version) for p in model.module.parameters()]
    held = _kept.setdefault(model, {})
    if name not in held or held[name][0] != now:
        held[name] = (now, build(model))
    return held[name][1]
