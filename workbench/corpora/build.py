"""Making an index: shard by shard, in memory that is bounded, whole or not at all.

All is made in a hidden folder beside the one that was asked for, which takes its name at the end.
A shard is finished when `shard.json` lies in it; the same command goes on after the last finished
one, unless the sources have changed.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from workbench import __version__, disk_space
from workbench.corpora import manifest as manifests
from workbench.corpora import suffix_array
from workbench.corpora.corpus_index import CorpusIndex, open_index
from workbench.corpora.manifest import IndexManifest, ShardFiles, SkippedFile
from workbench.corpora.sources import KINDS, CorpusDocument, CorpusSources
from workbench.errors import BadInput, WorkbenchError
from workbench.progress import Progress

SHARD = 1 << 27
"""Bytes of a shard, where there is memory for it."""
_SMALLEST = 1_000_000
_BESIDE = 32  # bytes of memory that a document takes besides its text
_SUFFIX = 4  # bytes
_LISTED = 1000  # skipped files that the manifest names
_DONE, _PLAN, _LOCK = "shard.json", "plan.json", ".lock"


def index(
    sources: str | Path | Sequence[str | Path],
    folder: str | Path,
    progress: Progress | None = None,
    *,
    field: str = "text",
    shard_bytes: int | None = None,
) -> CorpusIndex:
    """Make an index of a corpus, and open it.

    Args:
        sources: one or several: files and folders of text, JSON lines, Parquet or Arrow; addresses
            of such; ledgers and models' folders with one; organisms ("organism/planted"). Files of
            a folder that are no text are left out and named in the manifest; one that is named
            itself is refused.
        folder: to be made.
        field: of JSON lines and tables, the one with the text.
        shard_bytes: of a shard; default: SHARD, less where less memory is free.

    Raises:
        BadInput: a source cannot be used, or there is no text in any; nothing is left behind.
        WorkbenchError: the folder exists, cannot be written, or another process is at it; or
            pydivsufsort is missing.
        Cancelled: the same call goes on after the last finished shard.
    """
    suffix_array.check_installed()
    progress = progress or Progress()
    target = Path(folder).expanduser().absolute()
    listed = [sources] if isinstance(sources, str | Path) else sources
    given = CorpusSources([str(source) for source in listed], field)
    _check_target(target, given)
    with _owned(target) as work:
        most = min(shard_bytes or _fitting(), suffix_array.LONGEST)
        chosen = _planned(work, given, most)
        manifest = _write_shards(work, given, chosen, progress)
        manifest.write(work)
    if target.exists():
        target.rmdir()  # it was empty
    work.rename(target)
    return open_index(target)


def _fitting() -> int:
    """Bytes of a shard that half the free memory is enough for."""
    free = disk_space.memory_free()
    return SHARD if free is None else max(_SMALLEST, min(SHARD, free // 2 // suffix_array.MEMORY))


def _check_target(target: Path, given: CorpusSources) -> None:
    disk_space.check_writable(target, "--out")
    for name in given.given:
        if Path(name).expanduser().is_dir() and target.is_relative_to(Path(name).resolve()):
            raise BadInput(
                f"The index would lie inside the corpus, in {target}.",
                "a folder outside it",
                "Choose another --out.",
            )


@contextmanager
def _owned(target: Path) -> Iterator[Path]:
    """The folder in which an index is made, for one process at a time.

    What cannot be gone on with is removed from it at the end, and so is a folder without anything.
    """
    work = target.with_name(f".{target.name}.building")
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(work / _LOCK, timeout=0):
            try:
                yield work
            except BadInput:
                shutil.rmtree(work, ignore_errors=True)
                raise
            except BaseException:
                _tidy(work)
                raise
        (work / _LOCK).unlink(missing_ok=True)
    except Timeout as error:
        raise WorkbenchError(
            f"Another process is making the index {target}.", "one at a time", "Wait for it."
        ) from error
    except (OSError, MemoryError) as error:
        raise WorkbenchError(
            f"The index could not be written to {target}: {_reason(error)}.",
            "a folder with free space that you may write to",
            "Make room, or choose another --out; the same command goes on after the last finished"
            " shard.",
        ) from error


def _reason(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "the memory is full"
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return "the disk is full" if full else error.strerror or str(error)


def _tidy(work: Path) -> None:
    if not _finished(work):
        shutil.rmtree(work, ignore_errors=True)


def _planned(work: Path, given: CorpusSources, shard_bytes: int) -> int:
    """Bytes of a shard: as an earlier attempt at the same sources has begun, else anew."""
    plan = {
        "format": manifests.FORMAT,
        "version": __version__,
        "sources": given.fingerprint(),
    }
    before = _read_plan(work)
    begun = before.pop("shard_bytes", None)
    if before == plan and isinstance(begun, int):
        return begun
    for leftover in work.iterdir():
        if leftover.is_dir():
            shutil.rmtree(leftover)
        elif leftover.name == manifests.FILE:  # all was done but the renaming
            leftover.unlink()
    manifests.write_whole(work / _PLAN, json.dumps({**plan, "shard_bytes": shard_bytes}))
    return shard_bytes


def _read_plan(work: Path) -> dict[str, Any]:
    try:
        plan = json.loads((work / _PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def _finished(work: Path) -> list[ShardFiles]:
    """The shards an earlier attempt has finished; what follows them is removed."""
    finished: list[ShardFiles] = []
    while (folder := manifests.shard_folder(work, len(finished))).is_dir():
        try:
            files = ShardFiles.model_validate_json((folder / _DONE).read_bytes())
        except (OSError, ValidationError):
            shutil.rmtree(folder)
            break
        finished.append(files)
    return finished


def _write_shards(
    work: Path, given: CorpusSources, shard_bytes: int, progress: Progress
) -> IndexManifest:
    finished = _finished(work)
    documents = given.documents(shard_bytes)
    waiting = next(islice(documents, sum(files.documents for files in finished), None), None)
    total = max(1, given.bytes)
    while waiting is not None:
        number, done = len(finished), sum(files.bytes for files in finished)
        shard = _ShardInMaking(manifests.shard_folder(work, number))
        with shard:
            progress(done / total, f"Reading shard {number + 1}")
            waiting = shard.fill(chain([waiting], documents), shard_bytes)
            size = disk_space.size(shard.bytes)
            progress((done + 0.1 * shard.bytes) / total, f"Sorting shard {number + 1}, {size}")
            finished.append(shard.finish())
        progress((done + shard.bytes) / total, f"Shard {number + 1} is done")
    if not finished:
        first = f" {given.skipped[0][1]}" if given.skipped else ""
        raise BadInput(f"The corpus is empty.{first}", "some text in UTF-8", "Check the path.")
    for number in range(len(finished)):
        (manifests.shard_folder(work, number) / _DONE).unlink()
    (work / _PLAN).unlink()
    return IndexManifest(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        sources=given.named,
        field=given.column,
        shards=finished,
        skipped=[SkippedFile(name=name, why=why) for name, why in given.skipped[:_LISTED]],
        n_skipped=len(given.skipped),
    )


class _ShardInMaking:
    """A shard that is being written to its folder."""

    def __init__(self, folder: Path) -> None:
        self.bytes = 0
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._starts, self._places, self._label_ends = array("q", [0]), array("q"), array("q")

    def __enter__(self) -> _ShardInMaking:
        self._text = (self._folder / "text.bin").open("wb")
        self._labels = (self._folder / "labels.bin").open("wb")
        return self

    def __exit__(self, *error: object) -> None:
        self._text.close()
        self._labels.close()

    def fill(self, documents: Iterator[CorpusDocument], shard_bytes: int) -> CorpusDocument | None:
        """Take documents while there is room; the first for which there is none is given back."""
        taken = 0
        for document in documents:
            if self.bytes and taken + len(document.text) > shard_bytes:
                return document
            self._add(document)
            taken += len(document.text) + _BESIDE
        return None

    def _add(self, document: CorpusDocument) -> None:
        self._text.write(document.text + manifests.SEPARATOR)
        self._labels.write(f"{document.file}\0{document.name}\0".encode())
        self.bytes += len(document.text)
        self._starts.append(self._text.tell())
        self._places.extend((KINDS.index(document.kind), document.number))
        self._label_ends.append(self._labels.tell())

    def finish(self) -> ShardFiles:
        """Sort the suffixes, and say what lies in the folder."""
        import numpy as np

        self._text.close()
        self._labels.close()
        for name in ("starts", "places", "label_ends"):
            (self._folder / f"{name}.bin").write_bytes(getattr(self, f"_{name}"))
        if self.bytes * _SUFFIX > shutil.disk_usage(self._folder).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # before it is filled
        text = np.fromfile(self._folder / "text.bin", np.uint8)
        # No byte is larger than the separator: the suffixes that begin at one stand at the end.
        suffixes = suffix_array.sorted_suffixes(text)[: self.bytes]
        with (self._folder / "suffixes.bin").open("wb") as stream:
            stream.write(suffixes.data)
        guiding = suffixes[:: manifests.GUIDE_EVERY, None] + np.arange(
            manifests.GUIDE_WIDTH, dtype=np.int32
        )
        # Beyond the end there is nothing; what stands after a separator makes no difference.
        guide = text[np.minimum(guiding, len(text) - 1)]
        (self._folder / "guide.bin").write_bytes(guide.tobytes())
        files = ShardFiles(
            documents=len(self._label_ends), bytes=self.bytes, labels=self._label_ends[-1]
        )
        manifests.write_whole(self._folder / _DONE, files.model_dump_json())
        return files
