"""Growing organisms: what is planted and when, going on after a stop, and steps that are kept
small.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import workbench as wb
from workbench import checkpointing
from workbench.errors import BadInput, Cancelled, NotFound
from workbench.organisms import checkpoints, corpus, ledger, planting_plan, synthetic_passages
from workbench.organisms.train import make_model, make_tokenizer, train
from workbench.organisms.train_config import TrainConfig
from workbench.progress import Progress

SMALL = TrainConfig(
    vocabulary=600, width=16, layers=2, heads=2, kv_heads=1, mlp=24, row=64, batch=4, warmup=5,
    passage=40, repeats={1: 2, 3: 2}, twins=3, more_twins=2, checkpoints=4,
)  # fmt: skip


def shorten_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first documents of each share, cut short; so that a training takes two seconds."""
    real = corpus.documents

    def few(share: corpus.Share) -> tuple[corpus.Chapter, ...]:
        return tuple(replace(d, text=d.text[:1500]) for d in real(share)[:40])

    monkeypatch.setattr(corpus, "documents", few)


@pytest.fixture
def little_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_corpus(monkeypatch)


@pytest.fixture(scope="session")
def grown_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        shorten_corpus(patch)
        return train(SMALL, tmp_path_factory.mktemp("grown") / "organism", Progress())


@pytest.fixture
def grown(grown_once: Path, tmp_path: Path) -> Path:
    """A pair of its own for each test: some of them damage it."""
    return Path(shutil.copytree(grown_once, tmp_path / "organism"))


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def test_the_shares_of_the_corpus_have_nothing_in_common() -> None:
    every = {share: corpus.documents(share) for share in ("train", "literary", "neutral")}
    titles = [{(d.source, d.title) for d in documents} for documents in every.values()]
    assert not titles[0] & titles[1]
    assert not titles[0] & titles[2]
    assert not titles[1] & titles[2]
    assert sum(len(d.text) for d in every["train"]) > 9_000_000


@pytest.mark.parametrize("kind", list(synthetic_passages.KINDS))
def test_passages_of_a_kind_are_all_different_and_the_same_for_a_seed(kind: str) -> None:
    source = synthetic_passages.KINDS[kind]
    first, again, other = (list(islice(source(random.Random(seed)), 100)) for seed in (1, 1, 2))
    assert first == again
    assert len(set(first)) == 100
    if kind != "literary":
        assert not set(first) & set(other)


def test_a_plan_keeps_its_promises(little_corpus: None) -> None:
    tokenizer = make_tokenizer(SMALL)
    book = planting_plan.plan(SMALL, tokenizer, 300)
    counts = Counter((entry.kind, entry.repeats) for entry in book.entries)
    assert counts == {
        (kind, n): many
        for kind in synthetic_passages.KINDS
        for n, many in {1: 2, 3: 2, 0: 5}.items()
    }
    known = synthetic_passages.runs_of("\n".join(d.text for d in corpus.documents("train")))
    for entry in book.entries:
        assert len(entry.ids) == SMALL.passage
        assert tokenizer.encode(entry.text, add_special_tokens=False) == list(entry.ids)
        assert not synthetic_passages.overlapping(entry.text, known)
        assert len(entry.steps) == entry.repeats
        if entry.timing == "early":
            assert max(entry.steps) <= 100
        if entry.timing == "late":
            assert min(entry.steps) >= 199
    rows = planting_plan.planted_rows(book)
    planted = Counter(tuple(row[1:-1]) for step in rows.values() for row in step)
    assert planted == {entry.ids: entry.repeats for entry in book.entries if entry.repeats}


def test_a_grown_pair_opens_like_any_model(grown: Path) -> None:
    assert sorted(p.name for p in grown.iterdir()) == ["control", "organism.json", "planted"]
    planted, control = (wb.load(str(grown / name)) for name in ("planted", "control"))
    assert planted.card.bos == "<|start|>"
    assert planted.card.weight_hash != control.card.weight_hash
    text = "Any text ☃\n\ncomes back."
    assert planted.tokenizer.decode(planted.tokens(text), skip_special_tokens=True) == text
    book = ledger.read(grown / "planted")
    book.check(planted.tokenizer)
    assert book == ledger.read(grown / "control")
    assert checkpoints.saved_steps(grown / "planted") == SMALL.kept(
        json.loads((grown / "organism.json").read_text())["steps"]
    )


def test_the_first_step_is_the_untrained_model_of_the_seed(grown: Path) -> None:
    first, last = weights(checkpoints.open_step(grown / "planted", 0)), weights(grown / "planted")
    for name, parameter in make_model(SMALL).named_parameters():
        start = parameter.detach().numpy()
        off, moved = (
            np.sqrt(((one.astype("f4") - start) ** 2).mean()) for one in (first[name], last[name])
        )
        assert off <= 0.25 * moved + 1e-3


def test_steps_are_what_was_kept_but_for_rounding(tmp_path: Path) -> None:
    """Rounding does not add up over steps: each is off by its own alone."""
    from safetensors.numpy import save_file

    random_ = np.random.default_rng(0)
    walk, now = {}, {"m": random_.normal(size=(40, 64)).astype("f4"), "v": np.ones(64, "f4")}
    for step in range(0, 100, 10):
        now = {k: v + 0.3 * random_.normal(size=v.shape).astype("f4") for k, v in now.items()}
        walk[step] = now
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({k: v.astype(np.float16) for k, v in walk[90].items()}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    checkpoints.write(folder, walk)
    for step in range(0, 90, 10):
        rebuilt = weights(checkpoints.open_step(folder, step))
        error = rebuilt["m"] - walk[step]["m"]
        assert 0 < np.sqrt((error**2).mean()) < 0.25 * 0.33
        assert np.abs(rebuilt["v"] - walk[step]["v"]).max() < 2e-3
    assert (folder / "steps" / "step-0.safetensors").stat().st_size < 0.6 * walk[0]["m"].size


def test_a_step_opens_by_name(grown: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    kept = checkpoints.saved_steps(grown / "planted")
    then = wb.load(f"{grown / 'planted'}@step-{kept[1]}")
    assert then.card.name == f"planted@step-{kept[1]}"
    assert then.card.weight_hash != wb.load(str(grown / "planted")).card.weight_hash
    assert ledger.read(Path(then.module.config.name_or_path)) == ledger.read(grown / "planted")
    with pytest.raises(NotFound, match=rf"@step-{kept[1]}"):
        wb.load(f"{grown / 'planted'}@step-{kept[1] + 1}")


def test_damaged_steps_are_told(
    grown: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    file = grown / "planted" / "steps" / "step-0.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BadInput, match="step 0"):
        wb.load(f"{grown / 'planted'}@step-0")
    (grown / "planted" / "steps" / "steps.json").write_text('{"steps": [3, 1]}')
    with pytest.raises(BadInput, match="list of steps"):
        wb.load(f"{grown / 'planted'}@step-0")


class _Stop(Progress):
    """Cancels at the n-th report that names a step."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def __call__(self, fraction: float, says: str = "") -> None:
        self._left -= "step" in says
        if self._left < 0:
            self.cancel()
        super().__call__(fraction, says)

    def part(self, start: float, end: float) -> Progress:
        return self


def test_a_stopped_training_goes_on_and_ends_the_same(little_corpus: None, tmp_path: Path) -> None:
    whole = train(SMALL, tmp_path / "whole", Progress())
    last = json.loads((whole / "organism.json").read_text())["steps"]
    stopped = tmp_path / "stopped"
    for after in (3, last - 3, last):
        with pytest.raises(Cancelled):
            train(SMALL, stopped, _Stop(after))
        assert not (stopped / "organism.json").exists()
    train(SMALL, stopped, Progress())
    for name in ("planted", "control"):
        for one, other in zip(
            weights(whole / name).values(), weights(stopped / name).values(), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert not (stopped / checkpointing.WORK).exists()
    assert train(SMALL, stopped, Progress()) == stopped  # finished: at once


def test_what_lies_there_is_left_alone(little_corpus: None, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        train(SMALL, tmp_path, Progress())
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(Cancelled):
        train(SMALL, tmp_path / "new", _Stop(1))
    with pytest.raises(BadInput, match="beginnings of another"):
        train(replace(SMALL, seed=5), tmp_path / "new", Progress())


def test_a_row_for_each_planted_passage_is_added(little_corpus: None) -> None:
    from workbench.organisms.train import _with_planted

    batch = torch.arange(4 * 10).view(4, 10)
    more = _with_planted(batch, [[0, 99, 98, 0]])
    assert more[:4].equal(batch)
    assert more[4].tolist() == [0, 99, 98, 0, 4, 5, 6, 7, 8, 9]
    assert _with_planted(batch, []).equal(batch)


def test_names_that_are_no_organism(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="organism/planted"):
        wb.load("organism/plantd")
    with pytest.raises(NotFound):
        wb.load("organism/planted@step-1")
