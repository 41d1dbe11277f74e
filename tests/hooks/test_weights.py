"""Models whose weights are not simply there: offloaded by Accelerate, or quantized by bitsandbytes."""

from __future__ import annotations

import numpy as np
import plain_loop
import pytest
import tiny
import torch

import workbench as wb
from hooks.contract import contract
from workbench.errors import Unfit

PROMPTS = ["the cat sat on a mat", "a dog"]
TARGETS = [[3, 4], [5, 6]]


def _offloaded(make, kind, folder):
    from accelerate import cpu_offload, disk_offload

    module = make()
    if kind == "memory":
        cpu_offload(module, execution_device=torch.device("cpu"))
    else:
        disk_offload(module, str(folder), execution_device=torch.device("cpu"))
    return wb.load((module, tiny.tiny_tokenizer()))


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("make", [tiny.tiny_llama, tiny.tiny_gpt2, tiny.tiny_neox])
def test_an_offloaded_model_says_what_it_says_elsewhere(make, kind, tmp_path):
    here, away = wb.load((make(), tiny.tiny_tokenizer())), _offloaded(make, kind, tmp_path)
    assert next(away.module.parameters()).device.type == "meta"
    assert away.device == torch.device("cpu")
    assert away.card.device == "cpu, weights offloaded"
    assert away.card.weight_hash == here.card.weight_hash
    assert [str(c) for c in contract(away) if not c.holds()] == []
    sites = list(here.sites)
    one, two = wb.capture(here, PROMPTS, sites=sites), wb.capture(away, PROMPTS, sites=sites)
    for site in sites:
        np.testing.assert_array_equal(one[site].values, two[site].values, err_msg=site)
    for kind_of_sweep in ("heads", "layers", "neurons", "positions", "edges"):
        swept = [wb.sweep(m, PROMPTS, TARGETS, kind=kind_of_sweep, metric="logit_diff")["effect"].values for m in (here, away)]
        np.testing.assert_allclose(*swept, atol=1e-5)
    with wb.ablate(away, heads=[(0, 0)]), wb.ablate(here, heads=[(0, 0)]):
        assert torch.equal(away.next_logits(PROMPTS[0]), here.next_logits(PROMPTS[0]))
    with pytest.raises(Unfit, match="offloaded, and keeps no gradient"):
        wb.weight_gradients(away, PROMPTS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny.tiny_llama().save_pretrained(folder)
    return folder


def _quantized(folder, bits):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    how = {"load_in_8bit": True} if bits == 8 else {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32}
    config = BitsAndBytesConfig(**how)
    module = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, device_map="cpu", dtype=torch.float32)
    return wb.load((module, tiny.tiny_tokenizer()))


def test_four_bits_keep_the_contract(saved):
    model = _quantized(saved, 4)
    assert model.card.quantized_from == "bitsandbytes 4 bit"
    assert [str(c) for c in contract(model) if not c.holds()] == []


def test_eight_bits_round_what_they_read(saved):
    model = _quantized(saved, 8)
    # Each head's share is rounded with the others: it is nobody's mistake that they do not add up exactly.
    assert {c.name: c.error < 0.02 for c in contract(model) if not c.holds()} == {"heads": True}


@pytest.mark.parametrize(("bits", "close"), [(4, 1e-3), (8, 0.2)])
def test_sweeps_of_a_quantized_model(saved, bits, close):
    model = _quantized(saved, bits)
    ids = model.tokens(PROMPTS[0])
    swept = wb.sweep(model, [ids], [[3]], metric="logit")
    for layer, head in [(0, 1), (2, 3)]:

        def silence(z, head=head):
            z[:, -1, head] = 0

        changed = plain_loop.run(model, ids, [("z", layer, silence)])[3] - plain_loop.run(model, ids)[3]
        found = float(swept["effect"].sel(layer=layer, head=head).squeeze())
        assert found == pytest.approx(float(changed), abs=close)
    assert np.isfinite(wb.activation_gradients(model, PROMPTS, sites="z")["z"].sel(prompt=0).values).all()
    with pytest.raises(Unfit, match="quantized, and keeps no gradient"):
        wb.weight_gradients(model, PROMPTS)
