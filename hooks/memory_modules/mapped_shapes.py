"""The forms in which a mapping of names takes what a module keeps."""

from __future__ import annotations

from torch import Tensor

from workbench.errors import BadInput


def per_slot(x: Tensor, name: str, per_row: bool) -> Tensor:
    """Keys or values as `MemorySlots` has them: (slot, d), (head, slot, d) or (row, head, slot, d).

    Args:
        per_row: the first axis is that of batch rows.

    Raises:
        BadInput: another number of axes.
    """
    if per_row:
        check(x.dim() in (3, 4), name, x, "(row, slot, d), heads behind the rows")
        return x[:, None] if x.dim() == 3 else x
    check(x.dim() in (2, 3), name, x, "(slot, d), heads in front")
    return x


def per_head(x: Tensor, tokens: int, name: str) -> Tensor:
    """(batch, pos, head, read) of any of the forms that are taken.

    Raises:
        BadInput: none of them.
    """
    if x.dim() == 4 and x.shape[0] * x.shape[1] == tokens:
        return x
    if x.dim() == 3 and x.shape[0] * x.shape[1] == tokens:
        return x[:, :, None]
    if x.dim() == 3 and x.shape[0] == tokens:
        return x[None]
    check(x.dim() == 2 and x.shape[0] == tokens, name, x, f"so many reads of {tokens} tokens")
    return x[None, :, None]


def check(fits: bool, name: str, x: Tensor, expected: str) -> None:
    """Raises BadInput, with the tensor's shape, where it does not fit."""
    if not fits:
        raise BadInput(
            f"{name!r} is {str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}.",
            expected,
            "Correct the mapping, or write an adapter of functions.",
        )
