"""Preference tuning against its formula."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from tests.helpers import tiny
from workbench.errors import BadInput, Cancelled, NotFinite
from workbench.lab import preference
from workbench.lab.preference import (
    PreferencePair,
    PreferenceStage,
    answer_log_probabilities,
    prefer,
)
from workbench.lab.stages import StepReport
from workbench.progress import Progress

PAIRS = [PreferencePair((1, 2, 3), (4, 5), (6, 7, 8)), PreferencePair((2, 9), (5,), (4,))]


@pytest.fixture
def module() -> Any:
    return tiny.tiny_llama().eval()


def by_hand(module: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> float:
    total = 0.0
    for n, token in enumerate(answer):
        logits = module(torch.tensor([[*prompt, *answer[:n]]])).logits[0, -1]
        total += float(logits.log_softmax(-1)[token])
    return total


def test_log_probabilities_are_those_of_one_answer_at_a_time(module: Any) -> None:
    with torch.no_grad():
        found = answer_log_probabilities(module, PAIRS)
        for n, pair in enumerate(PAIRS):
            chosen = by_hand(module, pair.prompt, pair.chosen)
            rejected = by_hand(module, pair.prompt, pair.rejected)
            assert float(found[0, n]) == pytest.approx(chosen, abs=1e-4)
            assert float(found[1, n]) == pytest.approx(rejected, abs=1e-4)


def test_it_begins_at_ln_2_and_the_chosen_answer_wins(module: Any) -> None:
    with torch.no_grad():
        before = answer_log_probabilities(module, PAIRS)
    log = prefer(module, PreferenceStage("dpo", [PAIRS] * 20, 1e-2, beta=0.5))
    with torch.no_grad():
        after = answer_log_probabilities(module, PAIRS)
    assert log.losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert log.losses[-1] < 0.3
    assert log.preferred[-1] == 1.0
    assert ((after[0] - before[0]) > (after[1] - before[1])).all()
    margin = 0.5 * float(((after[0] - before[0]) - (after[1] - before[1])).mean())
    assert log.margins[-1] < margin  # measured before the last update


def test_one_update_is_that_of_the_formula(module: Any) -> None:
    other = copy.deepcopy(module)
    prefer(module, PreferenceStage("dpo", [PAIRS], 1e-3, beta=0.3))
    with torch.no_grad():
        reference = answer_log_probabilities(other, PAIRS)
    optimizer = torch.optim.AdamW(other.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    chosen, rejected = answer_log_probabilities(other, PAIRS) - reference
    loss = torch.log(1 + torch.exp(-0.3 * (chosen - rejected))).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)
    optimizer.step()
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)


def test_it_reports_every_step_and_stops_where_it_is_asked_to(module: Any) -> None:
    reports: list[StepReport] = []
    prefer(module, PreferenceStage("dpo", [PAIRS] * 3, 1e-3), on_step=reports.append)
    assert [report.step for report in reports] == [0, 1, 2, 3]
    assert all(p.grad is None for p in module.parameters())
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        prefer(module, PreferenceStage("dpo", [PAIRS] * 3, 1e-3), progress=progress)
    assert not module.training


def test_a_loss_that_is_no_number_is_said(module: Any) -> None:
    with torch.no_grad():
        next(iter(module.parameters())).fill_(math.nan)
    with pytest.raises(NotFinite, match="step 1"):
        prefer(module, PreferenceStage("dpo", [PAIRS], 1e-3))


def test_a_gradient_that_is_no_number_changes_no_weight(module: Any) -> None:
    parameter = next(iter(module.parameters()))
    before = [p.detach().clone() for p in module.parameters()]
    handle = parameter.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(NotFinite, match="gradient is not a finite number at step 1"):
        prefer(module, PreferenceStage("dpo", [PAIRS], 1e-3))
    handle.remove()
    for one, two in zip(module.parameters(), before, strict=True):
        assert torch.equal(one, two)
        assert one.grad is None


def test_every_pair_is_asked_once_before_and_asking_can_be_stopped(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = answer_log_probabilities

    def note(module: Any, pairs: Any) -> Any:
        if not torch.is_grad_enabled():
            sizes.append(len(pairs))
        return plain(module, pairs)

    monkeypatch.setattr(preference, "answer_log_probabilities", note)
    steps = [PAIRS[:1], PAIRS[1:], PAIRS[:1]] * 3
    prefer(module, PreferenceStage("dpo", steps, 1e-3))
    assert sizes == [1, 1]
    sizes.clear()
    progress = Progress(lambda update: progress.cancel())
    with pytest.raises(Cancelled):
        prefer(module, PreferenceStage("dpo", steps, 1e-3), progress=progress)
    assert len(sizes) <= 1


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        (PreferenceStage("dpo", [], 1e-3), "without pairs"),
        (PreferenceStage("dpo", [PAIRS, []], 1e-3), "without pairs"),
        (PreferenceStage("dpo", [PAIRS], 0.0), "rate 0"),
        (PreferenceStage("dpo", [PAIRS], 1e-3, beta=0.0), "beta 0"),
        (PreferenceStage("dpo", [PAIRS], 1e-3, warmup=-1), "-1 steps"),
        (PreferenceStage("dpo", [[PreferencePair((), (1,), (2,))]], 1e-3), "no prompt"),
        (PreferenceStage("dpo", [[PreferencePair((1,), (), (2,))]], 1e-3), "no answer"),
        (PreferenceStage("dpo", [[PreferencePair((1,), (10**6,), (2,))]], 1e-3), "1000000"),
    ],
)
def test_what_cannot_be_preferred_is_refused(module: Any, stage: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        prefer(module, stage)
