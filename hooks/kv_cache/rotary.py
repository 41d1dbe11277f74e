"""Rotary positions turned forward and back, from the very angles that a layer was given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

_CLOSE = 1e-3


@dataclass(frozen=True)
class Rotary:
    """How far one position turns each pair of channels (c, c + n/2) of the first n channels.

    Attributes:
        angles: radians per position, (pair,), float64.
    """

    angles: Float[Tensor, " pair"]

    @classmethod
    def of(
        cls, cos: Float[Tensor, "pos rotated"], sin: Float[Tensor, "pos rotated"]
    ) -> Rotary | None:
        """From the cosines and sines of positions 0, 1, …; None where the halves of the channels
        are not turned alike (other arrangements of pairs), or fewer than two positions are given.
        """
        half = cos.shape[-1] // 2
        if len(cos) < 2 or not torch.allclose(cos[:, :half], cos[:, half:], atol=1e-5):
            return None
        c, s = cos[:, :half].double(), sin[:, :half].double()
        angles = torch.atan2(s[1], c[1])
        at = 2
        while at < len(cos):  # each doubling halves what rounding did to the angle
            near = at * angles
            off = torch.atan2(s[at], c[at]) - near
            angles = (near + torch.remainder(off + math.pi, 2 * math.pi) - math.pi) / at
            at *= 2
        return cls(angles)

    def turn(
        self, x: Float[Tensor, "*axes pos d_head"], by: Shaped[Tensor, " pos"]
    ) -> Float[Tensor, "*axes pos d_head"]:
        """Keys or queries as if they stood so many positions further on (back, where negative)."""
        half = len(self.angles)
        turned = by.double()[:, None].to(self.angles.device) * self.angles
        cos, sin = turned.cos().to(x.dtype), turned.sin().to(x.dtype)
        first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat(
            [first * cos - second * sin, second * cos + first * sin, rest.expand_as(rest)], -1
        )

    def mean_turn(self, first: int, n: int) -> Float[Tensor, "rotated rotated"]:
        """The mean of the turns to positions first, …, first + n − 1, as a matrix."""
        where = torch.arange(first, first + n, device=self.angles.device).double()[:, None]
        cos = (where * self.angles).cos().mean(0).diag()
        sin = (where * self.angles).sin().mean(0).diag()
        return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 0).float()

    def explains(self, keys: Float[Tensor, "kv_head pos d_head"], ids: list[int]) -> bool:
        """Whether two equal tokens of a text differ by their turn alone, as keys of the first
        layer do; False where no token comes twice.
        """
        seen: dict[int, int] = {}
        for pos, token in enumerate(ids):
            if token in seen:
                one, other = keys[:, seen[token], None].float(), keys[:, pos, None].float()
                turned = self.turn(one, torch.tensor([pos - seen[token]], device=keys.device))
                return bool((turned - other).norm() <= _CLOSE * (1 + other.norm()))
            seen[token] = pos
        return False
