"""Integrated gradients and conductance: what is attributed adds up, and Captum on the module
itself says the same.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from captum import attr

import workbench as wb
from hooks.gradients.integrated import integrated_gradients, layer_conductance
from hooks.metrics import logit_difference
from tests.helpers.capturing import PROMPTS, hooks_on
from workbench.errors import BadInput

TEXTS = PROMPTS[:2]


def end_and_start(model, metric, prompt):
    def at(ids):
        mask = torch.ones_like(ids)
        with torch.no_grad():
            return float(metric(model.module(ids).logits, ids, mask))

    ids = torch.tensor([model.tokens(prompt)])
    return at(ids) - at(torch.full_like(ids, model.tokenizer.eos_token_id))


def test_attributions_add_up_to_the_change(model):
    metric = logit_difference(model, 5, 77)
    found = integrated_gradients(
        model,
        TEXTS,
        metric,
        sites=["embed", "z", "resid_mid" if "resid_mid" in model.sites else "post"],
        steps=100,
    )
    for site in [s for s in found if not s.endswith(".delta")]:
        assert float(abs(found[f"{site}.delta"]).max()) < 1e-3
    for row, prompt in enumerate(TEXTS):
        assert float(found["embed"][row].sum()) == pytest.approx(
            end_and_start(model, metric, prompt), abs=2e-3
        )
    assert hooks_on(model) == 0


def test_labels_are_those_of_a_capture(llama):
    seen = wb.capture(llama, TEXTS, sites=["embed", "z"], layers=[2, 0])
    found = integrated_gradients(llama, TEXTS, sites=["embed", "z"], layers=[2, 0], steps=4)
    for site in seen:
        assert found[site].dims == seen[site].dims
        np.testing.assert_array_equal(np.isnan(found[site]), np.isnan(seen[site]))
    assert found["z.delta"].dims == ("prompt", "layer")
    assert found["z.delta"].layer.values.tolist() == [2, 0]
    assert found["embed.delta"].dims == ("prompt",)
    assert found["z"].attrs["quantity"] == "integrated gradients"


def test_the_first_stream_is_the_embeddings(llama):
    found = integrated_gradients(llama, TEXTS, sites=["embed", "resid_pre"], layers=0, steps=20)
    np.testing.assert_allclose(found["resid_pre"].sel(layer=0), found["embed"], atol=1e-4)


def test_conductance_through_the_whole_stream_adds_up(model):
    metric = logit_difference(model, 5, 77)
    rough = layer_conductance(model, TEXTS, metric, sites="resid_post", steps=20)[
        "resid_post.delta"
    ]
    smooth = layer_conductance(model, TEXTS, metric, sites="resid_post", steps=200)[
        "resid_post.delta"
    ]
    assert float(abs(smooth).max()) < float(abs(rough).max()) / 3 + 1e-4
    with pytest.raises(BadInput, match="their integrated gradients"):
        layer_conductance(model, TEXTS, metric, sites="embed", steps=4)


@pytest.mark.parametrize("method", ["LayerConductance", "LayerIntegratedGradients"])
def test_captum_on_the_module_itself(model, method):
    metric, ids = logit_difference(model, 5, 77), torch.tensor([model.tokens(TEXTS[0])])

    def forward(embeddings):
        return metric(
            model.module(inputs_embeds=embeddings, use_cache=False).logits,
            ids,
            torch.ones_like(ids),
        )

    ours = layer_conductance if method == "LayerConductance" else integrated_gradients
    found = ours(model, TEXTS[0], metric, sites="z", layers=1, steps=10)["z"]
    end, start = (
        model.layout.embed(i).detach()
        for i in (ids, torch.full_like(ids, model.tokenizer.eos_token_id))
    )
    peer = getattr(attr, method)(forward, model.layout.blocks[1].out_proj)
    theirs = peer.attribute(end, start, n_steps=10, attribute_to_layer_input=True)
    theirs = (theirs[0] if isinstance(theirs, tuple) else theirs).detach().numpy()
    np.testing.assert_allclose(found.values.reshape(theirs.shape), theirs, atol=1e-5)


def test_another_start(llama):
    one, other = (
        integrated_gradients(llama, TEXTS[0], baseline=b, steps=4)["embed"] for b in (None, 300)
    )
    assert float(abs(one - other).max()) > 1e-3
    same = integrated_gradients(llama, TEXTS[0], baseline=llama.tokens(TEXTS[0])[0], steps=4)[
        "embed"
    ]
    assert float(abs(same[0, 0]).max()) == 0.0  # the first token is where the path starts already


def test_the_docs_python_runs(llama, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "gradients.md").read_text(
        encoding="utf-8"
    )
    monkeypatch.setattr(wb, "load", lambda: llama, raising=False)
    shared = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "gradients.md", "exec"), shared)
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", page, re.M)
