"""What is found out once about a model does not depend on what is on at that moment."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import prune

import workbench as wb
from tests.helpers import families, tiny

TWO = ["The capital of France is", "The"]


def built(family="llama"):
    return wb.load((families.module(family), tiny.tiny_tokenizer()))


def zeroed(module, args, output):
    return (
        (torch.zeros_like(output[0]), *output[1:])
        if isinstance(output, tuple)
        else torch.zeros_like(output)
    )


def test_the_padding_probe_does_not_run_under_a_change(tmp_path):
    wb.capture(built(), TWO, sites="z", out=tmp_path / "t")
    source, clean = wb.Trace.open(tmp_path / "t"), built()
    model = built()
    with wb.patch(model, source, site="z", layers=[1]):
        torch.testing.assert_close(
            model.next_logits(TWO), clean.next_logits(TWO), atol=1e-5, rtol=1e-5
        )
    model = built()
    with wb.ablate(model, heads=[(0, 0)], method="resample", reference=["Rome and so on"]):
        model.next_logits(TWO)
    assert model.ignores_padding
    assert model.batch(TWO).lengths == clean.batch(TWO).lengths


@pytest.mark.parametrize("on_input", [True, False])
def test_the_layout_is_found_under_hooks_of_ones_own(on_input):
    model, want = built("gemma2"), built("gemma2").sites
    layer = model.module.model.layers[1]

    def before(module, args):
        return (args[0] + torch.randn_like(args[0]), *args[1:])

    handle = (
        layer.register_forward_pre_hook(before)
        if on_input
        else layer.self_attn.register_forward_hook(zeroed)
    )
    assert model.sites == want
    assert model.ignores_padding
    handle.remove()
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks
    assert not layer.self_attn._forward_hooks


def test_a_hook_of_ones_own_is_on_again_afterwards():
    model = built()
    handle = model.module.model.layers[1].mlp.register_forward_hook(zeroed)
    model.layout  # noqa: B018
    assert (wb.capture(model, TWO[0], sites="mlp_out", layers=[1])["mlp_out"] == 0).all()
    handle.remove()
    assert not (wb.capture(model, TWO[0], sites="mlp_out", layers=[1])["mlp_out"] == 0).all()


def test_a_handle_works_while_its_hook_is_off():
    from hooks.without_interventions import undisturbed

    model = built()
    layer = model.module.model.layers[1]
    handle = layer.register_forward_hook(zeroed)
    with undisturbed(model.module):
        handle.remove()
    assert not layer._forward_hooks


def test_pruned_weights_stay_pruned():
    """Torch masks them in a hook, which belongs to the model."""
    model = built()
    for layer in model.module.model.layers:
        prune.random_unstructured(layer.mlp.down_proj, "weight", amount=0.5)
    assert model.sites == built().sites
    assert all((layer.mlp.down_proj.weight == 0).any() for layer in model.module.model.layers)


def test_sizes_are_asked_of_the_model_itself(tmp_path):
    """A folder's arrays are planned with one token, which no trace of two prompts fits."""
    source = wb.capture(built(), TWO, sites="z")
    model = built()
    with wb.patch(model, source, site="z", layers=[1]):
        stored = wb.capture(model, TWO, sites=["z", "resid_post"], out=tmp_path / "t")
    assert stored["z"].shape == source["z"].shape


def test_training_mode_and_autocast_do_not_reach_the_probes():
    module = families.module("gpt2")
    module.config.resid_pdrop = 0.5
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.5
    model = wb.load((module, tiny.tiny_tokenizer()))
    module.train()
    module.transformer.h[1].eval()
    flags = [part.training for part in module.modules()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.ignores_padding
        assert model.sites == built("gpt2").sites
    assert flags == [part.training for part in module.modules()]
