"""Changing activations while the model runs: ablate, scale, patch, add.

All are context managers: they nest, are left in any order, may be entered again, hold during `generate`, and leave
nothing on the module. What they change is named the same way in each: `heads=[(layer, head), …]` for the output of heads
(`z`), or for what `site=` names of them (`rot_q`, `pattern`, …); or `site=` with `layers=` for whole sites. `positions`
None is every position, generated ones included; of `pattern` and `attn_scores` they are the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from hooks import sites
from hooks.positions import PositionTracker, tracked
from hooks.steady import evaluating
from hooks.watch import watching
from workbench.again import again
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


@again
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
        _of_a_token(targets)
        if not reference:
            raise BadInput(f"{how} ablation needs reference prompts.", "reference=[…]", "Give some prompts.")
        pools = _reference_values(model, targets, reference)
        changes = [_mean(pool) if how == "mean" else _resample(pool, seed) for pool in pools]
    else:
        raise BadInput(f"There is no ablation {how!r}.", "zero, mean or resample", "Choose one of those.")
    with changed(model, targets, changes, positions):
        yield


@again
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
    with changed(model, targets, [lambda x, _: x * factor] * len(targets), positions):
        yield


@again
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
    _of_a_token(targets)

    def change(x: Tensor, _: PositionTracker) -> Tensor:
        if vector.shape[-1] != x.shape[-1]:
            raise BadInput(f"The vector has {vector.shape[-1]} numbers.", f"{x.shape[-1]} at this site", "Check the site.")
        return x + factor * vector.to(x)

    with changed(model, targets, [change] * len(targets), positions):
        yield


@again
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
    source does not have, generated ones among them, keep their own value. A row of `pattern` or `attn_scores` can only
    come from the same position, counted from the start.
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
        along = "query" if _is_square(place) else "pos"
        stored = torch.as_tensor(values.transpose("prompt", along, ...).values)
        lengths = torch.as_tensor(source.lengths)
        where = [int(p) for p in values.coords[along].values]
        elsewhere = None if not _is_square(place) else 0.0 if short == "pattern" else float("-inf")
        changes.append(_from_source(stored[:, :, chosen] if chosen else stored, lengths, where, positions, elsewhere))
    with changed(model, targets, changes, positions):
        yield


def _targets(
    model: InstrumentedModel, heads: Heads | None, site: str | None, layers: int | Sequence[int] | None
) -> list[tuple[sites.Place, list[int]]]:
    """Places with the heads chosen there ([] = the whole site). Names heads that the model does not have."""
    if heads is None and site is None:
        raise BadInput("Nothing was chosen to change.", "heads=[(layer, head), …] or site='resid_post'", "Say what.")
    by_layer: dict[int, list[int]] = {}
    if heads is not None:
        if layers is not None:
            raise BadInput("Both heads and layers were given.", "heads=…, or site=… with layers=…", "Drop one.")
        for layer, head in heads:
            if not (0 <= layer < model.n_layers and 0 <= head < model.n_heads):
                raise BadInput(
                    f"{model.card.name} has no head {head_name(layer, head)}.",
                    f"L0H0 to {head_name(model.n_layers - 1, model.n_heads - 1)}",
                    "Choose a head in that range.",
                )
            if head not in by_layer.setdefault(layer, []):
                by_layer[layer].append(head)
        layers = sorted(by_layer)
    places = sites.resolve(model.layout, site or "z", layers, model.card.name) if heads is None or heads else []
    for place in places:
        if not sites.can_change(model.layout, place):
            near = {"q": "rot_q", "k": "rot_k"}.get(place.site.short, "z")
            what = f"{place.name} can be captured but not changed."
            raise BadInput(what, f"{near}, or a residual or MLP site", f"Change {near} instead.")
        if heads is not None and "head" not in place.site.dims:
            has = "no heads" if "kv_head" not in place.site.dims else "key-value heads, which query heads share"
            raise BadInput(f"{place.site.short} has {has}.", "z, rot_q, pattern or attn_scores", "Give layers=, not heads=.")
    return [(place, sorted(by_layer.get(cast("int", place.layer), []))) for place in places]


def _is_square(place: sites.Place) -> bool:
    return "query" in place.site.dims


def _of_a_token(targets: Sequence[tuple[sites.Place, list[int]]]) -> None:
    for place, _ in targets:
        if _is_square(place):
            raise BadInput(
                f"{place.site.short} has a number for every token before, so what belongs to other prompts does not fit.",
                "zero ablation, scale, or patch",
                "Use one of those, or change z, q, k or v.",
            )


@contextmanager
def changed(
    model: InstrumentedModel,
    targets: Sequence[tuple[sites.Place, list[int]]],
    changes: Sequence[Change],
    positions: Sequence[int] | None,
) -> Iterator[None]:
    """Put at each target what its change makes of it; [] for the heads is the whole site."""
    with tracked(model) as tracker:
        new = {
            place: _at(place, chosen, change, positions, tracker)
            for (place, chosen), change in zip(targets, changes, strict=True)
        }
        with watching(model, list(new), lambda place, x: new[place](x)):
            yield


def _at(
    place: sites.Place, chosen: list[int], change: Change, positions: Sequence[int] | None, tracker: PositionTracker
) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if _is_square(place) else x  # (batch, pos, …) always
        old = x[:, :, chosen] if chosen else x
        new = change(old, tracker).to(x.dtype)
        if place.site.short == "attn_scores":  # what may not be looked at stays so
            new = torch.where(old <= torch.finfo(old.dtype).min / 2, old, new)
        if positions is not None:
            here = tracker.at(positions, len(old)).to(x.device)
            new = torch.where(here.view(*here.shape, *[1] * (old.dim() - 2)), new, old)
        if chosen:
            some, new = new, x.clone()
            new[:, :, chosen] = some
        return new.transpose(1, 2) if _is_square(place) else new

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
        at = {place: (pool, chosen) for pool, (place, chosen) in zip(pools, targets, strict=True)}

        def keep(place: sites.Place, x: Tensor, real: Tensor = real, at: dict[sites.Place, Any] = at) -> None:
            pool, chosen = at[place]
            x = x[real.to(x.device)]
            pool.append(x[:, chosen] if chosen else x)

        with watching(model, list(at), keep), evaluating(model.module), torch.no_grad():
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


def _from_source(
    stored: Tensor, lengths: Tensor, where: list[int], positions: Sequence[int] | None, elsewhere: float | None
) -> Change:
    """`elsewhere`: of rows over keys, what stands at the keys after the row's own token; None for values without keys."""

    def change(x: Tensor, tracker: PositionTracker) -> Tensor:
        index, running = tracker.text(len(x))
        batch = len(tracker.lengths)
        if len(stored) not in (1, batch):
            raise BadInput(
                f"The source trace has {len(stored)} prompts, and {batch} are running.", f"1 or {batch}", "Capture as many."
            )
        new = x.clone()
        for row in range(len(x)):
            source = row % len(stored)
            for column, position in enumerate(where):
                # A negative request pairs the ends of two prompts of different length.
                if positions is not None and all(p < 0 for p in positions) and position >= 0:
                    wanted = int(running[row]) - (int(lengths[source]) - position)
                elif position < 0:
                    wanted = int(running[row]) + position
                else:
                    wanted = position
                if position >= int(lengths[source]):
                    continue
                at = (index[row] == wanted).to(x.device)
                if elsewhere is None:
                    new[row, at] = stored[source, column].to(x)
                elif at.any():
                    if wanted != position % int(lengths[source]):
                        raise BadInput(
                            f"Token {wanted} looks at other tokens than token {position % int(lengths[source])} of the source.",
                            "positions counted from the start, or prompts of the same length",
                            "Count from the start.",
                        )
                    keys = _row_of_keys(stored[source, column].to(x), x.shape[-1], index[row], wanted, elsewhere)
                    new[row, at] = keys
        return new

    return change


def _row_of_keys(stored: Tensor, n_keys: int, index: Tensor, position: int, elsewhere: float) -> Tensor:
    """A source's row (head, key) as the running prompt, padded on the left, keeps it."""
    first = n_keys - 1 - int(index[-1])
    out = stored.new_full((*stored.shape[:-1], n_keys), elsewhere)
    out[..., first : first + position + 1] = stored[..., : position + 1]
    return out


__all__ = ["ablate", "add", "patch", "scale"]
