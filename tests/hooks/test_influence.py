"""Influence of training examples: a planted case, the definition by hand, checkpoints from
files.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.influence import influence
from hooks.metrics import loss
from tests.helpers import tiny
from tests.helpers.capturing import PROMPTS, hooks_on
from workbench.errors import BadInput

EXAMPLES = [*tiny.SENTENCES, "The capital of France is"]


def gradients(model, text):
    batch = model.batch(text)
    value = loss(model.module(**batch.kwargs()).logits, batch.input_ids, batch.attention_mask).sum()
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(value, list(model.module.parameters()))]
    )


def test_scores_are_products_of_gradients(model):
    found = influence(model, PROMPTS, EXAMPLES, batch_size=3)["influence"]
    assert found.dims == ("prompt", "example")
    assert json.loads(found.attrs["examples"]) == EXAMPLES
    by_hand = (
        torch.stack([gradients(model, t) for t in PROMPTS])
        @ torch.stack([gradients(model, t) for t in EXAMPLES]).T
    )
    np.testing.assert_allclose(found, by_hand.detach().numpy(), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(
        found, influence(model, PROMPTS, EXAMPLES)["influence"], rtol=1e-3, atol=1e-2
    )
    assert hooks_on(model) == 0


def test_the_planted_example_is_first():
    """A model learns from sentences; the checkpoints along the way name the one that a test
    repeats.
    """
    module, tokenizer = tiny.tiny_llama(n_layers=2, seed=5), tiny.tiny_tokenizer()
    model = wb.load((module, tokenizer))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
    states = []
    for _ in range(3):
        for text in tiny.SENTENCES:
            batch = model.batch(text)
            optimizer.zero_grad()
            loss(
                module(**batch.kwargs()).logits, batch.input_ids, batch.attention_mask
            ).sum().backward()
            optimizer.step()
        states.append({name: value.clone() for name, value in module.state_dict().items()})
    module.zero_grad()
    tests = [tiny.SENTENCES[4], tiny.SENTENCES[2]]
    trace = influence(model, tests, tiny.SENTENCES, states, learning_rates=[0.02] * 3)
    assert trace["influence"].argmax("example").values.tolist() == [4, 2]
    assert trace.prompts == tests
    by_layer = influence(model, tests, tiny.SENTENCES, states, layers=[0])["influence"]
    assert by_layer.argmax("example").values.tolist() == [4, 2]


def test_checkpoints_are_added_and_the_model_keeps_its_weights(model, tmp_path):
    other = type(model.module)(model.module.config).eval()
    other.save_pretrained(tmp_path / "other")
    before = {
        name: (value.data_ptr(), value.clone()) for name, value in model.module.state_dict().items()
    }
    found = influence(
        model,
        PROMPTS,
        EXAMPLES[:3],
        [model.module.state_dict(), tmp_path / "other"],
        learning_rates=[1.0, 0.5],
    )
    apart = [
        influence(m, PROMPTS, EXAMPLES[:3])["influence"].values
        for m in (model, wb.load((other, tiny.tiny_tokenizer())))
    ]
    np.testing.assert_allclose(found["influence"], apart[0] + 0.5 * apart[1], rtol=1e-4, atol=1e-4)
    for name, value in model.module.state_dict().items():
        assert value.data_ptr() == before[name][0]
        assert torch.equal(value, before[name][1])


def test_the_trace_opens_again(llama, tmp_path):
    trace = influence(llama, PROMPTS, EXAMPLES[:2])
    opened = wb.Trace.open(trace.save(tmp_path / "scores"))
    np.testing.assert_array_equal(opened["influence"], trace["influence"])
    assert json.loads(opened["influence"].attrs["examples"]) == EXAMPLES[:2]


def test_frozen_weights_stay_frozen(llama):
    free = influence(llama, PROMPTS[:1], EXAMPLES[:2])["influence"]
    try:
        llama.module.requires_grad_(False)
        np.testing.assert_allclose(
            influence(llama, PROMPTS[:1], EXAMPLES[:2])["influence"], free, rtol=1e-4
        )
        assert not any(p.requires_grad for p in llama.module.parameters())
    finally:
        llama.module.requires_grad_(True)


def test_errors(llama, tmp_path):
    with pytest.raises(BadInput, match="holds no safetensors"):
        influence(llama, PROMPTS, EXAMPLES, [tmp_path])
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(BadInput, match="cannot be read"):
        influence(llama, PROMPTS, EXAMPLES, [tmp_path])
    with pytest.raises(BadInput, match="does not fit"):
        influence(llama, PROMPTS, EXAMPLES, [tiny.tiny_gpt2().state_dict()])
    with pytest.raises(BadInput, match="of another shape"):
        influence(llama, PROMPTS, EXAMPLES, [tiny.tiny_llama(d_model=64).state_dict()])
    with pytest.raises(BadInput, match="2 learning rates for 1 checkpoints"):
        influence(llama, PROMPTS, EXAMPLES, learning_rates=[1.0, 1.0])
    with pytest.raises(BadInput, match="no training examples"):
        influence(llama, PROMPTS, [])
    with pytest.raises(BadInput, match="no layer 9"):
        influence(llama, PROMPTS, EXAMPLES, layers=9)


def test_a_folder_that_lacks_a_weight_is_refused(llama, tmp_path):
    from safetensors.torch import load_file, save_file

    llama.module.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        BadInput, match=r"does not fit LlamaForCausalLM: 'model\.layers\.1\.mlp\.up_proj\.weight'"
    ):
        influence(llama, PROMPTS, EXAMPLES, [tmp_path])
