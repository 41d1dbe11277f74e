"""A streamed capture that was stopped or killed goes on where it ended, and only where the
request is the same.
"""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from hooks import capture_batch, shard_job
from tests.helpers import tiny
from tests.helpers.capturing import ASKED, MANY, PROMPTS, child, same
from workbench.errors import BadRun, Cancelled, WorkbenchError


@pytest.fixture
def small_shards(monkeypatch):
    """A few prompts per shard, so that little text makes many."""
    monkeypatch.setattr(shard_job, "SHARD_TOKENS", 30)


def stopped(model, folder, batches, prompts=MANY, **about):
    """Begin a capture and stop it after so many batches."""
    seen = []

    def show(update):
        seen.append(update)
        if len(seen) > batches:
            progress.cancel()

    progress = wb.Progress(show)
    with pytest.raises(Cancelled):
        wb.capture(
            model, prompts, **{**ASKED, **about}, out=folder, batch_tokens=15, progress=progress
        )
    return seen


def test_stopped_and_continued(model, tmp_path, small_shards, monkeypatch):
    stopped(model, tmp_path / "t", 5)
    begun = wb.Trace.open(tmp_path / "t")
    assert 0 < len(begun.lengths) < len(MANY)
    assert not begun.complete
    assert f"of {len(MANY)} (unfinished)" in repr(begun)
    want = wb.capture(model, MANY, **ASKED)
    for n, text in enumerate(begun.prompts):
        assert text == MANY[n]
        np.testing.assert_allclose(
            begun["z"][n, :, : begun.lengths[n]], want["z"][n, :, : want.lengths[n]], atol=1e-5
        )
    old = {file: file.stat().st_mtime_ns for file in (tmp_path / "t").glob("shard-*")}
    ran = []
    run = capture_batch.run
    monkeypatch.setattr(
        capture_batch,
        "run",
        lambda m, plans, ids, *more: (ran.extend(ids), run(m, plans, ids, *more)),
    )
    done = wb.capture(model, MANY, **ASKED, out=tmp_path / "t", batch_tokens=50)
    assert done.complete
    same(done, want)
    assert len(ran) == len(MANY) - len(begun.lengths)
    assert all(file.stat().st_mtime_ns == when for file, when in old.items())
    ran.clear()
    same(wb.capture(model, MANY, **ASKED, out=tmp_path / "t"), want)
    assert not ran


def test_progress_counts_what_was_left_to_do(llama, tmp_path, small_shards):
    first = stopped(llama, tmp_path / "t", 5)
    fractions = []
    progress = wb.Progress(lambda update: fractions.append(update.fraction))
    wb.capture(llama, MANY, **ASKED, out=tmp_path / "t", batch_tokens=15, progress=progress)
    assert first[0].fraction == fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": [0]}, "layers was"),
        ({"sites": ["z"], "reduce": None}, "asked for was"),
        ({"positions": [-1], "reduce": {"resid_post": "norm"}}, "positions was"),
        (
            {"reduce": {"resid_post": "mean", "pattern": "last", "logits": "topk:5"}},
            "'norm' there and is 'mean' now",
        ),
        ({"dtype": "float16"}, "dtype was 'float32' there and is 'float16' now"),
        ({"prompts": MANY[:-1]}, "other prompts"),
        ({"prompts": MANY[::-1]}, "other prompts"),
        ({"prompts": iter(MANY[::-1])}, "other prompts"),
        ({"prompts": iter(MANY[:2])}, "other prompts"),
    ],
)
def test_another_request_does_not_continue(llama, tmp_path, small_shards, change, says):
    stopped(llama, tmp_path / "t", 5)
    before = {file: file.read_bytes() for file in (tmp_path / "t").iterdir()}
    asked = {"prompts": MANY, **ASKED, **change}
    with pytest.raises(WorkbenchError, match=says):
        wb.capture(llama, **asked, out=tmp_path / "t")
    assert {
        file: file.read_bytes() for file in (tmp_path / "t").iterdir() if file.name != ".lock"
    } == {file: data for file, data in before.items() if file.name != ".lock"}


def test_another_model_does_not_continue(llama, tmp_path, small_shards):
    stopped(llama, tmp_path / "t", 5)
    other = wb.load((tiny.tiny_llama(seed=1), tiny.tiny_tokenizer()))
    with pytest.raises(WorkbenchError, match="model weights was"):
        wb.capture(other, MANY, **ASKED, out=tmp_path / "t")


def test_a_folder_of_something_else_is_left_alone(llama, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="exists already"):
        wb.capture(llama, PROMPTS, out=tmp_path)
    with pytest.raises(WorkbenchError, match="exists already"):
        wb.capture(llama, PROMPTS, out=tmp_path / "notes.txt")
    wb.capture(llama, PROMPTS).save(tmp_path / "saved")
    with pytest.raises(WorkbenchError, match="holds another capture"):
        wb.capture(llama, PROMPTS, out=tmp_path / "saved")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "damage",
    [lambda f: f.unlink(), lambda f: f.write_bytes(b""), lambda f: f.write_bytes(b"\0" * 9999)],
)
def test_a_damaged_shard_is_written_anew(llama, tmp_path, small_shards, damage):
    wb.capture(llama, MANY, **ASKED, out=tmp_path / "t")
    want = wb.capture(llama, MANY, **ASKED)
    damage(sorted((tmp_path / "t").glob("shard-*"))[1])
    with pytest.raises(BadRun):
        wb.Trace.open(tmp_path / "t")
    same(wb.capture(llama, MANY, **ASKED, out=tmp_path / "t"), want)


def test_two_captures_do_not_write_to_one_folder(llama, tmp_path):
    def show(update):
        with pytest.raises(WorkbenchError, match="Another capture is writing"):
            wb.capture(llama, PROMPTS, out=tmp_path / "t")
        tried.append(update)

    tried = []
    wb.capture(llama, PROMPTS, out=tmp_path / "t", progress=wb.Progress(show))
    assert tried


def test_a_link_in_a_strangers_folder_leads_nowhere(llama, tmp_path, small_shards):
    stopped(llama, tmp_path / "t", 5)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in (".writing-shard-00000000.safetensors", ".writing-manifest.json"):
        (tmp_path / "t" / name).symlink_to(outside)
    wb.capture(llama, MANY, **ASKED, out=tmp_path / "t")
    assert outside.read_text() == "mine"
    (tmp_path / "t" / ".lock").symlink_to(outside)
    with pytest.raises(BadRun, match="leads elsewhere"):
        wb.capture(llama, MANY, **ASKED, out=tmp_path / "t")
    assert outside.read_text() == "mine"


CHILD = """
import sys
import workbench as wb
from tests.helpers import tiny
from hooks import shard_job
shard_job.SHARD_TOKENS = 30
model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
def show(update): print(update.says, flush=True)
prompts = [f"The capital of country {n} is" + " not" * (n % 7) for n in range(400)]
watched = wb.Progress(show)
options = {"batch_tokens": 20, "progress": watched}
wb.capture(model, prompts, sites=["z", "pattern"], out=sys.argv[1], **options)
"""


@pytest.mark.verify
@pytest.mark.process
def test_killed_in_the_middle_and_continued(llama, tmp_path, small_shards):
    prompts = [f"The capital of country {n} is" + " not" * (n % 7) for n in range(400)]
    finished = 0
    for lines in (3, 14):  # killed while another batch runs, each time further on
        process = child(CHILD, tmp_path / "t", text=True)
        for _ in range(lines):
            assert process.stdout.readline().startswith("Capturing prompt")
        process.kill()
        process.wait()
        begun = wb.Trace.open(tmp_path / "t")
        assert finished <= len(begun.lengths) < 400
        assert begun.prompts == prompts[: len(begun.prompts)]
        assert not begun.complete
        assert bool(begun["z"].sizes["prompt"]) == bool(begun.lengths)
        finished = len(begun.lengths)
    assert finished > 0
    done = wb.capture(llama, prompts, sites=["z", "pattern"], out=tmp_path / "t")
    assert done.complete
    same(done, wb.capture(llama, prompts, sites=["z", "pattern"]))
