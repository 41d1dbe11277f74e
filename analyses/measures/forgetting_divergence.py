"""Forgetting as a loss: how far a model's next-token distributions have moved from those that it
had before training (Kalajdzievski 2024, 2401.05605).

KL(p0 || p) = sum over v of p0(v|x) (ln p0(v|x) - ln p(v|x)): the paper's cross-entropy with the
base model's distribution as target, less that distribution's own entropy, so it is 0 before
training. It needs no labels and no pre-training data.

Of p0 the likeliest tokens and the sum of all others are kept. With others summed up the divergence
can only be smaller than over the whole vocabulary (the log sum inequality), by little where the
kept tokens hold nearly all probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hooks.eager_eval import steady
from hooks.module_call import call

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = 64
"""Tokens of the base model's distribution that are kept apart."""
_AT_ONCE = 512  # tokens of one pass


@dataclass(frozen=True)
class RowSet:
    """Rows of text of one length that are read again and again.

    Attributes:
        name: as tables have it ("neutral").
        ids: rows of token ids, beginning tokens in front, all of one length.
        first: the first token that is predicted: what stands before it is given.
    """

    name: str
    ids: tuple[tuple[int, ...], ...]
    first: int = 1


@dataclass(frozen=True)
class BasePredictions:
    """What the base model said of a set of rows.

    Attributes:
        top: likeliest tokens after each token, (row, pos, top).
        log_p: their log probabilities.
        log_rest: that of all others together, (row, pos); -inf where there are none.
        nats: mean loss of each row under the base model, (row,).
    """

    rows: RowSet
    top: Int[Tensor, "row pos top"]
    log_p: Float[Tensor, "row pos top"]
    log_rest: Float[Tensor, "row pos"]
    nats: Float[np.ndarray, " row"]


@dataclass(frozen=True)
class Divergence:
    """Of each row: mean KL from the base model and mean loss, in nats per predicted token, (row,).

    A row of text is the unit of an interval: tokens in one go together.
    """

    kl: Float[np.ndarray, " row"]
    nats: Float[np.ndarray, " row"]


def base_predictions(module: nn.Module, rows: RowSet, top: int = TOP) -> BasePredictions:
    """Read rows with the model as it is before training.

    Args:
        top: tokens that are kept apart; as many as the vocabulary has make the divergence exact.
    """
    ids, log_ps, rests, losses = [], [], [], []
    for log_p, wanted in _log_p(module, rows):
        best = log_p.topk(min(top, log_p.shape[-1]), -1)
        ids.append(best.indices)
        log_ps.append(best.values)
        rests.append(_rest(log_p, best.indices))
        losses.append(_loss(log_p, wanted))
    return BasePredictions(
        rows, torch.cat(ids), torch.cat(log_ps), torch.cat(rests), torch.cat(losses).cpu().numpy()
    )


def divergence(module: nn.Module, base: BasePredictions) -> Divergence:
    """How far a model has moved from what it said of these rows before; any module that gives
    logits, adapters and all.
    """
    found, losses, at = [], [], 0
    for log_p, wanted in _log_p(module, base.rows):
        part = slice(at, at + len(log_p))
        at += len(log_p)
        before, rest = base.log_p[part], base.log_rest[part]
        now = log_p.gather(-1, base.top[part])
        kl = (before.exp() * (before - now)).sum(-1)
        apart = rest.exp() * (rest - _rest(log_p, base.top[part]))
        # Where the kept tokens are all there are, nothing is left: 0 ln 0 is 0.
        kl = kl + torch.where(rest > -torch.inf, apart, torch.zeros_like(apart))
        found.append(kl.mean(-1))
        losses.append(_loss(log_p, wanted))
    return Divergence(torch.cat(found).cpu().numpy(), torch.cat(losses).cpu().numpy())


@torch.no_grad()
def _log_p(module: nn.Module, rows: RowSet) -> Iterator[tuple[Tensor, Tensor]]:
    """(log probabilities, (row, pos, d_vocab); the tokens that followed, (row, pos)), some rows at
    a time.
    """
    device = next(module.parameters()).device
    size = max(1, _AT_ONCE // max(1, len(rows.ids[0])))
    with steady(module):
        for start in range(0, len(rows.ids), size):
            ids = torch.tensor(rows.ids[start : start + size], device=device)
            logits = call(
                module, input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).logits
            yield logits[:, rows.first - 1 : -1].float().log_softmax(-1), ids[:, rows.first :]


def _rest(log_p: Tensor, top: Tensor) -> Tensor:
    """Log of the sum of all probabilities but those of `top`."""
    return log_p.scatter(-1, top, -torch.inf).logsumexp(-1)


def _loss(log_p: Tensor, wanted: Tensor) -> Tensor:
    return -log_p.gather(-1, wanted[..., None])[..., 0].mean(-1)
