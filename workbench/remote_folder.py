"""One folder at an address, file by file and in ranges of bytes: what is too large to be copied."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench import remote

_TEMPORARY = ".writing-"  # how a file is called until it is whole, where files grow in place
Range = tuple[str, int, int]  # file, first byte, the byte after the last


class RemoteFolder:
    """A folder at an address, or a file, which is called "" in it. Nothing is asked before it has
    to be.

    Every method raises what `remote.explained` makes of a fault: NotFound, BadInput or
    WorkbenchError, in one sentence.
    """

    def __init__(self, address: str) -> None:
        self.address = remote.checked(address)
        self.name = self.address.rpartition("/")[2]

    @cached_property
    def _system_and_root(self) -> tuple[Any, str]:
        with remote.explained(self.address):
            return remote.open_address(self.address)

    @property
    def _exact(self) -> dict[str, str]:
        """With this no more is read than a range: what goes by open files reads ahead."""
        return {} if self._system_and_root[0].async_impl else {"cache_type": "none"}

    def sizes(self) -> dict[str, int]:
        """Bytes of every file below, by its path in the folder; one request per thousand."""
        system, root = self._system_and_root
        with remote.explained(self.address):
            found = remote.files_below(system, root)
        return {name: int(info["size"] or 0) for name, info in found.items()}

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        system, root = self._system_and_root
        with remote.explained(self.address):
            try:
                info = system.info(_place(root, name))
            except FileNotFoundError:
                return None
        return int(info["size"] or 0) if info["type"] == "file" else None

    def read(self, name: str, first: int, end: int) -> bytes:
        """These bytes of a file, or fewer where it ends before."""
        system, root = self._system_and_root
        with remote.explained(self.address):
            return bytes(system.cat_file(_place(root, name), start=first, end=end, **self._exact))

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """As `read`, of several at once where the place allows it."""
        if not ranges:
            return []
        system, root = self._system_and_root
        with remote.explained(self.address):
            got = system.cat_ranges(
                [_place(root, name) for name, _, _ in ranges],
                [first for _, first, _ in ranges],
                [end for _, _, end in ranges],
                **self._exact,
            )
            for each in got:
                if isinstance(each, BaseException):
                    raise each
        return [bytes(each) for each in got]

    def put(self, file: Path) -> None:
        """Copy a file there, under its own name, whole or not at all."""
        system, root = self._system_and_root
        with remote.explained(self.address):
            remote.make_parent(system, f"{root}/{file.name}")
            system.put_file(str(file), self._written_to(file.name))
            self._name(file.name)

    def write(self, name: str, data: bytes) -> None:
        """A small file, whole or not at all."""
        system, root = self._system_and_root
        with remote.explained(self.address):
            remote.make_parent(system, _place(root, name))
            system.pipe_file(self._written_to(name), data)
            self._name(name)

    def remove(self, name: str) -> None:
        system, root = self._system_and_root
        with remote.explained(self.address):
            system.rm_file(_place(root, name))

    def _written_to(self, name: str) -> str:
        """Objects appear when they are whole; files grow, and get their names afterwards."""
        system, root = self._system_and_root
        return f"{root}/{_TEMPORARY if 'file' in system.protocol else ''}{name}"

    def _name(self, name: str) -> None:
        system, root = self._system_and_root
        if "file" in system.protocol:
            system.mv(f"{root}/{_TEMPORARY}{name}", _place(root, name))


def _place(root: str, name: str) -> str:
    return f"{root}/{name}" if name else root
