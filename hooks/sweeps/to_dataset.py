"""A finished sweep as labelled arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hooks.metrics import Continuation
from hooks.rounding import says
from hooks.sweeps.change import labels
from hooks.sweeps.over import Layers, Over
from hooks.sweeps.paths import PathJob
from workbench.heads import head_name

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from hooks.sweeps.runner import SweepJob

_UNIT = {"heads": "head", "edges": "head", "neurons": "neuron", "states": "state_head"}
Axes = list[tuple[str, list[Any]]]


def dataset(job: SweepJob, over: Over, *, one_change: bool) -> xr.Dataset:
    """`effect` over (prompt, change, the components' axes, target), `before`, `source`, and what
    the axes mean; see `sweep`. Where one change was asked for, there is no dim for it.
    """
    import xarray as xr

    axes = _axes(job, over)
    effects = job.effects
    coords: dict[str, Any] = {"prompt": list(range(len(job.ids))), **dict(axes)}
    if isinstance(job, PathJob):
        heads = list(dict.fromkeys((layer, head) for layer, head, _ in job.receivers))
        inputs = list(dict.fromkeys(name for _, _, name in job.receivers))
        effects = effects.view(len(heads), len(inputs), len(job.components), *effects.shape[1:])
        coords |= {"receiver": [head_name(*head) for head in heads], "input": inputs}
    arrays: dict[str, Any] = {
        "effect": _on_grid(job, axes, effects),
        "before": (["prompt", "target"], job.before.numpy()),
    }
    if job.source is not None:
        arrays["source"] = (["prompt", "change", "target"], job.source.numpy())
    if job.exact is not None:
        arrays["exact"] = _on_grid(job, axes, job.exact)
    read = job.readout.read
    swept = xr.Dataset(arrays, coords)
    if isinstance(read, Continuation):
        swept = swept.assign_coords(target=list(read.VALUES))
    elif not read.per_target:
        swept = swept.isel(target=0)
    swept = swept.transpose("prompt", "change", ...)
    if one_change:
        swept = swept.isel(change=0, drop=True)
    changes = [each.name for each in job.changes]
    return _with_tokens(job, swept).assign_attrs(
        model=job.model.card.name,
        over=over.name,
        positions=job.positions if isinstance(job.positions, str) else list(job.positions),
        change=changes[0] if one_change else changes,
        read=read.name,
        unit=read.unit,
        norm=job.readout.norm,
        freeze=job.freeze,
        control_error=job.error,
        control_moved=float(job.moved.max()),
        control=says([job.compared()]),
        **{name: each[0] if one_change else each for name, each in job.notes.items()},
    )


def _axes(job: SweepJob, over: Over) -> Axes:
    """The names and labels of the components' axes."""
    components = job.components
    axes: Axes = [("change", labels(job.changes))]
    if len({each.site for each in components}) > 1 or isinstance(over, Layers):
        axes.append(("site", list(dict.fromkeys(each.site for each in components))))
    axes.append(("layer", sorted({each.layer for each in components})))
    units = {each.unit for each in components if each.unit is not None}
    if over.name in _UNIT and (units or over.name != "states"):
        axes.append((_UNIT[over.name], sorted(units)))
    if over.name in ("positions", "states"):
        axes.append(
            ("pos", sorted({each.position for each in components if each.position is not None}))
        )
    return axes


def _on_grid(job: SweepJob, axes: Axes, values: Tensor) -> tuple[list[str], np.ndarray]:
    """(…, component, prompt, target) on the grid of the axes, prompts first."""
    places = []
    for each in job.components:
        named = {
            "change": axes[0][1][each.change],
            "site": each.site,
            "layer": each.layer,
            "head": each.unit,
            "neuron": each.unit,
            "state_head": each.unit,
            "pos": each.position,
        }
        places.append([options.index(named[name]) for name, options in axes])
    sizes = [len(options) for _, options in axes]
    index = torch.as_tensor(
        np.ravel_multi_index(np.array(places).T, sizes) if places else np.zeros(0, dtype=int)
    )
    lead = values.shape[:-3]
    grid = torch.full(
        (*lead, int(np.prod(sizes)), *values.shape[-2:]), float("nan"), dtype=torch.float32
    )
    grid[..., index, :, :] = values
    dims = ["receiver", "input"][: len(lead)] + [name for name, _ in axes]
    grid = grid.view(*lead, *sizes, *values.shape[-2:]).movedim(-2, 0)
    return ["prompt", *dims, "target"], grid.numpy()


def _with_tokens(job: SweepJob, swept: xr.Dataset) -> xr.Dataset:
    """Token strings of the prompts and of the targets as coordinates."""
    longest = max(map(len, job.ids))
    pieces = job.model.text.pieces_of_texts(job.ids)
    tokens = np.array([row + [""] * (longest - len(row)) for row in pieces], dtype=object)
    if "pos" in swept.dims:
        swept = swept.assign_coords(token=(["prompt", "pos"], tokens[:, swept["pos"].values]))
    else:
        swept = swept.assign_coords(token=(["prompt", "position"], tokens))
    if job.readout.read.per_target:
        names = np.array(
            [job.model.token_strings(list(row)) for row in job.readout.targets], dtype=object
        )
        swept = swept.assign_coords(target_token=(["prompt", "target"], names))
    return swept
