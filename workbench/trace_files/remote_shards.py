"""The shards of a trace at an address, read without their values: all but these lies in their
heads, which are copied here one by one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import BadRun
from workbench.remote_folder import RemoteFolder
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.shard import CorruptShard, Shard, is_shard

_GUESS = 64 * 1024  # bytes in which most heads fit
_LONGEST_HEAD = 256 * 2**20


def names(folder: RemoteFolder) -> dict[str, int]:
    """Bytes of every shard that is there, in the order of their prompts."""
    found = {name: size for name, size in folder.sizes().items() if is_shard(name)}
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


@contextmanager
def without_values(
    folder: RemoteFolder, name: str, size: int, arrays: Mapping[str, ArraySpec], capture: str
) -> Iterator[Shard]:
    """A shard that knows its prompts, texts and tokens; its values are not read.

    Args:
        size: bytes of the file there.

    Raises:
        CorruptShard: it is not whole, or makes no sense.
        BadRun: it belongs to another trace.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-") as place:
        # As long as the one there, so that one check of shards serves both; the gaps take no room.
        file = Path(place, name)
        head = _head(folder, name, size)
        with file.open("wb") as copy:
            copy.truncate(size)
            copy.write(head)
            for first, end in _of_the_prompts(head, size):
                copy.seek(first)
                copy.write(head[first:end] if end <= len(head) else folder.read(name, first, end))
        yield Shard(file, arrays, capture, trace=folder.name)


def _head(folder: RemoteFolder, name: str, size: int) -> bytes:
    """The header of a shard, and what was read with it."""
    head = folder.read(name, 0, min(size, _GUESS)) if size else b""
    end = 8 + int.from_bytes(head[:8], "little")
    if len(head) < 8 or end > size or end > _LONGEST_HEAD:
        raise CorruptShard(
            f"{name} of {folder.name!r} is damaged: it ends too early.",
            "a complete shard",
            "Capture the same to this address again: what is damaged is written anew.",
        )
    return head if end <= len(head) else head + folder.read(name, len(head), end)


def _of_the_prompts(head: bytes, size: int) -> list[tuple[int, int]]:
    """Where the tensors lie that say which prompts there are; whether they are right is checked
    by who opens the shard.
    """
    end = 8 + int.from_bytes(head[:8], "little")
    try:
        header = json.loads(head[8:end])
        offsets = [
            (end + int(first), end + int(last))
            for name, about in header.items()
            if name.startswith("prompt.")
            for first, last in [about["data_offsets"]]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRun(
            f"The head of a shard is damaged: {type(error).__name__}.",
            "a shard",
            "Capture the same to this address again.",
        ) from error
    return [(first, last) for first, last in offsets if end <= first <= last <= size]
