"""Making an index: whole or not at all, in bounded memory, whatever happens on the way."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.corpora import build, index, manifest, open_index, suffix_array
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.progress import Progress, Update

ROOT = Path(__file__).parents[3]
SHARD = 2000


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A corpus of about ten shards."""
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps({"text": f"document {n:03d}"}) + "\n" for n in range(400)))
    return file


@pytest.fixture
def broken_off(lines: Path, tmp_path: Path) -> Path:
    """Where an index was begun and stopped after three shards."""
    target = tmp_path / "index"
    progress = Progress()

    def show(update: Update) -> None:
        if update.says == "Shard 3 is done":
            progress.cancel()

    progress._show = show
    with pytest.raises(Cancelled):
        index([lines], target, progress, shard_bytes=SHARD)
    return target


def leftovers(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith(".")]


def test_what_was_stopped_goes_on_after_the_last_finished_shard(
    lines: Path, broken_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="no index"):
        open_index(broken_off)
    with pytest.raises(BadInput, match="no index"):
        open_index(broken_off.with_name(".index.building"))
    sorted_before, sort = [], suffix_array.sorted_suffixes
    monkeypatch.setattr(
        suffix_array, "sorted_suffixes", lambda text: sorted_before.append(text) or sort(text)
    )
    corpus = index([lines], broken_off)  # in shards of the size that was begun with
    assert len(sorted_before) == len(corpus.manifest.shards) - 3 > 3
    assert corpus.documents == corpus.count("document") == 400
    assert [corpus.document(n).number for n in range(400)] == list(range(1, 401))
    assert not leftovers(broken_off.parent)
    assert not leftovers(broken_off)


def test_what_was_stopped_begins_anew_where_the_sources_have_changed(
    lines: Path, broken_off: Path
) -> None:
    lines.write_text(lines.read_text().replace("document", "Document"))
    corpus = index([lines], broken_off)
    assert corpus.count("Document") == 400
    assert corpus.count("document") == 0


@pytest.mark.parametrize("left", ["{", "[]", '{"format": 1}', '{"shard_bytes": "x"}'])
def test_what_was_left_by_an_attempt_may_be_anything(
    lines: Path, broken_off: Path, left: str
) -> None:
    (broken_off.with_name(".index.building") / "plan.json").write_text(left)
    assert index([lines], broken_off).count("document") == 400


def test_an_index_that_lacked_only_its_name_is_made_again(lines: Path, tmp_path: Path) -> None:
    whole = index([lines], tmp_path / "index", shard_bytes=SHARD).folder
    whole.rename(tmp_path / ".index.building")
    assert index([lines], whole, shard_bytes=10 * SHARD).count("document") == 400
    assert not leftovers(tmp_path)


def test_a_shard_half_written_is_made_again(lines: Path, broken_off: Path) -> None:
    (broken_off.with_name(".index.building") / "shard-00001" / "shard.json").unlink()
    assert index([lines], broken_off).count("document") == 400


KILLED = """
import os, signal, sys
from workbench.corpora import index, suffix_array
sort, calls = suffix_array.sorted_suffixes, []
def sorted_suffixes(text):
    calls.append(text)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return sort(text)
suffix_array.sorted_suffixes = sorted_suffixes
index([sys.argv[1]], sys.argv[2], shard_bytes=2000)
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


def test_a_killed_build_never_opens_and_goes_on(lines: Path, tmp_path: Path) -> None:
    target = tmp_path / "index"
    assert run(KILLED, lines, target).returncode == -signal.SIGKILL
    assert not target.exists()
    corpus = index([lines], target)
    assert corpus.count("document") == 400
    assert not leftovers(tmp_path)


FULL = """
import resource, sys
from workbench.corpora import index
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
index([sys.argv[1]], sys.argv[2])
"""


def test_a_write_that_fails_in_the_middle_leaves_nothing_that_opens(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("one two three\n" * 5000)
    target = tmp_path / "index"
    said = run(FULL, tmp_path / "long.txt", target)
    assert "The index could not be written" in said.stderr
    assert "File too large" in said.stderr
    assert not target.exists()
    assert not leftovers(tmp_path)
    assert index([tmp_path / "long.txt"], target).count("two") == 5000


def test_a_full_disk_is_said(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(text: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(suffix_array, "sorted_suffixes", full)
        with pytest.raises(WorkbenchError, match="the disk is full"):
            index([lines], tmp_path / "index")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9, 8, 1))
        patch.setattr(suffix_array, "sorted_suffixes", pytest.fail)  # said before it is filled
        with pytest.raises(WorkbenchError, match="the disk is full"):
            index(lines, tmp_path / "index")
    assert not leftovers(tmp_path)


MEASURED = """
import resource, sys
from workbench.corpora import index
import numpy, pyarrow, pydivsufsort
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
corpus = index([sys.argv[1]], sys.argv[2], shard_bytes=int(sys.argv[3]))
print(len(corpus.manifest.shards), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.process
def test_memory_is_that_of_a_shard_however_large_the_corpus(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"line {n} of {n * 7919 % 99991}\n" for n in range(1_000_000)))
    assert corpus.stat().st_size > 20e6
    said = run(MEASURED, corpus, tmp_path / "index", 4_000_000)
    assert not said.returncode, said.stderr
    shards, more = map(int, said.stdout.split())
    assert shards > 5
    # A shard of 4 MB takes 24 while it is sorted; its text was read just before.
    assert more < 40_000, f"{more} kB"


def test_the_size_of_a_shard_follows_from_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, wanted in ((None, build.SHARD), (64e9, build.SHARD), (120e6, 10e6), (1e6, 1e6)):
        monkeypatch.setattr(build.disk_space, "memory_free", lambda free=free: free)
        assert build._fitting() == wanted


def test_one_process_at_a_time_makes_an_index(lines: Path, tmp_path: Path) -> None:
    with (
        build._owned(tmp_path / "index"),
        pytest.raises(WorkbenchError, match="Another process is making the index"),
    ):
        index([lines], tmp_path / "index")


def test_places_where_no_index_can_be_made(lines: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="exists already"):
        index([lines], taken)
    with pytest.raises(BadInput, match="inside the corpus"):
        index([tmp_path], tmp_path / "index")
    (tmp_path / "empty").mkdir()
    assert index([lines], tmp_path / "empty").documents == 400


def test_a_missing_package_is_named(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WorkbenchError, match=r"memory-workbench\[corpus\]"):
        index([lines], tmp_path / "index")


@pytest.fixture
def whole(lines: Path, tmp_path: Path) -> Path:
    return index([lines], tmp_path / "index", shard_bytes=SHARD).folder


def changed(file: Path, change: Callable[[dict[str, object]], object]) -> None:
    raw = json.loads(file.read_text())
    change(raw)
    file.write_text(json.dumps(raw))


@pytest.mark.parametrize("name", list(manifest.ShardFiles(documents=1, bytes=1, labels=1).sizes()))
def test_files_that_were_cut_grown_or_lost_are_named(whole: Path, name: str) -> None:
    file = whole / "shard-00002" / name
    size = file.stat().st_size
    for other in (size - 1, size + 8, 0):
        os.truncate(file, other)
        with pytest.raises(BadInput, match=rf"shard-00002/{name} has {other:,} bytes? instead of"):
            open_index(whole)
    file.unlink()
    with pytest.raises(BadInput, match=f"shard-00002/{name} is missing"):
        open_index(whole)


def test_a_newer_version_and_a_strange_manifest_are_refused(whole: Path) -> None:
    file = whole / manifest.FILE
    before = file.read_text()
    changed(file, lambda raw: raw.update(format=2, whatever={}))
    with pytest.raises(BadInput, match=r"newer version of the workbench \(format 2\)"):
        open_index(whole)
    for strange in ("", "{", "[1]", "{}", "\0", '{"format": 1}', "[" * 100_000):
        file.write_text(strange)
        with pytest.raises(BadInput, match="damaged"):
            open_index(whole)
    for change in (
        lambda raw: raw.update(shards=[]),
        lambda raw: raw["shards"][0].update(documents=-1),
        lambda raw: raw["shards"][0].update(folder="../../elsewhere"),
    ):
        file.write_text(before)
        changed(file, change)
        with pytest.raises(BadInput, match="damaged"):
            open_index(whole)
    file.unlink()
    with pytest.raises(BadInput, match="no index"):
        open_index(whole)


@pytest.mark.parametrize("filling", [b"\0", b"\x7f", b"\xff"])
def test_other_bytes_of_the_same_size_end_in_an_error_or_no_match(
    whole: Path, filling: bytes
) -> None:
    for name, size in open_index(whole).manifest.shards[0].sizes().items():
        file = whole / "shard-00000" / name
        before = file.read_bytes()
        file.write_bytes(filling * size)
        corpus = open_index(whole)
        assert corpus.count("document") < 400 + corpus.manifest.shards[0].bytes
        with contextlib.suppress(BadInput):
            for place in corpus.find("document", 500):
                corpus.context(place)
            corpus.document(0)
        corpus.maximal_spans("document 001")
        file.write_bytes(before)


def test_opening_reads_nothing_however_large_an_index_is(tmp_path: Path) -> None:
    files = manifest.ShardFiles(documents=1, bytes=10**10, labels=3)
    folder = manifest.shard_folder(tmp_path, 0)
    folder.mkdir()
    for name, size in files.sizes().items():
        (folder / name).touch()
        os.truncate(folder / name, size)  # files of holes: 50 GB that take no room
    manifest.IndexManifest(made="", version="", sources=["x"], field="text", shards=[files]).write(
        tmp_path
    )
    started = time.monotonic()
    assert open_index(tmp_path).bytes == 10**10
    assert time.monotonic() - started < 1
