"""Compiled modules: what the workbench looks at, changes and differentiates is the module as
Python, and stays compiled.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import CompileConfig

import workbench as wb
from hooks.gradients.parameters import gradient_norms
from tests.helpers import tiny

PROMPT = "The capital of France is"
HEADS = [(1, 2)]


def whole(module):
    return torch.compile(module, backend="eager")


def in_place(module):
    module.compile(backend="eager")
    return module


def layers(module):
    for layer in module.model.layers:
        layer.compile(backend="eager")
    return module


def parts(module):
    for layer in module.model.layers:
        layer.self_attn.compile(backend="eager")
        layer.mlp.compile(backend="eager")
    return module


def norms(module):
    module.model.norm.compile(backend="eager")
    return module


def wrapped_layers(module):
    for i, layer in enumerate(module.model.layers):
        module.model.layers[i] = torch.compile(layer, backend="eager")
    return module


def forward(module):
    module.forward = torch.compile(module.forward, backend="eager")
    return module


WAYS = [whole, in_place, layers, parts, norms, wrapped_layers, forward]


@pytest.fixture
def want():
    """What the module says that was never compiled."""
    return everything(wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer())))


def everything(model):
    """Logits, a capture, changed logits, text under a change, a sweep, gradients."""
    found = {
        "before": model.next_logits(PROMPT),
        "capture": wb.capture(model, PROMPT, sites=["z", "pattern"]),
    }
    with wb.ablate(model, heads=HEADS), wb.scale(model, site="mlp_out", layers=[0], factor=3):
        found["after"] = model.next_logits(PROMPT)
        found["text"] = model.generate(PROMPT, 5)
    found["sweep"] = wb.sweep(model, PROMPT, [5, 7], read=wb.LogitDiff(norm="frozen"))[
        "effect"
    ].values
    found["norms"] = gradient_norms(model, [PROMPT], weights="W_V")["W_V"].values
    return found


def check(got, want):
    for name in ("before", "after"):
        torch.testing.assert_close(got[name], want[name], atol=1e-4, rtol=1e-4)
    for site in ("z", "pattern"):
        np.testing.assert_allclose(got["capture"][site], want["capture"][site], atol=1e-4)
    for name in ("sweep", "norms"):
        np.testing.assert_allclose(got[name], want[name], atol=1e-4)
    assert got["text"] == want["text"]
    assert (got["before"] - got["after"]).abs().max() > 0.1


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(
    "compiled",
    [way if way is whole else pytest.param(way, marks=pytest.mark.verify) for way in WAYS],
)
def test_compiled_models_are_changed_and_seen(compiled, want):
    torch._dynamo.reset()
    module = compiled(tiny.tiny_llama())
    ids = torch.tensor([[5, 7, 11]])
    with torch.no_grad():
        said = module(ids).logits  # compiles it, with no hook on
    check(everything(wb.load((module, tiny.tiny_tokenizer()))), want)
    with torch.no_grad():
        torch.testing.assert_close(module(ids).logits, said, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compiled", [in_place, layers])
def test_compiled_after_it_was_loaded(compiled, want):
    torch._dynamo.reset()
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    model.next_logits(PROMPT)
    compiled(model.module)
    check(everything(model), want)


@pytest.mark.filterwarnings("ignore")
def test_the_first_call_under_a_change_compiles_nothing_of_it():
    torch._dynamo.reset()
    model = wb.load((layers(tiny.tiny_llama()), tiny.tiny_tokenizer()))
    with wb.ablate(model, heads=HEADS):
        model.next_logits(PROMPT)
    want = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer())).next_logits(PROMPT)
    with torch.no_grad():
        got = model.module(torch.tensor([model.tokens(PROMPT)])).logits[:, -1]
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_wrapper_that_the_user_kept_is_changed_too():
    torch._dynamo.reset()
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    mine, ids = whole(model.module), torch.tensor([model.tokens(PROMPT)])
    with torch.no_grad():
        mine(ids)
        with wb.ablate(model, heads=HEADS):
            got, want = mine(ids).logits, model.module(ids).logits
    assert torch.equal(got, want)


@pytest.mark.filterwarnings("ignore")
def test_generating_with_a_static_cache_that_compiles_itself():
    torch._dynamo.reset()
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    ids = torch.tensor([model.tokens(PROMPT)])
    options = {
        "max_new_tokens": 6,
        "do_sample": False,
        "pad_token_id": 0,
        "attention_mask": torch.ones_like(ids),
    }
    compiling = CompileConfig(backend="eager", fullgraph=False)
    compiling._compile_all_devices = True  # otherwise only GPUs do
    static = {**options, "cache_implementation": "static", "compile_config": compiling}
    plain = model.module.generate(ids, **static)  # compiled now
    with wb.ablate(model, heads=HEADS), wb.scale(model, site="mlp_out", layers=[0], factor=3):
        want, got = model.module.generate(ids, **options), model.module.generate(ids, **static)
    assert got.tolist() == want.tolist()
    assert got.tolist() != plain.tolist()
    assert model.module.generate(ids, **static).tolist() == plain.tolist()
