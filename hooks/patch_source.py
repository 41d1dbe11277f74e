"""Values of another run, to be put in where this one runs: which token takes which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from hooks.device_transfer import indices
from hooks.intervention_targets import is_square
from hooks.positions import PositionTracker
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.intervention_targets import Target
    from workbench.trace import Trace

ChangeFn = Callable[["Tensor", PositionTracker], "Tensor"]
"""Gets the values to change, (batch, pos, …) or (batch, pos, chosen head, d_head), and the
tracker.
"""


def from_source(source: Trace, target: Target, positions: Sequence[int] | None) -> ChangeFn:
    """The change that puts in what a trace holds of a target.

    Raises:
        BadInput: the trace does not hold it.
    """
    place, heads = target
    short = place.site.short
    if short not in source:
        raise BadInput(
            f"The source trace has no site {short!r}.",
            f"one of {', '.join(source)}",
            "Capture it first.",
        )
    values = source[short]
    if place.layer is not None:
        held = values.coords["layer"].values.tolist()
        if place.layer not in held:
            raise BadInput(
                f"The source trace has no layer {place.layer} of {short!r}.",
                f"{held}",
                "Capture it first.",
            )
        values = values.sel(layer=place.layer)
    along = "query" if is_square(place) else "pos"
    stored = torch.as_tensor(values.transpose("prompt", along, ...).values)
    where = [int(p) for p in values.coords[along].values]
    elsewhere = None if not is_square(place) else 0.0 if short == "pattern" else float("-inf")
    return _change(
        stored[:, :, heads] if heads else stored,
        [int(n) for n in source.lengths],
        where,
        positions,
        elsewhere,
    )


def _change(
    stored: Tensor,
    lengths: list[int],
    where: list[int],
    positions: Sequence[int] | None,
    elsewhere: float | None,
) -> ChangeFn:
    """The change that puts stored values in.

    Args:
        stored: (prompt, column, …).
        lengths: tokens of each prompt of the source.
        where: the position of each column.
        elsewhere: of rows over keys, what stands at the keys after the row's own token; None for
            values without keys.
    """
    sent: dict[tuple[torch.device, torch.dtype], Tensor] = {}
    n_prompts = len(stored)

    def change(x: Tensor, tracker: PositionTracker) -> Tensor:
        index, running = tracker.text(len(x))
        batch = len(tracker.lengths)
        if n_prompts not in (1, batch):
            raise BadInput(
                f"The source trace has {n_prompts} prompts, and {batch} are running.",
                f"1 or {batch}",
                "Capture as many.",
            )
        source = torch.arange(len(x), device=index.device) % n_prompts
        theirs = indices(tuple(lengths), index.device)[source]
        column = _columns(index, running, theirs, indices(tuple(where), index.device), positions)
        if elsewhere is not None:
            return _rows_from_source(x, index, column, stored, lengths, where, elsewhere)
        if (x.device, x.dtype) not in sent:  # sent once, not with every token
            sent[x.device, x.dtype] = stored.to(x)
        column = column.to(x.device)
        new = sent[x.device, x.dtype][source[:, None].to(x.device), column.clamp(min=0)]
        return torch.where((column >= 0).view(*column.shape, *[1] * (x.dim() - 2)), new, x)

    return change


def _columns(
    index: Tensor, running: Tensor, lengths: Tensor, where: Tensor, positions: Sequence[int] | None
) -> Tensor:
    """Which column of its source each running token takes, (row, pos); -1 where it keeps its own
    value.

    No value is looked at here: on a card that would stop the model at every layer.

    Args:
        index: position of each token in its text, (row, pos); -1 in padding.
        running, lengths: tokens of each row's prompt, and of its source, (row,).
        where: the source's positions, (column,).
    """
    running, theirs = running[:, None], lengths[:, None]
    # A negative request pairs the ends of two prompts of different length.
    from_the_end = positions is not None and all(p < 0 for p in positions)
    wanted = torch.where(
        where < 0, running + where, running - theirs + where if from_the_end else where
    )
    takes = (
        (index[:, :, None] == wanted[:, None])
        & (where < theirs)[:, None]
        & (index >= 0)[:, :, None]
    )
    # Of two columns for one token the later counts.
    return torch.where(takes, torch.arange(len(where), device=index.device), -1).amax(-1)


def _rows_from_source(
    x: Tensor,
    index: Tensor,
    column: Tensor,
    stored: Tensor,
    lengths: list[int],
    where: list[int],
    elsewhere: float,
) -> Tensor:
    """Rows over keys, (row, pos, head, key), with those of a source at the same positions."""
    new, positions = x.clone(), index.tolist()
    for row, columns in enumerate(column.tolist()):
        source = row % len(stored)
        for at, taken in enumerate(columns):
            if taken < 0:
                continue
            position, own = positions[row][at], where[taken] % lengths[source]
            if position != own:
                raise BadInput(
                    f"Token {position} attends to other tokens than token {own} of the source.",
                    "positions counted from the start, or prompts of the same length",
                    "Count from the start.",
                )
            keys = stored[source, taken].to(x)
            new[row, at] = _row_of_keys(keys, x.shape[-1], positions[row][-1], position, elsewhere)
    return new


def _row_of_keys(stored: Tensor, n_keys: int, last: int, position: int, elsewhere: float) -> Tensor:
    """A source's row (head, key) as the running prompt, padded on the left, keeps it.

    `last` is its last token's position.
    """
    first = n_keys - 1 - last
    out = stored.new_full((*stored.shape[:-1], n_keys), elsewhere)
    out[..., first : first + position + 1] = stored[..., : position + 1]
    return out
