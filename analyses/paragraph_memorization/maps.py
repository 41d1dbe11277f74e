"""Which weights the loss of a passage pulls at: gradients by head and matrix, of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.paragraph_memorization.groups import GROUPS, Passage
from hooks.gradients.metric import continuation_loss
from hooks.gradients.parameters import gradient_sizes
from hooks.gradients.weights import weights
from workbench.errors import Unfit

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_MEMORY = 2 * 2**30  # bytes that the gradients of prompts read together may take
SIZES = ("max", "rms", "batch_max", "batch_rms")


def gradient_map(model: InstrumentedModel, passages: Sequence[Passage], progress: Progress) -> pd.DataFrame:
    """One row for each group and component (a head's W_Q, W_K, W_V or W_O, or a matrix of an MLP).

    Columns `max` and `rms` are of each passage's own gradient, mean over passages; `batch_max` and `batch_rms` of the mean
    gradient. `share_…` is the same as a share of the sum over all components of the group: the loss of what is not
    memorized is larger, and so are all its gradients.
    """
    import pandas as pd

    large = sum(model.module.get_parameter(name).numel() for name in {w.parameter for w in weights(model)})
    chunk = max(1, min(8, _MEMORY // (4 * large)))
    rows = []
    groups = [group for group in GROUPS if any(p.group == group for p in passages)]
    for number, group in enumerate(groups):
        mine = [p for p in passages if p.group == group]
        found = _sizes(model, mine, chunk, progress.part(number / len(groups), (number + 1) / len(groups)))
        for name in [str(n) for n in found if not str(n).endswith(".batch")]:
            own, batch = found[name].mean("prompt"), found[f"{name}.batch"]
            for layer in own["layer"].values:
                heads = next((own[d].values for d in ("head", "kv_head") if d in own.dims), [None])
                for head in heads:
                    at = {} if head is None else {next(d for d in ("head", "kv_head") if d in own.dims): head}
                    each, together = own.sel(layer=layer, **at), batch.sel(layer=layer, **at)
                    rows.append(
                        {
                            "group": group,
                            "weight": name,
                            "layer": int(layer),
                            "head": -1 if head is None else int(head),
                            **{size: float(each.sel(size=size)) for size in ("max", "rms")},
                            **{f"batch_{size}": float(together.sel(size=size)) for size in ("max", "rms")},
                        }
                    )
    table = pd.DataFrame(rows)
    for size in SIZES:
        table[f"share_{size}"] = table[size] / table.groupby("group")[size].transform("sum")
    return table


def _sizes(model: InstrumentedModel, passages: Sequence[Passage], chunk: int, progress: Progress):  # type: ignore[no-untyped-def]
    prompts = [[*p.prompt, *p.suffix] for p in passages]
    metric = continuation_loss(len(passages[0].suffix))
    try:
        return gradient_sizes(model, prompts, metric, chunk=chunk, progress=progress)
    except Unfit:  # a family whose code looks at its values: a backward pass each
        return gradient_sizes(model, prompts, metric, one_by_one=True, progress=progress)
