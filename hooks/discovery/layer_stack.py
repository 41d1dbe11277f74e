"""The list of layers in a model's module tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from hooks.discovery.family_quirks import N_LAYERS_FIELDS, config_number
from hooks.discovery.trace_modules import TOKENS
from workbench.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig, PreTrainedModel

    from hooks.discovery.trace_modules import TracedPass


def find_stack(
    model: PreTrainedModel, traced: TracedPass, config: PreTrainedConfig
) -> tuple[str, list[nn.Module]]:
    """The list of layers and its name: each called once, each handing its stream to the next; the
    largest of such lists.

    As long as the configuration says, or, where layers were cut off by hand, of whatever length.
    Empty if there is none.

    Raises:
        BadInput: its layers were taken out or moved by hand.
    """
    lists = [
        (path, list(inner))
        for path, inner in model.named_modules()
        if isinstance(inner, nn.ModuleList) and len(inner)
    ]
    path, stack = max(
        _as_configured(lists, traced, config) or _changed_by_hand(lists, traced, config),
        key=lambda named: sum(p.numel() for m in named[1] for p in m.parameters()),
        default=("", []),
    )
    misnumbered = _misnumbered(stack)
    if misnumbered is not None:
        raise BadInput(
            f"Layer {misnumbered[0]} of {type(model).__name__} still calls itself layer"
            f" {misnumbered[1]}: layers were taken out, added or moved by hand, and its cache and"
            " its kind of attention follow the old numbers.",
            "layers numbered by their place (cutting off the last ones keeps it so)",
            "Set layer_idx in every layer to its place, and shorten num_hidden_layers and"
            " layer_types in the configuration.",
        )
    return path, stack


def _as_configured(
    lists: Sequence[tuple[str, list[nn.Module]]], traced: TracedPass, config: PreTrainedConfig
) -> list[tuple[str, list[nn.Module]]]:
    n_layers = config_number(config, *N_LAYERS_FIELDS)
    return [
        (path, layers)
        for path, layers in lists
        if n_layers in (len(layers), None) and _hands_on(layers, traced)
    ]


def _changed_by_hand(
    lists: Sequence[tuple[str, list[nn.Module]]], traced: TracedPass, config: PreTrainedConfig
) -> list[tuple[str, list[nn.Module]]]:
    """The outermost lists that are shorter or longer than the configuration says."""
    lengths = {config_number(config, field) for field in N_LAYERS_FIELDS}
    # A list that is as long as the configuration says is not a cut one.
    cut = not any(len(layers) in lengths for _, layers in lists)
    outermost = [
        (path, layers)
        for path, layers in lists
        if not any(path.startswith(f"{outer}.") for outer, _ in lists)
    ]
    return [
        (path, layers)
        for path, layers in outermost
        if _misnumbered(layers) is not None or (cut and _hands_on(layers, traced))
    ]


def _hands_on(layers: Sequence[nn.Module], traced: TracedPass) -> bool:
    """Whether each layer was called once and gave the same (batch, pos, d_model) as it got, and no
    second stream beside it (Reformer).
    """
    for layer in layers:
        call = traced.only_call(layer)
        if call is None or call.input is None or call.output is None:
            return False
        shape = call.input.shape
        if shape != call.output.shape or len(shape) != 3 or shape[1] != len(TOKENS):
            return False
        if (tuple(shape), True) in call.output_parts[1:]:
            return False
    return True


def _misnumbered(layers: Sequence[nn.Module]) -> tuple[int, int] | None:
    """A layer's place and the other number that it has in itself, of the first that has one;
    families may have none.
    """
    for place, layer in enumerate(layers):
        numbers = [
            i for part in layer.modules() if isinstance(i := getattr(part, "layer_idx", None), int)
        ]
        if numbers and place not in numbers:
            return place, numbers[0]
    return None
