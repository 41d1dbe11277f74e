"""What was seen at the sites of a model: labelled arrays, in memory or in a folder that opens
without the model.

    trace = wb.Trace.open("FOLDER")
    trace["z"]                                          # the whole array
    trace.read("z", prompts=range(10), layers=3)        # only these bytes are read

How a folder is laid out is in `workbench.trace_files`; traces of format 1 (one shard, padded) open
as well.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.manifest import Manifest, read_manifest
from workbench.trace_files.shard import ShardPrompts, ShardWriter
from workbench.trace_files.store import PaddedStore, Store

if TYPE_CHECKING:
    import xarray as xr

_SHARD_BYTES = 32 * 2**20
_AS_LONG_AS_THE_PROMPT = ("pos", "query", "key")


class Trace(Mapping[str, "xr.DataArray"]):
    """Arrays by name (the short name of a site), with axes such as (prompt, layer, pos, head,
    d_head).

    Prompts of different lengths share an axis: position 0 is each prompt's first token, and what
    lies beyond a prompt's end is NaN, or -1 in an array of whole numbers.
    """

    def __init__(
        self,
        arrays: Mapping[str, xr.DataArray],
        tokens: list[list[str]],
        prompts: list[str],
        model: dict[str, Any],
    ) -> None:
        self._arrays: dict[str, xr.DataArray] = dict(arrays)
        self._tokens: list[list[str]] | None = tokens
        self._prompts: list[str] | None = prompts
        self.model = model
        self._store: Store | PaddedStore | None = None
        self._later: dict[str, Callable[[], xr.DataArray]] = {}

    @classmethod
    def lazy(
        cls,
        makers: Mapping[str, Callable[[], xr.DataArray]],
        tokens: list[list[str]],
        prompts: list[str],
        model: dict[str, Any],
    ) -> Trace:
        """A trace whose arrays are made when they are first asked for."""
        trace = cls({}, tokens, prompts, model)
        trace._later = dict(makers)
        return trace

    # -- what it is of -----------------------------------------------------------------------------

    @property
    def prompts(self) -> list[str]:
        """The texts; of a prompt given as token ids, what they decode to."""
        if self._prompts is None:
            assert self._store is not None
            self._prompts = self._store.prompts()
        return self._prompts

    @property
    def tokens(self) -> list[list[str]]:
        """`tokens[i]` are the token strings of prompt i."""
        if self._tokens is None:
            assert self._store is not None
            self._tokens = self._store.tokens()
        return self._tokens

    @property
    def lengths(self) -> list[int]:
        """Tokens of each prompt."""
        return (
            list(self._store.lengths)
            if self._store is not None
            else [len(row) for row in self.tokens]
        )

    @property
    def complete(self) -> bool:
        """Whether all prompts are there that were asked for; the same capture into the same
        folder continues.
        """
        return self._store is None or self._store.complete

    @property
    def request(self) -> dict[str, Any]:
        """What was asked of a capture that was streamed to a folder: {"sites": {…}, "dtype": …};
        empty otherwise.
        """
        return dict(self._store.manifest.request) if isinstance(self._store, Store) else {}

    # -- arrays ------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> xr.DataArray:
        if name not in self._arrays and self._store is not None and name in self:
            self._arrays[name] = self._store.read(
                name, range(len(self.lengths)), self._rows(name, None)
            )
        if name not in self._arrays and name in self._later:
            self._arrays[name] = self._later[name]()
        if name not in self._arrays:
            raise NotFound.named("site in this trace", name, self)
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> Collection[str]:
        return (
            self._store.manifest.arrays if self._store is not None else self._later or self._arrays
        )

    def read(
        self,
        name: str,
        prompts: int | slice | Sequence[int] | None = None,
        layers: int | Sequence[int] | None = None,
    ) -> xr.DataArray:
        """A part of an array; from a folder, only that part is read.

        Args:
            prompts: which prompts; negative ones count from the end. None is all.
            layers: which layers, by their number in the model. None is all.

        Returns:
            The axes of `trace[name]`, as long as the longest of these prompts where an axis is as
            long as the prompt.

        Raises:
            NotFound: an array, prompt or layer that is not there.
            BadRun: the folder is damaged.
        """
        if name not in self:
            raise NotFound.named("site in this trace", name, self)
        n = len(self.lengths)
        if prompts is None or isinstance(prompts, slice):
            chosen = list(range(n))[prompts or slice(None)]
        else:
            chosen = [prompts] if isinstance(prompts, int) else list(prompts)
            for index in chosen:
                if not -n <= index < n:
                    raise NotFound(
                        f"The trace has no prompt {index}.",
                        f"{-n} to {n - 1}",
                        "Choose one of those.",
                    )
        chosen = [int(index) % n for index in chosen]
        rows = self._rows(name, layers)
        if self._store is not None and name not in self._arrays:
            return self._store.read(name, chosen, rows)
        part = self[name].isel(prompt=chosen)
        part = part if "layer" not in part.dims else part.isel(layer=rows)
        ends = {
            str(dim): max((self.lengths[i] for i in chosen), default=0)
            for dim in self._ragged(self[name])
        }
        return part.isel({dim: slice(end) for dim, end in ends.items()})

    def _rows(self, name: str, layers: int | Sequence[int] | None) -> list[int]:
        """Layers by their place on the axis; [0] for an array without one."""
        if self._store is not None:
            held = self._store.manifest.arrays[name].layers
        else:
            held = (
                tuple(self[name]["layer"].values.tolist()) if "layer" in self[name].dims else None
            )
        if layers is None:
            return list(range(1 if held is None else len(held)))
        wanted = [layers] if isinstance(layers, int) else list(layers)
        missing = [layer for layer in wanted if held is None or layer not in held]
        if missing:
            raise NotFound(
                f"{name!r} has no layer {missing[0]} in this trace.",
                (
                    "no layers: it does not repeat"
                    if held is None
                    else f"one of {', '.join(map(str, held))}"
                ),
                "Choose one of those.",
            )
        assert held is not None or not wanted
        return [held.index(layer) for layer in wanted] if held is not None else [0]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays: in memory, or on disk for a trace that was opened."""
        return sum(
            self[name].nbytes if self._store is None else self._store.nbytes(name) for name in self
        )

    def _ragged(self, array: xr.DataArray) -> list[str]:
        """Axes of an array that are as long as the prompt: not those that hold chosen positions."""
        longest = max(self.lengths, default=0)
        every = list(range(longest))
        return [
            str(dim)
            for dim in array.dims
            if dim in _AS_LONG_AS_THE_PROMPT
            and (dim not in array.coords or array[dim].values.tolist() == every)
            if array.sizes[dim] == longest
        ]

    # -- folders -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the trace folder, whole or not at all.

        Raises:
            WorkbenchError: it exists already, or cannot be written.
            BadInput: an array that cannot be stored.
        """
        target = Path(path)
        if target.exists():
            raise WorkbenchError(
                f"{target} exists already.",
                "a new folder",
                "Choose another name, or remove it first.",
            )
        stored = {name: self._stored(name) for name in self}
        total = (
            {"prompts": len(self.lengths), "tokens": sum(self.lengths), "digest": ""}
            if self.complete
            else None
        )
        manifest = Manifest("saved", self.model, self.request, stored, total)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
            try:
                work.chmod(0o755)
                manifest.write(work)
                start = 0
                for end in _ends(list(stored.values()), self.lengths):
                    self._save_shard(work, stored, range(start, end))
                    start = end
                os.replace(work, target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            raise WorkbenchError(
                f"The trace could not be written to {target}: {error.strerror or error}.",
                "a folder with free space that you may write to",
                "Choose another place.",
            ) from error
        return target

    def _save_shard(self, folder: Path, stored: Mapping[str, ArraySpec], rows: range) -> None:
        prompts = ShardPrompts(
            list(rows), [self.prompts[i] for i in rows], [self.tokens[i] for i in rows]
        )
        writer = ShardWriter(folder, stored, prompts, "saved")
        try:
            for name, about in stored.items():
                part = self.read(name, rows).values
                for at, length in enumerate(prompts.lengths):
                    block = part[at] if about.layers is not None else part[at : at + 1]
                    block = block[(slice(None), *map(slice, about.shape(length)))]
                    for row in range(about.rows):
                        writer.write(
                            name,
                            row,
                            at,
                            np.ascontiguousarray(block[row], dtype=f"<{block.dtype.str[1:]}"),
                        )
            writer.finish()
        finally:
            writer.drop()

    def _stored(self, name: str) -> ArraySpec:
        """How an array is stored: without the padding."""
        if isinstance(self._store, Store):
            kept = self._store.manifest.arrays[name]
            # bfloat16 is read as float32, and stays that in a copy.
            return ArraySpec(
                **{**vars(kept), "dtype": "float32" if kept.dtype == "bfloat16" else kept.dtype}
            )
        array = self[name]
        first = 2 if "layer" in array.dims else 1
        if array.dims[:first] != ("prompt", "layer")[:first] or array.sizes["prompt"] != len(
            self.lengths
        ):
            raise BadInput(
                f"{name!r} has the axes {', '.join(map(str, array.dims))}.",
                f"(prompt, [layer,] …) with {len(self.lengths)} prompts",
                "Transpose it.",
            )
        if str(array.dtype) not in {"float16", "float32", "float64", "int32", "int64"}:
            raise BadInput(
                f"{name!r} holds {array.dtype}.",
                "float16 to float64, int32 or int64",
                "Convert it.",
            )
        dims, ragged = tuple(map(str, array.dims[first:])), self._ragged(array)
        sizes = {dim: int(array.sizes[dim]) for dim in dims if dim not in ragged}
        coords = {dim: array[dim].values.tolist() for dim in sizes if dim in array.coords}
        layers = tuple(array["layer"].values.tolist()) if first == 2 else None
        attrs = {str(key): str(value) for key, value in array.attrs.items()}
        return ArraySpec(name, dims, sizes, layers, str(array.dtype), coords, attrs)

    @classmethod
    def open(cls, path: str | Path) -> Trace:
        """Open a trace folder; texts and arrays are read when asked for.

        Raises:
            BadInput: it is no trace folder.
            BadRun: it is damaged, hostile or from a newer version.
        """
        folder = Path(path)
        raw = read_manifest(folder)
        trace = cls({}, [], [], {})
        trace._tokens = trace._prompts = None
        trace._store = (
            PaddedStore(folder, raw)
            if raw["format"] == 1
            else Store(folder, Manifest.of(raw, folder))
        )
        trace.model = trace._store.manifest.model
        return trace

    def sizes(self, name: str) -> dict[str, int]:
        """The axes of `trace[name]` and their sizes; nothing is read."""
        if name not in self:
            raise NotFound.named("site in this trace", name, self)
        about = self._stored(name)
        layers = {} if about.layers is None else {"layer": about.rows}
        axes = zip(about.dims, about.shape(max(self.lengths, default=0)), strict=True)
        return {"prompt": len(self.lengths), **layers, **dict(axes)}

    def __repr__(self) -> str:
        total = self._store.manifest.total if isinstance(self._store, Store) else None
        unfinished = (
            ""
            if self.complete
            else f" of {total['prompts']} (unfinished)"
            if total
            else " so far (unfinished)"
        )
        lines = [
            f"Trace of {self.model.get('name', 'a model')}: {len(self.lengths)} prompts{unfinished}"
        ]
        lines += [
            f"  {name}: " + " × ".join(f"{dim} {size}" for dim, size in self.sizes(name).items())
            for name in self
        ]
        return "\n".join(lines)


def _ends(arrays: Sequence[ArraySpec], lengths: Sequence[int]) -> Iterator[int]:
    """After which prompts a shard ends."""
    held = 0
    for at, length in enumerate(lengths):
        nbytes = sum(array.nbytes(length) for array in arrays)
        if held and held + nbytes > _SHARD_BYTES:
            yield at
            held = 0
        held += max(nbytes, 1)
    if held:
        yield len(lengths)
