"""Baselines that nobody trained: random directions instead of features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hooks.features.activation_stream import values
from hooks.features.sae import SKIP
from hooks.features.sparse_activations import Encoder

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@dataclass(frozen=True, eq=False)
class RandomDirections:
    """Directions drawn at random at a place, each active at the same share of tokens as a feature
    is on average.

    What they show of a token type, any set of directions of that sparsity shows: nothing was
    learned by them.
    """

    name: str
    place: Place
    width: int
    directions: Tensor  # (d, feature)
    centre: Tensor  # (d,)
    scale: Tensor  # (d,)
    thresholds: Tensor  # (feature,)

    @property
    def digest(self) -> str:
        held = (self.directions, self.centre, self.scale, self.thresholds)
        return hashlib.sha256(b"".join(t.cpu().numpy().tobytes() for t in held)).hexdigest()[:16]

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """(…, feature): how far each direction's projection is above its threshold, 0 below."""
        flat = x.reshape(*x.shape[: x.dim() - len(self.place.site.dims) + 1], -1).float()
        return (((flat - self.centre) / self.scale) @ self.directions - self.thresholds).clamp(
            min=0
        )


def vectors(
    model: InstrumentedModel, encoders: Sequence[Encoder], ids: np.ndarray
) -> dict[Place, Tensor]:
    """What passes at the encoders' places, (window, pos, …), but for the first tokens of each
    window (window, pos).
    """
    found = values(model, list(dict.fromkeys(e.place for e in encoders)), ids.tolist())
    return {place: x[:, SKIP:] for place, x in found.items()}


@torch.no_grad()
def random_directions(
    encoders: Sequence[Encoder], active: Sequence[float], passing: Mapping[Place, Tensor], seed: int
) -> list[RandomDirections]:
    """One set for each encoder's place, of its width.

    Args:
        active: how many are to be active at a token on average, each.
        passing: vectors at the places, (window, pos, …), on which the thresholds are set; every
            number of them is first brought to mean 0 and deviation 1, or the few huge ones would
            decide everything.
    """
    found = []
    for number, (encoder, l0) in enumerate(zip(encoders, active, strict=True)):
        x = passing[encoder.place]
        flat = x.reshape(-1, x[0, 0].numel()).float()
        generator = torch.Generator().manual_seed(seed * 1000 + number)
        directions = torch.randn(
            flat.shape[1], encoder.width, generator=generator, dtype=torch.float32
        ).to(flat)
        centre, scale = flat.mean(0), flat.std(0).clamp(min=1e-6)
        thresholds = torch.quantile(
            ((flat - centre) / scale) @ directions, 1 - l0 / encoder.width, dim=0
        )
        name = f"random directions at {encoder.place.name}"
        found.append(
            RandomDirections(
                name, encoder.place, encoder.width, directions, centre, scale, thresholds
            )
        )
    return found
