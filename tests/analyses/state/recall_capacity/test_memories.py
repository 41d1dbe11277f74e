"""Attention and state taken away: what is left where it is known which of them recalls."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from analyses.measures.pair_questions import draw, of_task
from analyses.state import recall_capacity
from analyses.state.recall_capacity import memories
from analyses.state.recall_capacity.memories import ATTENTION, BOTH, INTACT, STATE, recall_without
from analyses.state.recall_capacity.params import Params
from workbench.organisms.recall import task
from workbench.organisms.recall.families import FAMILIES
from workbench.progress import Progress

FEW = Params(pairs=[4, 8], rows=8, draws=1)


def share(model, condition):
    return recall_without(model, condition, 8, FEW).right.mean()


def test_without_its_state_a_recurrent_model_recalls_nothing():
    model = wb.load("organism/recall-mamba-16")
    assert memories.lacks_a_memory(model) == "it has no attention beside its states."
    assert share(model, INTACT) > 0.95
    assert share(model, STATE) < 0.1
    assert share(model, INTACT) > 0.95  # nothing is left behind


def test_without_its_heads_attention_recalls_nothing():
    model = wb.load("organism/recall-attention")
    assert memories.lacks_a_memory(model) == "its layers carry no recurrent state."
    assert share(model, INTACT) > 0.95
    assert share(model, ATTENTION) < 0.1


@pytest.fixture(scope="module")
def hybrid():
    """A gated delta layer, then one of attention; never trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = FAMILIES["hybrid"].make().eval()
    return wb.load((module, task.make_tokenizer()))


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """How far two vectors of logits are apart, relative to their length."""
    return float((one - other).norm() / other.norm())


def test_each_memory_of_a_hybrid_is_taken_away_by_itself(hybrid):
    made = draw(of_task(), 4, 1, 0)
    ids = made.ids[0, : made.position[0] + 1].tolist()  # ends with a question
    context = memories.context_length(of_task(), 4)
    found = {}
    for condition in memories.CONDITIONS:
        with memories.without(hybrid, condition, context):
            found[condition] = hybrid.next_logits([ids])[0]
    for one, other in ((INTACT, STATE), (INTACT, ATTENTION), (STATE, BOTH), (ATTENTION, BOTH)):
        assert apart(found[one], found[other]) > 1e-3
    # With both away, nothing of the pairs is left: other values give the same.
    others = list(ids)
    others[1:8:2] = [task.FIRST_VALUE + n for n in (100, 101, 102, 103)]
    with memories.without(hybrid, BOTH, context):
        assert apart(hybrid.next_logits([others])[0], found[BOTH]) < 1e-6
    assert apart(hybrid.next_logits([others])[0], found[INTACT]) > 1e-3


def test_a_run_on_a_hybrid_says_what_each_carries(hybrid):
    params = Params(parts=["memories"], pairs=[4], rows=4, draws=1)
    result = recall_capacity.run(hybrid, params, Progress())
    assert not list(recall_capacity.SCHEMA.problems(result))
    assert list(result.tables["memories"]["condition"]) == list(memories.CONDITIONS)
    assert "state wiped" in result.findings["memories"].says
