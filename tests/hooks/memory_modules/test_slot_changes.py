"""Masks, swaps and skipped writes, beside the same change made in the module by hand."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks.memory_modules import (
    MemoryPlace,
    MemorySlots,
    all_masked,
    masked,
    neuron_places,
    recorded,
    swapped,
    switched_off,
    writes_skipped,
)
from hooks.memory_modules.written_slots import compare
from tests.helpers import tiny
from tests.helpers.memory_toys import (
    NOTEBOOK,
    Notebook,
    TopSlots,
    reads_of_top,
    top_slots_adapter,
)
from workbench.errors import BadInput, Unfit

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def place() -> MemoryPlace:
    return MemoryPlace("toy", None, TopSlots(), top_slots_adapter())


def by_hand(module: TopSlots, x: torch.Tensor, without: set[int]) -> torch.Tensor:
    """A plain loop over tokens, heads and reads."""
    out = torch.zeros_like(x)
    for row in range(len(x)):
        for pos in range(x.shape[1]):
            for head in range(2):
                query = x[row, pos, 4 * head : 4 * head + 4]
                score = module.keys[head] @ query
                best = score.topk(2)
                for slot, weight in zip(
                    best.indices.tolist(), best.values.softmax(-1), strict=True
                ):
                    if slot not in without:
                        out[row, pos] += weight * module.values[slot]
    return out


@torch.no_grad()
def test_masked_slots_bring_nothing_and_no_other_slot_comes_instead(place) -> None:
    module = place.module
    assert torch.allclose(module(X), by_hand(module, X, set()), atol=1e-6)
    with masked(place, [1, 4]):
        assert torch.allclose(module(X), by_hand(module, X, {1, 4}), atol=1e-6)
    with masked(place, [[1, 4], [0]]):
        out = module(X)
    assert torch.allclose(out[:1], by_hand(module, X[:1], {1, 4}), atol=1e-6)
    assert torch.allclose(out[1:], by_hand(module, X[1:], {0}), atol=1e-6)
    with switched_off(place):
        assert float(module(X).abs().max()) == 0
    assert torch.equal(module(X), module(X))
    assert not module._forward_hooks
    assert not module._forward_pre_hooks


@torch.no_grad()
def test_a_swapped_value_is_read_with_the_old_weight(place) -> None:
    module, new = place.module, torch.randn(1, 2, 8)
    with swapped(place, torch.tensor([[2, 3]]), new):
        got = module(X)
    module.values[2], module.values[3] = new[0, 0], new[0, 1]
    assert torch.allclose(got, module(X), atol=1e-6)


def test_slots_and_shapes_that_do_not_fit_are_said(place) -> None:
    with pytest.raises(BadInput, match="no slot 6"), masked(place, [6]):
        pass
    with (
        pytest.raises(BadInput, match="do not fit"),
        swapped(place, torch.tensor([[1]]), torch.zeros(1, 1, 7)),
    ):
        pass
    # Five rows would go evenly into a batch of two rows of five tokens.
    for rows in (3, 5):
        with pytest.raises(BadInput, match=f"for {rows} rows"), masked(place, [[1]] * rows):
            place.module(X)
        new = torch.zeros(rows, 1, 8)
        with (
            pytest.raises(BadInput, match=f"for {rows} rows"),
            swapped(place, torch.ones(rows, 1, dtype=torch.long), new),
        ):
            place.module(X)
    with pytest.raises(Unfit, match="training wrote it"), writes_skipped(place):
        pass


@torch.no_grad()
def test_neurons_that_are_masked_are_zeroed_activations() -> None:
    model = wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer()))
    places = neuron_places(model)
    prompts = ["The capital of France is", "Nobody remembers what"]
    before = model.next_logits(prompts)
    with all_masked(places, [[3, 5], [], [7]]):
        got = model.next_logits(prompts)
    weights = [place.module.weight for place in places]  # (d_mlp, d_model)
    saved = [w.clone() for w in weights]
    weights[0][[3, 5]] = 0
    weights[2][7] = 0
    wanted = model.next_logits(prompts)
    for w, was in zip(weights, saved, strict=True):
        w.copy_(was)
    assert torch.allclose(got, wanted, atol=1e-4)
    assert not torch.allclose(got, before, atol=1e-3)


@torch.no_grad()
def test_reads_are_recorded_call_by_call(place) -> None:
    with recorded([place]) as calls:
        place.module(X)
        place.module(X + 1)
    assert [call.number for call in calls] == [0, 1]
    assert torch.equal(calls[0].reads.index, reads_of_top(calls[0].call).index)
    assert not calls[0].writes


@torch.no_grad()
def test_writes_are_seen_skipped_and_frozen() -> None:
    module = Notebook()
    place = MemoryPlace("notebook", None, module, NOTEBOOK)
    texts = torch.randn(4, 1, 2, 3)
    with recorded([place]) as calls:
        for text in texts[:3]:
            module(text)
    assert [[(w.slot, w.kind) for w in call.writes] for call in calls] == [
        [(n, "insert")] for n in range(3)
    ]
    page = module.page.clone()
    with writes_skipped(place) as skipped:
        module(texts[3])
    assert torch.equal(module.page, page)
    assert [write.slot for write in skipped] == [3]
    module.next = 0
    with writes_skipped(place, lambda write: write.slot == 0) as skipped:
        module(texts[3])
        module(texts[3])
    assert torch.equal(module.page[0], page[0])
    assert not torch.equal(module.page[1], page[1])
    assert [write.kind for write in skipped] in (["overwrite"], ["merge"])


def test_slots_that_move_are_matched_by_name_or_refused() -> None:
    old = torch.eye(4)
    shifted = torch.cat([old[1:], torch.full((1, 4), 0.5)])
    with pytest.raises(BadInput, match="Slots of this memory move"):
        compare(MemorySlots(4, value=old), MemorySlots(4, value=shifted))
    writes = compare(
        MemorySlots(4, value=old, ids=torch.arange(4)),
        MemorySlots(4, value=shifted, ids=torch.arange(1, 5)),
    )
    assert [(write.slot, write.kind) for write in writes] == [(3, "insert"), (0, "drop")]
    faded = old.clone()
    faded[2] *= 0.9
    (write,) = compare(MemorySlots(4, value=old), MemorySlots(4, value=faded))
    assert (write.slot, write.kind) == (2, "decay")
    assert abs(write.strength - 0.1) < 1e-6
