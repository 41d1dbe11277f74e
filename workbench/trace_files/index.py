"""`index.safetensors` of a trace at an address: where every prompt lies, in one object.

It is written last, names finished shards only, and is read in parts: opening takes its head,
however many shards there are. Tensors: `shard` (shard, 3): first prompt, where the values begin,
bytes of the file; `prompt` (prompt, 2): tokens, and the place in the shard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.errors import BadRun
from workbench.trace_files.shard import Shard

INDEX = "index.safetensors"
_HEAD = 64 * 1024  # bytes read at once, which hold all of a small trace


@dataclass(frozen=True)
class IndexEntry:
    """One shard.

    Attributes:
        indices: its prompts, in the order in which they lie there.
        lengths: tokens of each, in the same order.
        start: where its values begin, in bytes.
        nbytes: bytes of the file.
    """

    first: int
    indices: Sequence[int]
    lengths: Sequence[int]
    start: int
    nbytes: int

    @classmethod
    def of(cls, shard: Shard) -> IndexEntry:
        with shard.file.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
        nbytes = shard.file.stat().st_size
        return cls(shard.first, shard.indices, shard.lengths, start, nbytes)


def as_bytes(entries: Sequence[IndexEntry], capture: str) -> bytes:
    """The index of these shards, which follow each other."""
    shards = np.array([[e.first, e.start, e.nbytes] for e in entries], "<i8").reshape(-1, 3)
    prompts = np.zeros((sum(len(e.indices) for e in entries), 2), "<i4")
    for entry in entries:
        places = np.asarray(entry.indices, "<i8")
        prompts[places, 0], prompts[places, 1] = entry.lengths, np.arange(len(places))
    about = {"capture": capture, "longest": int(prompts[:, 0].max(initial=0))}
    tensors = {
        "shard": ("I64", shards.shape, 0, shards.nbytes),
        "prompt": ("I32", prompts.shape, shards.nbytes, shards.nbytes + prompts.nbytes),
    }
    header: dict[str, object] = {"__metadata__": {"workbench": json.dumps(about)}}
    for name, (dtype, shape, first, end) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [first, end]}
    text = json.dumps(header).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + shards.tobytes() + prompts.tobytes()


class Index:
    """The index of a trace, read in parts.

    Args:
        read: gives the bytes from one place to another.
        size: bytes of the object.
        name: the trace, for errors.

    Raises:
        BadRun: it is not whole, or makes no sense.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, name: str) -> None:
        self._read, self._name = read, name
        self._head = read(0, min(size, _HEAD))
        try:
            end = 8 + int.from_bytes(self._head[:8], "little")
            header = json.loads(self._head[8:end].decode("ascii"))
            about = json.loads(header["__metadata__"]["workbench"])
            self.capture, self.longest = str(about["capture"]), int(about["longest"])
            (self.shards, _), (self.count, _) = (
                map(int, header[key]["shape"]) for key in ("shard", "prompt")
            )
            if min(self.shards, self.count, self.longest) < 0:
                raise ValueError("a number is negative")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error
        self._at = {"shard": end, "prompt": end + 24 * self.shards}
        if size != self._at["prompt"] + 8 * self.count:
            raise self._damaged(f"it has {size} bytes")

    @cached_property
    def table(self) -> np.ndarray:
        """Of every shard, (shard, 3): first prompt, where the values begin, bytes of the file."""
        table = self._rows("shard", "<i8", 0, self.shards)
        firsts = table[:, 0]
        in_order = not len(table) or (firsts[0] == 0 and (np.diff(firsts) > 0).all())
        if not in_order or (firsts >= max(self.count, 1)).any() or not (table[:, 1:] > 0).all():
            raise self._damaged("its shards make no sense")
        if not len(table) and self.count:
            raise self._damaged("it has prompts and no shards")
        return table

    def prompts_of(self, first: int, end: int) -> np.ndarray:
        """(shards' prompts, 2): tokens and place in the shard, of shards `first` to `end`."""
        rows = self._prompts(self.begin(first), self.begin(end))
        for shard in range(first, end):
            a, b = (self.begin(n) - self.begin(first) for n in (shard, shard + 1))
            if sorted(rows[a:b, 1].tolist()) != list(range(b - a)):
                raise self._damaged(f"the prompts of shard {shard} make no sense")
        return rows

    def begin(self, shard: int) -> int:
        """The first prompt of a shard; of the one after the last, how many prompts there are."""
        return int(self.table[shard, 0]) if shard < self.shards else self.count

    def lengths(self) -> list[int]:
        """Tokens of every prompt."""
        lengths: list[int] = self._prompts(0, self.count)[:, 0].tolist()
        return lengths

    def _prompts(self, first: int, end: int) -> np.ndarray:
        rows = self._rows("prompt", "<i4", first, end)
        if len(rows) and not (rows[:, 0].min() > 0 and rows[:, 0].max() <= self.longest):
            raise self._damaged("the lengths of its prompts make no sense")
        return rows

    def _rows(self, name: str, dtype: str, first: int, end: int) -> np.ndarray:
        width = 3 if name == "shard" else 2
        step = width * np.dtype(dtype).itemsize
        a, b = self._at[name] + first * step, self._at[name] + end * step
        whole = self._head[a:b] if b <= len(self._head) else self._read(a, b)
        if len(whole) != b - a:
            raise self._damaged("it ends too early")
        return np.frombuffer(whole, dtype).reshape(-1, width)

    def _damaged(self, why: str) -> BadRun:
        return BadRun(
            f"The index of {self._name!r} is damaged: {why}"[:300],
            f"a trace's {INDEX}",
            f"Remove {INDEX} there; the trace then opens by its shards, one by one.",
        )
