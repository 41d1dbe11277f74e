"""Unlearning as a whole: it stops where it should, goes on where it was stopped, and refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hooks.unlearning import (
    METHODS,
    Settings,
    Text,
    unlearn,
    without_overlap,
)
from hooks.unlearning import training_loop as loops
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.trained_weights import MatrixEntries, matrix_names
from hooks.unlearning.training_loop import is_on_path
from tests.helpers.families import built
from tests.helpers.unlearning_checks import nats, nats_on, same, weights
from tests.hooks.unlearning.conftest import random_texts
from workbench.errors import BadInput, Cancelled, NotFound, Unfit
from workbench.progress import Progress


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_the_aim_and_leaves_nothing(knowing, forget, retain, method):
    before, start = weights(knowing), nats(knowing, forget)
    aim = start + 1.0
    settings = Settings(aim, steps=40, rates=(0.01, 0.03, 0.1), share=0.02)
    done = unlearn(knowing, method, forget, retain, settings)
    assert same(knowing, before)
    assert all(p.grad is None and not p.requires_grad for p in knowing.module.parameters())
    assert done.log.reached, done.log.stopped
    with done.applied(knowing):
        assert nats(knowing, forget) >= aim - 1e-3
        changed = {n for n, p in knowing.module.named_parameters() if not torch.equal(p, before[n])}
        assert changed <= set(done.delta.index)
        assert not any("embed" in n or "norm" in n or "head" in n for n in changed)
    assert same(knowing, before)
    assert done.log.whole[-1][1] == pytest.approx(nats_on(knowing, done, forget), abs=1e-4)
    if method not in {"task-vector"}:
        assert done.log.whole[-1][0] == done.log.step == done.log.steps
        assert all(found < aim for _, found in done.log.whole[:-1])


def test_the_smallest_rate_that_reaches_is_taken(knowing, forget, retain):
    aim = nats(knowing, forget) + 1.0
    done = unlearn(knowing, "ga", forget, retain, Settings(aim, steps=4, rates=(0.2, 0.001, 0.05)))
    assert done.log.reached
    assert done.log.rate == 0.05
    assert done.log.notes == ("At a rate of 0.001: 2 steps were less than a quarter of the way.",)
    none = unlearn(knowing, "ga", forget, retain, Settings(aim, steps=2, rates=(0.001, 0.002)))
    assert not none.log.reached
    assert (none.log.rate, none.log.step) == (0.002, 2)
    assert none.log.whole[-1] == (2, pytest.approx(nats_on(knowing, none, forget), abs=1e-4))


def test_what_is_forgotten_already_is_left(knowing, forget, retain):
    steps = []
    done = unlearn(
        knowing, "ga", forget, retain, Settings(0.01), watch=lambda step, _: steps.append(step)
    )
    assert steps == [0]
    assert done.log.reached
    assert done.log.stopped.startswith("nothing was to be done: the texts have")
    assert done.delta.size == 0
    before = weights(knowing)
    with done.applied(knowing):
        assert same(knowing, before)


def test_a_model_that_breaks_is_given_up_and_the_step_before_kept(knowing, forget, retain):
    done = unlearn(knowing, "ga", forget, retain, Settings(1000.0, steps=40, rates=(0.2,)))
    assert "above that of guessing at step" in done.log.stopped
    guess = math.log(knowing.card.d_vocab)
    assert done.log.retain[-1] > guess
    assert all(r <= guess for r in done.log.retain[:-1])
    assert done.log.step == done.log.steps - 1
    assert nats_on(knowing, done, retain) == pytest.approx(done.log.retain[-2], abs=1e-3)
    left = pytest.approx(nats_on(knowing, done, forget), abs=1e-3)
    assert done.log.whole[-1] == (done.log.step, left)


def test_a_loss_that_is_no_number_ends_it(knowing, forget, monkeypatch):
    real = loops.UnlearningRun._pass

    def broken(self, *args, **kwargs):
        found = real(self, *args, **kwargs)
        calls.append(1)
        return found if len(calls) < 4 else (math.nan, *found[1:])

    calls = []
    monkeypatch.setattr(loops.UnlearningRun, "_pass", broken)
    done = unlearn(knowing, "ga", forget, [], Settings(1000.0, steps=9, rates=(0.01,)))
    assert done.log.stopped == "the loss was no number at step 3; step 2 is kept"
    assert nats_on(knowing, done, forget) == pytest.approx(done.log.forget[2], abs=1e-3)


def test_the_whole_set_is_read_only_when_a_batch_has_reached(knowing, forget, monkeypatch):
    read = []
    real = loops.nats_of_all

    def counted(model, texts, *more):
        read.append(len(texts))
        return real(model, texts, *more)

    monkeypatch.setattr(loops, "nats_of_all", counted)
    aim = nats(knowing, forget) + 1.0
    done = unlearn(knowing, "ga", forget, [], Settings(aim, steps=40, rates=(0.03,), batch=1))
    early = [loss for loss in done.log.forget if loss >= aim]
    assert read.count(4) == 1 + len(done.log.whole) == 1 + len(early)
    assert done.log.steps > 2


@pytest.mark.parametrize("method", ["npo-klr", "mask", "task-vector"])
def test_the_path_is_watched_on_changed_weights(knowing, forget, retain, method):
    seen = []
    before = weights(knowing)

    def watch(step, model):
        seen.append((step, nats(model, forget), same(model, before)))

    settings = Settings(1000.0, steps=9, rates=(0.01,), share=0.02)
    done = unlearn(knowing, method, forget, retain, settings, watch=watch)
    steps = [step for step, _, _ in seen]
    assert steps[:4] == [0, 1, 2, 3]
    assert seen[0][2]
    assert not any(untouched for _, _, untouched in seen[1:])
    assert steps[-1] == done.log.step
    assert seen[-1][1] == pytest.approx(nats_on(knowing, done, forget), abs=1e-4)
    if method != "task-vector":
        assert steps == [0, 1, 2, 3, 5, 8, 9]
        # A batch is the whole set here, so what is watched is what the log says.
        for step, found, _ in seen:
            assert found == pytest.approx(done.log.forget[step], abs=1e-3)
    assert same(knowing, before)


def test_every_text_has_its_turn_before_one_comes_again():
    texts = random_texts(5, 9)
    batches = loops._cycled(texts, 2, torch.Generator().manual_seed(0))
    drawn = [text for _ in range(5) for text in next(batches)]
    assert set(drawn[:5]) == set(drawn[5:]) == set(texts)
    assert drawn[:5] != drawn[5:]
    assert next(loops._cycled([], 2, torch.Generator())) == []


def test_the_original_says_the_same_where_nothing_is_remembered(knowing, forget):
    trained = MatrixEntries(knowing, matrix_names(knowing))
    remembered, forgotten = OriginalModel(knowing, trained), OriginalModel(knowing, trained, room=0)
    expected = [x.clone() for x in remembered.logits(forget)]
    with trained.on():
        for tensor in trained.tensors:
            tensor.add_(0.01)
        trained.write()
        for original in (remembered, forgotten):
            for found, wanted in zip(original.logits(forget), expected, strict=True):
                torch.testing.assert_close(found, wanted)
        assert nats(knowing, forget) != pytest.approx(
            -float(torch.stack([x.mean() for x in forgotten.log_p(forget)]).mean())
        )


def test_steps_of_a_path():
    assert [n for n in range(50) if is_on_path(n)] == [0, 1, 2, 3, 5, 8, 12, 18, 27, 41]


class StopsAt(Progress):
    def __init__(self, word):
        super().__init__(self.stop)
        self.word = word

    def stop(self, update):
        if self.word in update.says:
            self.cancel()


@pytest.mark.parametrize("method", ["npo-klr", "rmu", "task-vector"])
def test_cancelled_and_gone_on(knowing, forget, retain, tmp_path, method, monkeypatch):
    monkeypatch.setattr(loops, "KEEP_EVERY", 3)
    monkeypatch.setattr("hooks.unlearning.task_vector.MOST", 9)
    settings = Settings(1000.0, steps=8, rates=(0.01, 0.02), batch=2)
    before, folder = weights(knowing), tmp_path / "state"
    with pytest.raises(Cancelled):
        unlearn(
            knowing, method, forget, retain, settings, StopsAt("0.02, step 7"),
            watch=lambda step, _: None, kept=folder,
        )  # fmt: skip
    assert same(knowing, before)
    assert list(folder.glob("*.safetensors"))
    watched = []
    says = []
    gone_on = unlearn(
        knowing, method, forget, retain, settings, Progress(lambda u: says.append(u.says)),
        watch=lambda step, _: watched.append(step), kept=folder,
    )  # fmt: skip
    assert not any("0.02, step 5" in s for s in says)
    assert not list(folder.iterdir())
    whole = unlearn(knowing, method, forget, retain, settings)
    # What the original says is read in other batches now: the last digits differ.
    assert gone_on.log.total == pytest.approx(whole.log.total, rel=1e-3)
    assert (gone_on.log.step, gone_on.log.stopped) == (whole.log.step, whole.log.stopped)
    for name, values in whole.delta.values.items():
        np.testing.assert_allclose(gone_on.delta.values[name], values, atol=1e-3)
    assert watched[:4] == [0, 1, 2, 3]


def test_a_folder_of_something_else_is_refused(knowing, forget, retain, tmp_path):
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(BadInput, match="holds something else"):
        unlearn(knowing, "ga", forget, retain, Settings(1000.0), kept=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "notes"


def test_what_is_refused(knowing, forget, retain):
    settings = Settings(1000.0)
    with pytest.raises(NotFound, match="npo"):
        unlearn(knowing, "nop", forget, retain, settings)
    with pytest.raises(BadInput, match="no text to forget"):
        unlearn(knowing, "ga", [], retain, settings)
    with pytest.raises(BadInput, match="NPO \\+ GDR needs texts"):
        unlearn(knowing, "npo-gdr", forget, [], settings)
    with pytest.raises(BadInput, match="Text 1 of those to retain is to be forgotten too"):
        unlearn(knowing, "ga", forget, [retain[0], forget[2]], settings)
    for more in ({"steps": 0}, {"batch": 0}, {"rates": ()}, {"rates": (0.0,)}):
        with pytest.raises(BadInput, match="train nothing"):
            Settings(1.0, **more)
    with pytest.raises(BadInput, match="share of 0"):
        Settings(1.0, share=0.0)
    with pytest.raises(BadInput, match="beta"):
        Settings(1.0, beta=0.0)
    with pytest.raises(BadInput, match="No loss reaches"):
        Settings(math.nan)


def test_overlap_is_twenty_predicted_tokens_in_a_row():
    draw = torch.Generator().manual_seed(3)
    ids = tuple(torch.randint(1, 300, (60,), generator=draw).tolist())
    forget = [Text(ids[:40], 10)]
    assert without_overlap([Text((5, *ids[10:29], 5))], forget)
    assert not without_overlap([Text((5, *ids[10:30], 5))], forget)
    assert without_overlap([Text((5, *ids[:29], 5))], forget)  # what is not predicted may be shared
    assert without_overlap([Text((5, *ids[10:30], 5), 3)], forget)
    assert not without_overlap([Text(ids[:40], 12)], forget)


def test_models_that_lack_what_is_trained(forget, retain, knowing):
    mamba = built("mamba")
    with pytest.raises(Unfit, match="no MLP"):
        unlearn(mamba, "rmu", forget, retain, Settings(1000.0))
    with pytest.raises(BadInput, match="no layer 9"):
        unlearn(knowing, "rmu", forget, retain, Settings(1000.0, layer=9))


def test_texts_as_the_model_reads_them(knowing):
    text = Text.of(knowing, "The capital of France is Paris.")
    assert text.ids == tuple(knowing.tokens("The capital of France is Paris."))
    assert random_texts(1, 1)[0].first == 1
