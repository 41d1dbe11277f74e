"""Stages and tasks of forgetting, on designs of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analyses.measures import exposure_trainings
from analyses.training import forgetting
from analyses.training.forgetting import (
    experiment,
    stage_claims,
    task_sequence,
    training_stages,
)
from analyses.training.forgetting.costs import cost
from analyses.training.forgetting.params import Params
from analyses.training.forgetting.task_sequence import FRESH, PRETRAINED, SequenceDesign
from analyses.training.forgetting.training_stages import (
    CHOSEN,
    IN_FIRST,
    IN_MORE,
    IN_SECOND,
    NEVER,
    REJECTED,
    StageDesign,
)
from workbench.progress import Progress
from workbench.result import Result

STAGES = StageDesign(items=4, readings=12, rounds=6, length=8, batch=4, row=8, rate=1e-2,
                     preference_rate=3e-3, recalled=4)  # fmt: skip
TASKS = SequenceDesign(tasks=3, items=3, never=4, readings=12, batch=3, length=8, rate=1e-2)
pytestmark = pytest.mark.usefixtures("kept")


@pytest.fixture(scope="module")
def found(model: Any, kept: Any) -> Result:
    before = [p.detach().clone() for p in model.module.parameters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_SMALL", {
            "stages": lambda *given: training_stages.add_stages(*given, STAGES),
            "tasks": lambda *given: task_sequence.add_sequence(*given, TASKS),
        })  # fmt: skip
        # Random weights know no fact: these parts need none.
        result = forgetting.run(
            model, Params.model_validate({"parts": ["stages", "tasks"]}), Progress()
        )
    for p, b in zip(model.module.parameters(), before, strict=True):
        assert torch.equal(p, b)
    return result


def test_tables_are_what_the_schema_says_and_pages_are_drawn(found: Result, tmp_path: Path) -> None:
    assert not list(forgetting.SCHEMA.problems(found))
    opened = Result.open(found.save(tmp_path / "run"))
    drawn = [view.title for view in forgetting.VIEWS if not view.missing(opened)]
    assert {"Stages", "Tasks"} < {*drawn}
    for view in forgetting.VIEWS:
        if view.title in drawn:
            assert view.still(opened, forgetting.SCHEMA)


def test_texts_are_gained_in_their_own_stage(found: Result) -> None:
    gain = found.tables["stage_survival"].set_index(["moment", "planted"])["gain"]
    assert gain["before", IN_FIRST] == 0
    assert gain["pre-training", IN_FIRST] > 0.5
    assert abs(gain["pre-training", IN_SECOND]) < 0.5 * gain["pre-training", IN_FIRST]
    assert gain["fine-tuning", IN_SECOND] > 0.5
    assert gain["more fine-tuning", IN_MORE] > gain["fine-tuning", IN_MORE] + 0.1
    assert gain["preference tuning", CHOSEN] > gain["preference tuning", REJECTED] + 0.5
    assert all(abs(gain[moment, NEVER]) < 1e-9 for moment in training_stages.MOMENTS)


def test_half_of_the_pairs_choose_a_planted_answer_and_half_reject_one(model: Any) -> None:
    texts = exposure_trainings.prose_pieces(model, 12, 8, 0)
    chosen, rejected, fillers = texts[:4], texts[4:8], texts[8:]
    steps = training_stages._pairs(model, STAGES, chosen, rejected, fillers, 0)
    pairs = [pair for step in steps for pair in step]
    assert len(pairs) == 8 * STAGES.rounds
    assert len(steps) == STAGES.pair_updates
    front = len(model.text.beginning)
    for text in chosen:
        own = [p for p in pairs if p.prompt[front:] == text[:4]]
        assert len(own) == STAGES.rounds
        assert {p.chosen for p in own} == {text[4:]}
    for text in rejected:
        own = [p for p in pairs if p.prompt[front:] == text[:4]]
        assert {p.rejected for p in own} == {text[4:]}


def test_both_branches_have_as_many_updates_at_one_rate(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[float, int]] = {}

    def prefer(module: Any, stage: Any, **more: Any) -> None:
        seen[stage.name] = stage.rate, len(stage.steps)

    def read(module: Any, stages: Any, **more: Any) -> None:
        seen.update({stage.name: (stage.rate, len(stage.steps)) for stage in stages})

    monkeypatch.setattr(training_stages, "prefer", prefer)
    monkeypatch.setattr(training_stages, "run_stages", read)
    training_stages._trained(model, STAGES, 0, Progress())
    assert seen["more fine-tuning"] == seen["preference tuning"] == (3e-3, STAGES.pair_updates)
    assert seen["fine-tuning"] == (1e-2, STAGES.updates)


def test_the_share_of_pairs_with_a_likelier_chosen_answer_by_hand(model: Any) -> None:
    texts = exposure_trainings.prose_pieces(model, 12, 8, 0)
    steps = training_stages._pairs(model, STAGES, texts[:4], texts[4:8], texts[8:], 0)

    def nats(prompt: tuple[int, ...], answer: tuple[int, ...]) -> float:
        with torch.no_grad():
            logits = model.module(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
        return sum(float(logits[len(prompt) - 1 + n, id]) for n, id in enumerate(answer))

    pairs = {pair for step in steps for pair in step}
    hits = [nats(p.prompt, p.chosen) > nats(p.prompt, p.rejected) for p in pairs]
    assert training_stages.chosen_likelier(model.module, steps) == np.mean(hits)


def test_backward_transfer_by_hand() -> None:
    said = np.zeros((4, 3, 2))
    said[1, 0], said[2, 1], said[3, 2] = (1.0, 0.8), (0.6, 0.6), (1.0, 1.0)
    said[3, 0], said[3, 1] = (0.5, 0.0), (0.6, 0.2)
    # Task 1: -0.5 and -0.8; task 2: 0 and -0.4; the last task has nothing behind it.
    assert task_sequence.transfer(said).tolist() == pytest.approx([-0.25, -0.6])
    # Of 1.6 and 1.4 that were learned 1.1 and 0.2 are left.
    assert task_sequence.retained_share(said).tolist() == pytest.approx([1.1 / 1.6, 0.2 / 1.4])
    assert np.isnan(task_sequence.retained_share(np.zeros((4, 3, 2)))).all()


def test_the_matrix_is_full_on_its_diagonal_and_empty_above(found: Result) -> None:
    table = found.tables["retention_matrix"]
    rows = table[table["start"] == PRETRAINED].set_index(["behind", "task"])["said"]
    for task in range(1, TASKS.tasks + 1):
        assert rows[task, task] > rows[task - 1, task] + 0.3
    summary = found.tables["sequence"].set_index("start")
    own = np.mean([rows[task, task] for task in range(1, TASKS.tasks + 1)])
    assert summary.loc[PRETRAINED, "learning"] == pytest.approx(own)
    last = np.mean([rows[TASKS.tasks, task] for task in range(1, TASKS.tasks + 1)])
    assert summary.loc[PRETRAINED, "average"] == pytest.approx(last)
    assert set(summary.index) == {PRETRAINED, FRESH}


def test_random_weights_are_the_seeds_alone(model: Any) -> None:
    one, same, other = (task_sequence.random_weights(model.module, n) for n in (1, 1, 2))
    assert set(one) == {name for name, _ in model.module.named_parameters()}
    name = next(iter(one))
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def test_every_claim_of_these_parts_is_judged(found: Result) -> None:
    claims = found.tables["claims"].set_index("claim")
    for claim in stage_claims.CLAIMS:
        assert claims.loc[claim.text, "measured"] != "not measured"


def test_a_large_model_has_no_cost_for_them(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"stages", "tasks"} <= set(cost(model, Params()))
    monkeypatch.setattr(exposure_trainings, "MOST_WEIGHTS", 10)
    assert not {"stages", "tasks"} & set(cost(model, Params()))
    parts = {part.name: part for part in forgetting.PARTS}
    assert "dozens of times" in str(parts["stages"].unavailable_reason(model))
