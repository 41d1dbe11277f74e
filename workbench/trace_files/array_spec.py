"""The axes, sizes and labels of one array of a trace."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.disk_space import check_memory

if TYPE_CHECKING:
    import xarray as xr

# As safetensors and as NumPy call them. NumPy has no bfloat16: it is written as its 16 bits, and
# read as float32.
DTYPES = {
    "float32": ("F32", "<f4"),
    "float16": ("F16", "<f2"),
    "bfloat16": ("BF16", "<u2"),
    "int32": ("I32", "<i4"),
    "float64": ("F64", "<f8"),
    "int64": ("I64", "<i8"),
}


@dataclass(frozen=True)
class ArraySpec:
    """The axes of one array, without `prompt` and `layer`.

    Attributes:
        dims: names of the axes.
        sizes: their sizes; an axis that is not named here is as long as the prompt.
        layers: which layers, in order; None for an array that has no such axis.
        dtype: what it is stored as.
        coords: labels of axes that have other ones than 0, 1, 2 …
        attrs: what it is, for people: `site`, `says`, `unit`, `reduce`.
    """

    name: str
    dims: tuple[str, ...]
    sizes: Mapping[str, int]
    layers: tuple[int, ...] | None
    dtype: str
    coords: Mapping[str, Sequence[int]]
    attrs: Mapping[str, str]

    @property
    def rows(self) -> int:
        """How many layers lie in a shard."""
        return 1 if self.layers is None else len(self.layers)

    @property
    def itemsize(self) -> int:
        return np.dtype(DTYPES[self.dtype][1]).itemsize

    @property
    def ragged(self) -> tuple[int, ...]:
        """Which axes are as long as the prompt."""
        return tuple(axis for axis, dim in enumerate(self.dims) if dim not in self.sizes)

    def shape(self, length: int) -> tuple[int, ...]:
        """Of a prompt with so many tokens, in one layer."""
        return tuple(self.sizes.get(dim, length) for dim in self.dims)

    def count(self, length: int) -> int:
        """Numbers of a prompt with so many tokens, in one layer."""
        return math.prod(self.shape(length))

    def nbytes(self, length: int) -> int:
        """Bytes of a prompt with so many tokens, in all layers."""
        return self.rows * self.count(length) * self.itemsize

    def empty(self, n_prompts: int, longest: int, n_layers: int, *, fill: bool) -> np.ndarray:
        """An array for so many prompts (prompt, [layer,] …), in the dtype NumPy reads it as.

        Args:
            fill: with NaN (-1 where it holds whole numbers), for prompts that do not fill it.

        Raises:
            WorkbenchError: there is not enough memory.
        """
        self.check_memory(n_prompts, longest, n_layers)
        values = np.empty(
            (n_prompts, *(() if self.layers is None else (n_layers,)), *self.shape(longest)),
            self._read_as,
        )
        if fill:
            values[...] = np.nan if self._read_as.kind == "f" else -1
        return values

    def check_memory(self, n_prompts: int, longest: int, n_layers: int) -> None:
        """Raises WorkbenchError if there is not enough memory for such an array."""
        check_memory(
            n_prompts * n_layers * self.count(longest) * self._read_as.itemsize,
            f"{self.name!r} of {n_prompts} prompts",
            "Take fewer prompts or layers at once, reduce the site, or capture to a folder and read"
            " it in parts.",
        )

    @property
    def _read_as(self) -> np.dtype:
        return np.dtype("<f4" if self.dtype == "bfloat16" else DTYPES[self.dtype][1])

    def labelled(
        self, values: np.ndarray, prompts: Sequence[int], layers: Sequence[int] | None
    ) -> xr.DataArray:
        """Put names and labels on (prompt, [layer,] …)."""
        import xarray as xr

        coords: dict[str, Any] = {"prompt": list(prompts)}
        if layers is not None:
            coords["layer"] = list(layers)
        first = values.ndim - len(self.dims)
        for axis, dim in enumerate(self.dims):
            if dim in self.coords:
                coords[dim] = list(self.coords[dim])
            elif axis in self.ragged or dim in {"head", "kv_head"}:
                coords[dim] = list(range(values.shape[first + axis]))
        dims = ("prompt", *(() if layers is None else ("layer",)), *self.dims)
        return xr.DataArray(
            values, dims=dims, coords=coords, name=self.name, attrs=dict(self.attrs)
        )

    @classmethod
    def from_json(cls, name: str, about: Any) -> ArraySpec:
        """Raises ValueError or TypeError where a stranger's manifest makes no sense."""
        dims, sizes, layers = tuple(about["dims"]), dict(about["sizes"]), about["layers"]
        coords, attrs = dict(about["coords"]), dict(about["attrs"])
        if about["dtype"] not in DTYPES:
            raise ValueError(f"the dtype of {name!r} is {about['dtype']!r}")
        _check_axes(name, dims, sizes)
        _check_labels(name, sizes, layers, coords)
        if not all(isinstance(text, str) for pair in attrs.items() for text in pair):
            raise ValueError(f"the notes on {name!r} are no text")
        return cls(
            name,
            dims,
            sizes,
            None if layers is None else tuple(layers),
            about["dtype"],
            coords,
            attrs,
        )


def _check_axes(name: str, dims: tuple[Any, ...], sizes: Mapping[Any, Any]) -> None:
    if (
        not all(isinstance(dim, str) for dim in dims)
        or len({*dims, "prompt", "layer"}) != len(dims) + 2
    ):
        raise ValueError(f"the axes of {name!r} are {dims}")
    if not set(sizes) <= set(dims) or not all(
        type(n) is int and 0 <= n < 2**40 for n in sizes.values()
    ):
        raise ValueError(f"the sizes of {name!r} are {sizes}")


def _check_labels(
    name: str, sizes: Mapping[str, int], layers: Any, coords: Mapping[Any, Any]
) -> None:
    if layers is not None and not _whole_numbers(layers):
        raise ValueError(f"the layers of {name!r} are {layers}")
    if not all(
        dim in sizes and _whole_numbers(labels) and len(labels) == sizes[dim]
        for dim, labels in coords.items()
    ):
        raise ValueError(f"the labels of {name!r} do not fit its axes")


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and abs(n) < 2**31 for n in values)
