"""Reducers without a setting: the last position, the mean, the norm, the entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hooks.reduce.protocol import Output, is_vector, position_axis, without

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.reduce.protocol import BatchLayout
    from hooks.sites import Site

# Rows of logits looked at together, so that the softmax over a vocabulary needs little memory.
_CHUNK = 256


@dataclass(frozen=True)
class Last:
    """Each prompt's last position.

    At `pattern` and `attn_scores` the other queries are not computed.
    """

    spec = "last"
    positions = (-1,)

    def reason_incompatible(self, site: Site) -> str | None:
        return None if position_axis(site) else "it has no positions"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        return [Output("", without(site.dims, position_axis(site)), says="at the last position")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        return [x.squeeze(1 + site.dims.index(position_axis(site) or ""))]


@dataclass(frozen=True)
class MeanReducer:
    """The mean over a prompt's positions (all, or those chosen)."""

    spec = "mean"

    def reason_incompatible(self, site: Site) -> str | None:
        return None if position_axis(site) else "it has no positions"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        return [Output("", without(site.dims, position_axis(site)), says="mean over positions")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        axis = 1 + site.dims.index(position_axis(site) or "")
        if rows.all_positions and min(rows.lengths) < rows.width:
            shape = [1] * x.dim()
            shape[0], shape[axis] = len(rows.lengths), rows.width
            real = rows.real(x).view(shape)
            # What stands in the padding may be NaN, which a product with zero would keep.
            total = x.float().masked_fill(~real, 0.0).sum(axis)
            return [total / real.sum(axis)]
        return [x.float().mean(axis)]


@dataclass(frozen=True)
class Norm:
    """The Euclidean length of each vector."""

    spec = "norm"

    def reason_incompatible(self, site: Site) -> str | None:
        return None if is_vector(site) else "it holds no vectors"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        return [Output("", site.dims[:-1], unit="activation", says="Euclidean norm")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        return [x.float().norm(dim=-1)]


@dataclass(frozen=True)
class Entropy:
    """Shannon entropy in nats: of attention over the keys, or of the next-token distribution.

    Attention that goes to a sink outside the prompt's tokens is left out of the sum.
    """

    spec = "entropy"

    def reason_incompatible(self, site: Site) -> str | None:
        return None if site.short in {"pattern", "logits"} else "it holds no probabilities"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        over = "the keys" if site.short == "pattern" else "the vocabulary"
        return [Output("", site.dims[:-1], unit="nats", says=f"entropy over {over}")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        if site.short == "pattern":
            return [torch.special.entr(x.float()).sum(-1)]
        flat = [self._of_logits(part.float()) for part in x.flatten(0, -2).split(_CHUNK)]
        return [torch.cat(flat).view(x.shape[:-1])]

    @staticmethod
    def _of_logits(logits: Tensor) -> Tensor:
        nats: Tensor = torch.special.entr(torch.softmax(logits, -1)).sum(-1)
        return nats
