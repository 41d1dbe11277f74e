"""Places that are addresses: in memory, a folder, and an S3 server on this machine; and a count of
what is asked of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest

from workbench import remote

KINDS = ("memory", "file", "s3")


def s3_server() -> Iterator[str]:
    """An S3 server on this machine, as the body of a fixture."""
    pytest.importorskip("s3fs", reason="needs the extra `storage`")
    moto = pytest.importorskip("moto.server", reason="needs moto")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def new_place(kind: str, request: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address below which nothing is."""
    name = f"b{uuid.uuid4().hex[:12]}"
    if kind == "file":
        return f"file://{folder}/elsewhere"
    if kind == "memory":
        return f"memory://{name}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_server"))
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)
    return f"s3://{name}"


def names_at(address: str) -> list[str]:
    """The files below an address."""
    system, root = remote.open_address(address)
    return sorted(remote.files_below(system, root))


class Traffic:
    """What is asked of file systems: (what, file, bytes of the answer) of every request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, int]] = []

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def nbytes(self) -> int:
        return sum(nbytes for _, _, nbytes in self.requests)

    def clear(self) -> None:
        self.requests.clear()


def counted(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    """Count what is asked of places in memory and of S3 from now on."""
    from fsspec.implementations.memory import MemoryFileSystem

    traffic = Traffic()
    for name in ("cat_file", "info", "find", "get_file", "put_file", "pipe_file", "rm_file"):
        _count(monkeypatch, MemoryFileSystem, name, traffic)
    with suppress(ImportError):
        from s3fs import S3FileSystem

        real = S3FileSystem._call_s3

        async def counting(self: Any, method: str, *more: Any, **options: Any) -> Any:
            got = await real(self, method, *more, **options)
            nbytes = int(got.get("ContentLength", 0)) if method == "get_object" else 0
            traffic.requests.append((method, str(options.get("Key", "")), nbytes))
            return got

        monkeypatch.setattr(S3FileSystem, "_call_s3", counting)
    return traffic


def _count(monkeypatch: pytest.MonkeyPatch, kind: Any, name: str, traffic: Traffic) -> None:
    real = getattr(kind, name)

    def counting(self: Any, path: Any, *more: Any, **options: Any) -> Any:
        got = real(self, path, *more, **options)
        nbytes = len(got) if name == "cat_file" else 0
        traffic.requests.append((name, str(path), nbytes))
        return got

    monkeypatch.setattr(kind, name, counting)
