"""What a capture was asked for, site by site, and in which batches the prompts go.

capture_batch.py runs one batch of it, capture_shapes.py says how large its arrays are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hooks.reduce import Output, Reducer, check, parse
from hooks.sites import SITES, resolve
from workbench.errors import BadInput, NotFound
from workbench.trace_files.array_spec import ArraySpec

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.sites import Place, Site

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
POSITION_DIMS = ("pos", "query")
"""Axes on which positions are chosen; "key" is as long as the prompt as well."""


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

    def stored(self, sizes: Mapping[str, int], dtype: str) -> list[ArraySpec]:
        """The arrays this gives, where the site's own axes have these sizes."""
        positions: dict[str, list[int]] = {}
        if self.positions is not None:
            positions = {dim: list(self.positions) for dim in POSITION_DIMS}
        arrays = []
        for out in self.outputs(sizes):
            known = {**sizes, **out.sizes, **{dim: len(p) for dim, p in positions.items()}}
            attrs = {
                "site": self.site.name,
                "says": f"{self.site.says}; {out.says}" if out.says else self.site.says,
            }
            attrs |= {"unit": out.unit} if out.unit else {}
            attrs |= {"reduce": self.reducer.spec} if self.reducer else {}
            arrays.append(
                ArraySpec(
                    name=f"{self.site.short}.{out.suffix}" if out.suffix else self.site.short,
                    dims=out.dims,
                    sizes={dim: known[dim] for dim in out.dims if dim in known},
                    layers=self.layers,
                    dtype="int32" if out.whole else dtype,
                    coords={dim: p for dim, p in positions.items() if dim in out.dims},
                    attrs=attrs,
                )
            )
        return arrays

    def request(self) -> dict[str, Any]:
        """What was asked for, as a manifest keeps it."""
        return {
            "layers": None if self.layers is None else list(self.layers),
            "positions": None if self.positions is None else list(self.positions),
            "reduce": self.reducer.spec if self.reducer else None,
        }


def fingerprint(
    model: InstrumentedModel, plans: Sequence[SitePlan], dtype: str
) -> tuple[str, dict[str, Any]]:
    """32 hexadecimal digits that say what is asked of which weights, and that request as a
    manifest keeps it.
    """
    request = {"sites": {plan.site.short: plan.request() for plan in plans}, "dtype": dtype}
    identity = json.dumps([request, model.card.weight_hash], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:32], request


def site_plans(
    model: InstrumentedModel,
    sites: str | Sequence[str],
    layers: int | Sequence[int] | None,
    positions: Sequence[int] | None,
    reduce: str | Reducer | Mapping[str, str | Reducer] | None,
) -> list[SitePlan]:
    """One plan per site.

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
    places = resolve(model.layout, sites, layers, model.card.name)
    if not places:
        raise BadInput(
            "No site or no layer was chosen.",
            "at least one of each",
            "Leave `layers` out to take all.",
        )
    by_site: dict[Site, list[Place]] = {}
    for place in places:
        by_site.setdefault(place.site, []).append(place)
    reducers = _reducers(reduce, [site.short for site in by_site])
    plans = []
    for site, of_site in by_site.items():
        reducer = reducers.get(site.short)
        chosen = _positions(site, positions, reducer)
        plans.append(SitePlan(site, tuple(of_site), chosen, reducer))
    return plans


def _reducers(
    reduce: str | Reducer | Mapping[str, str | Reducer] | None, shorts: Sequence[str]
) -> dict[str, Reducer]:
    """Short site name -> its reducer, from one for all sites or one by site, under any name."""
    if reduce is None:
        return {}
    by_name = dict(reduce) if isinstance(reduce, Mapping) else dict.fromkeys(shorts, reduce)
    full = {SITES[short].name: short for short in shorts}
    reducers = {
        full.get(name, name.removeprefix("hook_")): _reducer(given)
        for name, given in by_name.items()
    }
    for name in reducers:
        if name not in shorts:
            raise NotFound.named("captured site", name, shorts, "Reduce only what is captured.")
    return reducers


def _positions(
    site: Site, positions: Sequence[int] | None, reducer: Reducer | None
) -> tuple[int, ...] | None:
    """The positions that are kept of a site: the reducer's own, or those asked for; None is all."""
    if reducer is not None:
        check(reducer, site)
    own = getattr(reducer, "positions", None)
    if reducer is not None and own is not None and positions is not None:
        raise BadInput(
            f"{site.short!r} is asked for at positions {list(positions)} and at the"
            f" {reducer.spec} one.",
            "one or the other",
            "Leave out `positions`, or the reducer.",
        )
    if not any(dim in site.dims for dim in POSITION_DIMS):
        return None
    return own if own is not None else tuple(positions) if positions is not None else None


def _reducer(given: str | Reducer) -> Reducer:
    if isinstance(given, str):
        return parse(given)
    if isinstance(given, Reducer):
        return given
    raise BadInput(
        f"{given!r} is no reducer.",
        "a spec such as 'norm', or one of hooks.reduce",
        "See docs/how-to/capture.md.",
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
    grouped: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # In order of length, so the newest is the longest of its batch.
        fits = grouped and (len(grouped[-1]) + 1) * lengths[index] <= batch_tokens
        if fits and model.can_batch(lengths[grouped[-1][-1]], lengths[index]):
            grouped[-1].append(index)
        else:
            grouped.append([index])
    return grouped
