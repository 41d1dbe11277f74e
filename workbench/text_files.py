"""Files of text, on this machine or at an address: found, and opened to be read piece by piece."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, cast

from pydantic import WrapValidator

from workbench import remote
from workbench.errors import BadInput
from workbench.remote_folder import RemoteFolder

_PIECE = 1 << 18  # bytes of a request
_STAYS = 60  # seconds for which the sizes at an address are taken as known


class AddressPath(type(Path())):  # type: ignore[misc]
    """An address where a path is expected: it is written as it was typed (a path would lose one
    of two slashes). What opens files knows it; to the file system it is a file that is not there.
    """

    def __str__(self) -> str:
        kind, *rest = self.parts
        return f"{kind}//{'/' if kind == 'file:' else ''}{'/'.join(rest)}"


def text_path(given: str | Path) -> Path:
    """A path, or an address as one.

    Raises:
        BadInput: an address that carries keys, or cannot be opened.
    """
    if isinstance(given, str) and remote.is_address(given):
        return AddressPath(remote.checked(given))
    return given if isinstance(given, Path) else Path(given)


def is_remote(path: Path) -> bool:
    """Whether a path is an address."""
    return isinstance(path, AddressPath)


def _validated(given: Any, otherwise: Callable[[Any], Path]) -> Path:
    if isinstance(given, AddressPath) or remote.is_address(given):
        return text_path(given)
    return otherwise(given)


TextPath = Annotated[Path, WrapValidator(_validated)]
"""A parameter that names a file or folder of texts, on this machine or at an address."""


@dataclass(frozen=True)
class TextFile:
    """One file.

    Attributes:
        name: its path in the folder that was asked for, or its own name.
        size: bytes.
        open: gives its bytes; what goes wrong on the way from an address is a WorkbenchError.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    local: Path | None = None

    @property
    def base(self) -> str:
        return PurePosixPath(self.name).name

    @property
    def suffix(self) -> str:
        """In lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """The file on this machine: a copy, as long as it is needed, where it lies elsewhere."""
        if self.local is not None:
            yield self.local
            return
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
            copy = Path(folder, self.base)
            with self.open() as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, _PIECE)
            yield copy


@dataclass(frozen=True)
class FoundFiles:
    """What lies at a path: the file, or all files of the folder in order of their names, without
    hidden ones.
    """

    files: list[TextFile] = field(default_factory=list)
    is_folder: bool = False


def find(path: Path) -> FoundFiles:
    """What lies at a path; nothing where nothing is there.

    Raises:
        WorkbenchError: an address that does not answer, or to which there are no rights.
    """
    if is_remote(path):
        found = _find_remote(str(path))
        _recent[str(path)] = time.monotonic(), found
        return found
    path = path.expanduser()
    if path.is_file():
        return FoundFiles([_local(path, path.name)])
    if not path.is_dir():
        return FoundFiles()
    files = sorted(f for f in path.rglob("*") if f.is_file() and not f.name.startswith("."))
    return FoundFiles([_local(file, str(file.relative_to(path))) for file in files], True)


_recent: dict[str, tuple[float, FoundFiles]] = {}


def find_recent(path: Path) -> FoundFiles:
    """As `find`; what was found at an address within the last minute is not looked up again. For
    forms and estimates, which ask at every change.
    """
    at, found = _recent.get(str(path), (float("-inf"), FoundFiles()))
    return found if is_remote(path) and time.monotonic() - at < _STAYS else find(path)


def one_file(path: Path, what: str, expected: str) -> TextFile:
    """The file at a path.

    Args:
        what: it is called, for errors.

    Raises:
        BadInput: there is none, or a folder.
    """
    found = find(path)
    if len(found.files) != 1 or found.is_folder:
        raise BadInput(f"There is no {what} {str(path)!r}.", expected, "Check the path.")
    return found.files[0]


def _local(file: Path, name: str) -> TextFile:
    return TextFile(name, file.stat().st_size, lambda: file.open("rb"), file)


def _find_remote(address: str) -> FoundFiles:
    folder = RemoteFolder(address)
    if (size := folder.size("")) is not None:
        return FoundFiles([_remote(folder, "", folder.name, size)])
    files = [
        _remote(folder, name, name, size)
        for name, size in sorted(folder.sizes().items())
        if not PurePosixPath(name).name.startswith(".")
    ]
    return FoundFiles(files, bool(files))


def _remote(folder: RemoteFolder, place: str, name: str, size: int) -> TextFile:
    def opened() -> BinaryIO:
        raw = _RemoteBytes(lambda first, end: folder.read(place, first, end), size)
        return cast(BinaryIO, io.BufferedReader(raw, _PIECE))

    return TextFile(name, size, opened)


class _RemoteBytes(io.RawIOBase):
    """The bytes of a file at an address, read where somebody reads."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._at = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        part = self._read(self._at, end) if end > self._at else b""
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
