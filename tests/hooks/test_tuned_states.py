"""A tuned initial state makes a model give answers that it does not know."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from tests.helpers.families import built
from workbench.errors import BadInput, SiteNotFound

EXAMPLES = [([5, 9, 30], [22]), ([44, 10, 31, 2], [17, 20])]


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next", "mamba"])
def test_the_state_is_tuned_and_nothing_else(family: str) -> None:
    model = built(family)
    before = model.next_logits([[5, 9, 30]])
    tuned = wb.tune_initial_state(model, EXAMPLES, steps=25, learning_rate=0.2)
    assert len(tuned.losses) == 26
    assert tuned.losses[-1] < 0.85 * tuned.losses[0]
    assert torch.equal(model.next_logits([[5, 9, 30]]), before)  # the weights are as they were
    assert all(p.grad is None for p in model.module.parameters())
    with wb.change_state(model, wb.SetState(tuned.values), positions="start"):
        after = model.next_logits([[5, 9, 30]])
    probability = torch.softmax(after[0], -1)[22] / torch.softmax(before[0], -1)[22]
    assert float(probability) > 1.0


def test_one_step_goes_down() -> None:
    model = built("qwen3_next")
    first = wb.tune_initial_state(model, EXAMPLES[:1], layers=0, steps=1, learning_rate=1e-3)
    # Adam's first step goes against the sign of the gradient, by the learning rate.
    step = first.values[0]
    moved = step.abs() > 5e-4
    assert moved.any()
    assert first.losses[1] < first.losses[0]


def test_bad_requests_say_what_to_do() -> None:
    model = built("mamba2")
    with pytest.raises(BadInput, match="one or more"):
        wb.tune_initial_state(model, [])
    with pytest.raises(BadInput, match="has no token"):
        wb.tune_initial_state(model, [([5], [])])
    with pytest.raises(SiteNotFound, match="state"):
        wb.tune_initial_state(built("llama"), EXAMPLES)
