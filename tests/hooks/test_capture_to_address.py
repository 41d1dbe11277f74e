"""A capture that goes to an address: as one to a folder, shard by shard, stopped and continued."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from hooks import shard_job
from tests.helpers import inline_workers, tiny
from tests.helpers.addresses import counted, names_at
from workbench.cli import main
from workbench.errors import Cancelled, WorkbenchError
from workbench.remote_folder import RemoteFolder
from workbench.trace_files.index import INDEX

MANY = ["one two three", "four", "five six seven eight nine", "ten eleven"] * 6
ASKED: dict[str, Any] = {"sites": ["z", "pattern"], "batch_tokens": 15}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_job, "SHARD_BYTES", 12_000)


def same(got: wb.Trace, want: wb.Trace) -> None:
    assert got.complete
    assert (got.prompts, got.tokens) == (want.prompts, want.tokens)
    for name in want:
        xr.testing.assert_allclose(got[name], want[name], atol=1e-5)


def stopped(model: Any, address: str, updates: int, prompts: Any = MANY) -> None:
    seen: list[Any] = []

    def show(update: Any) -> None:
        seen.append(update)
        if len(seen) > updates:
            progress.cancel()

    progress = wb.Progress(show)
    with pytest.raises(Cancelled):
        wb.capture(model, prompts, **ASKED, out=address, progress=progress)


def test_it_goes_there_is_stopped_and_goes_on(llama: Any, place: str) -> None:
    address = f"{place}/traces/t"
    want = wb.capture(llama, MANY, **ASKED)
    stopped(llama, address, 6)
    names = names_at(address)
    assert INDEX not in names
    assert not [name for name in names if name.startswith(".")]
    begun = wb.Trace.open(address)
    assert not begun.complete
    assert f"{len(begun.lengths)} prompts of {len(MANY)} (unfinished)" in repr(begun)
    assert begun.prompts == MANY[: len(begun.lengths)]
    kept = {name for name in names if name.startswith("shard")}
    assert kept
    same(wb.capture(llama, MANY, **ASKED, out=address), want)
    assert INDEX in names_at(address)


def test_another_capture_is_refused(llama: Any) -> None:
    address = "memory://another/t"
    wb.capture(llama, MANY, **ASKED, out=address)
    for other in ({"prompts": [*MANY, "more"]}, {"prompts": MANY, "sites": "z"}):
        with pytest.raises(WorkbenchError, match=r"holds (another capture|a capture of other)"):
            wb.capture(llama, **{**ASKED, **other}, out=address)


def test_what_is_finished_is_not_written_again(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "memory://once/t"
    stopped(llama, address, 6)
    finished = {name for name in names_at(address) if name.startswith("shard")}
    traffic = counted(monkeypatch)
    wb.capture(llama, MANY, **ASKED, out=address)
    written = {path.rpartition("/")[2] for what, path, _ in traffic.requests if "put" in what}
    assert written
    assert not written & finished
    traffic.clear()
    wb.capture(llama, MANY, **ASKED, out=address)  # all is there
    assert not [what for what, _, _ in traffic.requests if what in ("put_file", "pipe_file")]


def test_a_damaged_shard_is_written_anew_and_until_then_nothing_is_whole(
    llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "memory://anew/t"
    want = wb.capture(llama, MANY, **ASKED)
    wb.capture(llama, MANY, **ASKED, out=address)
    folder = RemoteFolder(address)
    shards = sorted(name for name in names_at(address) if name.startswith("shard"))
    folder.write(shards[1], folder.read(shards[1], 0, 5000))
    folder.remove(shards[2])

    def gone(self: RemoteFolder, *more: Any) -> None:
        raise WorkbenchError("the bucket is gone", "", "")

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "put", gone)
        with pytest.raises(WorkbenchError, match="the bucket is gone"):
            wb.capture(llama, MANY, **ASKED, out=address)
    assert INDEX not in names_at(address)
    same(wb.capture(llama, MANY, **ASKED, out=address), want)


def test_a_stream_that_ends_some_time(llama: Any) -> None:
    address = "memory://stream/t"
    same(wb.capture(llama, iter(MANY), **ASKED, out=address), wb.capture(llama, MANY, **ASKED))
    RemoteFolder("memory://stream/other").write("anything", b"")
    with pytest.raises(WorkbenchError, match="exists already"):
        wb.capture(llama, MANY, out="memory://stream/other")


def test_no_file_of_it_stays_on_this_machine(
    llama: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One shard at a time, and none afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    most = [0]
    real = RemoteFolder.put

    def counting(self: RemoteFolder, file: Any) -> None:
        most[0] = max(most[0], len(list(file.parent.iterdir())))
        real(self, file)

    monkeypatch.setattr(RemoteFolder, "put", counting)
    wb.capture(llama, MANY, **ASKED, out="memory://local/t")
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


def test_workers_write_the_same_bytes_there(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tiny.save_tiny(tmp_path / "tiny"))
    model = wb.load(folder, device="cpu")
    wb.capture(model, MANY, **ASKED, out="memory://workers/here")
    inline_workers.inline(monkeypatch, [1])  # one dies, and another does its shard
    workers = wb.Workers(folder, 2)
    wb.capture(model, MANY, **ASKED, out="memory://workers/there", workers=workers)
    here, there = (RemoteFolder(f"memory://workers/{name}") for name in ("here", "there"))
    assert here.sizes() == there.sizes()
    assert INDEX in here.sizes()
    for name in here.sizes():
        assert here.read(name, 0, 10**9) == there.read(name, 0, 10**9)


@pytest.mark.parametrize("place", ["memory", "file"], indirect=True)
def test_the_command_line(
    place: str,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tiny.save_tiny(tmp_path / "tiny")
    command = ["trace", "-m", str(model), "a dog", "a cat", "--site", "z"]
    address = f"{place}/t"
    for _ in range(2):  # the second finds it finished
        with pytest.raises(SystemExit) as end:
            main([*command, "-o", address])
        written = capsys.readouterr()
        assert not end.value.code, written.err
        assert f"Saved as {address}" in re.sub(r"\s+", " ", written.out)
        assert "testing-secret" not in written.out + written.err
    assert np.isfinite(wb.Trace.open(address)["z"].values[:, :, :3]).all()
    assert sorted(file.name for file in tmp_path.iterdir() if file.name != "elsewhere") == ["tiny"]
    for wrong, why in [("ftp://a/t", "cannot be opened"), ("s3://key:word@a/t", "perhaps keys")]:
        with pytest.raises(SystemExit) as end:
            main([*command, "-o", wrong])
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert why in re.sub(r"\s+", " ", said)
        assert "word" not in said
