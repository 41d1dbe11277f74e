"""What a reducer is: its contract with `capture`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from hooks.device_transfer import indices

if TYPE_CHECKING:
    from hooks.sites import Site


@dataclass(frozen=True)
class BatchLayout:
    """Where the prompts lie in a left-padded batch.

    Attributes:
        lengths: tokens of each prompt.
        width: tokens of the longest.
        all_positions: whether values hold all positions, the padding too (otherwise chosen ones, of
            which none is padding).
    """

    lengths: tuple[int, ...]
    width: int
    all_positions: bool

    @property
    def offsets(self) -> list[int]:
        """Columns of padding before each prompt."""
        return [self.width - n for n in self.lengths]

    def real(self, like: Tensor) -> Bool[Tensor, "batch column"]:
        """True where a column is a prompt's own, (batch, column)."""
        columns = torch.arange(self.width, device=like.device)
        return columns >= indices(tuple(self.offsets), like.device)[:, None]


@dataclass(frozen=True)
class Output:
    """One array that a reducer gives.

    Attributes:
        suffix: what is put after the site's name; "" for the main one.
        dims: axes, without prompt and layer.
        sizes: of the axes that the site does not have.
        whole: it holds whole numbers.
        unit: "" where the site's own holds.
        says: what the numbers are.
    """

    suffix: str
    dims: tuple[str, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False
    unit: str = ""
    says: str = ""


@runtime_checkable
class Reducer(Protocol):
    """What `capture` asks of a reducer.

    `dims` are the site's axes; `sizes` what is known of their sizes.
    """

    @property
    def spec(self) -> str:
        """How it is written on the command line and in a manifest; the same for the same
        numbers.
        """

    def reason_incompatible(self, site: Site) -> str | None:
        """Why it makes no sense at this site."""

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        """The arrays it gives."""

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        """(batch, *site.dims) to one tensor per output, (batch, *output.dims).

        Padding need not be looked at.
        """


def position_axis(site: Site) -> str | None:
    """The axis along which a site has values of several tokens."""
    return next((dim for dim in ("pos", "query") if dim in site.dims), None)


def is_vector(site: Site) -> bool:
    """Whether a site holds vectors, of the stream, a head or neurons."""
    return site.dims[-1].startswith("d_") and site.dims[-1] != "d_vocab"


def without(dims: Sequence[str], dim: str | None) -> tuple[str, ...]:
    return tuple(d for d in dims if d != dim)
