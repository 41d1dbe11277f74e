"""The same numbers as the tools people know: TransformerLens's cache, nnsight's trace, Captum's
gradients.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import workbench as wb

PROMPT = "The capital of France is"


def test_transformer_lens_names_and_values(llama, tmp_path):
    bridge = pytest.importorskip(
        "transformer_lens.model_bridge", reason="the bench extra is not installed"
    ).TransformerBridge
    from transformers import AutoTokenizer

    llama.module.save_pretrained(tmp_path)
    llama.tokenizer.save_pretrained(tmp_path)
    peer = bridge.boot_transformers(
        str(tmp_path),
        hf_model=copy.deepcopy(llama.module),
        tokenizer=AutoTokenizer.from_pretrained(tmp_path),
        device="cpu",
    )
    _, cache = peer.run_with_cache(torch.tensor([llama.tokens(PROMPT)]))
    ours = wb.capture(
        llama, PROMPT, sites=["resid_pre", "resid_post", "z", "attn_out", "mlp_out", "pattern"]
    )
    for layer in range(llama.n_layers):
        for site in ours:
            name = ours[site].attrs["site"].format(layer=layer)
            theirs = cache[name].detach().numpy()
            np.testing.assert_allclose(
                ours[site].sel(layer=layer).values.reshape(theirs.shape),
                theirs,
                atol=1e-5,
                err_msg=name,
            )


def test_nnsight_values(llama):
    nnsight = pytest.importorskip("nnsight", reason="the bench extra is not installed")
    peer = nnsight.TransformersModel(
        copy.deepcopy(llama.module), task="text-generation", tokenizer=llama.tokenizer
    )
    ours = wb.capture(llama, PROMPT, sites=["z", "mlp_out"])
    with torch.no_grad(), peer.trace(PROMPT):
        z = peer.model.layers[1].self_attn.o_proj.input.save()
        mlp = peer.model.layers[1].mlp.output.save()
    np.testing.assert_allclose(
        ours["z"].sel(layer=1).values.reshape(z.shape), z.detach().numpy(), atol=1e-5
    )
    np.testing.assert_allclose(ours["mlp_out"].sel(layer=1).values, mlp.detach().numpy(), atol=1e-5)


def test_captum_gradient_times_activation(llama):
    attr = pytest.importorskip("captum.attr", reason="the dev extra is not installed")
    targets = [5, 77]

    def difference(ids: torch.Tensor) -> torch.Tensor:
        logits = llama.module(ids, use_cache=False).logits[:, -1]
        return logits[:, targets[0]] - logits[:, targets[1]]

    swept = wb.sweep(
        llama,
        PROMPT,
        targets,
        read="logit_diff",
        positions="all",
        method=wb.Attribution(recheck=0),
    )
    ours = torch.as_tensor(swept["effect"].values[0])
    for layer, block in enumerate(llama.layout.blocks):
        method = attr.LayerGradientXActivation(difference, block.out_proj)
        theirs = method.attribute(
            torch.tensor([llama.tokens(PROMPT)]), attribute_to_layer_input=True
        )
        theirs = theirs.unflatten(-1, (llama.n_heads, -1)).sum((1, 3))[0]
        torch.testing.assert_close(ours[layer], -theirs.detach(), atol=1e-5, rtol=1e-4)
