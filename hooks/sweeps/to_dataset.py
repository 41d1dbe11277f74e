"""A finished sweep as labelled arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hooks.rounding import says
from hooks.sweeps.metrics import CONTINUATION
from hooks.sweeps.paths import PathJob
from workbench.heads import head_name

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from hooks.sweeps.arguments import How, Kind
    from hooks.sweeps.runner import SweepJob

_UNIT = {"heads": "head", "edges": "head", "neurons": "neuron"}


def dataset(job: SweepJob, kind: Kind, how: How) -> xr.Dataset:
    """`effect` over (prompt, the kind's axes, target), `before`, `source`, and what the axes
    mean; see `sweep`.
    """
    import xarray as xr

    model = job.model
    axes: list[tuple[str, list[Any]]] = []
    if len({cell.site for cell in job.cells}) > 1 or kind in ("layers", "positions"):
        axes.append(("site", list(dict.fromkeys(cell.site for cell in job.cells))))
    axes.append(("layer", sorted({cell.layer for cell in job.cells})))
    if kind in _UNIT:
        axes.append(
            (_UNIT[kind], sorted({cell.unit for cell in job.cells if cell.unit is not None}))
        )
    if kind == "positions":
        axes.append(
            ("pos", sorted({cell.position for cell in job.cells if cell.position is not None}))
        )
    places = []
    for cell in job.cells:
        of_cell = {
            "site": cell.site,
            "layer": cell.layer,
            "head": cell.unit,
            "neuron": cell.unit,
            "pos": cell.position,
        }
        places.append([values.index(of_cell[name]) for name, values in axes])
    sizes = [len(values) for _, values in axes]
    index = torch.as_tensor(
        np.ravel_multi_index(np.array(places).T, sizes) if places else np.zeros(0, dtype=int)
    )

    def spread(values: Tensor) -> tuple[list[str], np.ndarray]:
        """(…, cell, prompt, target) on the grid of the axes, prompts first."""
        lead = values.shape[:-3]
        grid = torch.full(
            (*lead, int(np.prod(sizes)), *values.shape[-2:]), float("nan"), dtype=torch.float32
        )
        grid[..., index, :, :] = values
        dims = ["receiver", "input"][: len(lead)] + [name for name, _ in axes]
        grid = grid.view(*lead, *sizes, *values.shape[-2:]).movedim(-2, 0)
        return ["prompt", *dims, "target"], grid.numpy()

    effects = job.effects
    coords: dict[str, Any] = {"prompt": list(range(len(job.ids))), **dict(axes)}
    if isinstance(job, PathJob):
        heads = list(dict.fromkeys((layer, head) for layer, head, _ in job.receivers))
        inputs = list(dict.fromkeys(name for _, _, name in job.receivers))
        effects = effects.view(len(heads), len(inputs), len(job.cells), *effects.shape[1:])
        coords |= {"receiver": [head_name(*head) for head in heads], "input": inputs}
    arrays: dict[str, Any] = {
        "effect": spread(effects),
        "before": (["prompt", "target"], job.before.numpy()),
    }
    if job.source is not None:
        arrays["source"] = (["prompt", "target"], job.source.numpy())
    if job.exact is not None:
        arrays["exact"] = spread(job.exact)
    found = xr.Dataset(arrays, coords)
    if job.metric.ask == "continuation":
        found = found.assign_coords(target=list(CONTINUATION))
    elif not job.metric.per_target:
        found = found.isel(target=0)
    longest = max(map(len, job.ids))
    pieces = model.text.pieces_of_texts(job.ids)
    tokens = np.array([row + [""] * (longest - len(row)) for row in pieces], dtype=object)
    if kind == "positions":
        found = found.assign_coords(token=(["prompt", "pos"], tokens[:, found["pos"].values]))
    else:
        found = found.assign_coords(token=(["prompt", "position"], tokens))
    if job.metric.per_target:
        names = np.array([model.token_strings(row) for row in job.metric.targets], dtype=object)
        found = found.assign_coords(target_token=(["prompt", "target"], names))
    at = job.at if isinstance(job.at, str) else list(job.at)
    return found.assign_attrs(
        model=model.card.name,
        kind=kind,
        at=at,
        how=how,
        metric=job.metric.name,
        unit=job.metric.unit,
        norm=job.metric.norm,
        freeze=job.freeze,
        control_error=job.error,
        control_moved=float(job.moved.max()),
        control=says([job.compared()]),
        **job.notes,
    )
