"""What the changed parts are set to: zero, a mean, values drawn at random, those of another run,
or their own with noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from hooks.hook_points import hook_sites
from hooks.sweeps.arguments import WhichPositions, positions_changed, text_positions
from hooks.sweeps.change import Change, Mean, Noise, Patch, Resample, Zero
from hooks.sweeps.embedding_noise import embedding_sigma

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.layer_replay import RecordedSuffix
    from hooks.model import InstrumentedModel
    from hooks.sites import Place

PlaceKey = tuple[str, int]
_BATCH = 16


@dataclass
class Values:
    """Where the new values of one change come from; made once per sweep.

    Args:
        prompts: the ids of the prompts that the change takes values from: of the reference for
            `Mean` and `Resample`; for `Patch` the source of each prompt, or one for all.
    """

    model: InstrumentedModel
    change: Change
    places: Sequence[Place]
    prompts: Sequence[Sequence[int]] = ()
    sigma: float = field(default=0.0, init=False)
    pools: dict[PlaceKey, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.change, Noise):
            self.sigma = embedding_sigma(self.model)
        if isinstance(self.change, Mean):
            self.pools = reference_values(
                self.model, self.places, self.prompts, self.change.positions, mean=True
            )
        if isinstance(self.change, Resample):
            self.pools = reference_values(self.model, self.places, self.prompts, mean=False)

    def for_batch(
        self, batch: Batch, prompts: Sequence[int], where: Bool[Tensor, "prompt column"]
    ) -> BatchValues:
        """The values for these prompts, which `batch` holds, at the columns `where`, (prompt,
        column).
        """
        if not isinstance(self.change, Patch):
            return BatchValues(self, batch, where, self._draws(batch), {}, None)
        align = self.change.align
        ids = [list(self.prompts[0 if len(self.prompts) == 1 else p]) for p in prompts]
        source = self.model.batch(ids)
        position, lengths = (
            text_positions(batch),
            torch.tensor(batch.lengths, device=self.model.device),
        )
        source_lengths = torch.tensor(source.lengths, device=self.model.device)
        wanted = position if align == "start" else position + (source_lengths - lengths)[:, None]
        mask = where & (wanted >= 0) & (wanted < source_lengths[:, None])
        if align == "start" or batch.lengths == source.lengths:
            # Causal: as long as the prompts are the same, so is everything in them.
            own = [batch.input_ids[row, -n:].tolist() for row, n in enumerate(batch.lengths)]
            shared = torch.tensor(
                [_shared(a, b) for a, b in zip(own, ids, strict=True)], device=self.model.device
            )
            mask &= position >= shared[:, None]
        width = source.input_ids.shape[1]
        columns = (wanted + (width - source_lengths)[:, None]).clamp(0, width - 1)
        values, logits = source_values(
            self.model, source, self.places, columns[:, _first_column(mask) :]
        )
        return BatchValues(self, batch, mask, None, values, logits)

    def _draws(self, batch: Batch) -> Tensor | None:
        """Which value of the pool each column takes, (prompt, column)."""
        if not isinstance(self.change, Resample):
            return None
        size = len(next(iter(self.pools.values())))
        picks = torch.zeros_like(batch.input_ids)
        for row, n in enumerate(batch.lengths):
            draw = torch.Generator().manual_seed(self.change.seed)
            picks[row, -n:] = torch.randint(size, (1, n), generator=draw)[0].to(picks.device)
        return picks


@dataclass(frozen=True)
class BatchValues:
    """New values for one batch of prompts.

    `mask` is where there is something to put in, (prompt, column); `logits` are the source run's
    own, (prompt, d_vocab).
    """

    values: Values
    batch: Batch
    mask: Bool[Tensor, "prompt column"]
    picks: Int[Tensor, "prompt column"] | None
    of_source: dict[PlaceKey, Tensor]
    logits: Float[Tensor, "prompt d_vocab"] | None

    @property
    def first_column(self) -> int:
        """The first column where there is something to put in; the last one if there is none."""
        return _first_column(self.mask)

    def for_site(self, key: PlaceKey, suffix: RecordedSuffix) -> Tensor:
        """What the site is set to in the suffix's columns, (prompt or 1, pos or 1, *site)."""
        change, n = self.values.change, suffix.shape[1]
        if isinstance(change, Zero):
            return torch.zeros((), dtype=torch.float32, device=self.mask.device)
        if isinstance(change, Mean):
            return self.values.pools[key][None, None]
        if isinstance(change, Resample):
            assert self.picks is not None
            return self.values.pools[key][self.picks[:, -n:]]
        if isinstance(change, Patch):
            source = self.of_source[key]
            if source.shape[1] < n:  # the columns before are not changed
                source = torch.cat(
                    [
                        source.new_zeros(source.shape[0], n - source.shape[1], *source.shape[2:]),
                        source,
                    ],
                    1,
                )
            return source[:, source.shape[1] - n :]
        assert isinstance(change, Noise)
        own = suffix.kept[key]
        return own + change.std * self.values.sigma * self._normal(own, change.seed)

    def _normal(self, like: Tensor, seed: int) -> Tensor:
        """The same noise at a text position in whatever batch it stands, and in every layer."""
        out = torch.zeros(like.shape, dtype=torch.float32)
        for row, length in enumerate(self.batch.lengths):
            draw = torch.Generator().manual_seed(seed)
            noise = torch.randn(length, *like.shape[2:], generator=draw, dtype=torch.float32)[
                -like.shape[1] :
            ]
            out[row, -len(noise) :] = noise
        return out.to(like)


def _first_column(mask: Tensor) -> int:
    return int(mask.any(0).nonzero()[0]) if mask.any() else mask.shape[1] - 1


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginnings."""
    same = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        same += 1
    return same


@torch.no_grad()
def source_values(
    model: InstrumentedModel,
    batch: Batch,
    places: Sequence[Place],
    columns: Int[Tensor, "prompt chosen"],
) -> tuple[dict[PlaceKey, Shaped[Tensor, "prompt chosen ..."]], Float[Tensor, "prompt d_vocab"]]:
    """Values at chosen columns of a batch, (prompt, chosen, *site) by place, and the logits
    after its last.
    """
    values: dict[PlaceKey, Tensor] = {}
    rows = torch.arange(len(columns))[:, None]

    def take(place: Place, x: Tensor) -> None:
        assert place.layer is not None
        values[place.site.short, place.layer] = x[rows.to(x.device), columns.to(x.device)]

    with hook_sites(model, places, take):
        logits = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1).logits[:, -1]
    return values, logits


@torch.no_grad()
def reference_values(
    model: InstrumentedModel,
    places: Sequence[Place],
    prompts: Sequence[Sequence[int]],
    positions: WhichPositions = "all",
    *,
    mean: bool,
) -> dict[PlaceKey, Tensor]:
    """Values at these positions of the prompts, (prompt × pos, *site) by place; or their mean,
    (*site).
    """
    pools: dict[PlaceKey, list[Tensor]] = {}
    counted = 0
    for together in model.batch_indices([len(p) for p in prompts], _BATCH):
        batch = model.batch([list(prompts[i]) for i in together])
        mask = positions_changed(batch, positions)
        counted += int(mask.sum())

        def take(place: Place, x: Tensor, mask: Tensor = mask) -> None:
            assert place.layer is not None
            values = x[mask.to(x.device)]
            pools.setdefault((place.site.short, place.layer), []).append(
                values.float().sum(0, keepdim=True) if mean else values
            )

        with hook_sites(model, places, take):
            model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1)
    if mean:
        return {key: torch.cat(parts).sum(0) / counted for key, parts in pools.items()}
    return {key: torch.cat(parts) for key, parts in pools.items()}
