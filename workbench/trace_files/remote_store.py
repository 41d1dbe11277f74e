"""A trace at an address, read in parts: opening takes its manifest and the head of its index, and
reading an array the bytes that are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError
from workbench.remote_folder import RemoteFolder
from workbench.trace_files import remote_shards
from workbench.trace_files.array_spec import DTYPES, ArraySpec
from workbench.trace_files.index import INDEX, Index, IndexEntry, as_bytes
from workbench.trace_files.manifest import MANIFEST, MAX_MANIFEST, Manifest, no_trace, parsed
from workbench.trace_files.shard import CorruptShard, Shard, layout, shard_name, starts_of

if TYPE_CHECKING:
    import xarray as xr

_MANIFEST_GUESS = 1 << 20  # bytes; the manifest does not grow with the prompts
_AT_ONCE = 64 << 20  # bytes on their way at a time


def remote_manifest(folder: RemoteFolder) -> dict[str, Any]:
    """The manifest there.

    Raises:
        BadInput: there is none.
        BadRun: it is damaged, hostile, or from a newer version.
    """
    try:
        text = folder.read(MANIFEST, 0, _MANIFEST_GUESS)
    except NotFound as error:
        raise no_trace(folder.address) from error
    if len(text) == _MANIFEST_GUESS:
        text += folder.read(MANIFEST, _MANIFEST_GUESS, MAX_MANIFEST + 1)
    return parsed(text, folder.name)


@dataclass(frozen=True)
class _Piece:
    """Values of one prompt in one layer: where they lie in a shard, and where they belong."""

    shard: int
    first: int
    end: int
    at: tuple[int, ...]
    shape: tuple[int, ...]


class RemoteStore:
    """A trace of format 2 at an address.

    Without an index, which a capture writes when it ends, the heads of all shards are read.

    Raises:
        BadInput: it is no trace, or of format 1.
        BadRun: it is damaged or hostile.
        NotFound, WorkbenchError: it cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self.folder = RemoteFolder(address)
        raw = remote_manifest(self.folder)
        if raw["format"] == 1:
            raise BadInput(
                f"{self.folder.address} is a trace of format 1, which is read whole.",
                "format 2",
                "Copy it to this machine, and open that.",
            )
        self.manifest = Manifest.of(raw, self.folder.name)
        size = self.folder.size(INDEX)
        if size is None:
            whole = as_bytes(self._entries(), self.manifest.capture)
            self._index = Index(lambda a, b: whole[a:b], len(whole), self.folder.name)
        else:
            self._index = Index(lambda a, b: self.folder.read(INDEX, a, b), size, self.folder.name)
        if self._index.capture != self.manifest.capture:
            raise BadRun(
                f"The index of {self.folder.name!r} belongs to another trace.",
                "the manifest and the index of one trace",
                "Do not mix traces in one folder.",
            )

    def _entries(self) -> list[IndexEntry]:
        entries: list[IndexEntry] = []
        at = 0
        for name, size in remote_shards.names(self.folder).items():
            with self._shard(name, size) as shard:
                if shard.first != at and self.manifest.may_have_gaps:
                    break  # workers finish shards in any order
                if shard.first != at:
                    raise BadRun(
                        f"The trace {self.folder.name!r} lacks prompts {at} to {shard.first - 1}.",
                        "every shard",
                        "Capture the same to this address again.",
                    )
                entries.append(IndexEntry.of(shard))
                at += len(shard)
        return entries

    def _shard(self, name: str, size: int) -> Any:
        arrays, capture = self.manifest.arrays, self.manifest.capture
        return remote_shards.without_values(self.folder, name, size, arrays, capture)

    @property
    def count(self) -> int:
        """How many prompts there are."""
        return self._index.count

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return self._index.longest

    @cached_property
    def lengths(self) -> list[int]:
        return self._index.lengths()

    @property
    def complete(self) -> bool:
        total = self.manifest.total
        return total is not None and total["prompts"] == self.count

    def prompts(self) -> list[str]:
        return [text for shard in self._shards() for text in shard.texts()]

    def tokens(self) -> list[list[str]]:
        return [row for shard in self._shards() for row in shard.tokens()]

    def _shards(self) -> Iterator[Shard]:
        for first, _, size in self._index.table.tolist():
            with self._shard(shard_name(first), size) as shard:
                yield shard

    def nbytes(self, name: str) -> int:
        """Bytes of an array there."""
        return sum(map(self.manifest.arrays[name].nbytes, self.lengths))

    def read(self, name: str, prompts: Sequence[int], rows: Sequence[int]) -> xr.DataArray:
        """Some prompts and some layers (by their place) of an array, padded to the longest of
        these prompts; only their bytes are read.
        """
        array = self.manifest.arrays[name]
        numbers = (
            np.searchsorted(self._index.table[:, 0], list(prompts), side="right") - 1
        ).tolist()
        wanted: dict[int, list[int]] = {}  # by shard: the places in `prompts`
        for at, number in enumerate(numbers):
            wanted.setdefault(number, []).append(at)
        held = self._prompts_of(sorted(wanted))
        lengths = [
            int(held[number][index - self._index.begin(number), 0])
            for number, index in zip(numbers, prompts, strict=True)
        ]
        longest = max(lengths, default=0)
        fill = bool(array.ragged) and min(lengths, default=0) < longest
        values = array.empty(len(prompts), longest, len(rows), fill=fill)
        pieces = (
            piece
            for number, here in sorted(wanted.items())
            for piece in self._pieces(
                array, number, held[number], [(at, prompts[at]) for at in here], rows
            )
        )
        for some in _in_portions(pieces):
            self._fill(values, array, some)
        return array.labelled(
            values, prompts, None if array.layers is None else [array.layers[row] for row in rows]
        )

    def _prompts_of(self, numbers: Sequence[int]) -> Mapping[int, np.ndarray]:
        """(prompt, 2) of each of these shards; what lies side by side is read at once."""
        held: dict[int, np.ndarray] = {}
        for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
            shards = [number for _, number in run]
            rows = self._index.prompts_of(shards[0], shards[-1] + 1)
            begins = [self._index.begin(n) - self._index.begin(shards[0]) for n in shards]
            held |= dict(zip(shards, np.split(rows, begins[1:]), strict=True))
        return held

    def _pieces(
        self,
        array: ArraySpec,
        number: int,
        held: np.ndarray,
        prompts: Sequence[tuple[int, int]],
        rows: Sequence[int],
    ) -> list[_Piece]:
        """What is wanted of a shard, in the order in which it lies there."""
        first, start, nbytes = self._index.table[number].tolist()
        lengths = np.empty(len(held), "<i4")
        lengths[held[:, 1]] = held[:, 0]
        lying = layout(self.manifest.arrays, lengths.tolist())
        if start + max(place.end for place in lying.values()) != nbytes:
            raise self._damaged(number, "it has not the size of its arrays")
        starts = starts_of(array, lengths.tolist())
        base = start + lying[array.name].first
        pieces = []
        for layer, row in enumerate(rows):
            for at, index in prompts:
                lies = int(held[index - first, 1])
                begin = base + (row * starts[-1] + starts[lies]) * array.itemsize
                end = base + (row * starts[-1] + starts[lies + 1]) * array.itemsize
                where = (at,) if array.layers is None else (at, layer)
                if end > begin:
                    shape = array.shape(int(lengths[lies]))
                    pieces.append(_Piece(number, begin, end, where, shape))
        return sorted(pieces, key=lambda piece: piece.first)

    def _fill(self, values: np.ndarray, array: ArraySpec, pieces: Sequence[_Piece]) -> None:
        """Read these pieces, neighbours at once, and put them where they belong."""
        runs: list[list[_Piece]] = []
        for piece in pieces:
            last = runs[-1][-1] if runs else None
            if last and last.shard == piece.shard and piece.first in (last.first, last.end):
                runs[-1].append(piece)
            else:
                runs.append([piece])
        for run, whole in zip(runs, self._bytes(runs), strict=True):
            begin = run[0].first
            for piece in run:
                raw = whole[piece.first - begin : piece.end - begin]
                block = np.frombuffer(raw, DTYPES[array.dtype][1])
                if array.dtype == "bfloat16":
                    block = (block.astype("<u4") << 16).view("<f4")
                where: Any = (*piece.at, *map(slice, piece.shape))
                values[where] = block.reshape(piece.shape)

    def _bytes(self, runs: Sequence[Sequence[_Piece]]) -> list[bytes]:
        ranges = [
            (shard_name(self._index.begin(run[0].shard)), run[0].first, run[-1].end) for run in runs
        ]
        try:
            got = self.folder.read_ranges(ranges)
        except WorkbenchError:
            for shard in {run[0].shard for run in runs}:
                self._check_size(shard)
            raise
        for run, (_, first, end), whole in zip(runs, ranges, got, strict=True):
            if len(whole) != end - first:
                raise self._damaged(run[0].shard, "it ends too early")
        return got

    def _check_size(self, number: int) -> None:
        """Raises CorruptShard where a shard is gone or has not the size it had."""
        first, _, nbytes = self._index.table[number].tolist()
        size = self.folder.size(shard_name(first))
        if size != nbytes:
            why = "it is gone" if size is None else f"it has {size} of {nbytes} bytes"
            raise self._damaged(number, why)

    def _damaged(self, number: int, why: str) -> CorruptShard:
        name = shard_name(self._index.begin(number))
        return CorruptShard(
            f"{name} of {self.folder.name!r} is damaged: {why}.",
            "a complete shard",
            "Capture the same to this address again: what is damaged is written anew.",
        )


def _in_portions(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """As many at a time as may be on their way at once."""
    some: list[_Piece] = []
    nbytes = 0
    for piece in pieces:
        some.append(piece)
        nbytes += piece.end - piece.first
        if nbytes >= _AT_ONCE:
            yield some
            some, nbytes = [], 0
    if some:
        yield some
