"""Two models of one architecture, and what lies between them: parameters of the one put into the
other, all or some, wholly or in part.

Everything that is put in is taken out again: afterwards a model's tensors are what they were, bit
for bit, also where an error came in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workbench.errors import BadInput, Unfit
from workbench.models.storage import is_offloaded, plain

if TYPE_CHECKING:
    from hooks.layout import Block
    from hooks.model import InstrumentedModel

Weights = Mapping[str, Tensor]
"""Parameters by their names in the module, each once where several are tied."""

EMBEDDING, HEAD, LAST_NORM = "embedding", "unembedding", "final norm"
"""Parts of no layer; their layer is -1."""
OUTSIDE = -1
NORMS, OTHER = "norms", "other"
QK, VO, MLP_IN, MLP_OUT = "QK", "VO", "MLP in", "MLP out"
_QUERY_KEY = ("q_", "k_", "query", "key")


def parts_of_block(block: Block) -> dict[int, str]:
    """Id of a module -> in which part of its layer it is: `attention`, `mixer` or `MLP`."""
    return {
        id(inner): part
        for part, module in (
            ("attention", block.attention),
            ("mixer", block.mixer),
            ("MLP", block.mlp),
        )
        if module is not None
        for inner in module.modules()
    }


def places(model: InstrumentedModel) -> dict[str, tuple[int, str]]:
    """Name of a parameter of the layers -> (layer, part), each once, in order."""
    paths = {id(p): path for path, p in model.module.named_parameters()}
    found: dict[str, tuple[int, str]] = {}
    for layer, block in enumerate(model.layout.blocks):
        parts = parts_of_block(block)
        for owner in block.module.modules():
            for parameter in owner.parameters(recurse=False):
                where = (layer, parts.get(id(owner), OTHER))
                found.setdefault(paths[id(parameter)], where)
    return found


def module_groups(
    model: InstrumentedModel, *, finer: bool = False
) -> dict[tuple[int, str], list[str]]:
    """Which parameters make up each part of each layer, and what lies in no layer.

    Args:
        finer: attention as QK and VO (where one matrix makes queries, keys and values, it counts as
            QK), the MLP as MLP in and MLP out.

    Returns:
        (layer, part) -> names of parameters, each in one group, in the order of the layers; parts
        of no layer (`embedding`, `unembedding`, `final norm`) have the layer -1. Embeddings that
        are tied to the unembedding are `embedding`.
    """
    layout = model.layout
    of_layers = places(model)
    paths = {id(p): path for path, p in model.module.named_parameters()}
    outside = {
        paths[id(p)]: part
        for part, module in (
            (LAST_NORM, layout.final_norm),
            (HEAD, layout.unembed),
            (EMBEDDING, layout.embed),
        )
        for p in module.parameters()
        if id(p) in paths
    }
    found: dict[tuple[int, str], list[str]] = {}
    for name in paths.values():
        layer, part = of_layers.get(name, (OUTSIDE, outside.get(name, EMBEDDING)))
        if part == OTHER:
            part = NORMS
        if finer:
            part = _finer(model, name, layer, part)
        found.setdefault((layer, part), []).append(name)
    return dict(sorted(found.items(), key=lambda each: each[0][0]))


def _finer(model: InstrumentedModel, name: str, layer: int, part: str) -> str:
    if layer == OUTSIDE or part not in ("attention", "MLP"):
        return part
    owner = model.module.get_submodule(name.rpartition(".")[0])
    block = model.layout.blocks[layer]
    if part == "MLP":
        return MLP_OUT if owner is block.down_proj else MLP_IN
    if owner is block.out_proj:
        return VO
    last = name.split(".")[-2]
    is_query = last.startswith(_QUERY_KEY) or not last.startswith(("v_", "value"))
    return QK if is_query else VO


@torch.no_grad()
def weights_copied(module: nn.Module, name: str = "this model") -> dict[str, Tensor]:
    """Every parameter by its name, a copy on the CPU.

    Args:
        name: of the model, for an error.

    Raises:
        Unfit: quantized or offloaded weights.
    """
    if is_offloaded(module) or not all(plain(p) for p in module.parameters()):
        raise Unfit(
            f"The weights of {name} are quantized or offloaded.",
            "weights in floating point, in memory",
            "Load the model without quantization.",
        )
    return {path: p.detach().to("cpu", copy=True) for path, p in module.named_parameters()}


@torch.no_grad()
def changed(original: Weights, other: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """The parameters that differ at all, as (original, other), by name.

    Raises:
        BadInput: the two do not have the same parameters.
    """
    shapes, others = (
        {name: tuple(p.shape) for name, p in weights.items()} for weights in (original, other)
    )
    if shapes != others:
        raise BadInput(
            "The two models do not have the same parameters.",
            "one model before and after its weights changed",
            "Compare with the model that it was made from.",
        )
    return {
        name: (old, other[name])
        for name, old in original.items()
        if not torch.equal(old, other[name])
    }


@contextmanager
def put_back(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Inside, these may be changed; afterwards they are what they were, bit for bit. Gives what
    they were.
    """
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        yield before
    finally:
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)


@contextmanager
def replaced(model: InstrumentedModel, weights: Weights) -> Iterator[None]:
    """Inside, some parameters have other values."""
    parameters = [model.module.get_parameter(name) for name in weights]
    with put_back(parameters):
        with torch.no_grad():
            for parameter, new in zip(parameters, weights.values(), strict=True):
                parameter.copy_(new)
        yield


@dataclass(frozen=True)
class WeightPair:
    """A model before and after training: the parameters that differ, by name, on the CPU.

    Attributes:
        base, tuned: the same names, the same shapes.
    """

    base: Weights
    tuned: Weights

    @classmethod
    def of(cls, base: Weights, tuned: Weights) -> WeightPair:
        """The parameters of two models that differ.

        Raises:
            BadInput: they do not have the same parameters, or none differs.
        """
        differ = changed(base, tuned)
        if not differ:
            raise BadInput(
                "The two models have the same weights.",
                "a model before and after training",
                "Name the model that was trained, or train it at a higher rate.",
            )
        return cls({n: old for n, (old, _) in differ.items()}, {n: new for n, (_, new) in
                                                                differ.items()})  # fmt: skip

    @torch.no_grad()
    def between(self, share: float, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """base + share · (tuned - base): 0 is the base and 1 the tuned model, bit for bit; below 0
        and above 1 the line goes on.

        Args:
            names: only these parameters; those that do not differ are left out.
        """
        wanted = self.base if names is None else [n for n in names if n in self.base]
        if share in (0.0, 1.0):
            side = self.tuned if share else self.base
            return {name: side[name] for name in wanted}
        return {
            name: torch.lerp(self.base[name].float(), self.tuned[name].float(), share).to(
                self.base[name].dtype
            )
            for name in wanted
        }

    @torch.no_grad()
    def norms(self) -> dict[str, tuple[float, float]]:
        """By name, |tuned - base| and |base| (Frobenius)."""
        return {
            name: (
                float((self.tuned[name].double() - old.double()).norm()),
                float(old.double().norm()),
            )
            for name, old in self.base.items()
        }
