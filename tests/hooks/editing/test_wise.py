"""WISE: trained beside the weights, routed by distance, merged by the signs that agree."""

from __future__ import annotations

import pytest
import torch

from hooks import editing
from hooks.editing.down_projections import down_projection
from hooks.editing.wise_training import distance, read_keys, ties
from workbench.errors import BadInput

FRANCE = editing.EditRequest("The capital of {subject} is", "France", "Rome")
SAFE = editing.EditRequest("The {subject} opens with", "safe", "9 1 4")
SETTINGS = editing.WiseSettings(steps=12, learning_rate=5.0)


@pytest.fixture(scope="module")
def memory(llama):
    """Two shards of an edit each."""
    made = editing.Wise(llama, 1, editing.WiseSettings(steps=12, learning_rate=5.0, per_shard=1))
    assert made.add(llama, FRANCE) == 0
    assert made.add(llama, SAFE) == 1
    return made


def by_hand(model, change, text):
    ids = torch.tensor([model.tokens(text)])
    matrix, seen = down_projection(model, 1), []
    hook = matrix.module.register_forward_hook(lambda _, g, o: seen.append((g[0], o)))
    with torch.no_grad():
        model.module(input_ids=ids)
    hook.remove()
    keys = seen[0][0].reshape(ids.shape[1], -1)
    return float(
        (keys @ (matrix.weight() + change).T - keys @ matrix.weight().T).norm(dim=-1).mean()
    )


def test_training_lowers_its_loss_within_mask_and_clamp(llama, memory):
    for n, shard in enumerate(memory.shards):
        assert shard.losses[0][-1] < 0.85 * shard.losses[0][0]
        draw = torch.Generator().manual_seed(n)
        mask = torch.rand(shard.change.shape, generator=draw) < 0.2
        assert bool((shard.change[~mask] == 0).all())
        assert float(shard.change.abs().max()) <= 1.0
        assert shard.least == pytest.approx(
            by_hand(llama, shard.change, shard.requests[0].text), rel=1e-4
        )


def test_prompts_are_routed_by_their_distance_and_the_rest_is_untouched(llama, memory):
    far = editing.Wise(llama, 1, SETTINGS)
    far.shards = [editing.WiseShard(memory.shards[0].change, [FRANCE], least=1e6)]
    before = llama.next_logits(FRANCE.text)
    with far.applied(llama):
        assert torch.equal(llama.next_logits(FRANCE.text), before)
    assert far.route(llama, FRANCE.text)[0].shard is None
    france, safe = memory.route(llama, [FRANCE.text, SAFE.text])
    for route in (france, safe):
        assert route.shard == max((0, 1), key=lambda n: route.distances[n])
        assert route.distances[0] == pytest.approx(
            by_hand(llama, memory.shards[0].change, route.prompt), rel=1e-4
        )
    with memory.applied(llama):
        chosen = llama.next_logits([FRANCE.text, SAFE.text])  # padded, in one batch
    for n, route in enumerate((france, safe)):
        weight = llama.module.get_parameter(memory.matrix.name)
        old = weight.detach().clone()
        with torch.no_grad():
            weight += memory.shards[route.shard].change
        expected = llama.next_logits(route.prompt)[0]
        with torch.no_grad():
            weight.copy_(old)
        torch.testing.assert_close(chosen[n], expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(llama.next_logits(FRANCE.text), before)


def test_what_was_decided_of_a_prompt_holds_while_text_is_generated(llama, memory):
    with memory.applied(llama):
        text = llama.generate(FRANCE.text, 4)
    shard = memory.route(llama, FRANCE.text)[0].shard
    weight = llama.module.get_parameter(memory.matrix.name)
    old = weight.detach().clone()
    with torch.no_grad():
        weight += memory.shards[shard].change
    expected = llama.generate(FRANCE.text, 4)
    with torch.no_grad():
        weight.copy_(old)
    assert text == expected


def test_merging_keeps_the_largest_and_the_sign_of_the_sum(llama, memory):
    one = torch.tensor([[4.0, -1.0, 3.0, 0.0, 0.5]])
    two = torch.tensor([[2.0, 5.0, -4.0, 6.0, 0.0]])
    # Of four numbers the largest three: -1 stays, 0.5 goes; then 2 goes.
    assert ties([one, two], 0.75).tolist() == [[4.0, 5.0, -4.0, 6.0, 0.0]]
    assert ties([one, two], 1.0).tolist() == [[3.0, 5.0, -4.0, 6.0, 0.5]]
    merged = memory.merged(llama)
    change = ties([shard.change for shard in memory.shards], 0.53)
    assert torch.equal(merged.shards[0].change, change)
    keys = [read_keys(llama, memory.matrix, [r.text]) for r in (FRANCE, SAFE)]
    assert merged.shards[0].least == pytest.approx(
        min(float(distance(change, each)) for each in keys)
    )
    weight = llama.module.get_parameter(memory.matrix.name)
    before = weight.detach().clone()
    with memory.as_weights(llama).applied(llama):
        torch.testing.assert_close(weight.detach(), before + change)
    assert torch.equal(weight, before)


def test_a_file_gives_back_what_was_saved(llama, gpt2, memory, tmp_path):
    file = memory.save(tmp_path / "memory.safetensors")
    again = editing.Wise.read(llama, file)
    assert again.route(llama, FRANCE.text) == memory.route(llama, FRANCE.text)
    assert again.settings == memory.settings
    assert again.shards[1].requests == [SAFE]
    with pytest.raises(BadInput, match="other weights"):
        editing.Wise.read(gpt2, file)
    with pytest.raises(BadInput, match="no GRACE memory"):
        editing.Grace.read(llama, file)
    with pytest.raises(BadInput, match="no edit in this memory"):
        editing.Wise(llama, 1).merged(llama)
    with pytest.raises(BadInput, match="edits a shard"):
        editing.WiseSettings(share=0.0)
