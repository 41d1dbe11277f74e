"""A capture that is streamed to a folder: the values are those of one in memory, and its size is
said before.
"""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import workbench as wb
from hooks import shard_job, streaming
from tests.helpers.capturing import ASKED, MANY, PROMPTS, child, hooks_on, same
from workbench import disk_space
from workbench.errors import BadInput, WorkbenchError
from workbench.trace_files import shard


@pytest.fixture
def small_shards(monkeypatch):
    """A few prompts per shard, so that little text makes many."""
    monkeypatch.setattr(shard_job, "SHARD_TOKENS", 30)


def test_streamed_is_what_is_captured_in_memory(model, tmp_path, small_shards):
    streamed = wb.capture(model, MANY, **ASKED, out=tmp_path / "t", batch_tokens=40)
    assert len(list((tmp_path / "t").glob("shard-*"))) > 3
    assert streamed.complete
    same(streamed, wb.capture(model, MANY, **ASKED, batch_tokens=40))
    assert {f.name for f in (tmp_path / "t").iterdir() if not f.name.startswith("shard-")} == {
        "manifest.json"
    }


def test_every_site_streams(model, tmp_path):
    streamed = wb.capture(model, PROMPTS, sites=list(model.sites), out=tmp_path / "t")
    assert list((tmp_path / "t").glob("shard-*"))
    same(streamed, wb.capture(model, PROMPTS, sites=list(model.sites)))


@pytest.mark.parametrize("positions", [[-1], [0, -1], [1, 0, -2]])
def test_streamed_positions(model, tmp_path, positions):
    sites = ["z", "pattern", "logits"]
    streamed = wb.capture(model, MANY, sites=sites, positions=positions, out=tmp_path / "t")
    assert list((tmp_path / "t").glob("shard-*"))
    same(streamed, wb.capture(model, MANY, sites=sites, positions=positions))


def test_prompts_as_token_ids_and_as_a_stream(llama, tmp_path, small_shards):
    ids = [llama.tokens(text) for text in MANY]
    want = wb.capture(llama, MANY, sites="z")
    same(wb.capture(llama, ids, sites="z"), want)
    once = wb.capture(llama, (row for row in ids), sites="z", out=tmp_path / "t")
    assert once.complete
    same(once, want)
    same(
        wb.capture(llama, iter(MANY), sites="z", out=tmp_path / "t"), want
    )  # the same again: nothing to do
    with pytest.raises(BadInput, match="Prompt 2 has the token id 999"):
        wb.capture(llama, [[1], [999]], sites="z")
    same(
        wb.capture(llama, ids[0], sites="z"), wb.capture(llama, MANY[0], sites="z")
    )  # one prompt's ids, by themselves
    with pytest.raises(BadInput, match="Prompt 1 is 5"):
        wb.capture(llama, iter([5, 6]), sites="z")
    with pytest.raises(BadInput, match="no prompt"):
        wb.capture(llama, [], sites="z", out=tmp_path / "u")


def test_windows_cut_long_texts(llama, tmp_path):
    ids = llama.tokens("Nobody remembers what the model was trained on. " * 60)
    assert len(ids) > 256
    cut = list(wb.windows(llama, [ids], 100, overlap=10))
    assert max(map(len, cut)) == 100
    assert cut[0] + [i for row in cut[1:] for i in row[10:]] == ids
    text = llama.tokenizer.decode(ids)
    trace = wb.capture(
        llama, wb.windows(llama, text, 100), sites="z", reduce="norm", out=tmp_path / "t"
    )
    assert sum(trace.lengths) == len(llama.tokens(text))
    with pytest.raises(BadInput, match="cannot overlap by 5"):
        wb.windows(llama, text, 5, overlap=5)


def test_smaller_numbers(llama, tmp_path):
    want = wb.capture(llama, MANY, sites="z")["z"]
    for dtype, bits in (("float16", 11), ("bfloat16", 8)):
        streamed = wb.capture(llama, MANY, sites="z", dtype=dtype, out=tmp_path / dtype)
        assert streamed.nbytes == sum(want.notnull().values.ravel()) * 2
        for trace in (streamed, wb.capture(llama, MANY, sites="z", dtype=dtype)):
            assert trace["z"].dtype == {"float16": np.float16, "bfloat16": np.float32}[dtype]
            np.testing.assert_allclose(trace["z"], want, rtol=2.0**-bits, atol=1e-6)
    with pytest.raises(BadInput, match="stored as 'int8'"):
        wb.capture(llama, MANY, sites="z", dtype="int8")


def test_what_float16_cannot_hold_is_said(llama, tmp_path):
    loud = torch.full((llama.card.d_model,), 1e5)
    with (
        wb.add(llama, loud, site="resid_post", layers=[1]),
        pytest.raises(BadInput, match="which float16 cannot"),
    ):
        wb.capture(llama, PROMPTS, sites="resid_post", dtype="float16", out=tmp_path / "t")
    assert wb.Trace.open(tmp_path / "t").lengths == []
    assert hooks_on(llama) == 0


def test_the_estimate_is_what_is_written(model, tmp_path, small_shards):
    for n, about in enumerate(
        [
            {"sites": ["z", "pattern"]},
            ASKED,
            {"sites": "resid_post", "reduce": "norm", "dtype": "float16"},
            {"sites": "logits"},
        ]
    ):
        wb.capture(model, MANY, **about, out=tmp_path / str(n))
        written = sum(file.stat().st_size for file in (tmp_path / str(n)).iterdir())
        assert wb.estimate(model, MANY, **about) == pytest.approx(written, rel=0.1)


def test_over_a_gigabyte_needs_agreement(llama, tmp_path, monkeypatch, small_shards):
    monkeypatch.setattr(streaming, "AGREED", 10_000)
    asked = []
    refuse = {"out": tmp_path / "t", "sites": "z"}
    for confirm in (False, lambda nbytes: asked.append(nbytes)):
        with pytest.raises(WorkbenchError, match=r"kB would be written to .*nobody has agreed"):
            wb.capture(llama, MANY, **refuse, confirm=confirm)
    assert asked == [wb.estimate(llama, MANY, sites="z")]
    assert not (tmp_path / "t").exists()
    # How long an iterator is shows only as it goes: what is finished by then stays.
    with pytest.raises(WorkbenchError, match="nobody has agreed"):
        wb.capture(llama, iter(MANY), **refuse)
    begun = wb.Trace.open(tmp_path / "t")
    assert 0 < len(begun.lengths) < len(MANY)
    assert not begun.complete
    assert "so far (unfinished)" in repr(begun)
    same(
        wb.capture(llama, MANY, **refuse, confirm=lambda nbytes: True),
        wb.capture(llama, MANY, sites="z"),
    )


def test_a_full_disk_and_a_full_memory_are_said_before(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(WorkbenchError, match=r"on disk; 1.0 MB are free"):
        wb.capture(llama, MANY, out=tmp_path / "t")
    assert not (tmp_path / "t").exists()
    monkeypatch.setattr(disk_space, "memory_free", lambda: 10_000)
    with pytest.raises(WorkbenchError, match=r"'z' of 12 prompts needs .* are free"):
        wb.capture(llama, MANY, sites="z")


def test_a_disk_that_fills_up_keeps_what_is_finished(llama, tmp_path, monkeypatch, small_shards):
    write, calls = os.write, []

    def until_full(file, data):
        calls.append(file)
        if len(calls) > 25:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(shard.os, "write", until_full)
        with pytest.raises(WorkbenchError, match="The disk is full"):
            wb.capture(llama, MANY, sites="z", out=tmp_path / "t")
    assert 0 < len(wb.Trace.open(tmp_path / "t").lengths) < len(MANY)
    assert not list((tmp_path / "t").glob(".writing-*"))
    same(wb.capture(llama, MANY, sites="z", out=tmp_path / "t"), wb.capture(llama, MANY, sites="z"))


MEMORY = """
import resource, sys
import workbench as wb
from tests.helpers import tiny
model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
prompts = (f"The capital of country {n} is" + " not" * (n % 7) for n in range(int(sys.argv[2])))
wb.capture(model, ["warm"] * 40, sites=["logits"], out=sys.argv[1] + "-warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wb.capture(model, prompts, sites=["logits", "z"], out=sys.argv[1], confirm=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.verify
@pytest.mark.process
def test_memory_stays_flat_however_many_prompts(tmp_path):
    grown = []
    for n in (400, 2400):
        process = child(MEMORY, tmp_path / str(n), n)
        grown.append(int(process.communicate()[0].split()[-1]) * 1024)
        assert process.returncode == 0
    written = sum(file.stat().st_size for file in (tmp_path / "2400").iterdir())
    assert written > 50e6
    assert grown[1] < grown[0] + 20e6  # of six times as much
