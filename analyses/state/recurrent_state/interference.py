"""What a question finds in a crowded state, and which token did the damage.

Under the query of a question the state gives a vector. It should be the value that the key was
written with; other pairs are written over it. *Margin*: its cosine to that value, less the largest
cosine to another pair's. A pair is forgotten in the state where the margin is below zero, and a
token did damage to a pair by as much as the pair's margin fell when it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from hooks.recurrent.scan import states_of

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.state.recurrent_state.kernels import RowsRead


@dataclass(frozen=True)
class ReadOut:
    """What the questions of some rows find in one layer.

    Attributes:
        row, pair: which pair each question asks for, (question,).
        right: whether it was answered with its value, (question,).
        margin: see the module's docstring, (question,).
        damage: what the tokens between write and question write under its key, |k (S_t − S')| with
            S' = decay ⊙ S_(t−1), summed, as a multiple of its own write, (question,).
        age: pairs read after it, (question,).
    """

    row: Tensor
    pair: Tensor
    right: Tensor
    margin: Tensor
    damage: Tensor
    age: Tensor


def read_out(seen: RowsRead, layer: int, offset: int, first_row: int = 0) -> ReadOut:
    """What the questions find; a walk over the tokens, without a pass."""
    rows, inputs = seen.rows, seen.inputs[layer]
    where = rows.is_asked
    sequence, asked = rows.sequence[where], rows.asked[where]
    row = torch.arange(rows.n_rows)[:, None].expand_as(rows.keys)[where]
    pair = torch.arange(rows.n_pairs).expand_as(rows.keys)[where]
    written = rows.written(offset)
    values = inputs.v[:, written].flatten(2)  # (sequence, pair, head × d_value)
    margin = torch.zeros(len(pair))
    for t, state in enumerate(states_of(inputs)):
        if (here := asked == t).any():
            of = sequence[here]
            found = (inputs.q[of, t, :, None, :] @ state[of]).flatten(1)
            margin[here] = _margins(found, values[of], pair[here])
    return ReadOut(
        row + first_row,
        pair,
        seen.right[where],
        margin,
        _damage(seen, layer, offset),
        rows.n_pairs - 1 - pair,
    )


def margins_over_time(seen: RowsRead, layer: int, offset: int) -> tuple[Tensor, Tensor]:
    """Of the first row: what each pair's question would find after every token, (pair, pos): margin
    and cosine to its own value; NaN before it is written.
    """
    rows, inputs = seen.rows, seen.inputs[layer]
    asked_pairs = [n for n in range(rows.n_pairs) if bool(rows.is_asked[0, n])]
    sequence, asked = rows.sequence[0, asked_pairs], rows.asked[0, asked_pairs]
    query = inputs.q[sequence, asked]
    written = rows.written(offset)
    values = inputs.v[sequence][:, written].flatten(2)
    pair = torch.tensor(asked_pairs)
    length = rows.ids.shape[1]
    margins = torch.full((rows.n_pairs, length), float("nan"))
    own = margins.clone()
    for t, state in enumerate(states_of(inputs)):
        found = (query[:, :, None, :] @ state[sequence]).flatten(1)
        have = written <= t
        cosines = functional.cosine_similarity(found[:, None], values, dim=-1)
        cosines = cosines.masked_fill(~have, -1.0)
        for n, p in enumerate(asked_pairs):
            if have[p]:
                own[p, t] = cosines[n, p]
        if int(have.sum()) > 1:
            margin = _margins(found, values, pair, have)
            margins[pair[have[pair]], t] = margin[have[pair]]
    return margins, own


def _margins(found: Tensor, values: Tensor, pair: Tensor, have: Tensor | None = None) -> Tensor:
    """(question,)

    Args:
        found: (question, d).
        values: of all pairs, (question, pair, d).
        have: which pairs have been written, (pair,).
    """
    cosines = functional.cosine_similarity(found[:, None], values, dim=-1).cpu()
    if have is not None:
        cosines = cosines.masked_fill(~have, -2.0)
    own = cosines.gather(1, pair[:, None])[:, 0]
    return own - cosines.scatter(1, pair[:, None], -2.0).amax(1)


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


def joined(parts: Sequence[ReadOut]) -> ReadOut:
    """Several parts of the rows as one."""
    names = list(ReadOut.__dataclass_fields__)
    return ReadOut(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
