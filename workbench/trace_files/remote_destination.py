"""An address that a capture goes to while it runs: each shard is put there when it is whole, and
the index that names them comes last.

Nothing locks an address: who starts the same capture twice at once gets its shards twice over, each
as good as the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench import remote
from workbench.errors import BadInput, WorkbenchError
from workbench.remote_folder import RemoteFolder
from workbench.trace_files import remote_shards
from workbench.trace_files.index import INDEX, IndexEntry, as_bytes
from workbench.trace_files.manifest import FORMAT, MANIFEST, Manifest
from workbench.trace_files.remote_store import remote_manifest
from workbench.trace_files.shard import CorruptShard, Shard


def occupied(place: str) -> WorkbenchError:
    """The error for a place that holds something else."""
    return WorkbenchError(
        f"{place} exists already.", "a new folder", "Choose another name, or remove it first."
    )


class RemoteDestination:
    """See `workbench.trace_files.destination.Destination`."""

    def __init__(self, address: str) -> None:
        self._folder = RemoteFolder(address)
        self.name = self._folder.address
        self._entries: dict[int, IndexEntry] = {}  # by first prompt
        self._has_index = False

    def has_manifest(self) -> bool:
        return self._folder.size(MANIFEST) is not None

    def manifest(self) -> Manifest | None:
        try:
            raw = remote_manifest(self._folder)
        except BadInput:
            if self._folder.sizes():
                raise occupied(self.name) from None
            return None
        if raw["format"] != FORMAT:
            raise occupied(self.name)
        return Manifest.of(raw, self._folder.name)

    def check_writable(self) -> None:
        if not self.has_manifest():
            remote.check_free(self.name)

    def check_room(self, nbytes: int) -> None:
        """What an object store holds, nobody knows."""

    def written(self) -> int:
        return sum(remote_shards.names(self._folder).values())

    @contextmanager
    def owned(self) -> Iterator[Path]:
        try:
            with tempfile.TemporaryDirectory(prefix="workbench-") as work:
                yield Path(work)
        except OSError as error:
            raise WorkbenchError(
                f"A shard could not be written on this machine: {error.strerror or error}.",
                f"free space in {tempfile.gettempdir()}",
                "Put that right and capture the same again: it continues after the last finished"
                " shard.",
            ) from error

    def write_manifest(self, manifest: Manifest) -> None:
        self._folder.write(MANIFEST, manifest.text().encode())

    def finished(self, manifest: Manifest) -> dict[int, Shard]:
        finished: dict[int, Shard] = {}
        self._has_index = self._folder.size(INDEX) is not None
        arrays, capture = manifest.arrays, manifest.capture
        for name, size in remote_shards.names(self._folder).items():
            try:
                with remote_shards.without_values(
                    self._folder, name, size, arrays, capture
                ) as shard:
                    shard.tokens()
                    finished[shard.first] = shard
                    self._entries[shard.first] = IndexEntry.of(shard)
            except CorruptShard:
                self._drop_index()
                self._folder.remove(name)
        return finished

    def add(self, file: Path, manifest: Manifest) -> None:
        entry = IndexEntry.of(Shard(file, manifest.arrays, manifest.capture))
        self._drop_index()
        self._folder.put(file)
        self._entries[entry.first] = entry
        file.unlink()

    def close(self, manifest: Manifest) -> None:
        if not self._has_index:
            entries = [self._entries[first] for first in sorted(self._entries)]
            self._folder.write(INDEX, as_bytes(entries, manifest.capture))
            self._has_index = True

    def _drop_index(self) -> None:
        """While shards are missing, none may say that the trace is whole."""
        if self._has_index:
            self._folder.remove(INDEX)
            self._has_index = False
