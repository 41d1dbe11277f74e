"""Reducers: what is kept of a site instead of all its values, computed inside the hook.

    wb.capture(model, prompts, sites=["resid_post", "pattern"], reduce={"resid_post": "norm",
    "pattern": "topk:8"})

| spelling | keeps | of |
| --- | --- | --- |
| `last` | the last position (of `pattern`, the last query; no other row is computed) | sites with
positions | | `mean` | the mean over the positions | sites with positions | | `norm` | the length of
each vector | vectors: resid_post, z, … | | `entropy` | the entropy in nats, over keys or over the
vocabulary | pattern, logits | | `topk:8` | the 8 largest numbers and where they are | pattern,
attn_scores, logits, neurons | | `project:FILE` | the components along the directions in a file |
vectors | | `lowrank:16` | each prompt's vectors in the 16 directions that hold most of them |
vectors |

A reducer with more than one array names the others after the site: `pattern.index`,
`resid_post.basis`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from hooks.device_transfer import indices
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from hooks.sites import Site

# rows of logits looked at together, so that the softmax over a vocabulary needs little memory
_CHUNK = 256


@dataclass(frozen=True)
class BatchLayout:
    """Where the prompts lie in a left-padded batch.

    Attributes:
        lengths: tokens of each prompt.
        width: tokens of the longest.
        every: whether values hold all positions, the padding too (otherwise chosen ones, of which
            none is padding).
    """

    lengths: tuple[int, ...]
    width: int
    every: bool

    @property
    def offsets(self) -> list[int]:
        """Columns of padding before each prompt."""
        return [self.width - n for n in self.lengths]

    def real(self, like: Tensor) -> Tensor:
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
    def spelling(self) -> str:
        """How it is written on the command line and in a manifest; the same for the same
        numbers.
        """

    def unfit(self, site: Site) -> str | None:
        """Why it makes no sense at this site."""

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        """The arrays it gives."""

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        """(batch, *site.dims) to one tensor per output, (batch, *output.dims).

        Padding need not be looked at.
        """


def _positions(site: Site) -> str | None:
    return next((dim for dim in ("pos", "query") if dim in site.dims), None)


def _is_vector(site: Site) -> bool:
    return site.dims[-1].startswith("d_") and site.dims[-1] != "d_vocab"


def _without(dims: Sequence[str], dim: str | None) -> tuple[str, ...]:
    return tuple(d for d in dims if d != dim)


@dataclass(frozen=True)
class Last:
    """Each prompt's last position.

    At `pattern` and `attn_scores` the other queries are not computed.
    """

    spelling = "last"
    positions = (-1,)

    def unfit(self, site: Site) -> str | None:
        return None if _positions(site) else "it has no positions"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        return [Output("", _without(site.dims, _positions(site)), says="at the last position")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        return [x.squeeze(1 + site.dims.index(_positions(site) or ""))]


@dataclass(frozen=True)
class Mean:
    """The mean over a prompt's positions (all, or those chosen)."""

    spelling = "mean"

    def unfit(self, site: Site) -> str | None:
        return None if _positions(site) else "it has no positions"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        return [Output("", _without(site.dims, _positions(site)), says="mean over positions")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        axis = 1 + site.dims.index(_positions(site) or "")
        if rows.every and min(rows.lengths) < rows.width:
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

    spelling = "norm"

    def unfit(self, site: Site) -> str | None:
        return None if _is_vector(site) else "it holds no vectors"

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        return [Output("", site.dims[:-1], unit="activation", says="Euclidean norm")]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        return [x.float().norm(dim=-1)]


@dataclass(frozen=True)
class Entropy:
    """Shannon entropy in nats: of attention over the keys, or of the next-token distribution.

    Attention that goes to a sink outside the prompt's tokens is left out of the sum.
    """

    spelling = "entropy"

    def unfit(self, site: Site) -> str | None:
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
        return torch.special.entr(torch.softmax(logits, -1)).sum(-1)


@dataclass(frozen=True)
class TopK:
    """The k largest numbers along the last axis, largest first, and where they are (`SITE.index`,
    from 0).

    At `pattern` these are the keys a query looks at most, as positions in the prompt. Where there
    are fewer than k keys with any attention, the rest is NaN, with index -1.
    """

    k: int

    @property
    def spelling(self) -> str:
        return f"topk:{self.k}"

    def unfit(self, site: Site) -> str | None:
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
    def spelling(self) -> str:
        numbers = self.directions.float().cpu().contiguous().numpy().tobytes()
        shape = "x".join(map(str, self.directions.shape))
        return f"project:{shape}:{hashlib.sha256(numbers).hexdigest()[:16]}"

    @cached_property
    def _units(self) -> Tensor:
        return torch.nn.functional.normalize(self.directions.float(), dim=-1)

    @cached_property
    def _there(self) -> dict[torch.device, Tensor]:
        """The units wherever they were needed."""
        return {}

    def unfit(self, site: Site) -> str | None:
        return None if _is_vector(site) else "it holds no vectors"

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

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        if x.device not in self._there:
            self._there[x.device] = self._units.to(x.device)
        return [x.float() @ self._there[x.device].t()]


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
    def spelling(self) -> str:
        return f"lowrank:{self.rank}"

    def unfit(self, site: Site) -> str | None:
        return (
            None if _is_vector(site) and "pos" in site.dims else "it holds no vectors at positions"
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
        basis = (*_without(site.dims[:-1], "pos"), "rank", over)
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
        found: list[tuple[Tensor, Tensor]] = []
        for row, offset in enumerate(rows.offsets):
            values = x[row].float().movedim(axis, -2)
            kept = values[..., offset if rows.every else 0 :, :]
            u, s, v = torch.linalg.svd(kept, full_matrices=False)
            n = min(self.rank, s.shape[-1])
            components = values.new_zeros(*values.shape[:-1], self.rank)
            components[..., values.shape[-2] - kept.shape[-2] :, :n] = u[..., :n] * s[..., None, :n]
            basis = values.new_zeros(*values.shape[:-2], self.rank, values.shape[-1])
            basis[..., :n, :] = v[..., :n, :]
            found.append((components.movedim(-2, axis), basis))
        return [torch.stack(parts) for parts in zip(*found, strict=True)]


_PLAIN: dict[str, Reducer] = {"last": Last(), "mean": Mean(), "norm": Norm(), "entropy": Entropy()}
_WITH_NUMBER: dict[str, type[TopK] | type[LowRank]] = {"topk": TopK, "lowrank": LowRank}
SPELLINGS = (*_PLAIN, "topk:K", "project:FILE", "lowrank:R")


def parse(text: str) -> Reducer:
    """A reducer from its spelling, e.g. `norm`, `topk:8`, `project:direction.npy`.

    Raises:
        NotFound, BadInput: an unknown name, a number or file that will not do.
    """
    name, _, about = text.strip().partition(":")
    if name in _PLAIN and not about:
        return _PLAIN[name]
    if name == "project" and about:
        return Project.read(about)
    if name in _WITH_NUMBER:
        if not about.isascii() or not about.isdigit() or not 0 < len(about) < 7 or int(about) < 1:
            raise BadInput(
                f"{text!r} is no reducer.",
                f"{name}:NUMBER, e.g. {name}:8",
                "Give a whole number from 1.",
            )
        return _WITH_NUMBER[name](int(about))
    raise NotFound.named("reducer", text, SPELLINGS)


def check(reducer: Reducer, site: Site) -> None:
    """Raises BadInput if a reducer makes no sense at a site, and names those that do."""
    why = reducer.unfit(site)
    if why is None:
        return
    kinds: dict[str, Reducer] = {
        **_PLAIN,
        "topk:8": TopK(8),
        "project:FILE": Project(torch.ones(1)),
        "lowrank:16": LowRank(16),
    }
    fit = [name for name, other in kinds.items() if other.unfit(site) is None]
    raise BadInput(
        f"The reducer {reducer.spelling!r} does not fit {site.short!r}: {why}.",
        f"one of {', '.join(fit)}" if fit else "no reducer",
        "Choose one of those, or leave the reducer out for this site.",
    )
