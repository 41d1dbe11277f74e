"""What the kernels of recurrent layers were given while rows of pairs were read, and the states
that follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from analyses.state.recurrent_state.pair_rows import PairRows, logits_at_questions
from hooks.recurrent.scan import states_of
from hooks.state_capture import listening

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.recurrent.kernel_inputs import KernelInputs


@dataclass(frozen=True)
class RowsRead:
    """Rows as a model read them.

    Attributes:
        logits: at the questions, (row, pair, d_vocab).
        inputs: by layer, of all sequences.
    """

    rows: PairRows
    logits: Float[Tensor, "row pair d_vocab"]
    inputs: Mapping[int, KernelInputs]

    @property
    def answers(self) -> Tensor:
        """The likeliest tokens, (row, pair)."""
        return self.logits.argmax(-1)

    @property
    def right(self) -> Tensor:
        """(row, pair); False where it was not asked."""
        return (self.answers == self.rows.values) & self.rows.is_asked


@torch.no_grad()
def read(model: InstrumentedModel, rows: PairRows, layers: Sequence[int]) -> RowsRead:
    """One pass."""
    with listening(model, layers) as reading:
        logits = logits_at_questions(model, rows)
    return RowsRead(rows, logits, {layer: reading.inputs(layer) for layer in layers})


def state_behind_pairs(
    inputs: KernelInputs, rows: PairRows, pos: int | None = None
) -> Float[Tensor, "sequence state_head d_key d_value"]:
    """What is held after the last token before anything is asked, or after another token."""
    *_, last = states_of(inputs.tokens(0, (rows.end if pos is None else pos) + 1))
    return last


def offset_of_writes(seen: Sequence[RowsRead], layer: int) -> int:
    """How many tokens behind its key a pair is written, as the questions read it: there the write,
    as the question's query weighs it, is largest on average.

    A short convolution brings key and value together some tokens after both were read.
    """
    rows = seen[0].rows
    return int(_weights(seen, layer).mean(0).argmax()) if rows.n_pairs else 0


def _weights(seen: Sequence[RowsRead], layer: int) -> Tensor:
    """|q k| |beta v| of the tokens from a pair's key to the one behind the next key, for every
    question, (question, offset). Their decays until then hardly differ.
    """
    found = []
    for one in seen:
        inputs, rows = one.inputs[layer], one.rows
        where = rows.is_asked
        sequence, asked = rows.sequence[where], rows.asked[where]
        pair = torch.arange(rows.n_pairs).expand_as(rows.keys)[where]
        query = inputs.q[sequence, asked]
        size = (inputs.beta * inputs.v).norm(dim=-1)
        by_offset = []
        for offset in rows.offsets:
            at = rows.written(offset)[pair]
            match = (query * inputs.k[sequence, at]).sum(-1).abs()
            by_offset.append((match * size[sequence, at]).sum(-1))
        found.append(torch.stack(by_offset, -1))
    return torch.cat(found)
