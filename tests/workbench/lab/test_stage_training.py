"""Training in stages: against a plain loop, after stops, with and without the moments."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import tiny
from tests.workbench.organisms.test_train import _Stop
from workbench.errors import BadInput, Cancelled, NotFinite
from workbench.lab import LabLog, Stage, StepReport, run_stages


def rows(seed: int, steps: int = 6, batch: int = 3) -> list[list[list[int]]]:
    draw = np.random.default_rng(seed)
    return [
        [[0, *map(int, draw.integers(1, 384, draw.integers(4, 12)))] for _ in range(batch)]
        for _ in range(steps)
    ]


STUDY = Stage("study", rows(0), 3e-3, warmup=3)
THEN = Stage("interference", rows(1), 1e-3)


def weights(module: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def numbers(log: LabLog) -> Any:
    return np.array([loss for losses in log.losses.values() for loss in losses], dtype=float)


def plain_loop(module: Any, stages: list[Stage]) -> Any:
    """Row by row, no padding, one optimizer that is made anew unless moments are kept."""
    module.train()
    losses = []
    for stage in stages:
        if stage.moments == "reset":
            optimizer = torch.optim.AdamW(
                module.parameters(), lr=stage.rate, betas=(0.9, 0.95), weight_decay=0.0
            )
        for step, batch in enumerate(stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * min(1.0, (step + 1) / max(1, stage.warmup))
            found, n = torch.zeros(()), 0
            for number, row in enumerate(batch):
                ids = torch.tensor([row])
                logits = module(input_ids=ids).logits[0, :-1]
                first = 1 if stage.loss_from is None else max(1, stage.loss_from[step][number])
                learned = torch.nn.functional.cross_entropy(
                    logits[first - 1 :], ids[0, first:], reduction="sum"
                )
                found, n = found + learned, n + len(row) - first
            loss = found / n
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
    return np.array(losses)


@pytest.mark.parametrize("moments", ["reset", "kept"])
def test_it_is_a_plain_loop(moments: Any) -> None:
    stages = [STUDY, replace(THEN, moments=moments)]
    ours, plain = tiny.tiny_llama(), tiny.tiny_llama()
    log = run_stages(ours, stages)
    expected = plain_loop(plain, stages)
    np.testing.assert_allclose(numbers(log), expected, atol=2e-5)
    for name, weight in weights(plain).items():
        torch.testing.assert_close(weights(ours)[name], weight, atol=2e-4, rtol=0)


def test_moments_matter() -> None:
    ends = []
    for moments in ("reset", "kept"):
        module = tiny.tiny_llama()
        run_stages(module, [STUDY, replace(THEN, moments=moments)])
        ends.append(weights(module))
    assert not same(*ends)


def test_only_the_answer_is_learned() -> None:
    stage = replace(STUDY, loss_from=[[len(row) - 2 for row in step] for step in STUDY.steps])
    ours, plain = tiny.tiny_llama(), tiny.tiny_llama()
    log = run_stages(ours, [stage])
    np.testing.assert_allclose(numbers(log), plain_loop(plain, [stage]), atol=2e-5)


STAGES = [
    STUDY,
    replace(THEN, moments="kept"),
    Stage("low rank", rows(2), 1e-2, rank=2),
    Stage("top", rows(3), 1e-3, trained=lambda name: ".2." in name),
]


@pytest.mark.parametrize("build", [tiny.tiny_llama, tiny.tiny_gpt2])
def test_after_any_stop_it_goes_on_bit_for_bit(build: Any, tmp_path: Path) -> None:
    """GPT-2 draws dropout at random: its numbers go on where they were."""
    whole = build()
    for part in whole.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
    start = copy.deepcopy(whole)
    log = run_stages(whole, STAGES, seed=3)
    for stop in (4, 5, 4, 3):
        with pytest.raises(Cancelled):
            run_stages(copy.deepcopy(start), STAGES, seed=3, work=tmp_path, progress=_Stop(stop))
    resumed = copy.deepcopy(start)
    again = run_stages(resumed, STAGES, seed=3, work=tmp_path)
    assert same(weights(whole), weights(resumed))
    assert again.losses == log.losses
    finished = copy.deepcopy(start)  # and a call after the end trains nothing
    run_stages(finished, STAGES, seed=3, work=tmp_path, progress=_Stop(1))
    assert same(weights(whole), weights(finished))


def test_a_low_rank_stage_moves_what_it_may_and_is_merged() -> None:
    module = tiny.tiny_llama()
    before = weights(module)
    stage = Stage(
        "low rank", rows(2), 1e-2, rank=2, trained=lambda name: "layers.1.mlp.up_proj" in name
    )
    seen = {}

    def measure(report: StepReport) -> None:
        with torch.no_grad():
            seen[report.step] = report.module(input_ids=torch.tensor([[0, 5, 6]])).logits.clone()

    run_stages(module, [stage], on_step=measure)
    after = weights(module)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"model.layers.1.mlp.up_proj.weight"}
    change = (
        after["model.layers.1.mlp.up_proj.weight"] - before["model.layers.1.mlp.up_proj.weight"]
    )
    assert int(torch.linalg.matrix_rank(change, rtol=1e-4)) == 2
    with torch.no_grad():
        merged = module(input_ids=torch.tensor([[0, 5, 6]])).logits
    torch.testing.assert_close(merged, seen[6], atol=1e-4, rtol=0)
    assert not torch.allclose(seen[0], seen[6], atol=1e-3)


def test_measuring_changes_nothing_and_weights_are_kept(tmp_path: Path) -> None:
    quiet, watched = tiny.tiny_llama(), tiny.tiny_llama()
    run_stages(quiet, STAGES)
    reports: list[tuple[str, int]] = []
    states: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

    def measure(report: StepReport) -> None:
        assert not report.module.training
        torch.rand(7)
        reports.append((report.stage, report.step))
        if report.stage == "study":
            states["study", report.step] = weights(report.module)

    wanted = {("study", 0), ("study", 4), ("low rank", 6)}
    log = run_stages(
        watched,
        STAGES,
        on_step=measure,
        keep=lambda stage, step: (stage, step) in wanted,
        work=tmp_path,
    )
    assert same(weights(quiet), weights(watched))
    assert reports == [(stage.name, step) for stage in STAGES for step in range(7)]
    assert {(one.stage, one.step) for one in log.kept} == wanted
    for one in log.kept[:2]:
        kept = load_file(one.file)
        for name, weight in states[one.stage, one.step].items():
            torch.testing.assert_close(kept[name].float(), weight, atol=1e-3, rtol=1e-3)


def test_a_kept_low_rank_step_is_what_merging_gives(tmp_path: Path) -> None:
    module = tiny.tiny_gpt2()
    stage = Stage("low rank", rows(2), 1e-2, rank=2)
    log = run_stages(module, [stage], keep=lambda _, step: step == 6, work=tmp_path)
    kept = load_file(log.kept[0].file)
    assert kept.keys() == weights(module).keys()
    for name, weight in weights(module).items():
        torch.testing.assert_close(kept[name].float(), weight, atol=1e-3, rtol=1e-3)


def test_no_number_stops_and_keeps_the_last_good_step(tmp_path: Path) -> None:
    """From step 4 on the model's head says infinity."""
    module = tiny.tiny_llama()
    states = []

    def measure(report: StepReport) -> None:
        states.append(weights(report.module))
        if report.step == 3:
            report.module.lm_head.register_forward_hook(lambda *given: given[-1] * np.nan)

    with pytest.raises(NotFinite, match=r"at step 4 of stage 'study'; step 3 was the last good"):
        run_stages(module, [STUDY], on_step=measure, work=tmp_path)
    assert same(weights(module), states[3])
    assert same(load_file(tmp_path / "stage-0-3.safetensors"), states[3])
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([], "no stage"),
        ([STUDY, STUDY], "Two stages"),
        ([replace(STUDY, steps=[[]])], "reads nothing"),
        ([replace(STUDY, rate=0.0)], "rate 0"),
        ([replace(STUDY, moments="kept")], "none to keep"),
        ([replace(STUDY, steps=[[[0, 384]]])], "to 384"),
        ([replace(STUDY, steps=[[[]]])], "0 tokens"),
        ([replace(STUDY, loss_from=[[0]])], "other rows"),
        ([replace(STUDY, trained=lambda name: False)], "no parameter"),
        ([replace(STUDY, trained=lambda name: False, rank=2)], "no linear layer"),
    ],
)
def test_bad_input_changes_nothing(stages: list[Stage], says: str) -> None:
    module = tiny.tiny_llama()
    module.lm_head.weight.requires_grad_(False)
    before, asked = weights(module), [p.requires_grad for p in module.parameters()]
    with pytest.raises(BadInput, match=says):
        run_stages(module, stages)
    assert same(before, weights(module))
    assert [p.requires_grad for p in module.parameters()] == asked


def test_a_folder_of_other_stages_is_refused(tmp_path: Path) -> None:
    run_stages(tiny.tiny_llama(), [STUDY], work=tmp_path)
    with pytest.raises(BadInput, match="other stages"):
        run_stages(tiny.tiny_llama(), [THEN], work=tmp_path)


def test_a_kill_right_behind_an_update_leaves_no_gap(tmp_path: Path) -> None:
    """State is kept at every step of six: a kill while step 4 is kept or measured does it again."""
    quiet = tiny.tiny_llama()
    run_stages(quiet, [STUDY])
    start, killed, seen = tiny.tiny_llama(), [False], []

    def keep(stage: str, step: int) -> bool:
        if step == 4 and not killed[0]:
            killed[0] = True
            raise KeyboardInterrupt
        return True

    def go() -> Any:
        module = copy.deepcopy(start)
        log = run_stages(
            module, [STUDY], keep=keep, work=tmp_path, on_step=lambda r: seen.append(r.step)
        )
        return module, log

    with pytest.raises(KeyboardInterrupt):
        go()
    module, log = go()
    assert same(weights(quiet), weights(module))
    assert all(one.file.is_file() for one in log.kept)
    assert sorted(set(seen)) == list(range(7))
