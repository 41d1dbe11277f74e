"""What a child of a layer is, by its class and its name: a first sorting, which the sums of the
traced pass then confirm or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from hooks.discovery.family_quirks import (
    ATTENTION_NAME,
    INNER_LAYER_SUFFIX,
    MIXER_CLASSES,
    MIXER_NAME,
    MLP_NAME,
    NORM_NAME,
)
from hooks.discovery.trace_modules import is_matrix
from hooks.weights import innermost

if TYPE_CHECKING:
    from hooks.discovery.trace_modules import TracedPass

# In this order: a "LinearAttention" is a mixer, and an "attention norm" is a norm.
_PATTERNS = (
    ("norm", NORM_NAME),
    ("mlp", MLP_NAME),
    ("mixer", MIXER_NAME),
    ("attention", ATTENTION_NAME),
)


def component_type(name: str, module: nn.Module, family: str = "") -> str:
    """ "norm", "mlp", "mixer", "attention", "linear" or "other": by the class, or by the name where
    the class says nothing.

    `family` is the layer's own class: what both names begin with is the family's name
    (Qwen3MoeAttention is no mixture of experts).
    """
    class_name = type(innermost(module)).__name__
    if class_name in MIXER_CLASSES:
        return "mixer"
    class_name = _without_family(class_name, family)
    if class_name.endswith(INNER_LAYER_SUFFIX):
        return "other"
    matched = _matched(class_name)
    if matched is None and is_matrix(module):
        return "linear"
    matched = matched or _matched(name)
    # Norms with attention between them (DBRX) are looked into.
    if matched == "norm" and any(is_matrix(part) for part in module.modules()):
        return "other"
    return matched or "other"


def _matched(name: str) -> str | None:
    return next((component for component, pattern in _PATTERNS if pattern.search(name)), None)


def _without_family(class_name: str, family: str) -> str:
    """The class name behind the words that it shares with the family's."""
    pairs = enumerate(zip(family, class_name, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), 0)
    while start and not class_name[start].isupper():  # whole words of the name only
        start -= 1
    return class_name[start:]


def children_by_type(
    module: nn.Module, traced: TracedPass, family: str
) -> dict[str, list[nn.Module]]:
    """The called children by component; a child that is none but holds some is looked into."""
    children: dict[str, list[nn.Module]] = {
        component: [] for component in ("norm", "mixer", "attention", "mlp", "linear")
    }
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout | nn.Identity):
            continue
        component = component_type(name, child, family)
        if component == "other" or not traced.was_called(child):
            for inner, modules in children_by_type(child, traced, family).items():
                children[inner] += modules
        else:
            children[component].append(child)
    return children
