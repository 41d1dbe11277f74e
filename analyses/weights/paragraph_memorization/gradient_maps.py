"""Which weights the loss of a passage pulls at: gradients by head and matrix, of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.weights.paragraph_memorization.groups import GROUPS, Passage
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
        mine = [p for p in passages if p.group == group]
        found = _sizes(
            model,
            mine,
            chunk,
            progress.subprogress(number / len(groups), (number + 1) / len(groups)),
        )
        names = [str(n) for n in found if not str(n).endswith(".batch")]
        by_layer: xr.DataArray = sum(  # type: ignore[assignment]
            found[n]
            .sum([d for d in ("head", "kv_head") if d in found[n].dims])
            .reindex(layer=range(model.n_layers), fill_value=0)
            for n in names
        )
        share = by_layer.isel(layer=slice(0, model.n_layers // 2)).sum("layer") / by_layer.sum(
            "layer"
        )
        low += [
            {
                "passage": p.number,
                "group": group,
                **{f"lower_share_{s}": float(share.sel(size=s)[n]) for s in ("max", "rms")},
                "sum_max": float(by_layer.sum("layer").sel(size="max")[n]),
            }
            for n, p in enumerate(mine)
        ]
        for name in names:
            own, batch = found[name].mean("prompt"), found[f"{name}.batch"]
            for layer in own["layer"].values:
                heads = next((own[d].values for d in ("head", "kv_head") if d in own.dims), [None])
                for head in heads:
                    at = (
                        {}
                        if head is None
                        else {next(d for d in ("head", "kv_head") if d in own.dims): head}
                    )
                    each, together = own.sel(layer=layer, **at), batch.sel(layer=layer, **at)
                    rows.append(
                        {
                            "group": group,
                            "matrix": name,
                            "layer": int(layer),
                            "head": -1 if head is None else int(head),
                            **{size: float(each.sel(size=size)) for size in ("max", "rms")},
                            **{
                                f"batch_{size}": float(together.sel(size=size))
                                for size in ("max", "rms")
                            },
                        }
                    )
    table = pd.DataFrame(rows)
    for size in SIZES:
        table[f"share_{size}"] = table[size] / table.groupby("group")[size].transform("sum")
    return table, pd.DataFrame(low)


def _sizes(
    model: InstrumentedModel, passages: Sequence[Passage], chunk: int, progress: Progress
) -> xr.Dataset:
    prompts = [[*p.prompt, *p.suffix] for p in passages]
    metric = continuation_loss(len(passages[0].suffix))
    try:
        return gradient_sizes(model, prompts, metric, chunk=chunk, progress=progress)
    except Unfit:  # a family whose code looks at its values: a backward pass each
        return gradient_sizes(model, prompts, metric, one_by_one=True, progress=progress)
