"""Rounding weights to few bits: a change smaller than half a step is undone by it.

Source: "Catastrophic failure of LLM unlearning via quantization" (2410.16454). Blocks are those of
llama.cpp's Q4_1: 32 weights in a row along the inputs, each stored as minimum + code × scale, with
both in half precision. A model that was opened from such a file is left as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analyses.weights.unlearning_audit.block_weights import BlockMatrix, block_matrices, put_back
from workbench.errors import BadInput
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

BLOCK = 32


@reentrant
def rounded(model: InstrumentedModel, bits: int, block: int = BLOCK) -> Iterator[None]:
    """Inside, every matrix of the layers is rounded to the nearest of 2^bits values per block of
    its own; afterwards the weights are what they were, bit for bit.

    Raises:
        BadInput: no such number of bits or weights.
        Unfit: quantized or offloaded weights.
    """
    _check(bits, block)
    matrices = block_matrices(model)
    parameters = [model.module.get_parameter(m.name) for m in matrices]
    with put_back(parameters):
        with torch.no_grad():
            for matrix, parameter in zip(matrices, parameters, strict=True):
                blocks = _cut(parameter, matrix, block)
                new = _Grid.of(blocks, bits).nearest(blocks)
                parameter.copy_(_joined(new, parameter, matrix))
        yield


@torch.no_grad()
def same_codes(
    model: InstrumentedModel,
    original: Mapping[str, Tensor],
    unlearned: Mapping[str, Tensor],
    bits: int,
    block: int = BLOCK,
) -> pd.DataFrame:
    """How many weights are rounded to the same value before and after unlearning, both on the
    blocks of the original: what rounding undoes of a change.

    Args:
        model: either; only the places of its matrices are asked.
        original, unlearned: from `block_weights.weights_of`.

    Returns:
        A row per matrix: `layer`, `part`, `parameter`, `weights`, `changed` (how many differ),
        `same_code` (how many have the same code, whether changed or not), `undone` (how many differ
        and have the same code); `squared`, the change's sum of squares, and `left`, the inner
        product of what is left of it when both are rounded with the change itself. Over several
        matrices the sum of `left` over that of `squared` is the share of the change that rounding
        leaves: few other codes leave all of it where the original was not rounded before, since
        each of them moves by a whole step; nothing is left where it was and no move is large
        enough.
    """
    _check(bits, block)
    rows = []
    for matrix in block_matrices(model):
        old, new = original[matrix.name], unlearned[matrix.name]
        before, after = _cut(old, matrix, block), _cut(new, matrix, block)
        grid = _Grid.of(before, bits)
        same = _joined(grid.codes(before) == grid.codes(after), old, matrix)
        differs, moved = old != new, new.double() - old.double()
        left = _joined(grid.nearest(after) - grid.nearest(before), old, matrix)
        rows.append(
            {
                "layer": matrix.layer,
                "part": matrix.part,
                "parameter": matrix.name,
                "weights": old.numel(),
                "changed": int(differs.sum()),
                "same_code": int(same.sum()),
                "undone": int((differs & same).sum()),
                "squared": float(moved.square().sum()),
                "left": float((moved * left).sum()),
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Grid:
    """The values that a block may have.

    Attributes:
        low: the smallest of each block, (row, block, 1), float32.
        step: between two values, the same shape; 0 in a block of equal weights.
        most: the largest code.
    """

    low: Tensor
    step: Tensor
    most: int

    @classmethod
    def of(cls, blocks: Float[Tensor, "row block weight"], bits: int) -> _Grid:
        low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
        return cls(low, (high - low) / (2**bits - 1), 2**bits - 1)

    def codes(self, blocks: Float[Tensor, "row block weight"]) -> Float[Tensor, "row block weight"]:
        """Of weights, which may be others than those the grid was made for."""
        inverse = torch.where(self.step > 0, 1 / self.step, 0.0)
        # As llama.cpp rounds: half a step is rounded up.
        codes: Tensor = ((blocks - self.low) * inverse + 0.5).floor().clamp(0, self.most)
        return codes

    def nearest(
        self, blocks: Float[Tensor, "row block weight"]
    ) -> Float[Tensor, "row block weight"]:
        """The values nearest to weights; scale and minimum are stored in half precision."""
        return self.codes(blocks) * self.step.half().float() + self.low.half().float()


def _cut(weight: Tensor, matrix: BlockMatrix, block: int) -> Float[Tensor, "row block weight"]:
    """A matrix as blocks along its inputs, float32; the last of a row is filled up with its last
    weight.
    """
    rows = weight.detach().T if matrix.turned else weight.detach().flatten(0, -2)
    missing = -rows.shape[-1] % block
    filled = torch.cat([rows, rows[:, -1:].expand(-1, missing)], -1)
    blocks: Tensor = filled.float().unflatten(-1, (-1, block))
    return blocks


def _joined(blocks: Tensor, like: Tensor, matrix: BlockMatrix) -> Tensor:
    """Blocks as the matrix they were cut from."""
    inputs = like.shape[0] if matrix.turned else like.shape[-1]
    rows = blocks.flatten(1)[:, :inputs]
    return rows.T if matrix.turned else rows.reshape(like.shape)


def _check(bits: int, block: int) -> None:
    if not 1 <= bits <= 16 or block < 2:
        raise BadInput(
            f"Weights are not rounded to {bits} bits in blocks of {block}.",
            "1 to 16 bits, and blocks of 2 or more",
            "For example 4 bits in blocks of 32.",
        )
