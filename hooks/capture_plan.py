"""What a capture was asked for, site by site, and one forward pass that hands it over.

Nothing here knows where the values go: `hooks.capture` puts them into arrays, `hooks.streaming`
    into files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from hooks import sites as places_of
from hooks.backends import Forward, HookRequest, torch_hooks
from hooks.device_transfer import Fetching, indices
from hooks.eager_eval import steady
from hooks.reduce import BatchLayout, Output, Reducer, check, parse
from hooks.without_interventions import undisturbed
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.shards import Stored

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.sites import Place, Site

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_POSITIONS = (
    "pos",
    "query",
)  # axes on which positions are chosen; "key" is as long as the prompt as well
_RAGGED = (*_POSITIONS, "key")


@dataclass(frozen=True)
class SitePlan:
    """What is wanted of one site.

    `positions` None is all; `layers` None for a site that does not repeat.
    """

    site: Site
    places: tuple[Place, ...]
    positions: tuple[int, ...] | None
    reducer: Reducer | None

    @property
    def layers(self) -> tuple[int, ...] | None:
        return (
            tuple(p.layer for p in self.places if p.layer is not None)
            if self.site.per_layer
            else None
        )

    def outputs(self, sizes: Mapping[str, int]) -> list[Output]:
        if self.reducer is None:
            return [Output("", self.site.dims)]
        return self.reducer.outputs(self.site, sizes)

    def stored(self, sizes: Mapping[str, int], dtype: str) -> list[Stored]:
        """The arrays this gives, where the site's own axes have these sizes."""
        positions = {} if self.positions is None else {d: list(self.positions) for d in _POSITIONS}
        arrays = []
        for out in self.outputs(sizes):
            known = {**sizes, **out.sizes, **{dim: len(at) for dim, at in positions.items()}}
            attrs = {
                "site": self.site.name,
                "says": f"{self.site.says}; {out.says}" if out.says else self.site.says,
            }
            attrs |= {"unit": out.unit} if out.unit else {}
            attrs |= {"reduce": self.reducer.spec} if self.reducer else {}
            arrays.append(
                Stored(
                    name=f"{self.site.short}.{out.suffix}" if out.suffix else self.site.short,
                    dims=out.dims,
                    sizes={dim: known[dim] for dim in out.dims if dim in known},
                    layers=self.layers,
                    dtype="int32" if out.whole else dtype,
                    coords={dim: at for dim, at in positions.items() if dim in out.dims},
                    attrs=attrs,
                )
            )
        return arrays

    def request(self) -> dict[str, Any]:
        """What was asked, as a manifest says it."""
        return {
            "layers": None if self.layers is None else list(self.layers),
            "positions": None if self.positions is None else list(self.positions),
            "reduce": self.reducer.spec if self.reducer else None,
        }


def recipes(
    model: InstrumentedModel,
    sites: str | Sequence[str],
    layers: int | Sequence[int] | None,
    positions: Sequence[int] | None,
    reduce: str | Reducer | Mapping[str, str | Reducer] | None,
) -> list[SitePlan]:
    """One recipe per site.

    Raises:
        SiteNotFound, NotFound, BadInput: what was asked for is not there, or does not fit together.
    """
    if positions is not None and (
        not len(positions) or not all(isinstance(p, int) for p in positions)
    ):
        raise BadInput(
            f"{positions!r} are no positions.",
            "whole numbers, e.g. [0, -1]",
            "Leave it out to take all.",
        )
    places = places_of.resolve(model.layout, sites, layers, model.card.name)
    if not places:
        raise BadInput(
            "No site or no layer was chosen.",
            "at least one of each",
            "Leave `layers` out to take all.",
        )
    shorts = list(dict.fromkeys(place.site.short for place in places))
    named = (
        dict(reduce)
        if isinstance(reduce, Mapping)
        else dict.fromkeys(shorts, reduce)
        if reduce is not None
        else {}
    )
    full = {places_of.SITES[short].name: short for short in shorts}
    found: list[SitePlan] = []
    reducers = {
        full.get(name, name.removeprefix("hook_")): _reducer(how) for name, how in named.items()
    }
    for name in reducers:
        if name not in shorts:
            raise NotFound.named("captured site", name, shorts, "Reduce only what is captured.")
    for short in shorts:
        site, reducer = places_of.SITES[short], reducers.get(short)
        if reducer is not None:
            check(reducer, site)
        own = getattr(reducer, "positions", None)
        if own is not None and positions is not None:
            raise BadInput(
                f"{short!r} is asked for at positions {list(positions)} and at the"
                f" {reducer.spec if reducer else ''} one.",
                "one or the other",
                "Leave out `positions`, or the reducer.",
            )
        chosen = own if own is not None else tuple(positions) if positions is not None else None
        here = tuple(place for place in places if place.site is site)
        found.append(
            SitePlan(
                site, here, chosen if any(d in site.dims for d in _POSITIONS) else None, reducer
            )
        )
    return found


def _reducer(how: str | Reducer) -> Reducer:
    if isinstance(how, str):
        return parse(how)
    if isinstance(how, Reducer):
        return how
    raise BadInput(
        f"{how!r} is no reducer.",
        "a spec such as 'norm', or one of hooks.reduce",
        "See docs/capture.md.",
    )


def check_dtype(dtype: str) -> str:
    if dtype not in DTYPES:
        raise BadInput(
            f"Values cannot be stored as {dtype!r}.",
            f"one of {', '.join(DTYPES)}",
            "Choose one of those.",
        )
    return dtype


def batches(model: InstrumentedModel, lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices of prompts of about the same length, together at most `batch_tokens` with padding
    (or one prompt).
    """
    found: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # In order of length, so the newest is the longest of its batch.
        fits = found and (len(found[-1]) + 1) * lengths[index] <= batch_tokens
        if fits and model.can_batch(lengths[found[-1][-1]], lengths[index]):
            found[-1].append(index)
        else:
            found.append([index])
    return found


Put = Callable[[SitePlan, int, "dict[str, int]", "list[Tensor]", BatchLayout], None]


@torch.no_grad()
def run(
    model: InstrumentedModel,
    wanted: Sequence[SitePlan],
    ids: Sequence[Sequence[int]],
    put: Put,
    forward: Forward = torch_hooks.run,
) -> None:
    """One forward pass over some prompts.

    Args:
        put: gets, for every place, its recipe, the place's number in it, the sizes of the site's
            fixed axes, and one tensor per output: (batch, *dims), padded on the left on the axes
            that are as long as the prompt. The tensors may be the model's own, to be copied. Those
            of a card come when it is done with them, already fetched.
        forward: the back end's forward pass.

    Raises:
        WorkbenchError: the forward pass did not come by one of the places.
    """
    batch = model.batch(ids)
    rows = {
        every: BatchLayout(tuple(map(len, ids)), batch.input_ids.shape[1], every)
        for every in (True, False)
    }
    seen: set[Place] = set()
    away = Fetching()
    where = {place: (recipe, at) for recipe in wanted for at, place in enumerate(recipe.places)}

    def take(queries: list[int] | None, place: Place, x: Tensor) -> None:
        recipe, at = where[place]
        seen.add(place)
        here = rows[recipe.positions is None]
        sizes = {
            dim: n
            for dim, n in zip(recipe.site.dims, x.shape[1:], strict=True)
            if dim not in _RAGGED
        }
        recipe.outputs(sizes)  # says what is wrong with a reducer that these sizes do not fit
        x = _chosen(recipe, x, here, queries)
        outputs = [x] if recipe.reducer is None else recipe.reducer(recipe.site, x, here)
        away.send(outputs, lambda fetched: put(recipe, at, sizes, fetched, here))

    groups: dict[tuple[int, ...] | None, list[Place]] = {}  # by the query rows that are wanted
    for recipe in wanted:
        queries = None
        if "query" in recipe.site.dims and recipe.positions is not None:
            queries = tuple(
                sorted({c for row in _columns(recipe.positions, rows[True]) for c in row})
            )
        groups.setdefault(queries, []).extend(recipe.places)
    needs_all_logits = any(r.site.short == "logits" and r.positions != (-1,) for r in wanted)
    asked = [
        (places, None if queries is None else list(queries)) for queries, places in groups.items()
    ]
    looks = [HookRequest(places, partial(take, queries), queries) for places, queries in asked]
    with steady(model.module):
        forward(model, batch, looks, every_logit=needs_all_logits)
    away.arrive()
    missed = [place.name for place in where if place not in seen]
    if missed:
        raise WorkbenchError(
            f"The forward pass of {model.card.name} did not come by {missed[0]!r}.",
            "every site asked for",
            "Leave it out.",
        )


def _columns(positions: Sequence[int], rows: BatchLayout) -> list[list[int]]:
    """Columns of the batch at which each prompt's positions lie."""
    return [[(offset if p >= 0 else rows.width) + p for p in positions] for offset in rows.offsets]


def _chosen(recipe: SitePlan, x: Tensor, rows: BatchLayout, queries: list[int] | None) -> Tensor:
    """The chosen positions of a batch, cut out."""
    if recipe.positions is None:
        return x
    site = recipe.site
    axis = 1 + next(site.dims.index(dim) for dim in _POSITIONS if dim in site.dims)
    columns = _columns(recipe.positions, rows)
    if queries is not None:
        columns = [[queries.index(column) for column in row] for row in columns]
    elif x.shape[axis] == 1 and rows.width > 1:  # logits, of which only the last were computed
        columns = [[0] for _ in columns]
    if all(row == columns[0] for row in columns):
        first = columns[0]
        if first == list(range(first[0], first[-1] + 1)):
            return x.narrow(axis, first[0], len(first))
        return x.index_select(axis, indices(tuple(first), x.device))
    each = [
        x[at].index_select(axis - 1, indices(tuple(row), x.device))
        for at, row in enumerate(columns)
    ]
    return torch.stack(each)


def as_numpy(place: str, x: Tensor, stored: Stored) -> np.ndarray:
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


# -- sizes -----------------------------------------------------------------------------------------

# What is asked once per model and site: the sizes of the axes that do not depend on the prompt.
_SIZES: WeakKeyDictionary[InstrumentedModel, dict[Place, dict[str, int]]] = WeakKeyDictionary()


def arrays(model: InstrumentedModel, wanted: Sequence[SitePlan], dtype: str) -> dict[str, Stored]:
    """The arrays that a capture gives, by name.

    Runs the model on one token where a site was never seen before.
    """
    known = _SIZES.setdefault(model, {})
    new = [
        SitePlan(r.site, places, None, None)
        for r in wanted
        if (places := tuple(p for p in r.places if p not in known))
    ]
    if new:
        found: dict[Place, dict[str, int]] = {}

        def put(
            recipe: SitePlan,
            at: int,
            sizes: dict[str, int],
            values: list[Tensor],
            rows: BatchLayout,
        ) -> None:
            found[recipe.places[at]] = sizes

        with undisturbed(model.module):
            run(model, new, [[0]], put)
        known.update(found)
    for recipe in wanted:
        for place in recipe.places:
            check_same(recipe, known[recipe.places[0]], place, known[place])
    return {array.name: array for r in wanted for array in r.stored(known[r.places[0]], dtype)}


def check_same(
    recipe: SitePlan, sizes: Mapping[str, int], place: Place, others: Mapping[str, int]
) -> None:
    """Raises BadInput if a layer has other sizes than the first, so that they do not go into one
    array.
    """
    if others != sizes:
        raise BadInput(
            f"{recipe.places[0].name!r} is {dict(sizes)}, {place.name!r} is {dict(others)}.",
            "layers of one shape",
            "Capture them one after the other, with `layers`.",
        )


def own(stored: Stored, rows: BatchLayout, row: int) -> tuple[slice, ...]:
    """Where a prompt's own values lie in its row of the batch: behind the padding."""
    offset = rows.offsets[row]
    return tuple(
        slice(offset, None) if axis in stored.ragged else slice(None)
        for axis in range(len(stored.dims))
    )
