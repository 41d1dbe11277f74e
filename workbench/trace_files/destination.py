"""Where a capture goes while it runs: a folder, or an address."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from workbench import remote
from workbench.disk_space import check_disk, check_writable
from workbench.errors import BadRun, WorkbenchError
from workbench.trace_files.manifest import FORMAT, MANIFEST, UNFINISHED, Manifest, read_manifest
from workbench.trace_files.remote_destination import RemoteDestination, occupied
from workbench.trace_files.shard import CorruptShard, Shard, shard_files

_LOCK = ".lock"


class Destination(Protocol):
    """What a capture needs of the place it goes to. `name` is for people."""

    name: str

    def has_manifest(self) -> bool:
        """Whether a trace was begun there."""

    def manifest(self) -> Manifest | None:
        """The manifest of the trace that was begun there; None where there is nothing yet.

        Raises:
            WorkbenchError: it holds something else. BadRun: the manifest is damaged.
        """

    def check_writable(self) -> None:
        """Raises WorkbenchError or BadInput if a trace can neither be begun nor continued there."""

    def check_room(self, nbytes: int) -> None:
        """Raises WorkbenchError if so many bytes more do not fit."""

    def written(self) -> int:
        """Bytes of the shards that are there."""

    def owned(self) -> AbstractContextManager[Path]:
        """Made ready to be written to, without what a killed run left half written; gives the
        folder in which a shard is written until it is whole.

        Raises:
            WorkbenchError: another capture writes to it, or it cannot be written to.
        """

    def write_manifest(self, manifest: Manifest) -> None:
        """In one step."""

    def finished(self, manifest: Manifest) -> dict[int, Shard]:
        """Finished shards by their first prompt. A damaged one is removed, to be written anew."""

    def add(self, file: Path, manifest: Manifest) -> None:
        """A shard is whole, in the folder that `owned` gave."""

    def close(self, manifest: Manifest) -> None:
        """All shards are there."""


@dataclass(frozen=True)
class OpenTrace:
    """A trace that is being written.

    Attributes:
        place: where it goes.
        folder: in which a shard is written until it is whole.
    """

    place: Destination
    folder: Path
    manifest: Manifest

    def add(self, file: Path) -> None:
        """A shard is whole."""
        self.place.add(file, self.manifest)

    def close(self) -> None:
        """All shards are there."""
        self.place.close(self.manifest)


def destination(out: str | Path) -> Destination:
    """Raises BadInput for an address that is none."""
    if isinstance(out, str) and remote.is_address(out):
        return RemoteDestination(out)
    return LocalDestination(Path(out))


class LocalDestination:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.name = folder, str(folder)

    def has_manifest(self) -> bool:
        return (self._folder / MANIFEST).is_file()

    def manifest(self) -> Manifest | None:
        if not self.has_manifest():
            if self._is_taken():
                raise occupied(self.name)
            return None
        raw = read_manifest(self._folder)
        if raw["format"] != FORMAT:
            raise occupied(self.name)
        return Manifest.of(raw, self._folder.name)

    def _is_taken(self) -> bool:
        """Whether something stands there that is not what a killed capture leaves."""
        if not self._folder.is_dir():
            return self._folder.exists()
        names = (file.name for file in self._folder.iterdir())
        return any(name != _LOCK and not name.startswith(UNFINISHED) for name in names)

    def check_writable(self) -> None:
        if not self.has_manifest():
            check_writable(self._folder, "--out DIR")

    def check_room(self, nbytes: int) -> None:
        check_disk(self._folder, nbytes)

    def written(self) -> int:
        return (
            sum(file.stat().st_size for file in shard_files(self._folder))
            if self._folder.is_dir()
            else 0
        )

    @contextmanager
    def owned(self) -> Iterator[Path]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = self._folder / _LOCK
            if lock.is_symlink():
                raise BadRun(
                    f"{lock} leads elsewhere.", "a plain file", "Do not trust this folder."
                )
            with FileLock(lock, timeout=0):
                self._clean()
                try:
                    yield self._folder
                finally:
                    self._clean()  # a worker that died cannot
                lock.unlink(missing_ok=True)
        except Timeout as error:
            raise WorkbenchError(
                f"Another capture is writing to {self.name}.",
                "one at a time",
                "Wait for it, or choose another folder.",
            ) from error
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            reason = "The disk is full" if full else error.strerror or str(error)
            raise WorkbenchError(
                f"The trace could not be written to {self.name}: {reason}.",
                "a folder with free space that you may write to",
                "Put that right and capture the same again: it continues after the last finished"
                " shard.",
            ) from error

    def _clean(self) -> None:
        """Remove what was left half written."""
        for leftover in self._folder.glob(UNFINISHED + "*"):
            if leftover.is_dir() and not leftover.is_symlink():  # of an archive
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def write_manifest(self, manifest: Manifest) -> None:
        manifest.write(self._folder)

    def finished(self, manifest: Manifest) -> dict[int, Shard]:
        finished: dict[int, Shard] = {}
        for file in shard_files(self._folder):
            try:
                shard = Shard(file, manifest.arrays, manifest.capture)
                shard.tokens()
            except CorruptShard:
                file.unlink()
                continue
            finished[shard.first] = shard
        return finished

    def add(self, file: Path, manifest: Manifest) -> None:
        """It lies where it belongs."""

    def close(self, manifest: Manifest) -> None:
        """Which shards there are is read from the folder."""
