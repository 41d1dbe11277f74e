"""What a question finds in a crowded state, and which token did the damage.

Under the query of a question the state gives a vector, the sum of what is left of all writes. What
comes from a pair's own tokens is known exactly (implicit attention). *Margin*: the cosine of what
is found to the pair's own part, less the largest cosine to the part that another question of the
row takes from its own pair; the means over all questions are taken off first. A pair is forgotten
in the state where the margin is below zero, and a token did damage to it by as much as its margin
fell when the token was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from hooks.recurrent.scan import states_of
from hooks.recurrent.weights import attention_weights

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.state.recurrent_state.kernels import RowsRead
    from hooks.recurrent.kernel_inputs import KernelInputs

_LONGEST = 2  # tokens that a pair is taken to be written at
_WEIGHTS = 64 * 2**20  # bytes of implicit attention in double precision, held at once


@dataclass(frozen=True)
class QuestionReads:
    """What the questions of some rows find in one layer.

    Attributes:
        row, pair: which pair each question asks for, (question,).
        right: whether it was answered with its value, (question,).
        age: pairs read after it, (question,).
        damage: what the tokens between write and question write under its key, |k (S_t − S')| with
            S' = decay ⊙ S_(t−1), summed, as a multiple of its own write, (question,).
        found: what the question reads, (question, state_head × d_value).
        own: what of that comes from each token of its pair, (question, offset, state_head ×
            d_value); where each value channel has weights of its own, the token's value.
    """

    row: Tensor
    pair: Tensor
    right: Tensor
    age: Tensor
    damage: Tensor
    found: Tensor
    own: Tensor

    def windows(self) -> list[slice]:
        """Which tokens of a pair may be taken for its write: one, or two in a row."""
        count = self.own.shape[1]
        return [
            slice(first, first + length)
            for length in range(1, _LONGEST + 1)
            for first in range(count - length + 1)
        ]

    def margins(self, window: slice) -> Tensor:
        """(question,); NaN where no other pair of the row is asked for."""
        parts = self.own[:, window].sum(1)
        return _margins(self.found, parts, self.row, self.found.mean(0), parts.mean(0))

    def best_window(self) -> slice:
        """The tokens with which most pairs have a margin above zero."""
        return max(self.windows(), key=lambda w: float((self.margins(w) > 0).float().mean()))


def ask(seen: RowsRead, layer: int, offset: int, first_row: int = 0) -> QuestionReads:
    """What the questions find; no pass of the model.

    Args:
        offset: tokens behind its key at which a pair is mainly written, for `damage`.
    """
    rows, inputs = seen.rows, seen.inputs[layer]
    where = rows.is_asked
    sequence, asked = rows.sequence[where], rows.asked[where]
    row = torch.arange(rows.n_rows)[:, None].expand_as(rows.keys)[where]
    pair = torch.arange(rows.n_pairs).expand_as(rows.keys)[where]
    tokens = torch.stack([rows.written(n)[pair] for n in rows.offsets], 1)
    found, own = _read(inputs, sequence, asked, tokens)
    return QuestionReads(
        row + first_row,
        pair,
        seen.right[where],
        rows.n_pairs - 1 - pair,
        _damage(seen, layer, offset),
        found,
        own,
    )


def _read(
    inputs: KernelInputs, sequence: Tensor, asked: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """What is read at each question, and from each of some tokens."""
    if inputs.per_channel or inputs.log_write is not None:
        found = torch.zeros(len(asked), inputs.v[0, 0].numel())
        for t, state in enumerate(states_of(inputs)):
            if (here := asked == t).any():
                of = sequence[here]
                found[here] = (inputs.q[of, t, :, None, :] @ state[of]).flatten(1).cpu()
        return found, inputs.v[sequence[:, None], tokens].flatten(2).cpu()
    step = max(1, _WEIGHTS // (8 * inputs.v.shape[2] * inputs.n_tokens**2))
    found_parts, own_parts, order = [], [], []
    for first in range(0, len(inputs.v), step):
        here = ((sequence >= first) & (sequence < first + step)).nonzero().flatten()
        if not len(here):
            continue
        of = sequence[here] - first
        part = inputs.rows(first, first + step)
        weights = attention_weights(part)[of, :, 0, asked[here]]  # (question, head, key)
        values = part.v[of]
        found_parts.append(torch.einsum("qhk,qkhv->qhv", weights, values).flatten(1))
        taken = weights.gather(-1, tokens[here][:, None].expand(-1, weights.shape[1], -1))
        at = values[torch.arange(len(here))[:, None], tokens[here]]
        own_parts.append((taken.mT[..., None] * at).flatten(2))
        order.append(here)
    back = torch.cat(order).argsort()
    return torch.cat(found_parts)[back].cpu(), torch.cat(own_parts)[back].cpu()


def margins_over_time(seen: RowsRead, layer: int, window: slice) -> Tensor:
    """Of the first row: the margin that each pair's question would have after every token, (pair,
    pos); NaN before the pair is written, and for pairs that are not asked for.
    """
    rows, inputs = seen.rows, seen.inputs[layer]
    asked_pairs = [n for n in range(rows.n_pairs) if bool(rows.is_asked[0, n])]
    sequence, asked = rows.sequence[0, asked_pairs], rows.asked[0, asked_pairs]
    tokens = torch.stack([rows.written(n)[asked_pairs] for n in rows.offsets], 1)
    _, own = _read(inputs, sequence, asked, tokens)
    parts = own[:, window].sum(1)
    written = tokens[:, window].amax(1)
    query = inputs.q[sequence, asked]
    margins = torch.full((rows.n_pairs, rows.ids.shape[1]), float("nan"))
    for t, state in enumerate(states_of(inputs)):
        have = (written <= t).nonzero().flatten()
        if len(have) < 2:
            continue
        found = (query[have][:, :, None, :] @ state[sequence[have]]).flatten(1).cpu()
        row = torch.zeros(len(have), dtype=torch.long)
        of = torch.tensor(asked_pairs)[have]
        mean = parts[have].mean(0)
        margins[of, t] = _margins(found, parts[have], row, found.mean(0), mean)
    return margins


def _margins(found: Tensor, parts: Tensor, row: Tensor, mean: Tensor, mean_part: Tensor) -> Tensor:
    """(question,), among the questions of one row."""
    found = functional.normalize(found - mean, dim=-1)
    parts = functional.normalize(parts - mean_part, dim=-1)
    margins = torch.full((len(row),), float("nan"))
    for one in row.unique():
        at = (row == one).nonzero().flatten()
        if len(at) < 2:
            continue
        cosines = found[at] @ parts[at].T
        own = cosines.diagonal()
        others = cosines.masked_fill(torch.eye(len(at), dtype=torch.bool), -2.0)
        margins[at] = own - others.amax(1)
    return margins


def _damage(seen: RowsRead, layer: int, offset: int) -> Tensor:
    """(question,); for the delta rule what is written is what was not predicted."""
    rows, inputs = seen.rows, seen.inputs[layer]
    where = rows.is_asked
    sequence, asked = rows.sequence[where], rows.asked[where]
    pair = torch.arange(rows.n_pairs).expand_as(rows.keys)[where]
    at = rows.written(offset)[pair]
    written = _lengths_written(seen, layer)
    keys = inputs.k[sequence, at]
    match = torch.einsum("qhk,qthk->qth", keys, inputs.k[sequence]).abs()
    t = torch.arange(inputs.n_tokens)
    between = (t > at[:, None]) & (t <= asked[:, None])
    per_token = match * written[sequence]
    own = per_token[torch.arange(len(at)), at].clamp(min=1e-30)
    after: Tensor = (per_token * between[..., None]).sum(1) / own
    return after.mean(-1).cpu()


def _lengths_written(seen: RowsRead, layer: int) -> Tensor:
    """|u_t| where the token adds k_t^T u_t to the state, (sequence, pos, head)."""
    inputs = seen.inputs[layer]
    if inputs.rule == "additive":
        lengths: Tensor = (inputs.beta * inputs.v).norm(dim=-1)
        return lengths
    before = inputs.v.new_zeros(inputs.state_shape)
    found = []
    for t, state in enumerate(states_of(inputs)):
        decayed = inputs.log_decay[:, t].exp() * before
        held = (inputs.k[:, t, :, None, :] @ decayed)[..., 0, :]
        found.append((inputs.beta[:, t] * (inputs.v[:, t] - held)).norm(dim=-1))
        before = state
    return torch.stack(found, 1)


def joined(parts: Sequence[QuestionReads]) -> QuestionReads:
    """Several parts of the rows as one."""
    names = list(QuestionReads.__dataclass_fields__)
    return QuestionReads(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
