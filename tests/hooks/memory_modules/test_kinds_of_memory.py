"""Adapters of further kinds of memories say the truth on small random models, and each wrong
version of one fails at its line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import workbench as wb
from hooks.memory_modules import (
    Conformance,
    MemoryAdapter,
    MemoryPlace,
    MemoryReads,
    MemorySlots,
    all_masked,
    conformance,
    masked,
    memory_places,
    recorded,
    writes_skipped,
)
from hooks.memory_modules.memory_tokens import memory_token_places
from tests.helpers import families, tiny
from workbench.errors import BadInput

IDS = torch.randint(5, 90, (2, 14), generator=torch.Generator().manual_seed(0))
SIZES: dict[str, Any] = {
    "vocab_size": tiny.VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


def built(kind: str) -> Any:
    from workbench.memory_lm.configuration import DOMAIN_ADAPTERS, EXPERT_RETRIEVAL, MemoryLMConfig
    from workbench.memory_lm.modeling import MemoryLMForCausalLM
    from workbench.memory_lm.slots_config import GatedSlotsConfig
    from workbench.memory_lm.slots_modeling import GatedSlotsForCausalLM
    from workbench.state_lm.configuration import StateLMConfig
    from workbench.state_lm.modeling import StateLMForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "fetched experts":
            module: Any = MemoryLMForCausalLM(
                MemoryLMConfig(memory=EXPERT_RETRIEVAL, memory_side=5, memory_heads=2,
                               memory_reads=3, memory_key_dim=8, **SIZES)
            )  # fmt: skip
        elif kind == "domain adapters":
            module = MemoryLMForCausalLM(
                MemoryLMConfig(memory=DOMAIN_ADAPTERS, memory_mlp=12, memory_adapters=3, **SIZES)
            )
        elif kind == "gated slots":
            module = GatedSlotsForCausalLM(
                GatedSlotsConfig(memory_slots=6, memory_chunk=3, sliding_window=4, **SIZES)
            )
        else:
            module = StateLMForCausalLM(
                StateLMConfig(vocab_size=tiny.VOCABULARY, hidden_size=32, num_heads=2, key_dim=8,
                              value_dim=8, num_memories=4, shared_memory=True, router="learned",
                              memories_per_token=2)
            )  # fmt: skip
        for name, parameter in module.named_parameters():
            if parameter.dim() > 1 and "keys" not in name:
                torch.nn.init.normal_(parameter, std=0.2)
    return wb.load((module.eval(), tiny.tiny_tokenizer()))


def called(model: Any) -> Callable[[int | None], Any]:
    def call(row: int | None) -> Any:
        ids = IDS if row is None else IDS[row : row + 1]
        return model.forward(input_ids=ids, use_cache=False)

    return call


def checked(model: Any, place: MemoryPlace, **wrong: Any) -> Conformance:
    changed = replace(place, adapter=replace(place.adapter, **wrong))
    return conformance(changed, called(model), 2)


KINDS = {
    "fetched experts": {"slots", "sum", "keys", "all off", "unread off", "read off", "rows"},
    "domain adapters": {"weights", "sum", "mask all", "all off", "read off", "rows"},
    "gated slots": {"weights", "sum", "keys", "mask all", "all off", "read off", "rows", "frozen"},
    "mixture of memories": {"slots", "sum", "mask all", "all off", "read off", "pure", "rows"},
}


def holds(found: Conformance) -> set[str]:
    return {line.name for line in found.lines if line.verdict == "holds"}


@pytest.mark.parametrize("kind", KINDS)
def test_our_memories_conform(kind: str) -> None:
    model = built(kind)
    (place,) = memory_places(model)
    found = checked(model, place)
    assert not found.failed, found
    assert holds(found) >= KINDS[kind]


def changed_reads(adapter: MemoryAdapter, **parts: Any) -> Callable[[Any], MemoryReads]:
    """The adapter's reads, some of them changed."""

    def reads(call: Any) -> MemoryReads:
        true = adapter.reads(call)
        return replace(true, **{name: make(true) for name, make in parts.items()})

    return reads


def changed_slots(adapter: MemoryAdapter, make: Any) -> Callable[[Any], MemorySlots]:
    return lambda module: make(adapter.slots(module))


WRONG: list[tuple[str, str, str, Any]] = [
    ("fetched experts", "sum", "reads", {"weight": lambda r: r.score.softmax(-1)}),
    ("fetched experts", "keys", "reads", {"query": lambda r: r.query.flip(-1)}),
    ("fetched experts", "slots", "reads", {"index": lambda r: r.index + 20}),
    ("fetched experts", "keys", "slots", lambda s: replace(s, key=s.key.flip(1))),
    ("domain adapters", "sum", "reads", {"weight": lambda r: r.weight.flip(-1)}),
    ("domain adapters", "weights", "reads", {"weight": lambda r: r.weight**2}),
    ("domain adapters", "slots", "slots", lambda s: replace(s, count=2)),
    ("gated slots", "weights", "reads", {"weight": lambda r: r.weight**2}),
    ("gated slots", "sum", "reads", {"gate": lambda r: None}),
    ("gated slots", "slots", "slots", lambda s: replace(s, count=7)),
    ("mixture of memories", "sum", "reads", {"weight": lambda r: r.weight.flip(-1)}),
    ("mixture of memories", "slots", "reads", {"index": lambda r: r.index[..., :2]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "line", "part", "make"), WRONG)
def test_wrong_versions_fail_at_their_line(kind: str, line: str, part: str, make: Any) -> None:
    model = built(kind)
    (place,) = memory_places(model)
    wrong = (
        changed_reads(place.adapter, **make)
        if part == "reads"
        else changed_slots(place.adapter, make)
    )
    assert checked(model, place, **{part: wrong}).failed[0] == line


def test_an_adapter_that_takes_slots_after_the_write_is_caught() -> None:
    """What stands in gated slots behind a chunk is not what the chunk read."""
    model = built("gated slots")
    (place,) = memory_places(model)
    assert "sum" in checked(model, place, restore=None).failed


def test_a_restore_that_does_nothing_is_not_frozen() -> None:
    model = built("gated slots")
    (place,) = memory_places(model)
    found = checked(model, place, restore=lambda module, slots: None)
    assert "frozen" in found.failed


@torch.no_grad()
def test_gated_slots_are_written_chunk_by_chunk_and_can_be_kept() -> None:
    model = built("gated slots")
    (place,) = memory_places(model)
    with recorded([place]) as calls:
        plain = model.forward(input_ids=IDS, use_cache=False).logits
    assert len(calls) == 5  # 14 tokens, 3 at a time
    assert all({write.slot for write in call.writes} == set(range(6)) for call in calls)
    first, second = (call.slots.value for call in calls[:2])
    assert not torch.equal(first, second)
    cell = place.module
    with writes_skipped(place) as skipped:
        frozen = model.forward(input_ids=IDS, use_cache=False).logits
    assert len(skipped) == 30
    assert torch.allclose(cell.held, cell.start_slots.expand(2, -1, -1))
    # The first chunk reads slots that nothing was written into yet.
    assert torch.allclose(frozen[:, :3], plain[:, :3], atol=1e-5)
    assert not torch.allclose(frozen[:, 3:], plain[:, 3:], atol=1e-3)
    with writes_skipped(place, lambda write: write.slot == 2):
        model.forward(input_ids=IDS, use_cache=False)
    kept = torch.isclose(cell.held, cell.start_slots[None]).all(-1)
    assert kept[:, 2].all()
    assert not kept[:, [0, 1, 3, 4, 5]].any()


@torch.no_grad()
def test_fetched_experts_by_a_plain_loop() -> None:
    """Every expert is tried, without product keys."""
    model = built("fetched experts")
    module = model.module.model.layers[1].mlp
    x = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(2))
    query = module.query_norm(module.query(x).unflatten(-1, (2, 8)))[0]
    for pos in range(3):
        wanted = torch.zeros(32)
        for head in range(2):
            scores = torch.tensor([
                float(query[pos, head, :4] @ module.keys[head, 0, n // 5]
                      + query[pos, head, 4:] @ module.keys[head, 1, n % 5])
                for n in range(25)
            ])  # fmt: skip
            best = scores.topk(3)
            for weight, n in zip(best.values.softmax(-1), best.indices.tolist(), strict=True):
                fired = torch.nn.functional.gelu(x[0, pos] @ module.inward.weight[n])
                wanted += weight * fired * module.values.weight[n]
        assert torch.allclose(module(x)[0, pos], wanted, atol=1e-5)


def test_a_single_state_is_no_mixture() -> None:
    assert memory_places(wb.load("organism/recall-delta-16")) == []
    assert len(memory_places(wb.load("organism/recall-mom-planted"))) >= 1


def test_the_token_table_of_gemma_is_a_memory_and_its_embedding_is_none() -> None:
    model = families.built("gemma4_text")
    (place,) = memory_places(model)
    assert place.layer is None
    found = checked(model, place)
    assert not found.failed, found
    assert holds(found) >= {"weights", "sum", "mask all", "all off", "unread off", "read off"}
    with recorded([place]) as calls:
        model.forward(input_ids=IDS, use_cache=False)
    assert torch.equal(calls[0].reads.index[..., 0, 0], IDS)
    # An adapter that forgets the scale the family looks up with.
    forgetful = changed_reads(place.adapter, gate=lambda r: None)
    assert checked(model, place, reads=forgetful).failed[0] == "sum"


@pytest.mark.parametrize("build", [tiny.tiny_llama, tiny.tiny_gpt2, tiny.tiny_neox])
def test_memory_tokens_are_read_by_attention(build: Any) -> None:
    model = wb.load((build(), tiny.tiny_tokenizer()))
    places = memory_token_places(model, [0, 2])
    assert len(places) == model.n_layers
    for place in places:
        found = checked(model, place)
        assert not found.failed, found
        assert holds(found) >= {"slots", "sum", "mask all", "all off", "read off", "rows"}
    reads = places[0].adapter.reads
    halved = checked(model, places[0], reads=lambda call: replace(
        reads(call), weight=reads(call).weight / 2))  # fmt: skip
    assert halved.failed[0] == "sum"


def test_positions_that_are_no_memory_tokens_are_said() -> None:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    for wrong in ([], [-1], [2, 2]):
        with pytest.raises(BadInput, match="no positions of memory tokens"):
            memory_token_places(model, wrong)
    place = memory_token_places(model, [40])[0]
    with pytest.raises(BadInput, match="no token 40"), recorded([place]):
        model.forward(input_ids=IDS, use_cache=False)


class Segments:
    """Recurrent memory tokens (Bulatov et al. 2022) around a plain model: [memory, segment,
    memory], and what comes out at the last ones is the next segment's memory.
    """

    def __init__(self, model: Any, slots: int) -> None:
        self.model, self.slots = model, slots
        self.start = torch.randn(1, slots, 32, generator=torch.Generator().manual_seed(3))

    def __call__(self, ids: torch.Tensor, size: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        embed, memory = self.model.module.get_input_embeddings(), self.start
        memory, held, logits = memory.expand(len(ids), -1, -1), [], []
        for segment in ids.split(size, 1):
            held.append(memory)
            given = torch.cat([memory, embed(segment), memory], 1)
            out = self.model.module(inputs_embeds=given, use_cache=False, output_hidden_states=True)
            logits.append(out.logits[:, self.slots : -self.slots])
            memory = out.hidden_states[-1][:, -self.slots :]
        return torch.cat(logits, 1), held


def without_values(module: Any, args: Any, out: torch.Tensor) -> torch.Tensor:
    kept = out.clone()
    kept[:, :3] = 0
    return kept


@torch.no_grad()
def test_recurrent_memory_tokens_carry_a_segment_into_the_next() -> None:
    from hooks.memory_modules.written_slots import compare

    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    read = Segments(model, 3)
    other = IDS.clone()
    other[:, 0] = 3  # a token of the first segment
    plain, held = read(IDS, 7)
    assert not torch.allclose(read(other, 7)[0][:, 7:], plain[:, 7:], atol=1e-4)
    assert [write.slot for write in compare(*(
        MemorySlots(3, value=each[:1]) for each in held))] == [0, 1, 2]  # fmt: skip
    places = memory_token_places(model, range(3))
    with recorded(places) as calls:
        read(IDS, 7)
    assert [call.number for call in calls if call.place is places[0]] == [0, 1]
    with all_masked(places, [range(3)] * len(places)):
        off = read(IDS, 7)[0]
    # By hand: no layer has a value where a memory token stands.
    handles = [
        block.module.self_attn.v_proj.register_forward_hook(without_values)
        for block in model.layout.blocks
    ]
    assert torch.allclose(off, read(IDS, 7)[0], atol=1e-4)
    for handle in handles:
        handle.remove()
    assert not torch.allclose(off, plain, atol=1e-2)
    with masked(places[0], [1]):
        assert not torch.allclose(read(IDS, 7)[0], plain, atol=1e-4)
