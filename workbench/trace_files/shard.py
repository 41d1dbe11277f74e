"""A shard of a trace: the values of consecutive prompts, written in any order and read in parts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import BadRun
from workbench.trace_files.array_spec import DTYPES, ArraySpec
from workbench.trace_files.manifest import UNFINISHED

_FILE_NAME = re.compile(r"shard-(\d{8,15})\.safetensors")


class CorruptShard(BadRun):
    """A shard that is not whole, or makes no sense."""


@dataclass(frozen=True)
class ShardPrompts:
    """The prompts of a shard, in the order in which their values lie there."""

    indices: list[int]
    texts: list[str]
    tokens: list[list[str]]
    digest: str = ""  # of the token ids, in the order of the prompts

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.tokens]


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies among the values of a shard, in bytes behind the header."""

    dtype: str
    shape: list[int]
    first: int
    end: int


def layout(arrays: Mapping[str, ArraySpec], lengths: Sequence[int]) -> dict[str, TensorPlace]:
    """What a shard of prompts of these lengths holds, in the order in which it lies there."""
    tensors = {
        "prompt.index": ("I32", [len(lengths)], 4),
        "prompt.length": ("I32", [len(lengths)], 4),
        "prompt.tokens": ("I32", [sum(lengths)], 4),
    }
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        count = sum(map(array.count, lengths))
        tensors[name] = (DTYPES[array.dtype][0], [array.rows, count], array.itemsize)
    # The widest numbers come first, so that each array lies at a multiple of its own width.
    wide = {name: tensor for name, tensor in tensors.items() if tensor[0] in {"F64", "I64"}}
    at, places = 0, {}
    for name, (dtype, shape, itemsize) in (wide | tensors).items():
        end = at + prod(shape) * itemsize
        places[name] = TensorPlace(dtype, shape, at, end)
        at = end
    return places


class ShardWriter:
    """A shard that is being written: the places of all blocks are known, so they may come in any
    order.

    Values go straight to the file; nothing is held in memory.
    """

    def __init__(
        self, folder: Path, arrays: Mapping[str, ArraySpec], prompts: ShardPrompts, capture: str
    ) -> None:
        self._target = folder / shard_name(min(prompts.indices))
        self._work = folder / (UNFINISHED + self._target.name)
        self._arrays = arrays
        self._starts = {name: starts_of(array, prompts.lengths) for name, array in arrays.items()}
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
        header = layout(arrays, prompts.lengths)
        about = {
            "capture": capture,
            "prompts": prompts.texts,
            "vocabulary": list(vocabulary),
            "digest": prompts.digest,
        }
        tensors = {
            name: {"dtype": lies.dtype, "shape": lies.shape, "data_offsets": [lies.first, lies.end]}
            for name, lies in header.items()
        }
        text = json.dumps({"__metadata__": {"workbench": json.dumps(about)}, **tensors}).encode(
            "ascii"
        )
        text += b" " * (-len(text) % 8)
        self._whole = sum(
            array.rows * self._starts[name][-1] * array.itemsize for name, array in arrays.items()
        )
        self._written: dict[tuple[str, int, int], int] = {}  # bytes by array, row and first prompt
        self._bases = {name: 8 + len(text) + lies.first for name, lies in header.items()}
        self._work.unlink(missing_ok=True)
        self._file = os.open(
            self._work, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644
        )
        self._write_at(0, len(text).to_bytes(8, "little") + text)
        for name, values in own.items():
            self._write_at(self._bases[name], values.tobytes())

    def write(self, name: str, row: int, first: int, values: np.ndarray) -> None:
        """Values of one layer (by its place in `layers`), of consecutive prompts from the
        `first`-th of the shard on. What begins at the same prompt as before replaces it.
        """
        array, starts = self._arrays[name], self._starts[name]
        if values.dtype != np.dtype(DTYPES[array.dtype][1]):
            raise TypeError(f"{name!r} is stored as {array.dtype}, not {values.dtype}")
        if values.size:
            self._write_at(
                self._bases[name] + (row * starts[-1] + starts[first]) * array.itemsize,
                values.reshape(-1).data.cast("B"),
            )
        self._written[name, row, first] = values.nbytes

    def finish(self) -> Path:
        """The shard under its own name; only a shard without gaps gets it."""
        if missing := self._whole - sum(self._written.values()):
            raise AssertionError(f"{missing} bytes of {self._target.name} were never written")
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

    def _write_at(self, at: int, data: bytes | memoryview) -> None:
        os.lseek(self._file, at, os.SEEK_SET)
        left = memoryview(data)
        while left:  # one call writes 2 GB at most
            left = left[os.write(self._file, left) :]


def starts_of(array: ArraySpec, lengths: Sequence[int]) -> list[int]:
    """Where each prompt's block begins within a layer, and where the last one ends."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + array.count(length))
    return starts


class Shard:
    """A finished shard. Texts and values are read when they are asked for."""

    def __init__(
        self,
        file: Path,
        arrays: Mapping[str, ArraySpec],
        capture: str,
        *,
        trace: str | None = None,
    ) -> None:
        """Look at everything but the values.

        Args:
            trace: the name of the trace, where the file's folder has another.

        Raises:
            CorruptShard: it is not whole, or makes no sense.
            BadRun: it belongs to another trace.
        """
        self.file = file
        self._trace = file.parent.name if trace is None else trace
        with self._reading("numpy") as stored:
            indices, lengths = (
                stored.get_tensor(name) for name in ("prompt.index", "prompt.length")
            )
            match = _FILE_NAME.fullmatch(file.name)
            self.first = int(match[1]) if match else -1
            _check_prompts(self.first, indices, lengths)
            self.indices, self.lengths = indices.tolist(), lengths.tolist()
            self._row = {index: row for row, index in enumerate(self.indices)}
            _check_arrays(stored, arrays, self.lengths)
        if self._about["capture"] != capture:
            raise BadRun(
                f"{file.name} belongs to another trace than {self._trace!r}.",
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
            about: dict[str, Any] = json.loads(stored.metadata()["workbench"])
            texts, vocabulary = about["prompts"], about["vocabulary"]
            if not all(
                isinstance(text, str)
                for text in [*texts, *vocabulary, about["capture"], about["digest"]]
            ):
                raise TypeError("its texts are no texts")
            if len(texts) != len(self.indices):
                raise ValueError("it has not as many texts as prompts")
            raw: dict[str, Any] = about
            return raw

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
        self, array: ArraySpec, prompts: Sequence[int], rows: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """Values of some prompts, one after the other, (len(rows), …) each; only these bytes are
        read.

        Args:
            rows: which layers, by their place in `array.layers`.
        """
        starts = starts_of(array, self.lengths)
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
            raise CorruptShard(
                f"{self.file.name} of {self._trace!r} is damaged: {error}",
                "a complete shard",
                "Capture the same into this folder again: what is damaged is written anew.",
            ) from error


def _check_prompts(first: int, indices: np.ndarray, lengths: np.ndarray) -> None:
    if indices.ndim != 1 or indices.shape != lengths.shape or not len(indices) or lengths.min() < 1:
        raise ValueError("its prompts make no sense")
    if sorted(indices.tolist()) != list(range(first, first + len(indices))):
        raise ValueError("it does not hold the prompts its name says")


def _check_arrays(stored: Any, arrays: Mapping[str, ArraySpec], lengths: Sequence[int]) -> None:
    """Type and shape of all that an open shard has to hold."""
    wanted = {"prompt.tokens": ("I32", [sum(lengths)])}
    for name, array in arrays.items():
        wanted[name] = (DTYPES[array.dtype][0], [array.rows, sum(map(array.count, lengths))])
    names = set(stored.keys())
    for name, (dtype, shape) in wanted.items():
        tensor = stored.get_slice(name) if name in names else None
        if tensor is None or tensor.get_dtype() != dtype or list(tensor.get_shape()) != shape:
            raise ValueError(f"{name!r} is not {dtype} {shape}")


def is_shard(name: str) -> bool:
    """Whether a file is called as a finished shard is."""
    return _FILE_NAME.fullmatch(name) is not None


def shard_name(first: int) -> str:
    """What the shard is called that begins with this prompt."""
    return f"shard-{first:08d}.safetensors"


def shard_files(folder: Path) -> list[Path]:
    """The finished shards, in order of their prompts.

    Raises:
        BadRun: one is not a plain file of this folder.
    """
    found = sorted(
        (int(match[1]), file)
        for file in folder.iterdir()
        if (match := _FILE_NAME.fullmatch(file.name))
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
