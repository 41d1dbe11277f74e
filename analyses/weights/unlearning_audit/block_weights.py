"""The weights that attacks look at, change and put back: the matrices of a model's layers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from hooks.discovery.trace_modules import is_matrix
from hooks.mixed_weights import changed, parts_of_block, places, put_back, replaced
from workbench.errors import Unfit
from workbench.models.storage import plain

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

__all__ = [
    "PARTS",
    "AuditSubject",
    "BlockMatrix",
    "block_matrices",
    "changed",
    "places",
    "put_back",
    "replaced",
    "weights_of",
]

PARTS = ("attention", "mixer", "MLP", "other")
"""Of a layer. A mixer is what a recurrent layer has in place of attention; norms are "other"."""


class AuditSubject(Protocol):
    """A model under audit. Two of them may be one module with other weights, so only one may be
    on.
    """

    @property
    def name(self) -> str:
        """What it is called in a table."""
        ...

    def on(self) -> AbstractContextManager[InstrumentedModel]:
        """Inside, the model with this subject's weights."""
        ...


@dataclass(frozen=True)
class BlockMatrix:
    """A matrix of a layer, or the matrices of its experts.

    Attributes:
        layer, part: where it is.
        name: of the module's parameter.
        turned: kept as (inputs, outputs), as GPT-2's `Conv1D` does.
    """

    layer: int
    part: str
    name: str
    turned: bool


def block_matrices(model: InstrumentedModel) -> list[BlockMatrix]:
    """Every matrix of the layers, each once, in order; no embeddings, norms, biases and
    convolutions.

    Raises:
        Unfit: quantized or offloaded weights.
    """
    paths = {id(p): path for path, p in model.module.named_parameters()}
    found: dict[str, BlockMatrix] = {}
    for layer, block in enumerate(model.layout.blocks):
        parts = parts_of_block(block)
        for owner in block.module.modules():
            for parameter in owner.parameters(recurse=False):
                if not _is_weight(owner, parameter):
                    continue
                if not plain(parameter) or parameter.device.type == "meta":
                    raise Unfit(
                        f"The weights of layer {layer} of {model.card.name} are quantized or"
                        " offloaded.",
                        "weights in floating point, in memory",
                        "Load the model without quantization.",
                    )
                name = paths[id(parameter)]
                turned = type(owner).__name__ == "Conv1D"
                found.setdefault(
                    name, BlockMatrix(layer, parts.get(id(owner), "other"), name, turned)
                )
    return list(found.values())


def _is_weight(owner: nn.Module, parameter: Tensor) -> bool:
    if is_matrix(owner):
        return parameter.dim() != 1  # also where packed: that is then refused
    experts = parameter.dim() == 3 and not isinstance(owner, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return experts and plain(parameter)


@torch.no_grad()
def weights_of(subject: AuditSubject) -> dict[str, Tensor]:
    """Every parameter of a subject by its name, a copy on the CPU.

    Raises:
        Unfit: quantized or offloaded weights.
    """
    with subject.on() as model:
        block_matrices(model)  # refuses those
        return {
            name: parameter.detach().to("cpu", copy=True)
            for name, parameter in model.module.named_parameters()
        }
