"""Reducers to a few directions: given ones, or those that hold most of a prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.reduce.protocol import Output, is_vector, without
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.reduce.protocol import BatchLayout
    from hooks.sites import Site


@dataclass(frozen=True, eq=False)
class Project:
    """Components of each vector along directions; each direction is first scaled to length 1.

    Attributes:
        directions: (d,) for one direction, which adds no axis, or (direction, d).
    """

    directions: Tensor

    def __post_init__(self) -> None:
        shape, norms = tuple(self.directions.shape), self.directions.float().norm(dim=-1)
        if (
            len(shape) not in {1, 2}
            or 0 in shape
            or not bool(torch.isfinite(norms).all() and (norms > 0).all())
        ):
            raise BadInput(
                f"Directions of shape {shape} cannot be projected on.",
                "finite numbers that are not all zero, (d,) or (direction, d)",
                "Check them.",
            )

    @classmethod
    def read(cls, file: str | Path) -> Project:
        """Directions from a `.npy` file, or from a `.safetensors` file with one tensor.

        Raises:
            BadInput: there is no such file, or it holds something else.
        """
        import numpy as np
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(file)
        if not path.is_file():
            raise BadInput(
                f"There is no file of directions {str(path)!r}.",
                "a .npy or .safetensors file",
                "Check the path.",
            )
        try:
            if path.suffix == ".npy":
                return cls(torch.from_numpy(np.load(path, allow_pickle=False)).float())
            (tensor,) = load_file(path).values()
            return cls(tensor.float())
        except (SafetensorError, ValueError, TypeError, EOFError) as error:
            raise BadInput(
                f"{path} cannot be read as directions: {error}",
                "one array of numbers, .npy or .safetensors",
                "Write it anew.",
            ) from error

    @property
    def spec(self) -> str:
        numbers = self.directions.float().cpu().contiguous().numpy().tobytes()
        shape = "x".join(map(str, self.directions.shape))
        return f"project:{shape}:{hashlib.sha256(numbers).hexdigest()[:16]}"

    @cached_property
    def _units(self) -> Tensor:
        return torch.nn.functional.normalize(self.directions.float(), dim=-1)

    @cached_property
    def _on_device(self) -> dict[torch.device, Tensor]:
        """The units on every device where they were needed."""
        return {}

    def reason_incompatible(self, site: Site) -> str | None:
        return None if is_vector(site) else "it holds no vectors"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        width, over = self.directions.shape[-1], site.dims[-1]
        if sizes[over] != width:
            raise BadInput(
                f"The directions have {width} numbers, the vectors of {site.short!r}"
                f" {sizes[over]}.",
                f"directions of {sizes[over]} numbers",
                "Choose the site that the directions were found at.",
            )
        many = {"direction": len(self.directions)} if self.directions.dim() == 2 else {}
        return [
            Output(
                "",
                (*site.dims[:-1], *many),
                many,
                unit="activation",
                says="component along a direction",
            )
        ]

    def __call__(
        self, site: Site, x: Tensor, rows: BatchLayout
    ) -> list[Float[Tensor, "batch column ..."]]:
        if x.device not in self._on_device:
            self._on_device[x.device] = self._units.to(x.device)
        return [x.float() @ self._on_device[x.device].t()]


@dataclass(frozen=True)
class LowRank:
    """The best approximation of each prompt's vectors by `rank` directions: a truncated singular
    value decomposition.

    For every prompt, layer and head by itself: the (position, d) matrix is U·S·Vᵀ; kept are U·S
    (under the site's name) and Vᵀ (`SITE.basis`, orthonormal rows), so `(trace["resid_post"] *
    trace["resid_post.basis"]).sum("rank")` is the matrix of that rank which is nearest in the sum
    of squares (Eckart and Young 1936), and exact where a prompt has no more than `rank` positions.
    Nothing is subtracted first. Beyond the smaller side of the matrix both are 0.
    """

    rank: int

    @property
    def spec(self) -> str:
        return f"lowrank:{self.rank}"

    def reason_incompatible(self, site: Site) -> str | None:
        return (
            None if is_vector(site) and "pos" in site.dims else "it holds no vectors at positions"
        )

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        over = site.dims[-1]
        if self.rank > sizes[over]:
            raise BadInput(
                f"{site.short!r} has {sizes[over]} numbers a vector.",
                f"lowrank:{sizes[over]} or less",
                "Lower it.",
            )
        new = {"rank": self.rank}
        basis = (*without(site.dims[:-1], "pos"), "rank", over)
        return [
            Output(
                "",
                (*site.dims[:-1], "rank"),
                new,
                unit="activation",
                says=f"components in {self.rank} directions",
            ),
            Output("basis", basis, new, says="the directions, each of length 1"),
        ]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        axis = site.dims.index("pos")
        per_prompt: list[tuple[Tensor, Tensor]] = []
        for row, offset in enumerate(rows.offsets):
            values = x[row].float().movedim(axis, -2)
            chosen = values[..., offset if rows.all_positions else 0 :, :]
            u, s, v = torch.linalg.svd(chosen, full_matrices=False)
            n = min(self.rank, s.shape[-1])
            components = values.new_zeros(*values.shape[:-1], self.rank)
            components[..., values.shape[-2] - chosen.shape[-2] :, :n] = (
                u[..., :n] * s[..., None, :n]
            )
            basis = values.new_zeros(*values.shape[:-2], self.rank, values.shape[-1])
            basis[..., :n, :] = v[..., :n, :]
            per_prompt.append((components.movedim(-2, axis), basis))
        return [torch.stack(parts) for parts in zip(*per_prompt, strict=True)]
