"""Which weights the loss of a passage pulls at: gradients by head and matrix, of each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from analyses.weights.paragraph_memorization.constants import GROUPS
from analyses.weights.paragraph_memorization.groups import Passage
from hooks.gradients.parameters import gradient_sizes
from hooks.gradients.weights import weights
from hooks.metrics import continuation_loss
from workbench.errors import Unfit

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_MEMORY = 2 * 2**30  # bytes that the gradients of prompts read together may take
_HEADS = ("head", "kv_head")
SIZES = ("max", "rms", "batch_max", "batch_rms")


def gradient_map(
    model: InstrumentedModel, passages: Sequence[Passage], progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(components, passages): gradients by component and group, and how much of each passage's is
    in the lower layers.

    A row of the first is a group and a component: a head's W_Q, W_K, W_V or W_O, or a matrix of an
    MLP. Columns `max` and `rms` are of each passage's own gradient, mean over passages; `batch_max`
    and `batch_rms` of the mean gradient. `share_…` is the same as a share of the sum over all
    components of the group: the loss of what is not memorized is larger, and so are all its
    gradients. The second has, for each passage, the share of the lower half of the layers
    (`lower_share_max` and `lower_share_rms`) and the sum over all components (`sum_max`).
    """
    import pandas as pd

    large = sum(
        model.module.get_parameter(name).numel() for name in {w.parameter for w in weights(model)}
    )
    chunk = max(1, min(8, _MEMORY // (4 * large)))
    rows, low = [], []
    groups = [group for group in GROUPS if any(p.group == group for p in passages)]
    for number, group in enumerate(groups):
        of_group = [p for p in passages if p.group == group]
        part = progress.subprogress(number / len(groups), (number + 1) / len(groups))
        sizes = _sizes(model, of_group, chunk, part)
        names = [str(n) for n in sizes if not str(n).endswith(".batch")]
        low += _lower_shares(sizes[names], of_group, model.n_layers)
        for name in names:
            rows += [
                {"group": group, "matrix": name, **row}
                for row in _components(sizes[name].mean("prompt"), sizes[f"{name}.batch"])
            ]
    table = pd.DataFrame(rows)
    for size in SIZES:
        table[f"share_{size}"] = table[size] / table.groupby("group")[size].transform("sum")
    return table, pd.DataFrame(low)


def _lower_shares(
    sizes: xr.Dataset, passages: Sequence[Passage], n_layers: int
) -> list[dict[str, Any]]:
    """Of each passage's gradients, (prompt, layer, size) by matrix, the share of the lower half of
    the layers, and the sum.
    """
    by_layer: xr.DataArray = sum(  # type: ignore[assignment]
        each.sum([d for d in _HEADS if d in each.dims]).reindex(layer=range(n_layers), fill_value=0)
        for each in sizes.values()
    )
    total = by_layer.sum("layer")
    share = by_layer.isel(layer=slice(0, n_layers // 2)).sum("layer") / total
    return [
        {
            "passage": p.number,
            "group": p.group,
            **{f"lower_share_{s}": float(share.sel(size=s)[n]) for s in ("max", "rms")},
            "sum_max": float(total.sel(size="max")[n]),
        }
        for n, p in enumerate(passages)
    ]


def _components(own: xr.DataArray, batch: xr.DataArray) -> Iterator[dict[str, Any]]:
    """A row for each part of one matrix: of a layer, or of a head. `own` and `batch` are (layer[,
    head], size).
    """
    axis = next((d for d in _HEADS if d in own.dims), None)
    for layer in own["layer"].values:
        for head in [-1] if axis is None else own[axis].values:
            where = {"layer": layer} if axis is None else {"layer": layer, axis: head}
            each, together = own.sel(where), batch.sel(where)
            yield {
                "layer": int(layer),
                "head": int(head),
                **{size: float(each.sel(size=size)) for size in ("max", "rms")},
                **{f"batch_{size}": float(together.sel(size=size)) for size in ("max", "rms")},
            }


def _sizes(
    model: InstrumentedModel, passages: Sequence[Passage], chunk: int, progress: Progress
) -> xr.Dataset:
    prompts = [[*p.prompt, *p.suffix] for p in passages]
    metric = continuation_loss(len(passages[0].suffix))
    try:
        return gradient_sizes(model, prompts, metric, chunk=chunk, progress=progress)
    except Unfit:  # a family whose code looks at its values: a backward pass each
        return gradient_sizes(model, prompts, metric, one_by_one=True, progress=progress)
