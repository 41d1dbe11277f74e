"""The control of an edit: as large a change of the same matrices, in directions drawn at random."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hooks.editing.edit import EditLog, WeightEdit
from workbench.errors import BadInput


def random_like(edit: WeightEdit, seed: int = 0, *, same_keys: bool = False) -> WeightEdit:
    """An edit with the same matrices, ranks and norms (Frobenius, matrix by matrix), whose factors
    are drawn at random. What it does to a model is what a change of that size does by itself.

    Args:
        same_keys: draw the values alone: the same tokens are changed, by as much, to anything. The
            harder control; with keys at random too, hardly any token is reached.

    Raises:
        BadInput: an edit without factors (fine-tuning), or without keys where they are to stay.
    """
    if not edit.delta.left or edit.delta.index:
        raise BadInput(
            f"{edit.method} has no factors to draw at random.",
            "an edit of low rank: ROME, MEMIT, AlphaEdit, LoRA",
            "Compare it with an edit of another layer.",
        )
    draw = torch.Generator().manual_seed(seed)
    d_mlp = next((keys.shape[1] for keys in edit.keys.values()), 0)
    if same_keys and not d_mlp:
        raise BadInput(
            f"{edit.method} writes under no keys.", "ROME, MEMIT or AlphaEdit", "Draw both sides."
        )
    left, right = {}, {}
    for name, rows in edit.delta.left.items():
        old = _norm(torch.as_tensor(rows), torch.as_tensor(edit.delta.right[name]))
        new_rows = torch.randn(rows.shape, generator=draw)
        new_columns = torch.randn(edit.delta.right[name].shape, generator=draw)
        if same_keys:  # (values, keys), or the other way round where the matrix is kept so
            if len(rows) == d_mlp:
                new_rows = torch.as_tensor(rows)
            else:
                new_columns = torch.as_tensor(edit.delta.right[name])
        size = old / _norm(new_rows, new_columns)
        left[name], right[name] = (new_rows * size).numpy(), new_columns.numpy()
    about = f"At random, as large as: {edit.delta.about}"
    return replace(
        edit,
        method=f"random, as large as {edit.method}",
        delta=replace(edit.delta, about=about, left=left, right=right),
        log=EditLog(),
        keys={},
        values={},
    )


def _norm(rows: Tensor, columns: Tensor) -> float:
    """Frobenius norm of rows @ columns."""
    wide, tall = columns.double(), rows.double()
    return float(((tall.T @ tall) * (wide @ wide.T)).sum().clamp(min=0).sqrt())
