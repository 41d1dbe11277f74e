"""The largest numbers, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hooks.device_transfer import indices
from hooks.reduce.protocol import Output
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.reduce.protocol import BatchLayout
    from hooks.sites import Site


@dataclass(frozen=True)
class TopK:
    """The k largest numbers along the last axis, largest first, and where they are (`SITE.index`,
    from 0).

    At `pattern` these are the keys a query attends to most, as positions in the prompt. Where there
    are fewer than k keys with any attention, the rest is NaN, with index -1.
    """

    k: int

    @property
    def spec(self) -> str:
        return f"topk:{self.k}"

    def reason_incompatible(self, site: Site) -> str | None:
        return (
            None
            if site.dims[-1] in {"key", "d_vocab", "d_mlp"}
            else "it has no keys, tokens or neurons to choose from"
        )

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        over = site.dims[-1]
        if over != "key" and self.k > sizes[over]:
            raise BadInput(
                f"{site.short!r} has {sizes[over]} numbers to choose from.",
                f"topk:{sizes[over]} or less",
                "Lower it.",
            )
        dims = (*site.dims[:-1], "rank")
        what = {"key": "keys", "d_vocab": "tokens", "d_mlp": "neurons"}[over]
        return [
            Output("", dims, {"rank": self.k}, says=f"the {self.k} largest {what}"),
            Output(
                "index",
                dims,
                {"rank": self.k},
                whole=True,
                unit="position" if over == "key" else "index",
                says=f"which {what}",
            ),
        ]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        if site.dims[-1] != "key":
            values, index = x.topk(self.k, dim=-1)
            return [values, index]
        ahead = (len(rows.lengths), *[1] * (x.dim() - 1))
        offsets = indices(tuple(rows.offsets), x.device).view(ahead)
        real = rows.real(x).view(len(rows.lengths), *[1] * (x.dim() - 2), rows.width)
        values, index = (
            x.float().masked_fill(~real, -torch.inf).topk(min(self.k, rows.width), dim=-1)
        )
        # Keys after the query: no probability, or as a score what the family masks with, at most
        # float16's least number.
        masked = (
            values == 0 if site.short == "pattern" else values <= torch.finfo(torch.float16).min
        )
        missing = (index < offsets) | masked
        values, index = (
            values.masked_fill(missing, torch.nan),
            (index - offsets).masked_fill(missing, -1),
        )
        more = (0, self.k - values.shape[-1])
        return [
            torch.nn.functional.pad(values, more, value=torch.nan),
            torch.nn.functional.pad(index, more, value=-1),
        ]
