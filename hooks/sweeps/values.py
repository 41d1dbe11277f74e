"""What the changed parts are set to: zero, a mean, values drawn at random, those of another run,
or their own with noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from hooks.hook_points import hook_sites
from hooks.sweeps.arguments import Align, How, text_positions
from hooks.sweeps.embedding_noise import embedding_sigma
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.batch import Batch
    from hooks.layer_replay import RecordedSuffix
    from hooks.model import InstrumentedModel
    from hooks.sites import Place

PlaceKey = tuple[str, int]
_BATCH = 16


@dataclass
class Values:
    """Where new values come from; made once per sweep.

    Args:
        reference: prompts (ids) for "mean" (over all their positions) and "resample" (each position
            of a prompt takes the value of a position drawn from all of theirs; one draw for all
            layers, as `wb.ablate` draws).
        source: per prompt the ids of the run that "patch" takes values from, or one for all.
        align: "start" pairs equal positions counted from the prompts' beginnings, "end" from their
            ends.
        noise: "noise" adds normal values with this many times the standard deviation of the token
            embeddings as they enter the first layer (Meng et al. 2022); see
            `hooks.sweeps.embedding_noise`.
    """

    model: InstrumentedModel
    how: How
    places: Sequence[Place]
    reference: Sequence[Sequence[int]] = ()
    source: Sequence[Sequence[int]] = ()
    align: Align = "start"
    noise: float = 3.0
    seed: int = 0
    sigma: float = field(default=0.0, init=False)
    _pools: dict[PlaceKey, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.how == "noise":
            self.sigma = embedding_sigma(self.model)
        if self.how in ("mean", "resample"):
            self._pools = reference_values(
                self.model, self.places, self.reference, mean=self.how == "mean"
            )

    def for_batch(self, batch: Batch, prompts: Sequence[int], where: Tensor) -> BatchValues:
        """The values for these prompts, which `batch` holds, at the columns `where`, (prompt,
        column).
        """
        if self.how != "patch":
            return BatchValues(
                self, batch, where, self._draws(batch) if self.how == "resample" else None, {}, None
            )
        ids = [list(self.source[0 if len(self.source) == 1 else p]) for p in prompts]
        other = self.model.batch(ids)
        position, lengths = (
            text_positions(batch),
            torch.tensor(batch.lengths, device=self.model.device),
        )
        others = torch.tensor(other.lengths, device=self.model.device)
        wanted = position if self.align == "start" else position + (others - lengths)[:, None]
        there = where & (wanted >= 0) & (wanted < others[:, None])
        if self.align == "start" or batch.lengths == other.lengths:
            # Causal: as long as the prompts are the same, so is everything in them.
            own = [batch.input_ids[row, -n:].tolist() for row, n in enumerate(batch.lengths)]
            shared = torch.tensor(
                [_shared(a, b) for a, b in zip(own, ids, strict=True)], device=self.model.device
            )
            there &= position >= shared[:, None]
        columns = (wanted + (other.input_ids.shape[1] - others)[:, None]).clamp(
            0, other.input_ids.shape[1] - 1
        )
        first = int(there.any(0).nonzero()[0]) if there.any() else there.shape[1] - 1
        values, logits = source_values(self.model, other, self.places, columns[:, first:])
        return BatchValues(self, batch, there, None, values, logits)

    def _draws(self, batch: Batch) -> Tensor:
        """Which value of the pool each column takes, (prompt, column)."""
        size = len(next(iter(self._pools.values())))
        picks = torch.zeros_like(batch.input_ids)
        for row, n in enumerate(batch.lengths):
            draw = torch.Generator().manual_seed(self.seed)
            picks[row, -n:] = torch.randint(size, (1, n), generator=draw)[0].to(picks.device)
        return picks


@dataclass(frozen=True)
class BatchValues:
    """New values for one batch of prompts.

    `there` is where there is something to put in, (prompt, column); `logits` are the source run's
    own, (prompt, d_vocab).
    """

    whole: Values
    batch: Batch
    there: Tensor
    picks: Tensor | None
    values: dict[PlaceKey, Tensor]
    logits: Tensor | None

    def at(self, key: PlaceKey, suffix: RecordedSuffix) -> Tensor:
        """What the site is set to in the suffix's columns, (prompt or 1, pos or 1, *site)."""
        how, n = self.whole.how, suffix.shape[1]
        if how == "zero":
            return torch.zeros((), dtype=torch.float32, device=self.there.device)
        if how == "mean":
            return self.whole._pools[key][None, None]
        if how == "resample":
            assert self.picks is not None
            return self.whole._pools[key][self.picks[:, -n:]]
        if how == "patch":
            held = self.values[key]
            if held.shape[1] < n:  # the columns before are not changed
                held = torch.cat(
                    [held.new_zeros(held.shape[0], n - held.shape[1], *held.shape[2:]), held], 1
                )
            return held[:, held.shape[1] - n :]
        own = suffix.kept[key]
        return own + self.whole.noise * self.whole.sigma * self._normal(own)

    def _normal(self, like: Tensor) -> Tensor:
        """The same noise at a text position in whatever batch it stands, and in every layer."""
        out = torch.zeros(like.shape, dtype=torch.float32)
        for row, length in enumerate(self.batch.lengths):
            draw = torch.Generator().manual_seed(self.whole.seed)
            noise = torch.randn(length, *like.shape[2:], generator=draw, dtype=torch.float32)[
                -like.shape[1] :
            ]
            out[row, -len(noise) :] = noise
        return out.to(like)


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
    model: InstrumentedModel, batch: Batch, places: Sequence[Place], columns: Tensor
) -> tuple[dict[PlaceKey, Tensor], Tensor]:
    """Values at chosen columns of a batch, (prompt, chosen, *site) by place, and the logits
    after its last.
    """
    kept: dict[PlaceKey, Tensor] = {}
    rows = torch.arange(len(columns))[:, None]

    def take(place: Place, x: Tensor) -> None:
        assert place.layer is not None
        kept[place.site.short, place.layer] = x[rows.to(x.device), columns.to(x.device)]

    with hook_sites(model, places, take):
        logits = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1).logits[:, -1]
    return kept, logits


@torch.no_grad()
def reference_values(
    model: InstrumentedModel,
    places: Sequence[Place],
    prompts: Sequence[Sequence[int]],
    *,
    mean: bool,
) -> dict[PlaceKey, Tensor]:
    """Values at every real position of the prompts, (prompt × pos, *site) by place; or their
    mean, (*site).
    """
    if not prompts:
        raise BadInput(
            "Mean and resample need reference prompts.", "reference=[…]", "Give some prompts."
        )
    pools: dict[PlaceKey, list[Tensor]] = {}
    counted = 0
    for together in model.batch_indices([len(p) for p in prompts], _BATCH):
        batch = model.batch([list(prompts[i]) for i in together])
        real = batch.attention_mask.bool()
        counted += int(real.sum())

        def take(place: Place, x: Tensor, real: Tensor = real) -> None:
            assert place.layer is not None
            values = x[real.to(x.device)]
            pools.setdefault((place.site.short, place.layer), []).append(
                values.float().sum(0, keepdim=True) if mean else values
            )

        with hook_sites(model, places, take):
            model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1)
    if mean:
        return {key: torch.cat(parts).sum(0) / counted for key, parts in pools.items()}
    return {key: torch.cat(parts) for key, parts in pools.items()}
