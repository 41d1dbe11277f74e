"""Writing a trace that is there already: shard by shard, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench import remote
from workbench.errors import WorkbenchError
from workbench.remote_folder import RemoteFolder
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.index import INDEX, IndexEntry, as_bytes
from workbench.trace_files.manifest import MANIFEST, Manifest
from workbench.trace_files.shard import Shard, ShardPrompts, ShardWriter

if TYPE_CHECKING:
    from workbench.trace import Trace

_SHARD_BYTES = 32 * 2**20


def save_to_folder(trace: Trace, manifest: Manifest, target: Path) -> None:
    """Raises WorkbenchError if it exists already, or cannot be written."""
    if target.exists():
        raise WorkbenchError(
            f"{target} exists already.",
            "a new folder",
            "Choose another name, or remove it first.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
        try:
            work.chmod(0o755)
            manifest.write(work)
            for _ in _shards(trace, manifest.arrays, work):
                pass
            os.replace(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise WorkbenchError(
            f"The trace could not be written to {target}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Choose another place.",
        ) from error


def save_to_address(trace: Trace, manifest: Manifest, address: str) -> None:
    """As `save_to_folder`; a shard at a time lies on this machine, and the manifest, without which
    the others count for nothing, comes last.
    """
    folder = RemoteFolder(remote.check_free(address))
    put: list[str] = []
    try:
        entries = []
        with tempfile.TemporaryDirectory(prefix="workbench-") as work:
            for file in _shards(trace, manifest.arrays, Path(work)):
                entries.append(IndexEntry.of(Shard(file, manifest.arrays, manifest.capture)))
                put.append(file.name)
                folder.put(file)
                file.unlink()
        put += [INDEX, MANIFEST]
        folder.write(INDEX, as_bytes(entries, manifest.capture))
        folder.write(MANIFEST, manifest.text().encode())
    except BaseException:
        for name in reversed(put):  # what makes the others count goes first
            with suppress(Exception):
                folder.remove(name)
        raise


def _shards(trace: Trace, arrays: Mapping[str, ArraySpec], folder: Path) -> Iterator[Path]:
    """Write one after the other."""
    start = 0
    lengths = trace.lengths
    for end in _ends(list(arrays.values()), lengths):
        rows = range(start, end)
        prompts = ShardPrompts(
            list(rows), [trace.prompts[i] for i in rows], [trace.tokens[i] for i in rows]
        )
        writer = ShardWriter(folder, arrays, prompts, "saved")
        try:
            for name, about in arrays.items():
                part = trace.read(name, rows).values
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
            yield writer.finish()
        finally:
            writer.drop()
        start = end


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
