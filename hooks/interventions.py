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
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from hooks import sites
from hooks.device_transfer import indices
from hooks.eager_eval import evaluating
from hooks.hook_points import hook_sites
from hooks.positions import PositionTracker, track_positions
from hooks.prompts import Prompts, ids_of
from workbench.errors import BadInput
from workbench.heads import head_name
from workbench.reentrant import again
from workbench.torch_modes import ordinary

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
    reference: Prompts | None = None,
    seed: int = 0,
) -> Iterator[None]:
    """Take a part's information away.

    Args:
        heads, site, layers, positions: what and where; see the module's docstring.
        how: "zero"; "mean" over all positions of the `reference` prompts; "resample": at each
            position the value of a randomly drawn position of the reference.
        reference: prompts, needed for "mean" and "resample".
        seed: of the draw.
    """
    targets = _targets(model, heads, site, layers)
    if how == "zero":
        changes: list[Change] = [lambda x, _: torch.zeros_like(x)] * len(targets)
    elif how in {"mean", "resample"}:
        _of_a_token(targets)
        if not reference:
            raise BadInput(
                f"{how} ablation needs reference prompts.", "reference=[…]", "Give some prompts."
            )
        pools = _reference_values(model, targets, reference)
        changes = [_mean(pool) if how == "mean" else _resample(pool, seed) for pool in pools]
    else:
        raise BadInput(
            f"There is no ablation {how!r}.", "zero, mean or resample", "Choose one of those."
        )
    with apply_changes(model, targets, changes, positions):
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
    with apply_changes(model, targets, [lambda x, _: x * factor] * len(targets), positions):
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
    """Add `factor × vector`.

    `vector` is (d_model,), (d_head,) for heads, or whatever broadcasts to the site.
    """
    targets = _targets(model, heads, site, layers)
    _of_a_token(targets)
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

    `source` holds the site (`z` for heads) of one prompt, or of as many prompts as the batch that
    will run; a position takes the value of the same position of the source (negative ones count
    from the end of each). Positions that the source does not have, generated ones among them, keep
    their own value. A row of `pattern` or `attn_scores` can only come from the same position,
    counted from the start.
    """
    targets = _targets(model, heads, site, layers)
    changes: list[Change] = []
    for place, chosen in targets:
        short = place.site.short
        if short not in source:
            raise BadInput(
                f"The source trace has no site {short!r}.",
                f"one of {', '.join(source)}",
                "Capture it first.",
            )
        values = source[short]
        if place.layer is not None:
            held = values.coords["layer"].values.tolist()
            if place.layer not in held:
                raise BadInput(
                    f"The source trace has no layer {place.layer} of {short!r}.",
                    f"{held}",
                    "Capture it first.",
                )
            values = values.sel(layer=place.layer)
        along = "query" if _is_square(place) else "pos"
        stored = torch.as_tensor(values.transpose("prompt", along, ...).values)
        lengths = [int(n) for n in source.lengths]
        where = [int(p) for p in values.coords[along].values]
        elsewhere = None if not _is_square(place) else 0.0 if short == "pattern" else float("-inf")
        changes.append(
            _from_source(
                stored[:, :, chosen] if chosen else stored, lengths, where, positions, elsewhere
            )
        )
    with apply_changes(model, targets, changes, positions):
        yield


def _targets(
    model: InstrumentedModel,
    heads: Heads | None,
    site: str | None,
    layers: int | Sequence[int] | None,
) -> list[tuple[sites.Place, list[int]]]:
    """Places with the heads chosen there ([] = the whole site).

    Names heads that the model does not have.
    """
    if heads is None and site is None:
        raise BadInput(
            "Nothing was chosen to change.",
            "heads=[(layer, head), …] or site='resid_post'",
            "Say what.",
        )
    by_layer: dict[int, list[int]] = {}
    if heads is not None:
        if layers is not None:
            raise BadInput(
                "Both heads and layers were given.", "heads=…, or site=… with layers=…", "Drop one."
            )
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
    places = (
        sites.resolve(model.layout, site or "z", layers, model.card.name)
        if heads is None or heads
        else []
    )
    for place in places:
        if not sites.can_change(model.layout, place):
            near = {"q": "rot_q", "k": "rot_k"}.get(place.site.short, "z")
            what = f"{place.name} can be captured but not changed."
            raise BadInput(what, f"{near}, or a residual or MLP site", f"Change {near} instead.")
        if heads is not None and "head" not in place.site.dims:
            has = (
                "no heads"
                if "kv_head" not in place.site.dims
                else "key-value heads, which query heads share"
            )
            raise BadInput(
                f"{place.site.short} has {has}.",
                "z, rot_q, pattern or attn_scores",
                "Give layers=, not heads=.",
            )
    return [(place, sorted(by_layer.get(cast("int", place.layer), []))) for place in places]


def _is_square(place: sites.Place) -> bool:
    return "query" in place.site.dims


def _of_a_token(targets: Sequence[tuple[sites.Place, list[int]]]) -> None:
    for place, _ in targets:
        if _is_square(place):
            raise BadInput(
                f"{place.site.short} has a number for every token before, so what belongs to other"
                " prompts does not fit.",
                "zero ablation, scale, or patch",
                "Use one of those, or change z, q, k or v.",
            )


@contextmanager
def apply_changes(
    model: InstrumentedModel,
    targets: Sequence[tuple[sites.Place, list[int]]],
    changes: Sequence[Change],
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
    place: sites.Place,
    chosen: list[int],
    change: Change,
    positions: Sequence[int] | None,
    tracker: PositionTracker,
) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if _is_square(place) else x  # (batch, pos, …) always
        heads = indices(tuple(chosen), x.device) if chosen else None
        old = x if heads is None else x[:, :, heads]
        new = change(old, tracker).to(x.dtype)
        if place.site.short == "attn_scores":  # what may not be looked at stays so
            new = torch.where(old <= torch.finfo(old.dtype).min / 2, old, new)
        if positions is not None:
            here = tracker.at(positions, len(old)).to(x.device)
            new = torch.where(here.view(*here.shape, *[1] * (old.dim() - 2)), new, old)
        if heads is not None:
            some, new = new, x.clone()
            new[:, :, heads] = some
        return new.transpose(1, 2) if _is_square(place) else new

    return apply


@ordinary
def _reference_values(
    model: InstrumentedModel, targets: Sequence[tuple[sites.Place, list[int]]], reference: Prompts
) -> list[Tensor]:
    """Values of each target at every real position of the reference prompts, (prompt × pos, …)."""
    pools: list[list[Tensor]] = [[] for _ in targets]
    ids = ids_of(model, reference)
    for together in model.batch_indices([len(row) for row in ids], 16):
        batch = model.batch([ids[i] for i in together])
        real = batch.attention_mask.bool()
        at = {place: (pool, chosen) for pool, (place, chosen) in zip(pools, targets, strict=True)}

        def keep(
            place: sites.Place, x: Tensor, real: Tensor = real, at: dict[sites.Place, Any] = at
        ) -> None:
            pool, chosen = at[place]
            x = x[real.to(x.device)]
            pool.append(x[:, chosen] if chosen else x)

        with hook_sites(model, list(at), keep), evaluating(model.module), torch.no_grad():
            model.forward(**batch.kwargs(), logits_to_keep=1, use_cache=False)
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
    stored: Tensor,
    lengths: list[int],
    where: list[int],
    positions: Sequence[int] | None,
    elsewhere: float | None,
) -> Change:
    """`elsewhere`: of rows over keys, what stands at the keys after the row's own token.

    None for values without keys.
    """

    there: dict[tuple[torch.device, torch.dtype], Tensor] = {}
    many = len(stored)

    def change(x: Tensor, tracker: PositionTracker) -> Tensor:
        index, running = tracker.text(len(x))
        batch = len(tracker.lengths)
        if many not in (1, batch):
            raise BadInput(
                f"The source trace has {many} prompts, and {batch} are running.",
                f"1 or {batch}",
                "Capture as many.",
            )
        source = torch.arange(len(x), device=index.device) % many
        theirs = indices(tuple(lengths), index.device)[source]
        column = _columns(index, running, theirs, indices(tuple(where), index.device), positions)
        if elsewhere is not None:
            return _rows_from_source(x, index, column, stored, lengths, where, elsewhere)
        if (x.device, x.dtype) not in there:  # sent once, not with every token
            there[x.device, x.dtype] = stored.to(x)
        column = column.to(x.device)
        new = there[x.device, x.dtype][source[:, None].to(x.device), column.clamp(min=0)]
        return torch.where((column >= 0).view(*column.shape, *[1] * (x.dim() - 2)), new, x)

    return change


def _columns(
    index: Tensor, running: Tensor, lengths: Tensor, where: Tensor, positions: Sequence[int] | None
) -> Tensor:
    """Which column of its source each running token takes, (row, pos); -1 where it keeps its own
    value.

    No value is looked at here: on a card that would stop the model at every layer.

    Args:
        index: position of each token in its text, (row, pos); -1 in padding.
        running, lengths: tokens of each row's prompt, and of its source, (row,).
        where: the source's positions, (column,).
    """
    at, mine, theirs = where, running[:, None], lengths[:, None]
    # A negative request pairs the ends of two prompts of different length.
    from_the_end = positions is not None and all(p < 0 for p in positions)
    wanted = torch.where(at < 0, mine + at, mine - theirs + at if from_the_end else at)
    takes = (
        (index[:, :, None] == wanted[:, None]) & (at < theirs)[:, None] & (index >= 0)[:, :, None]
    )
    # Of two columns for one token the later counts.
    return torch.where(takes, torch.arange(len(where), device=index.device), -1).amax(-1)


def _rows_from_source(
    x: Tensor,
    index: Tensor,
    column: Tensor,
    stored: Tensor,
    lengths: list[int],
    where: list[int],
    elsewhere: float,
) -> Tensor:
    """Rows over keys, (row, pos, head, key), with those of a source at the same positions."""
    new, positions = x.clone(), index.tolist()
    for row, columns in enumerate(column.tolist()):
        source = row % len(stored)
        for at, taken in enumerate(columns):
            if taken < 0:
                continue
            position, own = positions[row][at], where[taken] % lengths[source]
            if position != own:
                raise BadInput(
                    f"Token {position} looks at other tokens than token {own} of the source.",
                    "positions counted from the start, or prompts of the same length",
                    "Count from the start.",
                )
            keys = stored[source, taken].to(x)
            new[row, at] = _row_of_keys(keys, x.shape[-1], positions[row][-1], position, elsewhere)
    return new


def _row_of_keys(stored: Tensor, n_keys: int, last: int, position: int, elsewhere: float) -> Tensor:
    """A source's row (head, key) as the running prompt, padded on the left, keeps it.

    `last` is its last token's position.
    """
    first = n_keys - 1 - last
    out = stored.new_full((*stored.shape[:-1], n_keys), elsewhere)
    out[..., first : first + position + 1] = stored[..., : position + 1]
    return out


__all__ = ["ablate", "add", "patch", "scale"]
