"""Causal tracing: how large the noise is that enters the first layer, and the examples that the
docstring gives.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.sweeps import sweep
from hooks.sweeps.embedding_noise import embedding_sigma
from tests.helpers import families, tiny

PROMPTS = ["The capital of France is", "Nobody remembers what the safe"]
TARGETS = [5, 77]


def built(name):
    return wb.load((families.module(name), tiny.tiny_tokenizer()))


def entering(model):
    """What token embeddings are multiplied by, or put through, on their way into the first
    layer; by hand, family by family.
    """
    module = model.module
    weight = module.get_input_embeddings().weight.detach()
    match module.config.model_type:
        case "gemma" | "gemma2" | "gemma3_text":
            return weight * 32**0.5
        case "granite":
            return weight * module.config.embedding_multiplier
        case "bloom":
            return module.transformer.word_embeddings_layernorm(weight)
        case "biogpt" | "xglm" | "ctrl":  # and positions on top
            return weight * 32**0.5
    return weight


NAMES = [
    "llama",
    "gemma",
    "gemma2",
    "gemma3_text",
    "granite",
    "bloom",
    "gpt2",
    "opt",
    "gpt_neox",
    "biogpt",
    "xglm",
    "mamba",
]


@pytest.mark.parametrize("name", NAMES)
def test_sigma(name):
    module = families.module(name)
    if name == "granite":
        module.config.embedding_multiplier = module.model.embedding_multiplier = 12.0
    model = wb.load((module, tiny.tiny_tokenizer()))
    with torch.no_grad():
        want = float(entering(model).std())
    assert embedding_sigma(model) == pytest.approx(want, rel=1e-5 if name != "bloom" else 0.02)


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "granite", "gpt2", "bloom"])
def test_the_noise_is_so_many_sigmas_and_does_what_a_hook_does(name):
    """Own hooks: the same draw, of the size it should have, added to what enters the first
    layer.
    """
    model = built(name)
    ids = model.tokens(PROMPTS[0])
    noise = torch.randn(len(ids), 32, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        size = 3 * float(entering(model).std())
        logits = model.module(torch.tensor([ids])).logits[0, -1]
    found = sweep(model, PROMPTS[0], TARGETS, over=wb.Positions(layers=0), change=wb.Noise(seed=7))[
        "effect"
    ]
    assert found.shape[-2] == len(ids)
    for position in (0, len(ids) - 1):

        def add(module, args, kwargs, position=position):
            hidden = args[0].clone()
            hidden[0, position] += size * noise[position]
            return (hidden, *args[1:]), kwargs

        handle = model.layout.blocks[0].module.register_forward_pre_hook(add, with_kwargs=True)
        with torch.no_grad():
            want = (model.module(torch.tensor([ids])).logits[0, -1] - logits)[TARGETS]
        handle.remove()
        got = found.isel(prompt=0, site=0, layer=0, pos=position).values
        np.testing.assert_allclose(
            got,
            want.numpy(),
            atol=1e-3 if name != "bloom" else 0.1,
            rtol=1e-3 if name != "bloom" else 0.05,
        )


def test_changes_that_are_on_do_not_change_the_size():
    model = built("gemma2")
    want = embedding_sigma(model)
    with wb.scale(model, site="resid_pre", layers=[0], factor=10.0):
        assert embedding_sigma(model) == want


# -- the examples ----------------------------------------------------------------------------------


def examples():
    lines = [line.strip() for line in (sweep.__doc__ or "").splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("wb.sweep(")]


def test_the_docstring_s_examples_run(llama):
    names = {
        "wb": wb,
        "model": llama,
        "corrupted": ["The capital of Italy is", "Somebody knows what the safe opens with"],
        "clean": ["The capital of France is", "Nobody remembers what the safe opens with"],
        "answers": [[" is", " of"], [" the", " on"]],
        "prefix": PROMPTS[0],
        "suffix": " Paris.",
    }
    shown = examples()
    assert len(shown) == 4
    for example in shown:
        code = example.replace(
            '[" Paris", " Rome"]', '[" is", " of"]'
        )  # which the tiny tokenizer tells apart
        found = eval(code, names)
        if "pos" in found.dims:
            lengths = [len(llama.tokens(text)) for text in names["corrupted"]]
            missing = np.array([[pos >= n for pos in range(max(lengths))] for n in lengths])
            nothing = np.isnan(found["effect"]).any(
                [d for d in found["effect"].dims if d not in ("prompt", "pos")]
            )
            np.testing.assert_array_equal(nothing.transpose("prompt", "pos"), missing)
            assert float(np.nan_to_num(found["effect"]).std()) > 1e-3
        else:
            assert not np.isnan(found["effect"]).any()


def test_only_the_last_position_is_a_grid_of_that(llama):
    found = sweep(llama, PROMPTS[0], TARGETS, over="positions", positions="last")
    assert found["pos"].values.tolist() == [len(llama.tokens(PROMPTS[0])) - 1]
    assert not np.isnan(found["effect"]).any()
