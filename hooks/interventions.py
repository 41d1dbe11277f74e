"""Changing activations while the model runs: ablate, scale, patch, add.

All are context managers, nest in any order, hold during `generate`, and leave nothing on the module. What they change is
named the same way in each: `heads=[(layer, head), …]` for head outputs (site `z`), or `site=` with `layers=`; `positions`
None is every position, generated ones included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from hooks import sites
from hooks.positions import PositionTracker, tracked
from workbench.errors import BadInput
from workbench.selection import head_name

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from workbench.trace import Trace

Heads = Sequence[tuple[int, int]]
How = Literal["zero", "mean", "resample"]
# Gets the values to change, (batch, pos, …) or (batch, pos, chosen head, d_head), and the tracker.
Change = Callable[["Tensor", PositionTracker], "Tensor"]


@contextmanager
def ablate(
    model: InstrumentedModel,
    heads: Heads | None = None,
    *,
    site: str | None = None,
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    how: How = "zero",
    reference: Sequence[str] | None = None,
    seed: int = 0,
) -> Iterator[None]:
    """Take a part's information away.

    Args:
        heads, site, layers, positions: what and where; see the module's docstring.
        how: "zero"; "mean" over all positions of the `reference` prompts; "resample": at each position the value of a
            randomly drawn position of the reference.
        reference: prompts, needed for "mean" and "resample".
        seed: of the draw.
    """
    targets = _targets(model, heads, site, layers)
    if how == "zero":
        changes: list[Change] = [lambda x, _: torch.zeros_like(x)] * len(targets)
    elif how in {"mean", "resample"}:
        if not reference:
            raise BadInput(f"{how} ablation needs reference prompts.", "reference=[…]", "Give some prompts.")
        pools = _reference_values(model, targets, reference)
        changes = [_mean(pool) if how == "mean" else _resample(pool, seed) for pool in pools]
    else:
        raise BadInput(f"There is no ablation {how!r}.", "zero, mean or resample", "Choose one of those.")
    with _changed(model, targets, changes, positions):
        yield


@contextmanager
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
    targets = _targets(model, heads, site, layers)
    with _changed(model, targets, [lambda x, _: x * factor] * len(targets), positions):
        yield


@contextmanager
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
    """Add `factor × vector`; `vector` is (d_model,), (d_head,) for heads, or whatever broadcasts to the site."""
    targets = _targets(model, heads, site, layers)

    def change(x: Tensor, _: PositionTracker) -> Tensor:
        if vector.shape[-1] != x.shape[-1]:
            raise BadInput(f"The vector has {vector.shape[-1]} numbers.", f"{x.shape[-1]} at this site", "Check the site.")
        return x + factor * vector.to(x)

    with _changed(model, targets, [change] * len(targets), positions):
        yield


@contextmanager
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

    `source` holds the site (`z` for heads) of one prompt, or of as many prompts as the batch that will run; a position
    takes the value of the same position of the source (negative ones count from the end of each). Positions that the
    source does not have, generated ones among them, keep their own value.
    """
    targets = _targets(model, heads, site, layers)
    changes: list[Change] = []
    for place, chosen in targets:
        short = place.site.short
        if short not in source:
            raise BadInput(f"The source trace has no site {short!r}.", f"one of {', '.join(source)}", "Capture it first.")
        values = source[short]
        if place.layer is not None:
            held = values.coords["layer"].values.tolist()
            if place.layer not in held:
                raise BadInput(f"The source trace has no layer {place.layer} of {short!r}.", f"{held}", "Capture it first.")
            values = values.sel(layer=place.layer)
        stored = torch.as_tensor(values.transpose("prompt", "pos", ...).values)
        lengths = torch.as_tensor(source.lengths)
        where = [int(p) for p in values.coords["pos"].values]
        changes.append(_from_source(stored[:, :, chosen] if chosen else stored, lengths, where, positions))
    with _changed(model, targets, changes, positions):
        yield


def _targets(
    model: InstrumentedModel, heads: Heads | None, site: str | None, layers: int | Sequence[int] | None
) -> list[tuple[sites.Place, list[int]]]:
    """Places with the heads chosen there ([] = the whole site). Names heads that the model does not have."""
    if heads is not None:
        if site not in (None, "z") or layers is not None:
            raise BadInput("Both heads and another site were given.", "heads=…, or site=… with layers=…", "Drop one.")
        by_layer: dict[int, list[int]] = {}
        for layer, head in heads:
            if not (0 <= layer < model.n_layers and 0 <= head < model.n_heads):
                raise BadInput(
                    f"{model.card.name} has no head {head_name(layer, head)}.",
                    f"L0H0 to {head_name(model.n_layers - 1, model.n_heads - 1)}",
                    "Choose a head in that range.",
                )
            if head not in by_layer.setdefault(layer, []):
                by_layer[layer].append(head)
        return [
            (place, sorted(chosen))
            for layer, chosen in sorted(by_layer.items())
            for place in sites.resolve(model.layout, "z", layer, model.card.name)
        ]
    if site is None:
        raise BadInput("Nothing was chosen to change.", "heads=[(layer, head), …] or site='resid_post'", "Say what.")
    places = sites.resolve(model.layout, site, layers, model.card.name)
    unreachable = [p.name for p in places if not sites.can_change(model.layout, p) or sites.in_attention(model.layout, p)]
    if unreachable:
        raise BadInput(f"{unreachable[0]} can be captured but not changed.", "z, or a residual or MLP site", "Change z instead.")
    return [(place, []) for place in places]


@contextmanager
def _changed(
    model: InstrumentedModel,
    targets: Sequence[tuple[sites.Place, list[int]]],
    changes: Sequence[Change],
    positions: Sequence[int] | None,
) -> Iterator[None]:
    with ExitStack() as stack:
        tracker = stack.enter_context(tracked(model))
        for (place, chosen), change in zip(targets, changes, strict=True):
            tap = sites.tap(model.layout, place)
            assert tap is not None  # resolve() has checked
            handle = tap.attach(_at(chosen, change, positions, tracker))
            stack.callback(handle.remove)
        yield


def _at(
    chosen: list[int], change: Change, positions: Sequence[int] | None, tracker: PositionTracker
) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        old = x[:, :, chosen] if chosen else x
        new = change(old, tracker).to(x.dtype)
        if positions is not None:
            here = tracker.at(positions).to(x.device)
            new = torch.where(here.view(*here.shape, *[1] * (old.dim() - 2)), new, old)
        if not chosen:
            return new
        out = x.clone()
        out[:, :, chosen] = new
        return out

    return apply


def _reference_values(
    model: InstrumentedModel, targets: Sequence[tuple[sites.Place, list[int]]], reference: Sequence[str]
) -> list[Tensor]:
    """Values of each target at every real position of the reference prompts, (prompt × pos, …)."""
    pools: list[list[Tensor]] = [[] for _ in targets]
    ids = [model.tokens(text) for text in reference]
    for together in model.together([len(row) for row in ids], 16):
        batch = model.batch([ids[i] for i in together])
        real = batch.attention_mask.bool()
        with ExitStack() as stack, torch.no_grad():
            for pool, (place, chosen) in zip(pools, targets, strict=True):
                tap = sites.tap(model.layout, place)
                assert tap is not None

                def keep(x: Tensor, pool: list[Tensor] = pool, chosen: list[int] = chosen, real: Tensor = real) -> None:
                    x = x[real.to(x.device)]
                    pool.append(x[:, chosen] if chosen else x)

                stack.callback(tap.attach(keep).remove)
            model.module(**batch.kwargs(), logits_to_keep=1, use_cache=False)
    return [torch.cat(pool) for pool in pools]


def _mean(pool: Tensor) -> Change:
    mean = pool.float().mean(0)
    return lambda x, _: mean.to(x).expand_as(x)


def _resample(pool: Tensor, seed: int) -> Change:
    draw = torch.Generator().manual_seed(seed)

    def change(x: Tensor, _: PositionTracker) -> Tensor:
        rows = torch.randint(len(pool), x.shape[:2], generator=draw)
        return pool.to(x)[rows.to(x.device)]

    return change


def _from_source(stored: Tensor, lengths: Tensor, where: list[int], positions: Sequence[int] | None) -> Change:
    def change(x: Tensor, tracker: PositionTracker) -> Tensor:
        batch = x.shape[0]
        if len(stored) not in (1, batch):
            raise BadInput(
                f"The source trace has {len(stored)} prompts, and {batch} are running.", f"1 or {batch}", "Capture as many."
            )
        new = x.clone()
        for row in range(batch):
            source = 0 if len(stored) == 1 else row
            for column, position in enumerate(where):
                # A negative request pairs the ends of two prompts of different length.
                if positions is not None and all(p < 0 for p in positions) and position >= 0:
                    wanted = int(tracker.lengths[row]) - (int(lengths[source]) - position)
                elif position < 0:
                    wanted = int(tracker.lengths[row]) + position
                else:
                    wanted = position
                if position < int(lengths[source]):
                    at = tracker.index[row] == wanted
                    new[row, at.to(x.device)] = stored[source, column].to(x)
        return new

    return change


__all__ = ["ablate", "add", "patch", "scale"]
