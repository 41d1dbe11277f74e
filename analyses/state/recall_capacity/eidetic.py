"""Which pairs should be kept exactly beside a state that forgets? (The idea of B'MOJO, Zancato et
al. 2024: tokens that the state fails to predict.)

A model of recall reads a crowded row. A few of its pairs may be kept as they are; a key of one of
these is answered right, every other one as the state does. They are chosen by the state's error:
either when the pair is read (how little of its value the state gave under its key before it was
written), or behind all pairs (how little it gives then). The nulls: pairs at random, and the latest
ones, as a sliding window keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.pair_questions import Questions, of_task
from analyses.measures.pair_questions import draw as draw_rows
from analyses.measures.statistics import auc
from hooks.eager_eval import steady
from hooks.recurrent.scan import states_of
from hooks.state_capture import listening

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.recurrent.kernel_inputs import KernelInputs

OFFSETS = 4
"""Tokens from a pair's key on at which it may be written: a short convolution writes late."""
BEHIND, WHEN_READ, RANDOM, LATEST, BEST = (
    "error behind all pairs",
    "error when it was read",
    "at random",
    "the latest",
    "those that fail",
)
WAYS = (BEHIND, WHEN_READ, RANDOM, LATEST, BEST)
_BATCH = 64


@dataclass(frozen=True)
class RowErrors:
    """Rows, what was answered, and the state's error of every pair.

    Attributes:
        right: (row, pair).
        errors: by way, 1 less the cosine of what the state gives under a pair's key and of its
            value, (layer × offset, row, pair).
    """

    right: np.ndarray
    errors: dict[str, np.ndarray]


@torch.no_grad()
def read_rows(
    model: InstrumentedModel, layers: list[int], pairs: int, rows: int, seed: int
) -> RowErrors:
    """One pass for every batch of rows."""
    drawn = draw_rows(of_task(), pairs, rows, seed)
    right = _right(model, drawn, pairs)
    errors: dict[str, list[np.ndarray]] = {BEHIND: [], WHEN_READ: []}
    for first in range(0, rows, _BATCH):
        ids = drawn.ids[first : first + _BATCH, : 2 * pairs + OFFSETS].tolist()
        with listening(model, layers) as heard, steady(model.module):
            model.forward(**model.batch(ids).kwargs(), use_cache=False, logits_to_keep=1)
        found = [_errors(heard.inputs(layer), pairs) for layer in layers]
        for way in errors:
            errors[way].append(torch.cat([one[way] for one in found]).cpu().numpy())
    return RowErrors(right, {way: np.concatenate(each, 1) for way, each in errors.items()})


def _right(model: InstrumentedModel, drawn: Questions, pairs: int) -> np.ndarray:
    found = np.zeros((len(drawn.ids), pairs), bool)
    for first in range(0, len(drawn.ids), _BATCH):
        ids = drawn.ids[first : first + _BATCH].tolist()
        logits = model.forward(**model.batch(ids).kwargs(), use_cache=False).logits
        mine = (drawn.row >= first) & (drawn.row < first + _BATCH)
        answers = logits[drawn.row[mine] - first, drawn.position[mine]].argmax(-1).cpu().numpy()
        found[drawn.row[mine], drawn.place[mine]] = answers == drawn.answer[mine]
    return found


def _errors(inputs: KernelInputs, pairs: int) -> dict[str, Float[Tensor, "offset row pair"]]:
    states = torch.stack(list(states_of(inputs)), 1)  # (row, pos, head, d_key, d_value)
    before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
    found: dict[str, list[Tensor]] = {BEHIND: [], WHEN_READ: []}
    for offset in range(OFFSETS):
        at = 2 * torch.arange(pairs) + offset
        k, v = inputs.k[:, at], (inputs.beta * inputs.v)[:, at]
        for way, state in (
            (BEHIND, states[:, -1:].expand(-1, pairs, -1, -1, -1)),
            (WHEN_READ, before[:, at]),
        ):
            given = torch.einsum("rphk,rphkv->rphv", k, state).flatten(2)
            cosine = torch.nn.functional.cosine_similarity(given, v.flatten(2), dim=-1)
            found[way].append(1 - cosine)
    return {way: torch.stack(each) for way, each in found.items()}


def chosen(errors: np.ndarray, right: np.ndarray) -> int:
    """Where (layer and offset) the error tells best which pairs fail."""
    tells = [auc(one[~right], one[right])[0] for one in errors]
    # Where all pairs are right, or none is, no place tells more than another.
    return int(np.argmax(np.nan_to_num(tells, nan=0.5)))


def recall_with(
    rows: RowErrors, way: str, at: int, kept: int, rng: np.random.Generator
) -> np.ndarray:
    """Share of right answers in every row with so many of its pairs kept exactly, (row)."""
    score = {
        RANDOM: lambda: rng.random(rows.right.shape),
        LATEST: lambda: np.tile(np.arange(rows.right.shape[1]), (len(rows.right), 1)),
        BEST: lambda: (~rows.right).astype(float),
    }.get(way, lambda: rows.errors[way][at])()
    order = np.argsort(-score, axis=1, kind="stable")[:, :kept]
    found = rows.right.copy()
    np.put_along_axis(found, order, True, 1)
    shares: np.ndarray = found.mean(1)
    return shares
