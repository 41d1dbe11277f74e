"""What was seen at the sites of a model: labelled arrays, in memory, in a folder or at an address,
that open without the model.

    trace = wb.Trace.open("FOLDER")                     # or "s3://BUCKET/FOLDER"
    trace["z"]                                          # the whole array
    trace.read("z", prompts=range(10), layers=3)        # only these bytes are read

How a folder is laid out is in `workbench.trace_files`; traces of format 1 (one shard, padded) open
as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import remote
from workbench.errors import BadInput, NotFound
from workbench.trace_files import saving
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.manifest import Manifest, read_manifest
from workbench.trace_files.remote_store import RemoteStore
from workbench.trace_files.store import PaddedStore, Store

if TYPE_CHECKING:
    import xarray as xr

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
        self._store: Store | PaddedStore | RemoteStore | None = None
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
    def _count(self) -> int:
        return len(self.lengths) if self._store is None else self._store.count

    @property
    def _longest(self) -> int:
        return max(self.lengths, default=0) if self._store is None else self._store.longest

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
        return {} if self._store is None else dict(self._store.manifest.request)

    # -- arrays ------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> xr.DataArray:
        if name not in self._arrays and self._store is not None and name in self:
            self._arrays[name] = self._store.read(name, range(self._count), self._rows(name, None))
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
        n = self._count
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

    def save(self, path: str | Path) -> Path | str:
        """Write the trace to a folder or an address (`s3://…`), whole or not at all.

        Returns:
            Where it is.

        Raises:
            WorkbenchError: it exists already, or cannot be written.
            BadInput: an array that cannot be stored, or an address that is none.
        """
        stored = {name: self._stored(name) for name in self}
        total = (
            {"prompts": len(self.lengths), "tokens": sum(self.lengths), "digest": ""}
            if self.complete
            else None
        )
        manifest = Manifest("saved", self.model, self.request, stored, total)
        if isinstance(path, str) and remote.is_address(path):
            saving.save_to_address(self, manifest, path)
            return path
        saving.save_to_folder(self, manifest, Path(path))
        return Path(path)

    def _stored(self, name: str) -> ArraySpec:
        """How an array is stored: without the padding."""
        if self._store is not None and not isinstance(self._store, PaddedStore):
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
        """Open a trace folder, or a trace at an address (`s3://…`); texts and arrays are read when
        asked for.

        Raises:
            BadInput: it is no trace folder.
            BadRun: it is damaged, hostile or from a newer version.
            NotFound, WorkbenchError: an address that is not there or does not answer.
        """
        trace = cls({}, [], [], {})
        trace._tokens = trace._prompts = None
        if isinstance(path, str) and remote.is_address(path):
            trace._store = RemoteStore(path)
        else:
            folder = Path(path)
            raw = read_manifest(folder)
            trace._store = (
                PaddedStore(folder, raw)
                if raw["format"] == 1
                else Store(folder, Manifest.of(raw, folder.name))
            )
        trace.model = trace._store.manifest.model
        return trace

    def sizes(self, name: str) -> dict[str, int]:
        """The axes of `trace[name]` and their sizes; nothing is read."""
        if name not in self:
            raise NotFound.named("site in this trace", name, self)
        about = self._stored(name)
        layers = {} if about.layers is None else {"layer": about.rows}
        axes = zip(about.dims, about.shape(self._longest), strict=True)
        return {"prompt": self._count, **layers, **dict(axes)}

    def __repr__(self) -> str:
        whole = self._store.manifest.planned_prompts if self._store is not None else None
        unfinished = (
            ""
            if self.complete
            else f" of {whole} (unfinished)"
            if whole
            else " so far (unfinished)"
        )
        lines = [f"Trace of {self.model.get('name', 'a model')}: {self._count} prompts{unfinished}"]
        lines += [
            f"  {name}: " + " × ".join(f"{dim} {size}" for dim, size in self.sizes(name).items())
            for name in self
        ]
        return "\n".join(lines)
