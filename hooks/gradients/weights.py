"""The weights of a layer by the names TransformerLens gives them, split by head, as views of the
module's parameters.

`transformers` keeps queries, keys and values as three matrices, one after the other in one matrix,
or interleaved by head; a table says which module is which. What fits no line is refused rather than
cut in the wrong place.

Around an adapter (LoRA) stands the matrix of both together. Its parameter is the one that moves it
by as much as itself: the base's, so the gradient is that of the matrix that the model multiplies
with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.discovery.trace_modules import is_matrix
from hooks.weights import is_quantized, parameter_of, sizes
from workbench.errors import BadInput, NotFound, Unfit

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hooks.layout import Block
    from hooks.model import InstrumentedModel

_PER_HEAD, _PER_KV = ("head", "d_model", "d_head"), ("kv_head", "d_model", "d_head")
DIMS: dict[str, tuple[str, ...]] = {
    "W_Q": _PER_HEAD,
    "W_K": _PER_KV,
    "W_V": _PER_KV,
    "W_O": ("head", "d_head", "d_model"),
    "W_gate": ("d_model", "d_mlp"),
    "W_in": ("d_model", "d_mlp"),
    "W_out": ("d_mlp", "d_model"),
}
_THREE = {"W_Q": ("q_proj",), "W_K": ("k_proj",), "W_V": ("v_proj",)}
_IN_A_ROW = ("c_attn", "qkv_proj", "Wqkv")  # all queries, then all keys, then all values
_BY_HEAD = ("query_key_value",)  # of each head its query, key and value
_BY_HEAD_FAMILIES = {
    "gpt_neox",
    "gpt_neox_japanese",
    "bloom",
}  # Falcon uses the same name for two other orders
_MLP = {
    "W_gate": ("gate_proj",),
    "W_in": ("up_proj", "c_fc", "fc1", "fc_in", "dense_h_to_4h"),
    "W_out": ("down_proj", "c_proj", "fc2", "fc_out", "dense_4h_to_h"),
}
_GATE_AND_UP = "gate_up_proj"  # the gate, then the input


@dataclass(frozen=True)
class Weight:
    """A weight of one layer.

    Attributes:
        name: W_Q, W_K, W_V, W_O (by head), W_gate, W_in or W_out.
        layer: which layer.
        parameter: the name of the module's parameter that holds it, perhaps among others.
        view: the parameter, or a tensor of its shape such as its gradient, to this weight's part,
            in axes `DIMS[name]`.
    """

    name: str
    layer: int
    parameter: str
    view: Callable[[Tensor], Tensor]

    @property
    def dims(self) -> tuple[str, ...]:
        return DIMS[self.name]


def weights(
    model: InstrumentedModel,
    names: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
) -> list[Weight]:
    """The named weights of the chosen layers; None is all there are.

    Raises:
        NotFound, Unfit, BadInput: an unknown name; a weight this family keeps in a way not
            understood; no such layer.
    """
    wanted = list(DIMS) if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in DIMS:
            raise NotFound.named("weight", name, DIMS)
    chosen = (
        range(model.n_layers)
        if layers is None
        else [layers]
        if isinstance(layers, int)
        else list(layers)
    )
    paths = {id(p): path for path, p in model.module.named_parameters()}
    found = []
    for layer in chosen:
        if not -model.n_layers <= layer < model.n_layers:
            raise BadInput(
                f"{model.card.name} has no layer {layer}.",
                f"0 to {model.n_layers - 1}",
                "Choose one of those.",
            )
        for name in wanted:
            at = _find(model, model.layout.blocks[layer], name)
            if at is not None:
                module, view = at
                own, flipped = _parameter(model, module, f"{name} of layer {layer}")
                path = paths[id(module.get_parameter(own))]
                found.append(
                    Weight(name, layer % model.n_layers, path, _turned(view) if flipped else view)
                )
            elif names is not None:
                raise Unfit(
                    f"Layer {layer} of {model.card.name} has no {name} that can be told apart.",
                    "a family whose matrices are listed in hooks/gradients/weights.py",
                    "Ask for other weights.",
                )
    return found


def _parameter(model: InstrumentedModel, module: nn.Module, what: str) -> tuple[str, bool]:
    """See `hooks.weights.parameter_of`.

    Raises:
        Unfit: there is none.
    """
    away = any(parameter.device.type == "meta" for parameter in module.parameters())
    found = None if away else parameter_of(module)
    if found is not None:
        return found
    if away or is_quantized(module):
        raise Unfit(
            f"{what} of {model.card.name} is {'offloaded' if away else 'quantized'}, and keeps no"
            " gradient.",
            "weights in floating point on the device",
            "Load the model without, or use activation_gradients.",
        )
    raise Unfit(
        f"{what} of {model.card.name} has an adapter around it that does not simply add to it: no"
        " parameter is the matrix.",
        "plain weights, or LoRA",
        "Merge the adapter first (merge_and_unload), or use activation_gradients.",
    )


def _turned(view: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The view of a parameter that is kept as (inputs, outputs), as GPT-2's `Conv1D` does."""
    return lambda w: view(w.T)


def _find(
    model: InstrumentedModel, block: Block, name: str
) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
    """The layer that holds a weight, and how to see its parameter, (outputs, inputs), as the
    weight; None if the block has none.
    """
    if name in _THREE and block.attention is not None:
        return _find_projection(model, block.attention, name)
    if name == "W_O" and block.out_proj is not None:
        return block.out_proj, lambda w: w.T.unflatten(0, (model.layout.n_heads, -1))
    if name in _MLP and block.mlp is not None:
        return _find_in_mlp(block.mlp, name)
    return None


def _find_projection(
    model: InstrumentedModel, attention: nn.Module, name: str
) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
    """Queries, keys or values: a matrix of their own, or part of one for all three."""
    layout = model.layout
    heads = layout.n_heads if name == "W_Q" else layout.n_kv_heads
    sizes = [layout.n_heads * layout.d_head, *[layout.n_kv_heads * layout.d_head] * 2]
    nth = list(_THREE).index(name)
    own = _child(attention, _THREE[name])
    if own is not None:
        return _if_shaped(own, sizes[nth], lambda w: w.unflatten(0, (heads, -1)).transpose(1, 2))
    fused = _child(attention, _IN_A_ROW)
    if fused is not None:
        return _if_shaped(
            fused,
            sum(sizes),
            lambda w: w.split(sizes)[nth].unflatten(0, (heads, -1)).transpose(1, 2),
        )
    woven = _child(attention, _BY_HEAD)
    if woven is not None and getattr(model.module.config, "model_type", "") in _BY_HEAD_FAMILIES:
        return _if_shaped(
            woven, sum(sizes), lambda w: w.unflatten(0, (heads, 3, -1))[:, nth].transpose(1, 2)
        )
    return None


def _find_in_mlp(mlp: nn.Module, name: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
    own = _child(mlp, _MLP[name])
    if own is not None:
        return own, lambda w: w.T
    both = _child(mlp, (_GATE_AND_UP,))
    if both is not None and name != "W_out":
        return both, lambda w: w.chunk(2)[0 if name == "W_gate" else 1].T
    return None


def _child(module: nn.Module, names: Sequence[str]) -> nn.Module | None:
    """A linear layer of `transformers` by its name, whatever stands around it; not a list of
    experts.
    """
    return next(
        (child for child in (getattr(module, name, None) for name in names) if _linear(child)), None
    )


def _linear(child: nn.Module | None) -> bool:
    return child is not None and is_matrix(child)


def _if_shaped(
    module: nn.Module, rows: int, view: Callable[[Tensor], Tensor]
) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
    """Both, if the layer has so many outputs; a gate or another head size would be cut in the
    wrong place.
    """
    return (module, view) if sizes(module)[0] == rows else None
