"""What experiments share that train one small model many times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures import exposure_trainings as trainings
from tests.helpers import tiny
from workbench.errors import BadInput, Unfit
from workbench.lab import Stage
from workbench.progress import Progress


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(trainings.paths, "cache_dir", lambda: tmp_path)
    return tmp_path


def test_pieces_are_dealt_once_each_and_the_same_for_a_seed(model: Any) -> None:
    pieces = trainings.prose_pieces(model, 40, 12, 3)
    assert len(set(pieces)) == 40
    assert {len(ids) for ids in pieces} == {12}
    assert pieces == trainings.prose_pieces(model, 40, 12, 3)
    assert pieces != trainings.prose_pieces(model, 40, 12, 4)
    with pytest.raises(BadInput, match="10000000"):
        trainings.prose_pieces(model, 10**7, 12, 3)


def next_token(model: Any, ids: list[int]) -> tuple[int, torch.Tensor]:
    logits = model.next_logits([[*model.text.beginning, *ids]])[0].float()
    return int(logits.argmax()), logits.log_softmax(-1)


def test_what_is_left_of_texts_by_a_plain_loop(model: Any) -> None:
    texts = trainings.prose_pieces(model, 6, 10, 0)
    left = trainings.texts_left(model, texts)
    assert left.asked == 5
    for n, ids in enumerate(texts):
        nats, right = [], []
        for at in range(5, 10):
            token, logprob = next_token(model, list(ids[:at]))
            nats.append(-float(logprob[ids[at]]))
            right.append(token == ids[at])
        assert left.loss[n] == pytest.approx(np.mean(nats), abs=1e-4)
        assert left.match[n] == int(np.cumprod(right).sum())


def test_the_likeliest_option_and_the_share_said_by_a_plain_loop(model: Any) -> None:
    prompts, options = [(5, 6, 7), (8, 9)], [[(1, 2), (3, 4)], [(10,), (11,), (12,)]]
    total = []
    for prompt, several in zip(prompts, options, strict=True):
        sums = []
        for option in several:
            now, value = list(prompt), 0.0
            for token in option:
                value += float(next_token(model, now)[1][token])
                now.append(token)
            sums.append(value)
        total.append(int(np.argmax(sums)))
    assert trainings.chosen_among(model, prompts, options).tolist() == total
    token, _ = next_token(model, [5, 6, 7])
    said = trainings.share_recited(model, [(5, 6, 7)] * 2, [(token, 0, 0, 0), (token - 1, token)])
    assert said[0] in (0.25, 0.5, 0.75, 1.0)
    assert said[1] == 0.0


def test_a_training_is_put_back_bit_for_bit(model: Any) -> None:
    before = [p.detach().clone() for p in model.module.parameters()]
    stage = Stage("reading", [[[1, 2, 3, 4]]] * 3, 1e-2)
    with trainings.trained(model, [stage], 0, Progress()):
        assert any(
            not torch.equal(p, b) for p, b in zip(model.module.parameters(), before, strict=True)
        )
    for p, b in zip(model.module.parameters(), before, strict=True):
        assert torch.equal(p, b)


def test_a_training_that_is_done_is_not_done_twice(model: Any, kept: Path) -> None:
    made = []

    def make() -> dict[str, list[float]]:
        made.append(1)
        return {"loss": [1.5, 2.0]}

    first = trainings.FinishedTrainings("x", model, {"steps": 3})
    assert first.of("one", make)["loss"].tolist() == [1.5, 2.0]
    other = trainings.FinishedTrainings("x", model, {"steps": 3})
    assert other.of("one", make)["loss"].tolist() == [1.5, 2.0]
    assert len(made) == 1
    trainings.FinishedTrainings("x", model, {"steps": 4}).of("one", make)
    assert len(made) == 2  # other steps are another experiment
    with pytest.MonkeyPatch.context() as patch:  # another library, or another vocabulary
        patch.setattr(trainings.checkpointing, "versions", lambda: {"torch": "0"})
        assert trainings.FinishedTrainings("x", model, {"steps": 3}).folder != first.folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "fingerprint", lambda tokenizer: "other")
        assert trainings.FinishedTrainings("x", model, {"steps": 3}).folder != first.folder
    (first.folder / "one.json").write_text("{damaged")
    other.of("one", make)
    assert len(made) == 3
    other.clear()
    assert not first.folder.exists()


def test_a_large_model_is_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainings.no_small_model(model) is None
    monkeypatch.setattr(trainings, "MOST_WEIGHTS", 1000)
    with pytest.raises(Unfit, match="trains its model dozens of times"):
        trainings.check_small(model)
