"""The files of a trace: prompts of any length side by side, without padding, in pieces that are
whole or not there.

A trace folder (format 2) holds `manifest.json` (what was asked of which model, and the axes of
every array) and shards, `shard-00000000.safetensors`, named after the first prompt they hold. A
shard holds a run of consecutive prompts, in an order of its own (`prompt.index`). Each of its
arrays is (layer, numbers): for every layer the prompts' blocks one after the other, a block being
one prompt's values in C order over the array's axes. An axis that the manifest gives no size is as
long as the prompt.

A shard is written under another name and renamed when it is finished; which shards there are is
read from the folder and not from the manifest, so a process may be killed at any moment without
losing one.
"""

from __future__ import annotations

import json
import math
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.disk_space import check_memory
from workbench.errors import BadInput, BadRun

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 2
KIND = "memory-workbench trace"
MANIFEST = "manifest.json"
UNFINISHED = ".writing-"  # how the name of a file begins that is not whole yet
_NAME = re.compile(r"shard-(\d{8,15})\.safetensors")
_MAX_MANIFEST = 256 * 2**20
# As safetensors and as NumPy call them. NumPy has no bfloat16: it is written as its 16 bits, and
# read as float32.
_DTYPES = {
    "float32": ("F32", "<f4"),
    "float16": ("F16", "<f2"),
    "bfloat16": ("BF16", "<u2"),
    "int32": ("I32", "<i4"),
}
_DTYPES |= {"float64": ("F64", "<f8"), "int64": ("I64", "<i8")}


class Damaged(BadRun):
    """A shard that is not whole, or makes no sense."""


@dataclass(frozen=True)
class Stored:
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
        return np.dtype(_DTYPES[self.dtype][1]).itemsize

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
        return np.dtype("<f4" if self.dtype == "bfloat16" else _DTYPES[self.dtype][1])

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
    def from_json(cls, name: str, about: Any) -> Stored:
        """Raises ValueError or TypeError where a stranger's manifest makes no sense."""
        dims, sizes, layers = tuple(about["dims"]), dict(about["sizes"]), about["layers"]
        coords, attrs = dict(about["coords"]), dict(about["attrs"])
        if (
            not all(isinstance(dim, str) for dim in dims)
            or len({*dims, "prompt", "layer"}) != len(dims) + 2
        ):
            raise ValueError(f"the axes of {name!r} are {dims}")
        if not set(sizes) <= set(dims) or not all(
            type(n) is int and 0 <= n < 2**40 for n in sizes.values()
        ):
            raise ValueError(f"the sizes of {name!r} are {sizes}")
        if about["dtype"] not in _DTYPES:
            raise ValueError(f"the dtype of {name!r} is {about['dtype']!r}")
        if layers is not None and not _whole_numbers(layers):
            raise ValueError(f"the layers of {name!r} are {layers}")
        if not all(
            dim in sizes and _whole_numbers(labels) and len(labels) == sizes[dim]
            for dim, labels in coords.items()
        ):
            raise ValueError(f"the labels of {name!r} do not fit its axes")
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


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and abs(n) < 2**31 for n in values)


@dataclass(frozen=True)
class Prompts:
    """The prompts of a shard, in the order in which their values lie there."""

    indices: list[int]
    texts: list[str]
    tokens: list[list[str]]
    digest: str = ""  # of the token ids, in the order of the prompts

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.tokens]


# -- the manifest ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manifest:
    """What a trace folder says of itself.

    Attributes:
        capture: the shards that belong to it carry the same letters.
        request: what was asked, as `workbench.trace` shows it; empty for a trace that was saved
            from memory.
        total: {"prompts", "tokens", "digest"} of the whole; None until a stream of unknown length
            has ended.
    """

    capture: str
    model: dict[str, Any]
    request: dict[str, Any]
    arrays: dict[str, Stored]
    total: dict[str, Any] | None

    def write(self, folder: Path) -> None:
        """Put it into the folder, in one step."""
        arrays = {
            name: {key: value for key, value in asdict(array).items() if key != "name"}
            for name, array in self.arrays.items()
        }
        about = {
            "format": FORMAT,
            "kind": KIND,
            **{key: getattr(self, key) for key in ("capture", "model", "request")},
        }
        text = json.dumps(
            {**about, "arrays": arrays, "total": self.total}, indent=1, ensure_ascii=True
        )
        work = folder / (UNFINISHED + MANIFEST)
        work.unlink(missing_ok=True)
        with open(work, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(work, folder / MANIFEST)

    @classmethod
    def of(cls, raw: dict[str, Any], folder: Path) -> Manifest:
        """Raises BadRun where a stranger's manifest makes no sense."""
        with reading_manifest(folder):
            arrays = {
                str(name): Stored.from_json(str(name), about)
                for name, about in raw["arrays"].items()
            }
            total, capture, model, request = (
                raw["total"],
                raw["capture"],
                raw["model"],
                raw["request"],
            )
            if not (
                isinstance(capture, str) and isinstance(model, dict) and isinstance(request, dict)
            ):
                raise TypeError("a part of it is of the wrong kind")
            if total is not None and not all(
                type(total[key]) is int and total[key] >= 0 for key in ("prompts", "tokens")
            ):
                raise ValueError(f"the total is {total}")
            return cls(capture, model, request, arrays, total)


@contextmanager
def reading_manifest(folder: Path) -> Iterator[None]:
    """What goes wrong inside is the manifest's fault."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"[:300]
        raise BadRun(
            f"The manifest of {folder.name!r} is damaged: {why}",
            "a trace's manifest",
            "Capture again.",
        ) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest as it stands, of whichever format.

    Raises:
        BadInput: there is none.
        BadRun: it is damaged, hostile, or from a newer version.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise BadInput(
            f"{folder} is not a trace: it has no {MANIFEST}.",
            "a folder written by `workbench trace`",
            "Check it.",
        )
    if file.stat().st_size > _MAX_MANIFEST:
        raise BadRun(
            f"The manifest of {folder.name!r} is absurdly large.",
            "at most 256 MB",
            "Do not trust this folder.",
        )
    with reading_manifest(folder):
        raw = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("kind", KIND) != KIND:
            raise TypeError("it is not a trace's")
        if type(raw["format"]) is not int or raw["format"] < 1:
            raise ValueError(f"its format is {raw['format']!r}")
        if raw["format"] > FORMAT:
            raise BadRun(
                f"{folder.name!r} was written by a newer version.",
                f"format {FORMAT} or older",
                "Upgrade.",
            )
    return raw


# -- shards ----------------------------------------------------------------------------------------


class ShardWriter:
    """A shard that is being written: the places of all blocks are known, so they may come in any
    order.

    Values go straight to the file; nothing is held in memory.
    """

    def __init__(
        self, folder: Path, arrays: Mapping[str, Stored], prompts: Prompts, capture: str
    ) -> None:
        self._target = folder / f"shard-{min(prompts.indices):08d}.safetensors"
        self._work = folder / (UNFINISHED + self._target.name)
        self._arrays = arrays
        self._starts = {name: _starts(array, prompts.lengths) for name, array in arrays.items()}
        vocabulary = {
            token: n
            for n, token in enumerate(dict.fromkeys(t for row in prompts.tokens for t in row))
        }
        own = {
            "prompt.index": np.array(prompts.indices, "<i4"),
            "prompt.length": np.array(prompts.lengths, "<i4"),
            "prompt.tokens": np.array(
                [vocabulary[token] for row in prompts.tokens for token in row], "<i4"
            ),
        }
        shapes = {name: ("I32", [len(values)], values.nbytes) for name, values in own.items()}
        for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
            count = self._starts[name][-1]
            shapes[name] = (
                _DTYPES[array.dtype][0],
                [array.rows, count],
                array.rows * count * array.itemsize,
            )
        # The widest numbers come first, so that each array lies at a multiple of its own width.
        wide = {name: n for name, n in shapes.items() if n[0] in {"F64", "I64"}}
        at = 0
        header: dict[str, dict[str, Any]] = {}
        for name, (dtype, shape, nbytes) in (wide | shapes).items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + nbytes]}
            at += nbytes
        about = {
            "capture": capture,
            "prompts": prompts.texts,
            "vocabulary": list(vocabulary),
            "digest": prompts.digest,
        }
        text = json.dumps({"__metadata__": {"workbench": json.dumps(about)}, **header}).encode(
            "ascii"
        )
        text += b" " * (-len(text) % 8)
        self._missing = sum(
            array.rows * self._starts[name][-1] * array.itemsize for name, array in arrays.items()
        )
        self._bases = {
            name: 8 + len(text) + about["data_offsets"][0] for name, about in header.items()
        }
        self._work.unlink(missing_ok=True)
        self._file = os.open(
            self._work, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644
        )
        self._put(0, len(text).to_bytes(8, "little") + text)
        for name, values in own.items():
            self._put(self._bases[name], values.tobytes())

    def write(self, name: str, row: int, first: int, values: np.ndarray) -> None:
        """Values of one layer (by its place in `layers`), of consecutive prompts from the
        `first`-th of the shard on.
        """
        array, starts = self._arrays[name], self._starts[name]
        if values.dtype != np.dtype(_DTYPES[array.dtype][1]):
            raise TypeError(f"{name!r} is stored as {array.dtype}, not {values.dtype}")
        if values.size:
            self._put(
                self._bases[name] + (row * starts[-1] + starts[first]) * array.itemsize,
                values.reshape(-1).data.cast("B"),
            )
        self._missing -= values.nbytes

    def finish(self) -> Path:
        """The shard under its own name; only a shard without gaps gets it."""
        if self._missing:
            raise AssertionError(f"{self._missing} bytes of {self._target.name} were never written")
        os.close(self._file)
        self._file = -1
        os.replace(self._work, self._target)
        return self._target

    def drop(self) -> None:
        """Leave nothing of an unfinished shard; a finished one stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._work.unlink(missing_ok=True)

    def _put(self, at: int, data: bytes | memoryview) -> None:
        os.lseek(self._file, at, os.SEEK_SET)
        left = memoryview(data)
        while left:  # one call writes 2 GB at most
            left = left[os.write(self._file, left) :]


def _starts(array: Stored, lengths: Sequence[int]) -> list[int]:
    """Where each prompt's block begins within a layer, and where the last one ends."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + array.count(length))
    return starts


class Shard:
    """A finished shard. Texts and values are read when they are asked for."""

    def __init__(self, file: Path, arrays: Mapping[str, Stored], capture: str) -> None:
        """Look at everything but the values.

        Raises:
            Damaged: it is not whole, or makes no sense.
            BadRun: it belongs to another trace.
        """
        self.file = file
        with self._reading("numpy") as stored:
            indices, lengths = (
                stored.get_tensor(name) for name in ("prompt.index", "prompt.length")
            )
            match = _NAME.fullmatch(file.name)
            self.first = int(match[1]) if match else -1
            if (
                indices.ndim != 1
                or indices.shape != lengths.shape
                or not len(indices)
                or lengths.min() < 1
            ):
                raise ValueError("its prompts make no sense")
            if sorted(indices.tolist()) != list(range(self.first, self.first + len(indices))):
                raise ValueError("it does not hold the prompts its name says")
            self.indices, self.lengths = indices.tolist(), lengths.tolist()
            self._row = {index: row for row, index in enumerate(self.indices)}
            have = set(stored.keys())
            wanted = {"prompt.tokens": ("I32", [sum(self.lengths)])}
            for name, array in arrays.items():
                wanted[name] = (
                    _DTYPES[array.dtype][0],
                    [array.rows, sum(map(array.count, self.lengths))],
                )
            for name, (dtype, shape) in wanted.items():
                found = stored.get_slice(name) if name in have else None
                if found is None or found.get_dtype() != dtype or list(found.get_shape()) != shape:
                    raise ValueError(f"{name!r} is not {dtype} {shape}")
        if self._about["capture"] != capture:
            raise BadRun(
                f"{file.name} belongs to another trace than {file.parent.name!r}.",
                "shards of one trace",
                "Move it elsewhere.",
            )

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def digest(self) -> str:
        return str(self._about["digest"])

    @cached_property
    def _about(self) -> dict[str, Any]:
        with self._reading("numpy") as stored:
            about = json.loads(stored.metadata()["workbench"])
            texts, vocabulary = about["prompts"], about["vocabulary"]
            if not all(
                isinstance(text, str)
                for text in [*texts, *vocabulary, about["capture"], about["digest"]]
            ):
                raise TypeError("its texts are no texts")
            if len(texts) != len(self.indices):
                raise ValueError("it has not as many texts as prompts")
            return about

    def texts(self) -> list[str]:
        """In the order of the prompts."""
        return [self._about["prompts"][self._row[index]] for index in sorted(self.indices)]

    def tokens(self) -> list[list[str]]:
        """In the order of the prompts."""
        with self._reading("numpy") as stored:
            ids = stored.get_tensor("prompt.tokens").tolist()
            vocabulary = self._about["vocabulary"]
            if ids and not 0 <= min(ids) <= max(ids) < len(vocabulary):
                raise ValueError("a token is not in its vocabulary")
            starts = np.cumsum([0, *self.lengths]).tolist()
            rows = [[vocabulary[i] for i in ids[a:b]] for a, b in pairwise(starts)]
        return [rows[self._row[index]] for index in sorted(self.indices)]

    def blocks(
        self, array: Stored, prompts: Sequence[int], rows: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """Values of some prompts, one after the other, (len(rows), …) each; only these bytes are
        read.

        Args:
            rows: which layers, by their place in `array.layers`.
        """
        starts = _starts(array, self.lengths)
        # NumPy has no bfloat16; PyTorch reads it, and is imported for nothing else here.
        with self._reading("pt" if array.dtype == "bfloat16" else "numpy") as stored:
            lying = stored.get_slice(array.name)
            runs = (
                [(rows[0], rows[-1] + 1)]
                if list(rows) == list(range(rows[0], rows[-1] + 1))
                else [(r, r + 1) for r in rows]
            )
            for index in prompts:
                at = self._row[index]
                parts = [lying[a:b, starts[at] : starts[at + 1]] for a, b in runs]
                if array.dtype == "bfloat16":
                    parts = [part.float().numpy() for part in parts]
                whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
                yield whole.reshape(len(rows), *array.shape(self.lengths[at]))

    @contextmanager
    def _reading(self, framework: str) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, framework=framework) as stored:
                yield stored
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise Damaged(
                f"{self.file.name} of {self.file.parent.name!r} is damaged: {error}",
                "a complete shard",
                "Capture the same into this folder again: what is damaged is written anew.",
            ) from error


def shard_files(folder: Path) -> list[Path]:
    """The finished shards, in order of their prompts.

    Raises:
        BadRun: one is not a plain file of this folder.
    """
    found = sorted(
        (int(match[1]), file) for file in folder.iterdir() if (match := _NAME.fullmatch(file.name))
    )
    for _, file in found:
        # The folder may come from a stranger.
        if file.is_symlink() or not file.is_file():
            raise BadRun(
                f"{file.name} of {folder.name!r} is not a plain file.",
                "shards",
                "Do not trust this folder.",
            )
    return [file for _, file in found]


class Store:
    """A trace folder of format 2, read in parts.

    Raises:
        BadRun: it is damaged or hostile, or a shard between two others is missing.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.shards = [
            Shard(file, manifest.arrays, manifest.capture) for file in shard_files(folder)
        ]
        at = 0
        for shard in self.shards:
            if shard.first != at:
                raise BadRun(
                    f"The trace {folder.name!r} lacks prompts {at} to {shard.first - 1}.",
                    "every shard",
                    "Get a complete copy, or capture the same into this folder again.",
                )
            at += len(shard)
        self.lengths = [
            n
            for shard in self.shards
            for _, n in sorted(zip(shard.indices, shard.lengths, strict=True))
        ]

    @property
    def complete(self) -> bool:
        total = self.manifest.total
        return total is not None and total["prompts"] == len(self.lengths)

    def prompts(self) -> list[str]:
        return [text for shard in self.shards for text in shard.texts()]

    def tokens(self) -> list[list[str]]:
        return [row for shard in self.shards for row in shard.tokens()]

    def nbytes(self, name: str) -> int:
        """Bytes of an array on disk."""
        return sum(map(self.manifest.arrays[name].nbytes, self.lengths))

    def read(self, name: str, prompts: Sequence[int], rows: Sequence[int]) -> xr.DataArray:
        """Some prompts and some layers (by their place) of an array, padded to the longest of
        these prompts.
        """
        array = self.manifest.arrays[name]
        lengths = [self.lengths[index] for index in prompts]
        longest = max(lengths, default=0)
        fill = bool(array.ragged) and min(lengths, default=0) < longest
        values = array.empty(len(prompts), longest, len(rows), fill=fill)
        firsts = [shard.first for shard in self.shards]
        wanted: dict[int, list[int]] = {}  # by shard: the places in `prompts`
        for at, index in enumerate(prompts):
            wanted.setdefault(bisect_right(firsts, index) - 1, []).append(at)
        for number, here in wanted.items() if rows else ():
            for at, block in zip(
                here,
                self.shards[number].blocks(array, [prompts[at] for at in here], rows),
                strict=True,
            ):
                into = values[at] if array.layers is not None else values[at : at + 1]
                into[tuple(map(slice, block.shape))] = block
        return array.labelled(
            values, prompts, None if array.layers is None else [array.layers[row] for row in rows]
        )
