"""Looking: activations at named sites, as a Trace.

    trace = wb.capture(model, ["The capital of France is"], sites=["z", "resid_post"], layers=[22, 23], positions=[-1])
    trace["z"]        # (prompt, layer, pos, head, d_head)

Only what was named is kept; nothing else outlives the forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from hooks import sites as places_of
from hooks.watch import watching
from workbench.errors import BadInput
from workbench.trace import Trace

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from hooks.model import Batch, InstrumentedModel
    from hooks.sites import Place
    from workbench.progress import Progress


def capture(
    model: InstrumentedModel,
    prompts: str | Sequence[str],
    sites: str | Sequence[str] = "resid_post",
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> Trace:
    """Run the model once over the prompts and keep what passes at the sites. Active interventions are seen.

    Args:
        sites: short or full names; `model.sites` says what there is.
        layers: None is all. Ignored for full names.
        positions: None is all; 0 is a prompt's first token, -1 its last. For `pattern` they choose query rows.
        batch_size: prompts per forward pass.

    Returns:
        A Trace of float32 arrays (prompt, layer, …); positions beyond a prompt's end are NaN.

    Raises:
        SiteNotFound, BadInput: a place, layer or position that is not there.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    wanted = places_of.resolve(model.layout, sites, layers, model.card.name)
    lengths = [len(model.tokens(text)) for text in texts]
    if positions is not None:
        for text, n in zip(texts, lengths, strict=True):
            bad = [p for p in positions if not -n <= p < n]
            if bad:
                raise BadInput(
                    f"{text[:60]!r} has no position {bad[0]}: it has {n} tokens.", f"{-n} to {n - 1}", "Choose another."
                )
    kept: dict[Place, list[Tensor]] = {place: [] for place in wanted}
    for start in range(0, len(texts), batch_size):
        if progress is not None:
            progress(start / len(texts), f"Capturing prompt {start + 1} of {len(texts)}")
        batch = model.batch(texts[start : start + batch_size])
        _one_batch(model, batch, wanted, positions, kept)
    longest = max(lengths)
    arrays: dict[str, xr.DataArray] = {}
    for short in dict.fromkeys(place.site.short for place in wanted):
        arrays[short] = _labelled({p: v for p, v in kept.items() if p.site.short == short}, positions, longest)
    ids = [model.tokens(text) for text in texts]
    return Trace(arrays, [model.token_strings(row) for row in ids], texts, asdict(model.card))


@torch.no_grad()
def _one_batch(
    model: InstrumentedModel,
    batch: Batch,
    wanted: Sequence[Place],
    positions: Sequence[int] | None,
    kept: dict[Place, list[Tensor]],
) -> None:
    """One forward pass. Each prompt's values are cut out of the padded batch, one tensor per prompt."""
    width = batch.input_ids.shape[1]
    offsets = [width - n for n in batch.lengths]
    columns = [
        torch.arange(offset, width) if positions is None else torch.tensor([(offset if p >= 0 else width) + p for p in positions])
        for offset in offsets
    ]
    needed = sorted({column for at in columns for column in at.tolist()})  # query rows that any prompt asks for

    def keep(place: Place, x: Tensor) -> None:
        for row, at in enumerate(columns):
            if place.site.short == "pattern":
                values = x[row][:, [needed.index(column) for column in at.tolist()]][..., offsets[row] :]
            else:
                values = x[row, at.to(x.device)]
            kept[place].append(values.detach().float().cpu())

    needs_all_logits = any(place.site.short == "logits" for place in wanted)
    with watching(model, wanted, keep, queries=needed):
        model.module(**batch.kwargs(), use_cache=False, logits_to_keep=0 if needs_all_logits else 1)


def _labelled(kept: dict[Place, list[Tensor]], positions: Sequence[int] | None, longest: int) -> xr.DataArray:
    """(prompt, layer, …) from one list of per-prompt tensors per place; NaN beyond each prompt's end."""
    import xarray as xr

    site = next(iter(kept)).site
    where = list(range(longest)) if positions is None else list(positions)
    layers = []
    for rows in kept.values():
        shape = list(rows[0].shape)
        for axis, dim in enumerate(site.dims):
            if dim == "key":
                shape[axis] = longest
            elif dim in {"pos", "query"}:
                shape[axis] = len(where)
        padded = torch.full((len(rows), *shape), float("nan"))
        for row, values in enumerate(rows):
            padded[row][tuple(slice(n) for n in values.shape)] = values
        layers.append(padded)
    whole = torch.stack(layers, 1) if site.per_layer else layers[0]
    dims = ("prompt", *(("layer",) if site.per_layer else ()), *site.dims)
    coords: dict[str, list[int]] = {"prompt": list(range(whole.shape[0]))}
    if site.per_layer:
        coords["layer"] = [int(p.layer) for p in kept if p.layer is not None]
    coords["query" if "query" in site.dims else "pos"] = where
    for dim in ("head", "kv_head", "key"):
        if dim in dims:
            coords[dim] = list(range(whole.shape[dims.index(dim)]))
    return xr.DataArray(whole.numpy(), dims=dims, coords=coords, name=site.short, attrs={"site": site.name, "says": site.says})
