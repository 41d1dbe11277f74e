"""Edits beside the weights and LoRA adapters as memories: they conform, and masking one is the
model without it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import workbench as wb
from hooks import editing
from hooks.memory_modules import conformance, masked, memory_places, recorded
from hooks.memory_modules.side_memories import grace_place, wise_place
from tests.helpers import tiny

FRANCE = editing.EditRequest("The capital of {subject} is", "France", "Rome")
SAFE = editing.EditRequest("The {subject} opens with", "safe", "9 1 4")


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))


def called(model: Any, text: str) -> Any:
    return lambda row: model.next_logits(text)


def test_entries_of_grace(model: Any) -> None:
    memory = editing.Grace(model, 1, radius=0.05)
    memory.add(model, FRANCE, steps=10)
    memory.add(model, SAFE, steps=3)
    plain = model.next_logits(SAFE.text)
    with memory.applied(model):
        place = grace_place(model, memory)
        found = conformance(place, called(model, FRANCE.text))
        assert not found.failed, found
        with recorded([place]) as calls:
            edited = model.next_logits(FRANCE.text)
        weight, index = calls[0].reads.weight[0, :, 0, 0], calls[0].reads.index[0, :, 0, 0]
        assert weight.tolist() == [0.0] * (len(weight) - 1) + [1.0]
        assert int(index[-1]) == 0
        with masked(place, [1]):
            assert torch.equal(model.next_logits(FRANCE.text), edited)
        assert not torch.equal(model.next_logits(SAFE.text), plain)
    assert place.slots().source == [FRANCE.statement, SAFE.statement]


def test_shards_of_wise(model: Any) -> None:
    memory = editing.Wise(model, 1, editing.WiseSettings(steps=8, learning_rate=5.0, per_shard=1))
    memory.add(model, FRANCE)
    memory.add(model, SAFE)
    plain = model.next_logits(FRANCE.text)
    with memory.applied(model):
        place = wise_place(model, memory)
        found = conformance(place, called(model, FRANCE.text))
        assert not found.failed, found
        shard = memory.route(model, FRANCE.text)[0].shard
        assert shard is not None
        with masked(place, [shard]):
            assert torch.allclose(model.next_logits(FRANCE.text), plain, atol=1e-4)
        with masked(place, [1 - shard]):
            assert not torch.allclose(model.next_logits(FRANCE.text), plain, atol=1e-4)


def test_lora_adapters() -> None:
    peft = pytest.importorskip("peft")
    module = tiny.tiny_llama()
    config = peft.LoraConfig(r=3, target_modules=["down_proj", "q_proj"], lora_alpha=6)
    wrapped = peft.get_peft_model(module, config)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model = wb.load((wrapped.base_model.model.eval(), tiny.tiny_tokenizer()))
    places = memory_places(model)
    assert len(places) == 2 * model.n_layers
    for place in places[:2]:
        found = conformance(place, called(model, FRANCE.text))
        assert not found.failed, found
        assert {line.name for line in found.lines if line.verdict == "holds"} >= {"keys", "sum"}
    from hooks.memory_modules import all_masked

    with all_masked(places, [range(place.slots().count) for place in places]):
        off = model.next_logits(FRANCE.text)
    with wrapped.disable_adapter():
        plain = model.next_logits(FRANCE.text)
    assert torch.allclose(off, plain, atol=1e-4)
    assert not torch.allclose(model.next_logits(FRANCE.text), plain, atol=1e-3)
