"""Changing activations while the model runs: ablate, scale, patch, add.

All are context managers: they nest, are left in any order, may be entered again, hold during
`generate`, and leave nothing on the module. What they change is named the same way in each:
`heads=[(layer, head), …]` for the output of heads (`z`), or for what `site=` names of them
(`rot_q`, `pattern`, …); or `site=` with `layers=` for whole sites. `positions` None is every
position, generated ones included; of `pattern` and `attn_scores` they are the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.device_transfer import indices
from hooks.eager_eval import evaluating
from hooks.hook_points import hook_sites
from hooks.intervention_targets import Heads, Target, check_per_token, find_targets, is_square
from hooks.patch_source import ChangeFn, from_source
from hooks.positions import PositionTracker, track_positions
from hooks.prompts import Prompts, ids_of
from workbench.errors import BadInput
from workbench.reentrant import reentrant
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.sites import Place
    from workbench.trace import Trace

AblationMethod = Literal["zero", "mean", "resample"]


@reentrant
def ablate(
    model: InstrumentedModel,
    heads: Heads | None = None,
    *,
    site: str | None = None,
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    method: AblationMethod = "zero",
    reference: Prompts | None = None,
    seed: int = 0,
) -> Iterator[None]:
    """Take a part's information away.

    Args:
        heads, site, layers, positions: what and where; see the module's docstring.
        method: "zero"; "mean" over all positions of the `reference` prompts; "resample": at each
            position the value of a randomly drawn position of the reference.
        reference: prompts, needed for "mean" and "resample".
        seed: of the draw.
    """
    targets = find_targets(model, heads, site, layers)
    if method == "zero":
        changes: list[ChangeFn] = [lambda x, _: torch.zeros_like(x)] * len(targets)
    elif method in {"mean", "resample"}:
        check_per_token(targets)
        if not reference:
            raise BadInput(
                f"{method} ablation needs reference prompts.", "reference=[…]", "Give some prompts."
            )
        pools = _reference_values(model, targets, reference)
        changes = [_mean(pool) if method == "mean" else _resample(pool, seed) for pool in pools]
    else:
        raise BadInput(
            f"There is no ablation {method!r}.", "zero, mean or resample", "Choose one of those."
        )
    with apply_changes(model, targets, changes, positions):
        yield


@reentrant
def ablate_in_rows(
    model: InstrumentedModel, heads: Sequence[Sequence[tuple[int, int]]]
) -> Iterator[None]:
    """Take away other heads in each row of the batches that are read, so that many groups of heads
    cost one pass.

    Args:
        heads: (layer, head) pairs for each row; passes must have as many rows.
    """
    every = sorted({head for row in heads for head in row})
    if not every:
        yield
        return
    targets = find_targets(model, every, None, None)
    rows = [set(row) for row in heads]
    changes = [_in_rows(rows, place.layer, chosen) for place, chosen in targets]
    with apply_changes(model, targets, changes, None):
        yield


def _in_rows(
    rows: Sequence[set[tuple[int, int]]], layer: int | None, heads: Sequence[int]
) -> ChangeFn:
    kept = torch.tensor([[(layer, head) not in row for head in heads] for row in rows])

    def change(old: Float[Tensor, "row pos head d_head"], _: PositionTracker) -> Tensor:
        new: Tensor = old * kept.to(old)[:, None, :, None]
        return new

    return change


@reentrant
def scale(
    model: InstrumentedModel,
    heads: Heads | None = None,
    *,
    factor: float,
    site: str | None = None,
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
) -> Iterator[None]:
    """Multiply a part's output: 0 silences it, 1 leaves it (bit for bit), 2 doubles it."""
    targets = find_targets(model, heads, site, layers)
    with apply_changes(model, targets, [lambda x, _: x * factor] * len(targets), positions):
        yield


@reentrant
def add(
    model: InstrumentedModel,
    vector: Tensor,
    heads: Heads | None = None,
    *,
    site: str | None = None,
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    factor: float = 1.0,
) -> Iterator[None]:
    """Add `factor × vector`.

    `vector` is (d_model,), (d_head,) for heads, or whatever broadcasts to the site.
    """
    targets = find_targets(model, heads, site, layers)
    check_per_token(targets)
    vector = vector.to(model.device)  # once, not with every token

    def change(x: Tensor, _: PositionTracker) -> Tensor:
        if vector.shape[-1] != x.shape[-1]:
            raise BadInput(
                f"The vector has {vector.shape[-1]} numbers.",
                f"{x.shape[-1]} at this site",
                "Check the site.",
            )
        return x + factor * vector.to(x)

    with apply_changes(model, targets, [change] * len(targets), positions):
        yield


@reentrant
def patch(
    model: InstrumentedModel,
    source: Trace,
    heads: Heads | None = None,
    *,
    site: str | None = None,
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
) -> Iterator[None]:
    """Put in values of another run.

    `source` holds the site (`z` for heads) of one prompt, or of as many prompts as the batch that
    will run; a position takes the value of the same position of the source (negative ones count
    from the end of each). Positions that the source does not have, generated ones among them, keep
    their own value. A row of `pattern` or `attn_scores` can only come from the same position,
    counted from the start.
    """
    targets = find_targets(model, heads, site, layers)
    changes = [from_source(source, target, positions) for target in targets]
    with apply_changes(model, targets, changes, positions):
        yield


@contextmanager
def apply_changes(
    model: InstrumentedModel,
    targets: Sequence[Target],
    changes: Sequence[ChangeFn],
    positions: Sequence[int] | None,
) -> Iterator[None]:
    """Put at each target what its change makes of it; [] for the heads is the whole site."""
    with track_positions(model) as tracker:
        new = {
            place: _at(place, chosen, change, positions, tracker)
            for (place, chosen), change in zip(targets, changes, strict=True)
        }
        with hook_sites(model, list(new), lambda place, x: new[place](x)):
            yield


def _at(
    place: Place,
    chosen: list[int],
    change: ChangeFn,
    positions: Sequence[int] | None,
    tracker: PositionTracker,
) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if is_square(place) else x  # (batch, pos, …) always
        heads = indices(tuple(chosen), x.device) if chosen else None
        old = x if heads is None else x[:, :, heads]
        new = change(old, tracker).to(x.dtype)
        if place.site.short == "attn_scores":  # what may not be looked at stays so
            new = torch.where(old <= torch.finfo(old.dtype).min / 2, old, new)
        if positions is not None:
            mask = tracker.mask_at(positions, len(old)).to(x.device)
            new = torch.where(mask.view(*mask.shape, *[1] * (old.dim() - 2)), new, old)
        if heads is not None:
            of_heads, new = new, x.clone()
            new[:, :, heads] = of_heads
        return new.transpose(1, 2) if is_square(place) else new

    return apply


@ordinary
def _reference_values(
    model: InstrumentedModel, targets: Sequence[Target], reference: Prompts
) -> list[Tensor]:
    """Values of each target at every real position of the reference prompts, (prompt × pos, …)."""
    pools: list[list[Tensor]] = [[] for _ in targets]
    ids = ids_of(model, reference)
    for rows in model.batch_indices(list(map(len, ids)), 16):
        batch = model.batch([ids[i] for i in rows])
        real = batch.attention_mask.bool()
        pool_of = {
            place: (pool, chosen) for pool, (place, chosen) in zip(pools, targets, strict=True)
        }

        def keep(
            place: Place, x: Tensor, real: Tensor = real, pool_of: dict[Place, Any] = pool_of
        ) -> None:
            pool, chosen = pool_of[place]
            x = x[real.to(x.device)]
            pool.append(x[:, chosen] if chosen else x)

        with hook_sites(model, list(pool_of), keep), evaluating(model.module), torch.no_grad():
            model.forward(**batch.kwargs(), logits_to_keep=1, use_cache=False)
    return [torch.cat(pool) for pool in pools]


def _mean(pool: Tensor) -> ChangeFn:
    mean = pool.float().mean(0)
    return lambda x, _: mean.to(x).expand_as(x)


def _resample(pool: Tensor, seed: int) -> ChangeFn:
    draw = torch.Generator().manual_seed(seed)

    def change(x: Tensor, _: PositionTracker) -> Tensor:
        rows = torch.randint(len(pool), x.shape[:2], generator=draw)
        return pool.to(x)[rows.to(x.device)]

    return change


__all__ = ["ablate", "add", "patch", "scale"]
