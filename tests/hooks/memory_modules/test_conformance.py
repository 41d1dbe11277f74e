"""Adapters that say the truth pass, on our modules and on families of transformers; those that do
not fail at the line that says what is wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import workbench as wb
from hooks.memory_modules import (
    MemoryAdapter,
    MemoryReads,
    MemorySlots,
    by_names,
    conformance,
    conformance_of_module,
    memory_places,
    neuron_places,
    places_or_neurons,
)
from hooks.memory_modules.feed_forward import feed_forward
from tests.helpers import tiny
from tests.helpers.memory_toys import (
    NOTEBOOK,
    Notebook,
    TopSlots,
    reads_of_top,
    top_slots_adapter,
)
from workbench.errors import BadInput

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))


def verdicts(adapter: MemoryAdapter) -> tuple[str, ...]:
    return conformance_of_module(adapter, TopSlots(), X).failed


def changed(**parts: Any) -> MemoryAdapter:
    return top_slots_adapter(
        reads=lambda call: replace(reads_of_top(call), **parts_of(call, parts))
    )


def parts_of(call: Any, parts: dict[str, Any]) -> dict[str, Any]:
    return {name: make(reads_of_top(call)) for name, make in parts.items()}


def test_a_true_adapter_passes_every_line_that_can_be_checked() -> None:
    found = conformance_of_module(top_slots_adapter(), TopSlots(), X)
    assert not found.failed
    found.require()
    opened = [line.name for line in found.lines if line.verdict == "not checked"]
    assert opened == ["frozen"] or opened == ["unread off", "frozen"]


@pytest.mark.parametrize(
    ("line", "adapter"),
    [
        ("weights", changed(weight=lambda r: r.weight * 1.1)),
        ("sum", changed(index=lambda r: r.index.flip(-1))),
        ("sum", changed(gate=lambda r: torch.full(r.weight.shape[:3], 0.5))),
        ("keys", changed(score=lambda r: r.score + 1)),
        ("slots", changed(index=lambda r: r.index + 3)),
        ("slots", changed(weight=lambda r: r.weight[:, :, 0])),
        (
            "slots",
            top_slots_adapter(slots=lambda m: MemorySlots(7, m.keys.detach(), m.values.detach())),
        ),
        (
            "sum",
            top_slots_adapter(slots=lambda m: MemorySlots(6, m.keys, 2 * m.values)),
        ),
        (
            "keys",
            top_slots_adapter(
                slots=lambda m: MemorySlots(6, m.keys.detach().flip(1), m.values.detach())
            ),
        ),
    ],
)  # fmt: skip
def test_a_wrong_adapter_fails_at_its_line(line: str, adapter: MemoryAdapter) -> None:
    found = conformance_of_module(adapter, TopSlots(), X)
    assert found.failed[0] == line
    with pytest.raises(BadInput, match=f"“{line}”"):
        found.require()


def test_slots_that_are_read_but_not_named_are_noticed_in_the_module() -> None:
    """What is read beside the named slots is called a bias: the sum holds, the module tells."""

    def half(call: Any) -> MemoryReads:
        reads = reads_of_top(call)
        first = reads.weight.clone()
        first[..., 1] = 0
        return replace(reads, weight=first, mass=None)

    def rest(call: Any) -> torch.Tensor:
        reads = reads_of_top(call)
        return (reads.weight[..., 1:] * call.module.values[reads.index[..., 1]]).sum(2).detach()

    assert "all off" in verdicts(top_slots_adapter(reads=half, rest=rest))


def test_an_adapter_that_draws_lots_is_not_pure() -> None:
    def noisy(call: Any) -> MemoryReads:
        reads = reads_of_top(call)
        return replace(reads, weight=reads.weight + torch.randn_like(reads.weight) * 1e-6)

    assert verdicts(top_slots_adapter(reads=noisy)) == ("pure",)


def test_a_mapping_of_names_conforms_and_its_mistakes_are_said() -> None:
    names = {"keys": "keys", "values": "values", "index": "last_index", "weight": "last_weight"}
    assert not conformance_of_module(by_names(TopSlots, names), TopSlots(), X).failed
    with pytest.raises(BadInput, match="no name 'value'"):
        by_names(TopSlots, {"value": "values"})
    with pytest.raises(BadInput, match="lacks values"):
        by_names(TopSlots, {"index": "last_index", "weight": "last_weight"})
    for wrong, says in (
        ({"values": "nowhere"}, "has nothing at 'nowhere'"),
        ({"weight": "values"}, r"of shape \(6, 8\)"),
        ({"keys": "last_weight"}, "of shape"),
        ({"index": "last_weight"}, "whole numbers"),
    ):
        found = conformance_of_module(by_names(TopSlots, names | wrong), TopSlots(), X)
        assert found.failed[0] == "slots"
        with pytest.raises(BadInput, match=says):
            found.require()


def test_rows_that_share_a_memory_are_refused() -> None:
    module = Notebook()
    module(torch.randn(1, 2, 3))
    both = torch.randn(2, 2, 3)
    found = conformance_of_module(NOTEBOOK, module, both)
    assert not found.failed  # one call reads the page as it was

    class Mixing(TopSlots):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x - x.mean(0, keepdim=True))

    shared = conformance_of_module(replace(top_slots_adapter(), applies=Mixing), Mixing(), X)
    assert "rows" in shared.failed
    assert "share this memory" in next(x.says for x in shared.lines if x.name == "rows")


def moe(kind: str) -> Any:
    from transformers import MixtralConfig, MixtralForCausalLM, OlmoeConfig, OlmoeForCausalLM

    sizes: dict[str, Any] = {
        "vocab_size": tiny.VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    if kind == "mixtral":
        return tiny._built(MixtralForCausalLM, MixtralConfig(**sizes, num_local_experts=8), 0)
    return tiny._built(OlmoeForCausalLM, OlmoeConfig(**sizes, num_experts=8), 0)


@pytest.mark.parametrize(
    "build",
    [
        tiny.tiny_llama,
        tiny.tiny_gpt2,
        tiny.tiny_neox,
        lambda: moe("mixtral"),
        lambda: moe("olmoe"),
    ],
)
def test_neurons_and_experts_of_families_conform(build: Any) -> None:
    model = wb.load((build(), tiny.tiny_tokenizer()))
    ids = torch.arange(24).view(2, 12) + 40

    def call(row: int | None) -> Any:
        return model.forward(input_ids=ids if row is None else ids[row : row + 1], use_cache=False)

    places = places_or_neurons(model)
    assert len(places) == model.n_layers
    for place in places:
        found = conformance(place, call, 2)
        assert not found.failed, found
        held = {line.name for line in found.lines if line.verdict == "holds"}
        assert {"slots", "sum", "mask all", "all off", "read off", "pure", "rows"} <= held


def test_the_keys_of_neurons_say_when_they_fire() -> None:
    """A plain loop: activation is gate(x · key) times up."""
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    assert not memory_places(model)
    place = neuron_places(model)[1]
    mlp = model.layout.blocks[1].module.mlp
    x = torch.randn(3, 32)
    slots = place.slots()
    fired = torch.nn.functional.silu(x @ slots.key.T) * mlp.up_proj(x)
    assert torch.allclose(fired @ slots.value, mlp(x), atol=1e-5)


def test_a_memory_of_tokens_conforms() -> None:
    model = wb.load("organism/definitions-in-memory")
    ids = torch.randint(1, 200, (2, 40), generator=torch.Generator().manual_seed(0))

    def call(row: int | None) -> Any:
        return model.forward(input_ids=ids if row is None else ids[row : row + 1], use_cache=False)

    (place,) = memory_places(model)
    found = conformance(place, call, 2)
    assert not found.failed, found
    assert place.slots().count == 40


def test_an_mlp_without_a_last_matrix_is_no_memory() -> None:
    model = wb.load((moe("mixtral"), tiny.tiny_tokenizer()))
    assert all(feed_forward(block) is None for block in model.layout.blocks)
    assert [place.name for place in memory_places(model)] == ["blocks.0.memory", "blocks.1.memory"]
