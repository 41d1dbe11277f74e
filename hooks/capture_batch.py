"""One forward pass over some prompts, which hands over what the plans of a capture want.

Nothing here knows where the values go: `hooks.capture` puts them into arrays, `hooks.streaming`
into files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Shaped
from torch import Tensor

from hooks.backends import Forward, torch_hooks
from hooks.backends.hook_request import HookRequest
from hooks.capture_plan import DTYPES, POSITION_DIMS
from hooks.device_transfer import Fetching, indices
from hooks.eager_eval import steady
from hooks.reduce import BatchLayout
from hooks.sites import STATE_SITES
from workbench.errors import BadInput, WorkbenchError

if TYPE_CHECKING:
    import numpy as np

    from hooks.capture_plan import SitePlan
    from hooks.model import InstrumentedModel
    from hooks.sites import Place
    from workbench.trace_files.array_spec import ArraySpec

_RAGGED = (*POSITION_DIMS, "key")
"""Axes that are as long as the prompt."""

WriteFn = Callable[["SitePlan", int, "dict[str, int]", "list[Tensor]", BatchLayout], None]


@torch.no_grad()
def run(
    model: InstrumentedModel,
    plans: Sequence[SitePlan],
    ids: Sequence[Sequence[int]],
    write: WriteFn,
    forward: Forward = torch_hooks.run,
) -> None:
    """One forward pass over some prompts.

    Args:
        write: gets, for every place, its plan, the place's number in it, the sizes of the site's
            fixed axes, and one tensor per output: (batch, *dims), padded on the left on the axes
            that are as long as the prompt. The tensors may be the model's own, to be copied. Those
            of a card come when it is done with them, already fetched.
        forward: the back end's forward pass.

    Raises:
        WorkbenchError: the forward pass did not come by one of the places.
    """
    batch = model.batch(ids)
    lengths, width = tuple(map(len, ids)), batch.input_ids.shape[1]
    layouts = {every: BatchLayout(lengths, width, every) for every in (True, False)}
    passed: set[Place] = set()
    fetching = Fetching()
    plan_of = {place: (plan, at) for plan in plans for at, place in enumerate(plan.places)}

    def take(queries: list[int] | None, place: Place, x: Tensor) -> None:
        plan, at = plan_of[place]
        passed.add(place)
        rows = layouts[plan.positions is None]
        dims = zip(plan.site.dims, x.shape[1:], strict=True)
        sizes = {dim: n for dim, n in dims if dim not in _RAGGED}
        plan.outputs(sizes)  # says what is wrong with a reducer that these sizes do not fit
        x = _at_positions(plan, x, rows, queries)
        outputs = [x] if plan.reducer is None else plan.reducer(plan.site, x, rows)
        fetching.send(outputs, lambda fetched: write(plan, at, sizes, fetched, rows))

    requests = [
        HookRequest(places, partial(take, queries), queries)
        for places, queries in _by_queries(plans, layouts[True])
    ]
    every_logit = any(p.site.short == "logits" and p.positions != (-1,) for p in plans)
    with steady(model.module):
        forward(model, batch, requests, every_logit=every_logit)
    fetching.arrive()
    missed = [place.name for place in plan_of if place not in passed]
    if missed:
        raise WorkbenchError(
            f"The forward pass of {model.card.name} did not come by {missed[0]!r}.",
            "every site asked for",
            "Leave it out.",
        )


def _by_queries(
    plans: Sequence[SitePlan], rows: BatchLayout
) -> list[tuple[list[Place], list[int] | None]]:
    """The places of all plans by the query rows, or the tokens of recurrent memory, that are wanted
    of them, as columns of the batch; None is all.
    """
    groups: dict[tuple[int, ...] | None, list[Place]] = {}
    for plan in plans:
        queries = None
        large = "query" in plan.site.dims or plan.site.short in STATE_SITES
        if large and plan.positions is not None:
            columns = _columns(plan.positions, rows)
            queries = tuple(sorted({column for row in columns for column in row}))
        groups.setdefault(queries, []).extend(plan.places)
    return [
        (places, None if queries is None else list(queries)) for queries, places in groups.items()
    ]


def _columns(positions: Sequence[int], rows: BatchLayout) -> list[list[int]]:
    """Columns of the batch at which each prompt's positions lie."""
    return [[(offset if p >= 0 else rows.width) + p for p in positions] for offset in rows.offsets]


def _at_positions(
    plan: SitePlan, x: Tensor, rows: BatchLayout, queries: list[int] | None
) -> Tensor:
    """The chosen positions of a batch, cut out."""
    if plan.positions is None:
        return x
    dims = plan.site.dims
    axis = 1 + next(dims.index(dim) for dim in POSITION_DIMS if dim in dims)
    columns = _columns(plan.positions, rows)
    if queries is not None:
        columns = [[queries.index(column) for column in row] for row in columns]
    elif x.shape[axis] == 1 and rows.width > 1:  # logits, of which only the last were computed
        columns = [[0] for _ in columns]
    if any(row != columns[0] for row in columns):
        pieces = [
            x[row].index_select(axis - 1, indices(tuple(chosen), x.device))
            for row, chosen in enumerate(columns)
        ]
        return torch.stack(pieces)
    chosen = columns[0]
    if chosen == list(range(chosen[0], chosen[-1] + 1)):
        return x.narrow(axis, chosen[0], len(chosen))
    return x.index_select(axis, indices(tuple(chosen), x.device))


def as_numpy(
    place: str, x: Shaped[Tensor, "*axes"], stored: ArraySpec
) -> Shaped[np.ndarray, "*axes"]:
    """Values as they are stored (bfloat16 as its bits).

    Raises:
        BadInput: a finite number that float16 cannot hold.
    """
    if stored.dtype == "int32":
        return x.int().cpu().numpy()
    y = x.detach().to(DTYPES[stored.dtype])
    if stored.dtype == "float16" and int(torch.isinf(y).sum()) != int(torch.isinf(x).sum()):
        largest = float(x[torch.isfinite(x)].abs().max())
        raise BadInput(
            f"{place} holds {largest:,.0f}, which float16 cannot.",
            "numbers up to 65,504",
            "Store it as bfloat16 or float32.",
        )
    return (
        (y.view(torch.int16).cpu().numpy().view("<u2"))
        if stored.dtype == "bfloat16"
        else y.cpu().numpy()
    )


def own(stored: ArraySpec, rows: BatchLayout, row: int) -> tuple[slice, ...]:
    """Where a prompt's own values lie in its row of the batch: behind the padding."""
    offset = rows.offsets[row]
    return tuple(
        slice(offset, None) if axis in stored.ragged else slice(None)
        for axis in range(len(stored.dims))
    )
