"""Copyright traps: who is dealt where, what is read, and that members are told and others are
not.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from analyses.measures import evidence_traps as traps
from analyses.measures.statistics import auc
from workbench.errors import Cancelled
from workbench.progress import Progress

EACH = 4


@pytest.fixture(scope="module")
def drawn(organism):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traps, "LENGTHS", (16,))
        patch.setattr(traps, "REPEATS", (1, 12))
        yield traps.draw_traps(organism, EACH, 0, lambda at, says: None)


def test_every_cell_has_as_many_and_levels_part_at_the_middle(drawn) -> None:
    counts = Counter((trap.level, trap.repeats) for trap in drawn)
    assert counts == {(lv, n): EACH for lv in (traps.LOW, traps.HIGH) for n in (0, 1, 12)}
    low, high = (
        [trap.perplexity for trap in drawn if trap.level == level]
        for level in (traps.LOW, traps.HIGH)
    )
    assert max(low) <= min(high)
    assert len({trap.ids for trap in drawn}) == len(drawn)


def test_perplexity_is_that_of_a_plain_pass(organism, drawn) -> None:
    trap = drawn[5]
    ids = torch.tensor([[*organism.text.beginning, *trap.ids]])
    logits = organism.forward(input_ids=ids).logits[0].detach().log_softmax(-1)
    start = len(organism.text.beginning)
    said = [float(logits[start + n - 1, trap.ids[n]]) for n in range(1, trap.length)]
    assert trap.perplexity == pytest.approx(np.exp(-np.mean(said)), rel=1e-3)


def test_prose_holds_each_trap_as_often_as_it_says(organism, drawn) -> None:
    rows = traps.rows_with_traps(organism, drawn, seed=0)
    assert len(rows) == sum(trap.repeats for trap in drawn)
    for trap in drawn:
        holds = [row for row in rows if any(
            tuple(row[at : at + trap.length]) == trap.ids for at in range(len(row)))]  # fmt: skip
        assert len(holds) == trap.repeats
        assert len({tuple(row) for row in holds}) == trap.repeats  # in other prose each time


def test_members_are_told_from_others_and_the_model_is_put_back(organism, drawn) -> None:
    weights = [p.detach().clone() for p in organism.module.parameters()]
    before = traps.mean_logprobs(organism, [trap.ids for trap in drawn])
    after = traps.planted_logprobs(organism, drawn, 1e-3, 0, Progress())
    assert all(
        torch.equal(a, b) for a, b in zip(weights, organism.module.parameters(), strict=True)
    )
    repeats = np.array([trap.repeats for trap in drawn])
    gain = after - before
    assert auc(gain[repeats == 12], gain[repeats == 0])[1] > 0.6
    assert gain[repeats == 12].mean() > gain[repeats == 1].mean()


def test_a_job_can_be_stopped_while_it_samples(organism) -> None:
    class Stop(Progress):
        def __call__(self, fraction: float, says: str = "") -> None:
            if "%" in says:
                raise Cancelled

    with pytest.raises(Cancelled):
        traps.draw_traps(organism, EACH, 0, Stop())


def _fake(n: int, marked: bool) -> list[traps.Trap]:
    rng = np.random.default_rng(0)
    made = []
    for at in range(n):
        ids = tuple(int(i) for i in rng.integers(10, 200, 20))
        member = at % 2
        made.append(traps.Trap((*ids, 5) if marked and member else ids, member, 2.0, traps.LOW))
    return made


def test_a_blind_classifier_finds_what_marks_members_and_nothing_else() -> None:
    assert traps.blind_auc(_fake(80, marked=True), 0)[1] > 0.8
    low, high = traps.blind_auc(_fake(80, marked=False), 0)[1:]
    assert low < 0.5 < high
