"""What is found is the same whatever the caller has switched on: inference mode, another default
dtype.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.decode import InterventionDecoder
from tests.helpers.tiny import tiny_llama, tiny_tokenizer

PROMPT, OTHER = "The capital of France is", "The safe opens with"
TARGETS = [" P", " R"]


def completed(model):
    with InterventionDecoder(model, [model.tokens(PROMPT), model.tokens(OTHER)]).with_head_scales(
        {(1, 1): 0.0}
    ) as reading:
        return reading.logp([[5], [6, 7]])[1]


def patched(model):
    trace = wb.capture(model, OTHER, sites="z")
    with (
        wb.patch(model, trace, heads=[(1, 1)]),
        wb.ablate(model, [(2, 0)], method="mean", reference=[OTHER]),
    ):
        return wb.activation_gradients(model, PROMPT, sites="resid_post", layers=[0])["resid_post"]


WORK = {
    "next_logits": lambda m, tmp: m.next_logits([PROMPT, OTHER]),
    "capture of one prompt": lambda m, tmp: wb.capture(m, PROMPT, sites=["resid_post", "pattern"])[
        "pattern"
    ],
    "capture of several": lambda m, tmp: wb.capture(m, [PROMPT, OTHER], sites="resid_post")[
        "resid_post"
    ],
    "capture to a folder": lambda m, tmp: wb.capture(
        m, [PROMPT, OTHER], sites="z", out=tmp / "trace"
    )["z"],
    "heads": lambda m, tmp: wb.sweep(m, PROMPT, TARGETS)["effect"],
    "noise": lambda m, tmp: wb.sweep(m, PROMPT, TARGETS, over="layers", change="noise")["effect"],
    "tracing": lambda m, tmp: wb.sweep(
        m, PROMPT, TARGETS, over="positions", change=wb.Patch(OTHER)
    )["effect"],
    "edges": lambda m, tmp: wb.sweep(m, PROMPT, TARGETS, over=wb.Edges([(2, 1)]))["effect"],
    "continuation": lambda m, tmp: wb.sweep(m, PROMPT, " Paris", read="continuation")["effect"],
    "attribution": lambda m, tmp: wb.sweep(
        m, PROMPT, TARGETS, read="logit_diff", method="attribution"
    )["exact"],
    "activation gradients": lambda m, tmp: wb.activation_gradients(m, [PROMPT, OTHER], sites="z")[
        "z"
    ],
    "weight gradients": lambda m, tmp: wb.weight_gradients(m, PROMPT, weights="W_V")["W_V"],
    "gradient norms": lambda m, tmp: wb.gradient_norms(m, [PROMPT, OTHER])["layer_total"],
    "integrated gradients": lambda m, tmp: wb.integrated_gradients(m, PROMPT, steps=3)["embed"],
    "conductance": lambda m, tmp: wb.layer_conductance(m, PROMPT, sites="resid_post", steps=3)[
        "resid_post"
    ],
    "influence": lambda m, tmp: wb.influence(m, PROMPT, [OTHER])["influence"],
    "completing": lambda m, tmp: completed(m),
    "interventions": lambda m, tmp: patched(m),
    "inside": lambda m, tmp: (
        wb.run("inside", m, {"prompt": PROMPT}).tables["next_tokens"].select_dtypes("number")
    ),
}


def model():
    return wb.load((tiny_llama(), tiny_tokenizer()))


@pytest.mark.parametrize("what", WORK)
def test_inside_inference_mode(what, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    want = np.asarray(WORK[what](model(), tmp_path / "a"))
    with torch.inference_mode():
        found = WORK[what](model(), tmp_path / "b")  # the weights are made inside, too
    np.testing.assert_allclose(np.asarray(found), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what", WORK)
def test_under_another_default_dtype(what, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    want, other = np.asarray(WORK[what](model(), tmp_path / "a")), model()
    torch.set_default_dtype(torch.float64)
    try:
        found = np.asarray(WORK[what](other, tmp_path / "b"))
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_what_was_made_inside_can_be_used_outside():
    """A model, a trace and a change from inside inference mode, and gradients outside."""
    with torch.inference_mode():
        module = tiny_llama()
        made = wb.load((module, tiny_tokenizer()))
        trace = wb.capture(made, OTHER, sites="z")
        vector = torch.ones(32)
    assert module.lm_head.weight is module.model.embed_tokens.weight  # still tied
    plain = model()
    found = []
    for each in (made, plain):
        with (
            wb.patch(each, trace, heads=[(1, 1)]),
            wb.add(each, vector, site="resid_post", layers=0, factor=0.1),
        ):
            found.append(wb.gradient_norms(each, PROMPT)["layer_total"])
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_the_mode_is_as_it_was_afterwards():
    with torch.inference_mode():
        model().next_logits(PROMPT)
        assert torch.is_inference_mode_enabled()
        seen = []
        model().generate(PROMPT, 2, on_token=seen.append)
        assert torch.is_inference_mode_enabled()
    with torch.no_grad():
        wb.capture(model(), PROMPT)
        assert not torch.is_grad_enabled()
