"""A trace folder, read in parts: format 2 (shards), and format 1 (one padded shard)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadRun
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.manifest import Manifest, reading_manifest
from workbench.trace_files.shard import Shard, shard_files

if TYPE_CHECKING:
    import xarray as xr


class LocalStore:
    """What both formats know of their prompts."""

    manifest: Manifest
    lengths: list[int]

    @property
    def count(self) -> int:
        """How many prompts there are."""
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(self.lengths, default=0)

    def nbytes(self, name: str) -> int:
        """Bytes of an array on disk."""
        return sum(map(self.manifest.arrays[name].nbytes, self.lengths))


class Store(LocalStore):
    """A trace folder of format 2, read in parts.

    Raises:
        BadRun: it is damaged or hostile, or a shard between two others is missing. Of what
            workers have not ended yet, what stands before the first that is missing opens.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.shards: list[Shard] = []
        at = 0
        for file in shard_files(folder):
            shard = Shard(file, manifest.arrays, manifest.capture)
            if shard.first != at and manifest.may_have_gaps:
                break
            if shard.first != at:
                raise BadRun(
                    f"The trace {folder.name!r} lacks prompts {at} to {shard.first - 1}.",
                    "every shard",
                    "Get a complete copy, or capture the same into this folder again.",
                )
            self.shards.append(shard)
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


class PaddedStore(LocalStore):
    """A trace folder of format 1: the manifest holds texts and tokens, one shard whole arrays
    padded with NaN.
    """

    def __init__(self, folder: Path, raw: dict[str, Any]) -> None:
        self.folder, self.complete = folder, True
        with reading_manifest(folder.name):
            self._prompts, self._tokens = list(raw["prompts"]), [list(row) for row in raw["tokens"]]
            if not all(
                isinstance(text, str) for row in [self._prompts, *self._tokens] for text in row
            ):
                raise TypeError("its texts are no texts")
            if len(self._prompts) != len(self._tokens) or not isinstance(raw["model"], dict):
                raise ValueError("it has not as many prompts as rows of tokens")
            self.lengths = [len(row) for row in self._tokens]
            arrays = {
                str(name): self._axes(str(name), about) for name, about in raw["arrays"].items()
            }
            self._shards = {name: about["shard"] for name, about in raw["arrays"].items()}
            self.manifest = Manifest("", raw["model"], {}, arrays, None)
        for name, shard in self._shards.items():
            # The shard's name comes from a file that may come from a stranger.
            file = folder / str(shard)
            if (
                file.name != shard
                or not file.resolve().is_relative_to(folder.resolve())
                or not file.is_file()
            ):
                raise BadRun(
                    f"The trace {folder.name!r} lacks the shard of {name!r}.",
                    "every shard named",
                    "Get a complete copy.",
                )

    def _axes(self, name: str, about: Any) -> ArraySpec:
        dims, shape, coords = list(about["dims"]), list(about["shape"]), dict(about["coords"])
        first = 2 if "layer" in dims else 1
        if dims[:first] != ["prompt", "layer"][:first] or shape[0] != len(self.lengths):
            raise ValueError(f"the axes of {name!r} are {dims}")
        sizes = dict(zip(dims[first:], shape[first:], strict=True))
        layers = coords["layer"] if first == 2 else None
        if layers is not None and len(layers) != shape[1]:
            raise ValueError(f"the layers of {name!r} do not fit its axes")
        labels = {dim: coords[dim] for dim in sizes if dim in coords}
        about = {
            "dims": dims[first:],
            "sizes": sizes,
            "layers": layers,
            "dtype": "float32",
            "coords": labels,
            "attrs": {},
        }
        return ArraySpec.from_json(name, about)

    def prompts(self) -> list[str]:
        return self._prompts

    def tokens(self) -> list[list[str]]:
        return self._tokens

    def read(self, name: str, prompts: Sequence[int], rows: Sequence[int]) -> xr.DataArray:
        """Some prompts and some layers of an array; its one tensor is read whole."""
        from safetensors import SafetensorError, safe_open

        about = self.manifest.arrays[name]
        try:
            with safe_open(self.folder / self._shards[name], framework="numpy") as stored:
                values = stored.get_tensor(name)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise BadRun(
                f"{name!r} of {self.folder.name!r} is damaged: {error}",
                "complete arrays",
                "Capture again.",
            ) from error
        shape = (
            len(self.lengths),
            *(() if about.layers is None else (about.rows,)),
            *about.shape(0),
        )
        if values.shape != shape:
            raise BadRun(
                f"{name!r} of {self.folder.name!r} is {values.shape}.", f"{shape}", "Capture again."
            )
        values = (
            values[list(prompts)] if about.layers is None else values[list(prompts)][:, list(rows)]
        )
        return about.labelled(
            values, prompts, None if about.layers is None else [about.layers[row] for row in rows]
        )
