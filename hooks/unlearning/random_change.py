"""Changes at random, as large as one that unlearned: what a change of that size does by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hooks.unlearning.unlearned import Unlearned
from hooks.unlearning.unlearning_log import UnlearningLog
from workbench.models import weight_delta
from workbench.models.card import weight_hash
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@ordinary
def random_change(model: InstrumentedModel, done: Unlearned, seed: int) -> Unlearned:
    """In each parameter a change of the same Frobenius norm in a random direction: of the same
    entries where only some were changed, of the same rank where it is of low rank.

    Args:
        model: with the weights that `done` was made on.

    Raises:
        BadInput: it has others.
    """
    weight_delta.check(done.delta, weight_hash(model.module), model.card.name)
    draw = torch.Generator().manual_seed(seed)
    values, left, right = {}, {}, {}
    for name, index in done.delta.index.items():
        flat = model.module.get_parameter(name).detach().view(-1)
        old = flat[torch.as_tensor(index, device=flat.device)].double().cpu()
        size = (torch.as_tensor(done.delta.values[name]).double() - old).norm()
        noise = torch.randn(len(old), generator=draw, dtype=torch.float64)
        values[name] = (old + noise * (size / noise.norm())).float().numpy()
    for name, rows in done.delta.left.items():
        columns = torch.as_tensor(done.delta.right[name])
        norm = _norm(torch.as_tensor(rows), columns)
        new_rows = torch.randn(rows.shape, generator=draw)
        new_columns = torch.randn(columns.shape, generator=draw)
        left[name] = (new_rows * (norm / _norm(new_rows, new_columns))).numpy()
        right[name] = new_columns.numpy()
    delta = replace(
        done.delta,
        about=f"At random, as large as: {done.delta.about}",
        values=values,
        left=left,
        right=right,
    )
    return Unlearned(f"random, as large as {done.method}", done.base, delta, UnlearningLog())


def _norm(rows: Tensor, columns: Tensor) -> float:
    """Frobenius norm of rows @ columns."""
    tall, wide = rows.double(), columns.double()
    return float(((tall.T @ tall) * (wide @ wide.T)).sum().clamp(min=0).sqrt())
