"""Which weights unlearning changes and by how much, and that they come back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.unlearning import Settings, random_change, unlearn
from hooks.unlearning.trained_weights import low_rank, matrix_names
from hooks.unlearning.unlearning_log import UnlearningLog
from tests.helpers import tiny
from tests.helpers.families import built
from tests.helpers.unlearning_checks import nats, nats_on, same, weights
from workbench.errors import BadInput


def test_no_share_and_no_rate_change_nothing(knowing, forget, retain):
    settings = Settings(1000.0, steps=3, rates=(0.05,))
    done = unlearn(knowing, "graddiff", forget, retain, settings)
    before = weights(knowing)
    with done.applied(knowing, share=0.0):
        assert same(knowing, before)
    half = nats_on(knowing, done, forget, 0.5)
    assert nats(knowing, forget) < half < nats_on(knowing, done, forget)
    still = unlearn(knowing, "graddiff", forget, retain, Settings(1000.0, steps=3, rates=(1e-12,)))
    with still.applied(knowing):
        moved = [(p - before[n]).abs().max() for n, p in knowing.module.named_parameters()]
    assert max(map(float, moved)) < 1e-11


def test_changes_stack_and_are_left_in_any_order(knowing, forget, retain):
    before = weights(knowing)
    settings = Settings(1000.0, steps=2, rates=(0.05,))
    first = unlearn(knowing, "ga", forget[:2], retain, settings)
    with first.applied(knowing):
        low = unlearn(
            knowing, "ga", forget[2:], retain, Settings(1000.0, 2, (0.05,), weights="lora")
        )
    one, two = first.applied(knowing), low.applied(knowing)
    one.__enter__()
    two.__enter__()
    assert nats(knowing, forget[2:]) > nats_on(knowing, low, forget[2:]) - 5
    one.__exit__(None, None, None)
    two.__exit__(None, None, None)
    assert same(knowing, before)
    assert low.delta.weights != first.delta.weights
    assert low.delta.model == ""


def test_adam_moves_by_rate_times_the_spread_of_each_matrix(knowing, forget):
    before = weights(knowing)
    done = unlearn(knowing, "ga", forget, [], Settings(1000.0, steps=1, rates=(0.05,)))
    with done.applied(knowing):
        for name in done.delta.index:
            moved = (knowing.module.get_parameter(name) - before[name]).abs().max()
            assert float(moved) == pytest.approx(0.05 * float(before[name].std()), rel=1e-3)


@pytest.mark.parametrize("fixture", ["llama", "gpt2", "neox"])
def test_low_rank_is_plain_lora(request, fixture, forget, tmp_path):
    """The outputs with the factors beside the matrices are those of the changed matrices."""
    model = request.getfixturevalue(fixture)
    settings = Settings(1000.0, steps=3, rates=(0.05,), weights="lora")
    done = unlearn(model, "ga", forget, [], settings)
    assert not done.delta.index
    assert all(side.shape[1] == 16 for side in done.delta.left.values())
    matrices = {
        n
        for n, p in model.module.named_parameters()
        if p.dim() == 2 and not any(word in n for word in ("embed", "wte", "wpe", "head"))
    }
    assert set(done.delta.left) == matrices
    assert nats_on(model, done, forget) == pytest.approx(done.log.forget[-1], abs=1e-3)
    assert done.log.forget[-1] > done.log.forget[0]


def test_a_large_model_gets_low_rank_and_its_file_opens(forget, retain, tmp_path, monkeypatch):
    folder = tiny.save_tiny(tmp_path / "tiny")
    model = wb.load(folder)
    monkeypatch.setattr("hooks.unlearning.run_method.LARGEST", 100)
    done = unlearn(model, "npo", forget, retain, Settings(1000.0, steps=2, rates=(0.05,)))
    assert done.delta.left
    file = done.save(tmp_path / "forgets.safetensors")
    opened = wb.load(f"{folder}+{file}")
    assert nats(opened, forget) == pytest.approx(nats_on(model, done, forget), abs=1e-5)
    with pytest.raises(BadInput, match="other weights"), done.applied(opened):
        pass


def test_the_mask_leaves_all_other_weights(knowing, forget, retain):
    settings = Settings(1000.0, steps=2, rates=(0.05,), share=0.01)
    done = unlearn(knowing, "mask", forget, retain, settings)
    names = list(done.delta.index)
    gradients = {}
    for text in (*forget, *retain):
        ids = torch.tensor([text.ids])
        for p in knowing.module.parameters():
            p.requires_grad_(True)
        logits = knowing.module(input_ids=ids).logits[0, text.first - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, text.first :])
        found = torch.autograd.grad(loss, [knowing.module.get_parameter(n) for n in names])
        gradients[text] = torch.cat([g.flatten() for g in found])
        for p in knowing.module.parameters():
            p.requires_grad_(False)
    own = torch.stack([gradients[t] for t in forget]).mean(0).abs()
    excess = own - torch.stack([gradients[t] for t in retain]).square().mean(0).sqrt()
    wanted = set(excess.topk(round(0.01 * len(excess))).indices.tolist())
    start, found = 0, set()
    for name in names:
        found |= {start + int(place) for place in done.delta.index[name]}
        start += knowing.module.get_parameter(name).numel()
    assert found <= wanted
    assert len(found) > 0.9 * len(wanted)


@pytest.mark.parametrize("more", [{}, {"weights": "lora"}])
def test_a_random_change_is_as_large_in_every_parameter(knowing, forget, more):
    settings = Settings(1000.0, steps=3, rates=(0.05,), **more)
    done = unlearn(knowing, "ga", forget, [], settings)
    other = random_change(knowing, done, 5)
    before = weights(knowing)

    def moved(change):
        with change.applied(knowing):
            return {n: p.detach() - before[n] for n, p in knowing.module.named_parameters()}

    mine, random = moved(done), moved(other)
    for name in {*done.delta.index, *done.delta.left}:
        assert float(mine[name].norm()) == pytest.approx(float(random[name].norm()), rel=1e-3)
        cosine = torch.nn.functional.cosine_similarity(
            mine[name].flatten(), random[name].flatten(), 0
        )
        assert abs(float(cosine)) < 0.1
    assert same(knowing, before)
    again = random_change(knowing, done, 5)
    for name, values in again.delta.values.items():
        np.testing.assert_array_equal(values, other.delta.values[name])
    assert "random" in other.method
    assert other.log == UnlearningLog() or math.isnan(other.log.rate)
    with done.applied(knowing), pytest.raises(BadInput, match="other weights"):
        random_change(knowing, done, 5)


def test_a_recurrent_model_is_unlearned_text_by_text(forget):
    """It reads padding like text: only texts of one length share a pass."""
    mamba = built("mamba")
    before = weights(mamba)
    done = unlearn(mamba, "npo", forget, [], Settings(1000.0, steps=2, rates=(0.05,)))
    assert done.log.forget[-1] > done.log.forget[0]
    assert nats_on(mamba, done, forget) == pytest.approx(done.log.forget[-1], abs=1e-3)
    assert same(mamba, before)


def test_quantized_weights_are_refused():
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    part = model.layout.blocks[0].down_proj
    part.weight = torch.nn.Parameter(part.weight.detach().to(torch.int8), requires_grad=False)
    with pytest.raises(BadInput, match="quantized"):
        matrix_names(model)
    with pytest.raises(BadInput, match="quantized"):
        low_rank(model, 0)


def test_bfloat16_is_trained_in_float32(forget):
    module = tiny.tiny_llama().to(torch.bfloat16)
    model = wb.load((module, tiny.tiny_tokenizer()))
    before = weights(model)
    # A step is a twentieth of what bfloat16 can tell apart in a typical weight; a hundred are not.
    done = unlearn(model, "ga", forget, [], Settings(1000.0, steps=30, rates=(2e-4,)))
    assert done.delta.size > 1000
    assert done.log.forget[-1] > done.log.forget[0] + 0.005
    assert nats_on(model, done, forget) == pytest.approx(done.log.forget[-1], abs=0.05)
    assert same(model, before)
