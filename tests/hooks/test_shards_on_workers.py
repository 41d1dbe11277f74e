"""A trace that several workers write: the same bytes as one writes, whatever happens to them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks import shard_job
from hooks.reduce import Project
from tests.helpers import inline_workers, tiny
from tests.helpers.capturing import contents
from workbench import cli
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.grid import drive
from workbench.grid import workers as grid_workers
from workbench.trace_files.manifest import MANIFEST, UNFINISHED

TEXTS = [f"The capital of country {n} is" + " not" * (n % 7) for n in range(40)]
REQUEST = {
    "sites": ["z", "resid_post", "pattern", "logits"],
    "reduce": {"resid_post": "norm", "pattern": "last", "logits": "topk:5"},
    "batch_tokens": 40,
}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model"))


@pytest.fixture(scope="module")
def model(model_folder):
    return wb.load(model_folder)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shard_job, "SHARD_TOKENS", 150)


@pytest.fixture(autouse=True)
def one_thread():
    with inline_workers.one_thread():
        yield


def test_any_number_of_workers_writes_what_this_process_writes(
    model, model_folder, tmp_path, monkeypatch
):
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "here")
    for n in (1, 3):
        engine = inline_workers.inline(monkeypatch)
        workers = wb.Workers(model_folder, n)
        trace = wb.capture(model, TEXTS, **REQUEST, out=tmp_path / str(n), workers=workers)
        assert trace.complete
        assert len({worker for worker, _ in engine.given}) == n
        assert contents(tmp_path / str(n)) == contents(tmp_path / "here")
    assert len(contents(tmp_path / "here")) > 5


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    batch_tokens=st.integers(1, 120),
    deaths=st.sets(st.integers(0, 3), max_size=2),
    n=st.integers(1, 4),
)
def test_whoever_dies_the_bytes_are_the_same(
    model, model_folder, tmp_path_factory, monkeypatch, lengths, batch_tokens, deaths, n
):
    ids = [[(7 * i + n) % 300 for i in range(length)] for n, length in enumerate(lengths)]
    asked = {"sites": ["resid_post"], "layers": [1], "batch_tokens": batch_tokens}
    folder = tmp_path_factory.mktemp("traces")
    wb.capture(model, ids, **asked, out=folder / "here")
    inline_workers.inline(monkeypatch, sorted(deaths))
    wb.capture(model, ids, **asked, out=folder / "there", workers=wb.Workers(model_folder, n))
    assert contents(folder / "there") == contents(folder / "here")


def test_reducers_positions_and_narrow_numbers_reach_the_workers(
    model, model_folder, tmp_path, monkeypatch
):
    directions = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    asked = {
        "sites": ["resid_post", "mlp_out", "blocks.1.attn.hook_z"],
        "reduce": {"resid_post": Project(directions), "mlp_out": "lowrank:2"},
        "positions": [0, -1],
        "dtype": "bfloat16",
    }
    wb.capture(model, TEXTS, **asked, out=tmp_path / "here")
    inline_workers.inline(monkeypatch)
    # A generator is read once, and its length is known before anything is written all the same.
    texts = (text for text in TEXTS)
    workers = wb.Workers(model_folder, 2)
    wb.capture(model, texts, **asked, out=tmp_path / "there", workers=workers)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@pytest.mark.parametrize("ended_by", ["workers", "this process"])
def test_what_workers_left_is_ended_by_anybody(
    model, model_folder, tmp_path, monkeypatch, ended_by
):
    """The first shard kills all its workers, so that the others are there before it."""
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "whole")
    workers = wb.Workers(model_folder, 2)
    monkeypatch.setattr(drive, "TRIES", 2)
    inline_workers.inline(monkeypatch, [0, 2])
    with pytest.raises(WorkbenchError, match="A worker died"):
        wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t", workers=workers)
    missing = contents(tmp_path / "whole").keys() - contents(tmp_path / "t").keys()
    assert "shard-00000000.safetensors" in missing
    opened = wb.Trace.open(tmp_path / "t")  # what stands before the first that is missing
    assert not opened.complete
    assert len(opened.lengths) == 0
    assert f"0 prompts of {len(TEXTS)} (unfinished)" in repr(opened)
    with pytest.raises(WorkbenchError, match="other prompts"):
        wb.capture(model, TEXTS[1:], **REQUEST, out=tmp_path / "t", workers=workers)
    engine = inline_workers.inline(monkeypatch)
    # Whatever is said now, the batches are those that it was begun with.
    other = {**REQUEST, "batch_tokens": 7}
    if ended_by == "workers":
        wb.capture(model, TEXTS, **other, out=tmp_path / "t", workers=workers)
        assert len(engine.given) == len(missing)
    else:
        wb.capture(model, TEXTS, **other, out=tmp_path / "t")
    done = contents(tmp_path / "t")
    done.pop(".lock", None)
    assert done == contents(tmp_path / "whole")


def test_workers_end_what_this_process_began(model, model_folder, tmp_path, monkeypatch):
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t")
    whole = contents(tmp_path / "t")
    for file in sorted((tmp_path / "t").glob("shard-*"))[2:]:
        file.unlink()
    engine = inline_workers.inline(monkeypatch)
    workers = wb.Workers(model_folder, 2)
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t", workers=workers)
    assert contents(tmp_path / "t") == whole
    assert len(engine.given) == len(whole) - 3
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t", workers=workers)
    assert len(engine.given) == len(whole) - 3


def test_other_prompts_are_refused(model, model_folder, tmp_path, monkeypatch):
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t")
    inline_workers.inline(monkeypatch)
    before = contents(tmp_path / "t")
    workers = wb.Workers(model_folder, 2)
    for texts in (TEXTS[:-1], [*TEXTS[:-1], "Other"], TEXTS[::-1]):
        with pytest.raises(WorkbenchError, match="other prompts"):
            wb.capture(model, texts, **REQUEST, out=tmp_path / "t", workers=workers)
    assert contents(tmp_path / "t") == before


def test_a_worker_with_other_weights_is_refused(model, tmp_path, monkeypatch):
    other = tiny.save_tiny(tmp_path / "other", tiny.tiny_llama(seed=1))
    inline_workers.inline(monkeypatch)
    with pytest.raises(WorkbenchError, match=r"Prompts 1 to .* has other weights"):
        wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t", workers=wb.Workers(str(other), 2))
    assert set(contents(tmp_path / "t")) == {".lock", MANIFEST}


def test_stopped_it_keeps_whole_shards_only(model, model_folder, tmp_path, monkeypatch):
    inline_workers.inline(monkeypatch)
    seen = []

    def show(update):
        seen.append(update.fraction)
        if update.fraction > 0.3:
            progress.cancel()

    progress = wb.Progress(show)
    workers = wb.Workers(model_folder, 1)
    with pytest.raises(Cancelled):
        wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t", workers=workers, progress=progress)
    assert seen == sorted(seen)
    begun = wb.Trace.open(tmp_path / "t")
    assert 0 < len(begun.lengths) < len(TEXTS)
    assert not [name for name in contents(tmp_path / "t") if name.startswith(UNFINISHED)]
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "t", workers=workers)
    wb.capture(model, TEXTS, **REQUEST, out=tmp_path / "whole")
    assert contents(tmp_path / "t") == contents(tmp_path / "whole")


class Halves:
    """A reducer of one's own."""

    spec = "halves"

    def reason_incompatible(self, site):
        return None

    def outputs(self, site, sizes):
        raise NotImplementedError

    def __call__(self, site, x, rows):
        raise NotImplementedError


def test_what_workers_cannot_do_is_said_before_they_begin(
    model, model_folder, tmp_path, monkeypatch
):
    engine = inline_workers.inline(monkeypatch)
    two = wb.Workers(model_folder, 2)
    refused = [
        ("at least 1", {"workers": wb.Workers(model_folder, 0)}),
        ("There is no engine", {"workers": wb.Workers(model_folder, 2, engine="slurm")}),
        ("by its name", {"workers": wb.Workers(model, 2)}),
        ("back end 'torch'", {"workers": two, "backend": lambda *a, **k: None}),
        ("Workers write to a folder", {"workers": two, "out": None}),
    ]
    for says, asked in refused:
        with pytest.raises(BadInput, match=says):
            wb.capture(model, TEXTS, **{"out": tmp_path / "t", **asked})
    with wb.ablate(model, heads=[(0, 1)]), pytest.raises(BadInput, match="switched on"):
        wb.capture(model, TEXTS, out=tmp_path / "t", workers=two)
    monkeypatch.setattr(Halves, "outputs", lambda self, site, sizes: [])
    with pytest.raises(BadInput, match="cannot be sent to workers"):
        wb.capture(model, TEXTS, reduce=Halves(), out=tmp_path / "t", workers=two)
    monkeypatch.setattr(grid_workers, "memory_free", lambda: 10**9)
    with pytest.raises(WorkbenchError, match="at most 1 worker"):
        wb.capture(model, TEXTS, out=tmp_path / "t", workers=two)
    assert not engine.given
    assert not list((tmp_path / "t").glob("shard-*"))


# -- with real processes ---------------------------------------------------------------------------


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["trace", *map(str, arguments)])
    return int(end.value.code or 0)


@pytest.mark.process
def test_two_processes_write_what_one_writes(model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shard_job, "SHARD_TOKENS", 400)
    (tmp_path / "p.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    asked = ["-m", model_folder, "--prompts", tmp_path / "p.txt", "--site", "z"]
    assert call(*asked, "-o", tmp_path / "here") == 0
    assert call(*asked, "-o", tmp_path / "two", "--workers", 2) == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "here")
    assert "shards on 2 workers." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--workers", "0"], "greater than or equal to 1"),
        (["--engine", "ray"], "--workers N"),
        (["--workers", "2", "--engine", "slurm"], "There is no engine 'slurm'"),
        (["--workers", "2", "--address", "host:1"], "An address is of a Ray cluster"),
    ],
)
def test_what_is_wrong_is_one_sentence(model_folder, tmp_path, capsys, arguments, says):
    assert call("text", "-m", model_folder, "-o", tmp_path / "t", *arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "t").exists()
