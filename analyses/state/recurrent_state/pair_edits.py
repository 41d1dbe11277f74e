"""Does the answer follow the state? One pair of each row is erased or rewritten in one layer, and
all keys are asked for again.

Rewriting puts in, under the keys that the pair was written with, what the same row with another
value holds there: S + K⁺ (V' − K S). These are the keys of all tokens from the pair's key to the
one behind the next key, since a short convolution joins key and value late, and some models write a
pair twice. Its null is a change of the same rank and size in every head, with keys and values drawn
at random; what it could do at best is what the whole state of that other row does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from analyses.state.recurrent_state import pair_rows
from analyses.state.recurrent_state.kernels import RowsRead, read, state_behind_pairs
from hooks.recurrent.changes import SetState, rewritten
from hooks.state_changes import change_state

RANDOM = {"rewrite": "random", "erase": "random erasing"}
"""Of each change of a pair its null: of the same rank and size, at random."""

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.recurrent.kernel_inputs import KernelInputs


@dataclass(frozen=True)
class Edited:
    """Answers after a change of one layer's state.

    Attributes:
        pair: which pair of each row was changed, (row,).
        new: the value that it was to have, (row,).
        before: the rows as they were read.
        logits: afterwards, (row, pair, d_vocab).
    """

    pair: Tensor
    new: Tensor
    before: RowsRead
    logits: Tensor

    @property
    def _rows(self) -> Tensor:
        return torch.arange(len(self.pair))

    @property
    def was_right(self) -> Tensor:
        """Whether the changed pair had been recalled, (row,)."""
        return self.before.right[self._rows, self.pair]

    @property
    def says_new(self) -> Tensor:
        """Whether its key is now answered with the new value, (row,)."""
        return self.logits.argmax(-1)[self._rows, self.pair] == self.new

    @property
    def says_own(self) -> Tensor:
        """Whether its key is still answered with its own value, (row,)."""
        own = self.before.rows.values[self._rows, self.pair]
        return self.logits.argmax(-1)[self._rows, self.pair] == own

    @property
    def others(self) -> Tensor:
        """The other pairs that had been recalled, (row, pair)."""
        found = self.before.right.clone()
        found[self._rows, self.pair] = False
        return found

    @property
    def still_right(self) -> Tensor:
        """(row, pair)"""
        return self.logits.argmax(-1) == self.before.rows.values


@dataclass(frozen=True)
class Edits:
    """What is changed in some rows, and the rows as they are.

    Attributes:
        plain: the rows.
        altered: the rows with the new values.
        pair, new: (row,).
    """

    plain: RowsRead
    altered: RowsRead
    pair: Tensor
    new: Tensor

    def states(self, layer: int, change: str, generator: torch.Generator) -> Tensor:
        """The state that a change puts in, (sequence, state_head, d_key, d_value)."""
        rows, inputs = self.plain.rows, self.plain.inputs[layer]
        state = state_behind_pairs(inputs, rows)
        if change == "wipe":
            return torch.zeros_like(state)
        there = state_behind_pairs(self.altered.inputs[layer], self.altered.rows)
        if change == "transplant":
            return there
        key = keys_of(inputs, rows, self.pair)
        erases = change in ("erase", RANDOM["erase"])
        new = rewritten(state, key, torch.zeros_like(key @ state) if erases else key @ there)
        if change not in RANDOM.values():
            return new
        rank = min(key.shape[-2:])
        return state + _random_like(new - state, rank, rows.row_of_sequence(), generator)

    def apply(self, model: InstrumentedModel, layer: int, change: str, seed: int) -> Edited:
        """Ask for all keys again after one change of one layer's state. One pass."""
        return self.apply_to(model, [layer], change, seed)

    def apply_to(
        self, model: InstrumentedModel, layers: Sequence[int], change: str, seed: int
    ) -> Edited:
        """The same after changes of several layers' states at once."""
        generator = torch.Generator().manual_seed(seed)
        rows = self.plain.rows
        put = SetState({layer: self.states(layer, change, generator) for layer in layers})
        with change_state(model, put, layers=list(layers), positions=[rows.end]):
            logits = pair_rows.logits_at_questions(model, rows)
        return Edited(self.pair, self.new, self.plain, logits)


def keys_of(
    inputs: KernelInputs, rows: pair_rows.PairRows, pair: Tensor
) -> Float[Tensor, "sequence state_head key d_key"]:
    """The keys that one pair of each row was written with.

    Args:
        pair: (row,).
    """
    sequence, of = torch.arange(len(rows.ids)), pair[rows.row_of_sequence()]
    return torch.stack([inputs.k[sequence, rows.written(n)[of]] for n in rows.offsets], -2)


def _random_like(change: Tensor, rank: int, row: Tensor, generator: torch.Generator) -> Tensor:
    """A change of that rank and of the same Frobenius norm in every head, the same in all sequences
    of a row.
    """
    rows, (_, heads, d_key, d_value) = int(row.max()) + 1, change.shape
    key = torch.randn(rows, heads, d_key, rank, generator=generator)[row]
    value = torch.randn(rows, heads, rank, d_value, generator=generator)[row]
    drawn = (key @ value).to(change)
    size: Tensor = change.flatten(2).norm(dim=-1) / drawn.flatten(2).norm(dim=-1).clamp(min=1e-30)
    return drawn * size[..., None, None]


def prepare(
    model: InstrumentedModel,
    rows: pair_rows.PairRows,
    pair: Tensor,
    new: Tensor,
    layers: Sequence[int],
    between: int,
) -> Edits:
    """Read rows, and the same rows with other values. Two passes."""
    plain = read(model, rows, layers)
    altered = read(model, rows.with_values(pair, new, between), layers)
    return Edits(plain, altered, pair, new)
