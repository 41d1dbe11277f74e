"""Models whose layers somebody cut off, took out or replaced by hand, while the configuration
still counts the old ones.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers import families, tiny
from workbench.errors import BadInput, WorkbenchError

PROMPT = "The capital of France is"
WHERE = {
    "llama": "model.layers",
    "gemma3_text": "model.layers",
    "gpt2": "transformer.h",
    "mamba": "backbone.layers",
}


def cut(family, keep, module=None):
    module = module or families.module(family)
    holder, _, name = WHERE[family].rpartition(".")
    layers = module.get_submodule(WHERE[family])
    setattr(module.get_submodule(holder), name, nn.ModuleList([layers[i] for i in keep]))
    return module


@pytest.mark.parametrize("family", WHERE)
def test_the_first_layers_are_a_model(family):
    """As one that was built with so many layers and the same weights."""
    module, config = cut(family, range(2)), families.config(family)
    for name in ("num_hidden_layers", "n_layer"):
        if name in config.to_dict():
            setattr(config, name, 2)
    if family == "gemma3_text":
        config.layer_types = config.layer_types[:2]
    built = type(module)(config).eval()
    built.load_state_dict(module.state_dict())
    model, want = (wb.load((m, tiny.tiny_tokenizer())) for m in (module, built))
    assert model.n_layers == model.card.n_layers == 2
    assert model.sites == want.sites
    torch.testing.assert_close(model.next_logits(PROMPT), want.next_logits(PROMPT))
    for site in ("resid_post", "ln_final"):
        assert wb.capture(model, PROMPT, sites=site)[site].equals(
            wb.capture(want, PROMPT, sites=site)[site]
        )
    found, expected = (
        wb.sweep(m, PROMPT, 5, over="positions", positions="all")["effect"] for m in (model, want)
    )
    torch.testing.assert_close(
        torch.as_tensor(found.values), torch.as_tensor(expected.values), atol=1e-5, rtol=1e-4
    )
    with (
        wb.scale(model, site="resid_post", layers=[0], factor=2.0),
        wb.scale(want, site="resid_post", layers=[0], factor=2.0),
    ):
        assert model.generate(PROMPT, 5) == want.generate(PROMPT, 5)


@pytest.mark.parametrize("keep", [[1, 2], [0, 2], [0, 0, 1], [1, 0, 2], [0, 1, 1]])
@pytest.mark.parametrize("family", ["llama", "gpt2", "mamba"])
def test_layers_whose_numbers_are_not_their_places_are_refused(family, keep):
    model = wb.load((cut(family, keep), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput, match="still calls itself layer"):
        wb.capture(model, PROMPT)


def test_renumbered_layers_are_a_model():
    module = cut("llama", [0, 2])
    for place, layer in enumerate(module.model.layers):
        layer.self_attn.layer_idx = place
    assert (
        wb.capture(wb.load((module, tiny.tiny_tokenizer())), PROMPT)["resid_post"].sizes["layer"]
        == 2
    )


def test_layers_cut_after_loading_are_noticed():
    model = wb.load((families.module("llama"), tiny.tiny_tokenizer()))
    assert model.n_layers == 3
    cut("llama", range(2), model.module)
    with (
        pytest.raises(WorkbenchError, match="since it was loaded"),
        wb.ablate(model, heads=[(2, 0)]),
    ):
        pass
    with pytest.raises(WorkbenchError, match="since it was loaded"):
        wb.capture(model, PROMPT)
    assert wb.load((model.module, model.tokenizer)).n_layers == 2
