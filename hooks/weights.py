"""What a layer multiplies with, however it is kept: plainly, offloaded by Accelerate, quantized, or
with an adapter around it.

`dense_weight` is the one way to read a matrix. A plain layer's is its weight. Any other layer is
asked: it is given the identity, and what it makes of that is its matrix, whatever a library stores
and wherever it moves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hooks.held_attributes import held
from workbench.errors import Unfit
from workbench.models.storage import is_quantized, keep_four_bits, plain

__all__ = [
    "apply",
    "as_it_computes",
    "bias_of",
    "dense_weight",
    "device_of",
    "dtype_of",
    "evaluated",
    "innermost",
    "is_embedding",
    "is_plain",
    "is_quantized",
    "known_sizes",
    "output_for",
    "parameter_of",
    "requires_grad",
    "sizes",
]

_AT_ONCE = 512  # rows of the identity in one call
# What stands for one in it: beside it the rounding of a bias is small, and 8 bits or half precision
# hold it.
_ONE = 256.0
# A layer that rounds its inputs to 8 bits is off by a hundredth of its largest output.
_LINEAR = 0.05
# Where adapters keep the layer that they stand around.
_INSIDE = ("base_layer", "original_module", "token_adapter")


def dense_weight(
    layer: nn.Module, rows: Int[Tensor, " n"] | None = None
) -> Float[Tensor, "outputs inputs"]:
    """The matrix that a linear layer multiplies with, or the rows that an embedding gives out,
    adapters and all.

    Args:
        rows: only these outputs of a linear layer, or these tokens of an embedding, (n,). None is
            all.

    Returns:
        (outputs, inputs), also where the layer keeps the transpose (GPT-2's `Conv1D`); of an
        embedding (token, d_model), scaled as the family does. In the dtype that the layer computes
        in. Nothing is kept: ask once, outside loops.

    Raises:
        Unfit: the layer does more than multiply with a matrix and add a bias.
    """
    if is_embedding(layer):
        return _rows_given(layer, rows)
    if not is_plain(layer):
        return _read_off(layer, rows)
    weight = _outputs_first(layer)(_weight(layer, "weight"))
    return weight if rows is None else weight[rows.to(weight.device)]


def bias_of(layer: nn.Module) -> Float[Tensor, " outputs"] | None:
    """What a linear layer adds, (outputs,), or None."""
    if is_plain(layer):
        return None if getattr(layer, "bias", None) is None else _weight(layer, "bias")
    with as_it_computes(layer):
        return output_for(layer, torch.zeros(1, 1, sizes(layer)[1]))[0]


def apply(
    layer: nn.Module,
    x: Float[Tensor, "*rows inputs"],
    rows: Int[Tensor, " n"] | None = None,
    *,
    biased: bool = True,
) -> Float[Tensor, "*rows outputs"]:
    """What a linear layer makes of x, (..., inputs) to (..., outputs), in the dtype of x.

    Hooks on it are not called.

    Args:
        rows: only these outputs, (n,).
        biased: with the layer's bias.
    """
    chosen = slice(None) if rows is None else rows
    bias = bias_of(layer)
    if not is_plain(layer):
        given: Tensor = layer.forward(x.to(dtype_of(layer)))[..., chosen]
        return (given if biased or bias is None else given - bias[chosen]).to(x)
    return nn.functional.linear(
        x, dense_weight(layer, rows).to(x), bias[chosen] if biased and bias is not None else None
    )


def sizes(layer: nn.Module) -> tuple[int, int]:
    """(outputs, inputs) of a linear layer; (tokens, d_model) of an embedding.

    Raises:
        Unfit: it says neither.
    """
    found = known_sizes(layer)
    if found is None:
        raise Unfit(
            f"A {type(layer).__name__} does not say how many inputs it has.",
            "a linear layer",
            "Choose another part.",
        )
    return found


def innermost(layer: nn.Module) -> nn.Module:
    """The layer that adapters stand around; itself if none does."""
    return list(_layers_inside(layer))[-1]


def is_plain(layer: nn.Module) -> bool:
    """Whether a linear layer or embedding is one of torch or `transformers` itself, with its
    weight in floating point.
    """
    kind = type(layer)
    known = (
        getattr(kind, "forward", None) in (nn.Linear.forward, nn.Embedding.forward)
        or kind.__name__ in _KNOWN
    )
    return known and plain(getattr(layer, "weight", None))


_KNOWN = {"Conv1D", "FalconLinear"}
"""Layers of `transformers` that multiply with their weight and have a `forward` of their own."""


def parameter_of(layer: nn.Module) -> tuple[str, bool] | None:
    """The parameter that is a linear layer's matrix, but for what an adapter adds: (its name in the
    layer, whether it is kept as (inputs, outputs)). The layer's matrix changes by what the
    parameter does, and their gradients are the same.

    None where no parameter does that: quantized weights, and adapters that scale the matrix (DoRA,
        (IA)³).
    """
    if is_plain(layer) and "weight" in layer._parameters:
        return "weight", type(layer).__name__ == "Conv1D"
    if is_quantized(layer):
        return None
    outputs, inputs = sizes(layer)
    candidates = {
        n: p
        for n, p in layer.named_parameters()
        if p.dim() == 2 and set(p.shape) == {outputs, inputs}
    }
    if not candidates:
        return None
    gradients, wanted = _gradients_of(layer, candidates)
    like = next(iter(candidates.values()))
    close = (1e-3 if like.dtype == torch.float32 else 5e-2) * float(wanted.abs().max())
    for name, gradient in gradients.items():
        for turned in (False, True):
            shown = gradient.T if turned else gradient
            if shown.shape == wanted.shape and float((shown - wanted).abs().max()) <= close:
                return name, turned
    return None


def _gradients_of(
    layer: nn.Module, candidates: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Of a random projection of what a layer makes of a few random vectors: the gradients of some
    of its parameters, by name, and that of its matrix, (outputs, inputs).
    """
    outputs, inputs = sizes(layer)
    like = next(iter(candidates.values()))
    draw = torch.Generator().manual_seed(0)
    x, slope = (torch.randn(1, 4, n, generator=draw).to(like) for n in (inputs, outputs))
    with requires_grad(candidates.values()), evaluated(layer), torch.enable_grad():
        total = (layer.forward(x) * slope).sum()
        found = torch.autograd.grad(total, list(candidates.values()), allow_unused=True)
    gradients = zip(candidates, found, strict=True)
    return {name: g for name, g in gradients if g is not None}, slope[0].T @ x[0]


@contextmanager
def requires_grad(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Frozen weights have gradients for a while."""
    with held(list(parameters), "requires_grad", True):
        yield


def device_of(module: nn.Module) -> torch.device:
    """Where a module computes; an offloaded weight lies elsewhere, or nowhere ("meta")."""
    for part in module.modules():
        place = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if place is not None:
            return torch.device(place)
    tensors = (t for each in (module.parameters(), module.buffers()) for t in each)
    first = next(tensors, None)
    return torch.device("cpu") if first is None else first.device


def dtype_of(module: nn.Module) -> torch.dtype:
    """What a layer computes in: the dtype of its first weight in floating point; float32 if it
    has none.
    """
    return next((p.dtype for p in module.parameters() if plain(p)), torch.float32)


def _weight(module: nn.Module, name: str) -> Tensor:
    """A weight that Accelerate may keep elsewhere until the module runs."""
    if getattr(module, "_hf_hook", None) is None:
        weight: Tensor = getattr(module, name)
        return weight
    from accelerate.utils import align_module_device

    with align_module_device(module):
        aligned: Tensor = getattr(module, name)
        return aligned


def _layers_inside(layer: nn.Module) -> Iterator[nn.Module]:
    """The layer, what an adapter keeps inside, and so on inwards."""
    yield layer
    for name in _INSIDE:
        inside = layer._modules.get(name)
        if inside is not None:
            yield from _layers_inside(inside)


def known_sizes(layer: nn.Module) -> tuple[int, int] | None:
    """As `sizes`; None where the layer says neither."""
    for first, second in (
        ("num_embeddings", "embedding_dim"),
        ("out_features", "in_features"),
        ("nf", "nx"),
    ):
        for part in _layers_inside(layer):
            if first in vars(part) and second in vars(part):
                return int(getattr(part, first)), int(getattr(part, second))
    weight: Any = getattr(layer, "weight", None)
    return (
        (int(weight.shape[0]), int(weight.shape[1]))
        if plain(weight) and weight.dim() == 2
        else None
    )


def is_embedding(layer: nn.Module) -> bool:
    """Whether a layer looks rows up, perhaps with an adapter around it."""
    return any("num_embeddings" in vars(part) for part in _layers_inside(layer))


def _outputs_first(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """To (outputs, inputs), as `nn.Linear` keeps it; GPT-2's `Conv1D` keeps the transpose."""
    return (lambda w: w.T) if type(layer).__name__ == "Conv1D" else (lambda w: w)


def _rows_given(embedding: nn.Module, rows: Tensor | None) -> Tensor:
    if is_plain(embedding):
        weight = _weight(embedding, "weight")
        return weight if rows is None else weight[rows.to(weight.device)]
    with as_it_computes(embedding):
        rows = torch.arange(sizes(embedding)[0]) if rows is None else rows
        device = device_of(embedding)
        return torch.cat(
            [embedding.forward(part[None].to(device))[0] for part in rows.split(8 * _AT_ONCE)]
        )


def _read_off(layer: nn.Module, rows: Tensor | None) -> Tensor:
    """The matrix of a layer that is no plain one, compared with what the layer makes of a few
    vectors.
    """
    chosen = slice(None) if rows is None else rows
    with as_it_computes(layer):
        inputs = sizes(layer)[1]
        zero = output_for(layer, torch.zeros(1, 1, inputs))
        stored: Any = layer.weight if type(layer).forward is nn.Linear.forward else None
        if hasattr(stored, "dequantize"):
            # A tensor of a library's own kind (torchao) that says what it stands for.
            found: Tensor = stored.dequantize()[chosen]
        else:
            found = _from_identity(layer, inputs, zero, chosen)
        x = torch.randn(1, 4, inputs, generator=torch.Generator().manual_seed(0))
        given = (output_for(layer, x) - zero)[:, chosen].float()
        product = x[0].to(given.device) @ found.float().T
        if not bool((given - product).abs().max() <= _LINEAR * given.abs().max()):
            raise Unfit(
                f"A {type(layer).__name__} of this model does more than multiply with a matrix.",
                "a linear layer, perhaps quantized or with an adapter",
                "Load the model without what was put around its layers.",
            )
    return found


def _from_identity(layer: nn.Module, inputs: int, zero: Tensor, chosen: slice | Tensor) -> Tensor:
    """What a layer gives for the identity, less what it gives for nothing: (chosen outputs,
    inputs).
    """
    columns = []
    for start in range(0, inputs, _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, inputs))
        ones = torch.zeros(1, len(part), inputs)
        ones[0, range(len(part)), part] = _ONE
        columns.append((output_for(layer, ones) - zero)[:, chosen] / _ONE)
    return torch.cat(columns).T


def output_for(layer: nn.Module, x: Float[Tensor, "1 n inputs"]) -> Float[Tensor, "n outputs"]:
    """What a layer makes of (1, n, inputs): (n, outputs). Hooks on it are not called."""
    out: Tensor = layer.forward(x.to(device_of(layer), dtype_of(layer)))[0]
    return out


@contextmanager
def as_it_computes(layer: nn.Module) -> Iterator[None]:
    """The layer as it is when the model runs: no dropout, no gradients, its storage as it was
    loaded.
    """
    keep_four_bits(layer)
    with evaluated(layer), torch.no_grad():
        yield


@contextmanager
def evaluated(layer: nn.Module) -> Iterator[None]:
    """The layer in eval mode."""
    training = [part for part in layer.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True
