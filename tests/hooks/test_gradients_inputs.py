"""Prompts as texts or ids, prompts too short to have a loss, and models in training mode, at
every function of gradients.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.gradients.activations import activation_gradients
from hooks.gradients.integrated import integrated_gradients, layer_conductance
from hooks.gradients.parameters import gradient_norms, gradient_sizes, weight_gradients
from hooks.influence import influence
from hooks.metrics import continuation_loss, loss
from tests.helpers import tiny
from workbench.errors import BadInput

TEXTS = ["The capital of France is", "The safe opens"]
FUNCTIONS = {
    "gradient_norms": lambda m, p, **k: gradient_norms(m, p, weights=["W_V", "W_in"], **k),
    "one by one": lambda m, p, **k: gradient_norms(
        m, p, weights=["W_V", "W_in"], one_by_one=True, **k
    ),
    "gradient_sizes": lambda m, p, **k: gradient_sizes(m, p, weights=["W_V"], **k),
    "weight_gradients": lambda m, p, **k: weight_gradients(m, p, weights=["W_V"], **k),
    "activation_gradients": lambda m, p, **k: activation_gradients(
        m, p, sites=["z", "resid_post"], **k
    ),
    "integrated_gradients": lambda m, p, **k: integrated_gradients(m, p, steps=3, **k),
    "layer_conductance": lambda m, p, **k: layer_conductance(
        m, p, steps=3, sites="post", layers=1, **k
    ),
}


def arrays(found):
    return {str(name): found[name].values for name in found}


def same(found, want):
    assert found.keys() == want.keys()
    for name, values in found.items():
        np.testing.assert_allclose(
            values, want[name], atol=1e-6, rtol=1e-5, equal_nan=True, err_msg=name
        )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ids_give_what_their_text_gives(llama, name):
    ids = [llama.tokens(text) for text in TEXTS]
    want = arrays(FUNCTIONS[name](llama, TEXTS))
    same(arrays(FUNCTIONS[name](llama, ids)), want)
    assert all(np.nan_to_num(values).any() for values in want.values())


def test_influence_of_ids(llama):
    ids = [llama.tokens(text) for text in TEXTS]
    found = influence(llama, ids, [ids[0]])
    same(arrays(found), arrays(influence(llama, TEXTS, [TEXTS[0]])))
    assert found.prompts == TEXTS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_prompt_of_one_token_has_no_loss(llama, name):
    with pytest.raises(BadInput, match="Prompt 2 has 1 token"):
        FUNCTIONS[name](llama, [TEXTS[0], [5]])
    with pytest.raises(BadInput, match="Prompt 1 has 3 tokens"):
        FUNCTIONS[name](llama, [[5, 7, 11]], metric=continuation_loss(3))
    FUNCTIONS[name](llama, [[5, 7, 11]], metric=continuation_loss(2))


def test_influence_of_one_token(llama):
    with pytest.raises(BadInput, match="1 token"):
        influence(llama, [[5]], TEXTS)
    with pytest.raises(BadInput, match="1 token"):
        influence(llama, TEXTS, [TEXTS[0], [5]])


def test_a_continuation_of_no_tokens():
    with pytest.raises(BadInput, match="0 tokens"):
        continuation_loss(0)


def in_training():
    """Dropout, gradient checkpointing, and one layer that its user keeps in evaluation mode."""
    module = tiny.tiny_gpt2()
    module.gradient_checkpointing_enable()
    module.train()
    module.transformer.h[1].eval()
    return module


@pytest.mark.parametrize(
    "name",
    [
        *FUNCTIONS,
        "influence",
        "sweep",
        "attribution",
        "capture",
        "next_logits",
        "generate",
    ],
)
def test_training_mode_changes_nothing_and_is_put_back(name):
    every = {
        **FUNCTIONS,
        "influence": lambda m, p: influence(m, p, p),
        "sweep": lambda m, p: wb.sweep(m, p[0], 5, change=wb.Mean(p)),
        "attribution": lambda m, p: wb.sweep(m, p[0], 5, method=wb.Attribution(recheck=2)),
        "capture": lambda m, p: wb.capture(m, p, sites=["z", "resid_post"]),
        "next_logits": lambda m, p: {"logits": m.next_logits(p)},
        "generate": lambda m, p: {"ids": torch.tensor(m.tokens(m.generate(p[0], 5)))},
    }
    run = every[name]
    module = in_training()
    assert any(part.p > 0 for part in module.modules() if isinstance(part, torch.nn.Dropout))
    flags = [part.training for part in module.modules()]
    model = wb.load((module, tiny.tiny_tokenizer()))
    for part, training in zip(
        module.modules(), flags, strict=True
    ):  # loading puts all of it into evaluation mode
        part.training = training
    want = run(wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer())), TEXTS)
    found = run(model, TEXTS)
    values = lambda kept: {n: x for n in kept if (x := np.asarray(kept[n])).dtype.kind == "f"}  # noqa: E731
    same(values(found), values(want))
    assert [part.training for part in module.modules()] == flags
    assert module.is_gradient_checkpointing
    assert loss.needs == 2
