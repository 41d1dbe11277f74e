"""Folders that lie elsewhere (`s3://`, `gs://`, `az://`, `hf://`, `memory://`, `file://`), by
fsspec.

What is read is copied into the cache, and copied again only where it has changed; everything above
sees a plain folder. What is written is there whole or not at all: the file that makes it count
(`result.json`) comes last, and after a failure what had been put there is taken away again.

Keys belong into the environment or the cloud's own configuration: an address that carries some is
refused, so none can reach a run, a log or a page.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from workbench import paths
from workbench.errors import BadInput, NotFound, WorkbenchError

KINDS = ("s3", "gs", "az", "abfs", "hf", "memory", "file")
RUN = ("result.json", "arrays.safetensors", "tables/*.parquet")
MODEL = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
MOST_OF_A_RUN = 8 * 2**30  # bytes
_STATE = ".state.json"
_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 1}}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SIZE, _VERSION = "size", ("ETag", "etag", "LastModified", "mtime", "created", "blob_id")


def is_address(text: object) -> bool:
    """Whether a text names a place elsewhere, and no path or name."""
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def checked(address: str) -> str:
    """The address without a slash behind it.

    Raises:
        BadInput: it carries keys, or is of a kind that cannot be opened; nothing of the keys is in
            the message.
    """
    kind, _, rest = address.partition("://")
    if kind.lower() not in KINDS:
        raise BadInput(
            f"Addresses of the kind {kind[:20]}:// cannot be opened.",
            ", ".join(f"{name}://" for name in KINDS),
            "Check the address.",
        )
    if any(mark in rest for mark in "@?#") or any(ord(letter) < 32 for letter in rest):
        raise BadInput(
            f"This {kind.lower()}:// address carries more than a place (one of @ ? #), perhaps"
            " keys, which would end up in runs and logs.",
            f"{kind.lower()}://BUCKET/FOLDER",
            "Give keys by the environment (AWS_ACCESS_KEY_ID, …) or a profile.",
        )
    place = rest.strip("/") if kind.lower() != "file" else rest.rstrip("/")
    if not place or ".." in place.split("/"):
        raise BadInput(
            f"{kind.lower()}:// names no folder.", f"{kind.lower()}://BUCKET/FOLDER", "Complete it."
        )
    return f"{kind.lower()}://{place}"


def fetch(
    address: str,
    wanted: tuple[str, ...],
    most: int | None = None,
    report: Callable[[float, str], object] | None = None,
) -> Path:
    """A copy of a folder in the cache; files that are unchanged there are not read again.

    Args:
        wanted: patterns of the files that are read, by their path in the folder.
        most: bytes, of all together.
        report: gets the share that is done, and a sentence.

    Raises:
        BadInput, NotFound, WorkbenchError: no address, nothing there, no rights, or no answer.
    """
    address = checked(address)
    with explained(address):
        system, root = open_address(address)
        found = {
            name: info
            for name, info in files_below(system, root).items()
            if any(fnmatch(name, pattern) for pattern in wanted)
        }
        if not found:
            raise NotFound(
                f"There is nothing to open at {address}.", ", ".join(wanted[:3]), "Check it."
            )
        total = sum(int(info[_SIZE] or 0) for info in found.values())
        if most is not None and total > most:
            raise BadInput(
                f"{address} is absurdly large.", f"at most {most >> 30} GB", "Do not trust it."
            )
        key = hashlib.sha256(address.encode()).hexdigest()[:16]
        folder = paths.cache_dir() / "remote" / key / PurePosixPath(address).name
        folder.mkdir(parents=True, exist_ok=True)
        _refresh(system, root, found, folder, total, report)
    return folder


def check_free(address: str) -> str:
    """The address, once it is known that a new folder can be put there.

    Raises:
        BadInput, WorkbenchError: something is there, it cannot be written, or nobody answers.
    """
    address = checked(address)
    with explained(address):
        system, root = open_address(address)
        if files_below(system, root):
            raise WorkbenchError(
                f"{address} exists already and is not empty.",
                "a new place",
                "Choose another --out.",
            )
        probe = f"{root}/.writable"
        make_parent(system, probe)
        system.pipe_file(probe, b"")
        system.rm_file(probe)
    return address


def publish(folder: Path, address: str, last: str) -> None:
    """Copy a folder to an address; whole or not at all.

    Args:
        last: the file without which the others count for nothing; it is written at the end.

    Raises:
        BadInput, WorkbenchError: as `check_free`; nothing of it is left there.
    """
    address = check_free(address)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    files.sort(key=lambda file: file.name == last)
    with explained(address):
        system, root = open_address(address)
        put: list[str] = []
        try:
            for file in files:
                place = f"{root}/{file.relative_to(folder).as_posix()}"
                make_parent(system, place)
                put.append(place)
                system.put_file(str(file), place)
        except BaseException:
            for place in reversed(put):  # what makes the others count goes first
                with suppress(Exception):
                    system.rm_file(place)
            raise


def open_address(address: str) -> tuple[Any, str]:
    """(file system, path in it)."""
    import fsspec

    kind = address.partition("://")[0]
    options: dict[str, Any] = {"skip_instance_cache": kind == "s3", "use_listings_cache": False}
    if kind == "s3":
        options["config_kwargs"] = _PATIENCE
    system, root = fsspec.core.url_to_fs(address, **options)
    return system, str(root).rstrip("/")


def make_parent(system: Any, place: str) -> None:
    """The folder of a file, where folders have to be made; elsewhere this would make a bucket."""
    if "file" in system.protocol:
        system.makedirs(place.rpartition("/")[0], exist_ok=True)


def files_below(system: Any, root: str) -> dict[str, dict[str, Any]]:
    """What lies below a folder, by its path in it."""
    try:
        listed = system.find(root, detail=True)
    except FileNotFoundError:
        return {}
    files = {}
    for place, info in listed.items():
        name = str(place)[len(root) :].lstrip("/")
        if name and ".." not in name.split("/") and "\\" not in name and "\0" not in name:
            files[name] = info
    return files


def _refresh(
    system: Any,
    root: str,
    found: dict[str, dict[str, Any]],
    folder: Path,
    total: int,
    report: Callable[[float, str], object] | None,
) -> None:
    state_file = folder / _STATE
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    for old in [file for file in folder.rglob("*") if file.is_file()]:
        if old.name != _STATE and old.relative_to(folder).as_posix() not in found:
            old.unlink()
    done = 0
    for name, info in sorted(found.items()):
        version = [str(info.get(key)) for key in (_SIZE, *_VERSION) if info.get(key) is not None]
        target = folder / name
        if state.get(name) != version or not target.is_file():
            if report is not None:
                report(done / max(1, total), f"Reading {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            system.get_file(f"{root}/{name}", str(part))
            os.replace(part, target)
            state[name] = version
            state_file.write_text(json.dumps(state), encoding="utf-8")
        done += int(info[_SIZE] or 0)


@contextmanager
def explained(address: str) -> Iterator[None]:
    """What goes wrong elsewhere, in one sentence; libraries each have classes of their own."""
    try:
        yield
    except (WorkbenchError, KeyboardInterrupt):
        raise
    except ImportError as error:
        raise BadInput(
            f"{address} needs a package that is not installed.",
            "the extra `storage` for s3://",
            "pip install 'memory-workbench[storage]'",
        ) from error
    except PermissionError as error:
        raise WorkbenchError(
            f"There are no rights to {address}.",
            "keys that may read and write there",
            "Check the keys in the environment, or choose another place.",
        ) from error
    except FileNotFoundError as error:
        raise NotFound(
            f"{address} is not there (any more).", "a bucket that exists", "Check the address."
        ) from error
    except Exception as error:
        if type(error).__name__.startswith("Cancel"):
            raise
        why = str(error).strip().splitlines()[0][:160] if str(error).strip() else ""
        raise WorkbenchError(
            f"{address} could not be reached: {type(error).__name__}"
            + (f" ({why})" if why and "@" not in why and "?" not in why else "")
            + ".",
            "an address that answers",
            "Check the address, the network and the keys.",
        ) from error
