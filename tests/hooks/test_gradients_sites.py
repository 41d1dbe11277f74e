"""Gradients at sites: finite differences, labels, metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks import sites
from hooks.gradients.activations import activation_gradients
from hooks.hook_points import hook_sites
from hooks.metrics import logit_difference, loss
from tests.helpers import tiny
from tests.helpers.capturing import PROMPTS, hooks_on
from workbench.errors import BadInput

SITES = [
    "embed",
    "resid_pre",
    "z",
    "attn_out",
    "post",
    "mlp_out",
    "resid_post",
    "ln_final",
    "logits",
]


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox"])
def fine(request):
    """In float64, so that differences of the metric have digits left."""
    return wb.load((getattr(tiny, f"tiny_{request.param}")().double(), tiny.tiny_tokenizer()))


def value(model, metric, prompt):
    batch = model.batch(prompt)
    with torch.no_grad():
        return float(
            metric(
                model.module(**batch.kwargs()).logits.double(),
                batch.input_ids,
                batch.attention_mask,
            )
        )


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_small_step_changes_the_metric_as_the_gradient_says(fine, data):
    site = data.draw(st.sampled_from(SITES))
    layer = data.draw(st.integers(0, 2)) if fine.sites[site] is not None else None
    prompt = data.draw(st.sampled_from(PROMPTS))
    position = data.draw(st.integers(0, len(fine.tokens(prompt)) - 1))
    metric = data.draw(st.sampled_from([loss, logit_difference(fine, 5, 77)]))
    gradient = activation_gradients(fine, prompt, metric, sites=site, layers=layer)[site]
    gradient = gradient.sel(prompt=0, pos=position, **({} if layer is None else {"layer": layer}))
    way = torch.as_tensor(
        np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=gradient.shape)
    )
    way, step = way / way.norm(), 5e-3  # parts of some families are float32 all the same
    found = []
    for sign in (1, -1):
        with wb.add(fine, way, site=site, layers=layer, positions=[position], factor=sign * step):
            found.append(value(fine, metric, prompt))
    expected = float((gradient.values * way.numpy()).sum())
    assert (found[0] - found[1]) / (2 * step) == pytest.approx(expected, rel=1e-2, abs=2e-4)


@pytest.mark.parametrize("site", ["rot_q", "rot_k", "v", "pattern", "attn_scores"])
def test_a_small_step_inside_the_attention_call(fine, site):
    (place,) = sites.resolve(fine.layout, site, 1, "")
    gradient = activation_gradients(
        fine, PROMPTS[0], logit_difference(fine, 5, 77), sites=site, layers=1
    )[site]
    gradient = torch.as_tensor(gradient.sel(prompt=0, layer=1).values)
    way = torch.randn(
        gradient.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    if "key" in place.site.dims:
        way = way.tril()  # a token does not look ahead
    found = []
    for step in (5e-3, -5e-3):
        with hook_sites(fine, [place], lambda _, x, step=step: x + step * (way / way.norm()).to(x)):
            found.append(value(fine, logit_difference(fine, 5, 77), PROMPTS[0]))
    assert (found[0] - found[1]) / 1e-2 == pytest.approx(
        float((gradient * way / way.norm()).sum()), rel=2e-2, abs=2e-4
    )


def test_labels_are_those_of_a_capture(model):
    seen = wb.capture(model, PROMPTS, sites=SITES, positions=[0, -1])
    slopes = activation_gradients(model, PROMPTS, sites=SITES, positions=[0, -1])
    for site in seen:
        assert slopes[site].dims == seen[site].dims
        for dim in seen[site].coords:
            np.testing.assert_array_equal(slopes[site].coords[dim], seen[site].coords[dim])
    assert (slopes.tokens, slopes.prompts, slopes.model) == (seen.tokens, seen.prompts, seen.model)
    assert slopes["z"].attrs["quantity"] == "gradient"
    assert hooks_on(model) == 0
    assert all(p.grad is None for p in model.module.parameters())


def test_each_prompt_has_its_own_gradient(model):
    metrics = [loss, logit_difference(model, 5, 77), logit_difference(model, 3, 9)]
    together = activation_gradients(model, PROMPTS, metrics, sites=SITES)
    for row, (prompt, metric) in enumerate(zip(PROMPTS, metrics, strict=True)):
        alone = activation_gradients(model, prompt, metric, sites=SITES)
        n = alone.lengths[0]
        for site in SITES:
            np.testing.assert_allclose(
                together[site].isel(prompt=row, pos=slice(0, n)),
                alone[site].isel(prompt=0),
                atol=1e-5,
                err_msg=site,
            )
            assert np.isnan(together[site].isel(prompt=row, pos=slice(n, None))).all()


def test_the_same_prompt_with_two_metrics(model):
    one, other = logit_difference(model, 5, 77), logit_difference(model, 77, 5)
    slopes = activation_gradients(model, [PROMPTS[0]] * 2, [one, other], sites="z")["z"]
    np.testing.assert_allclose(slopes[0], -slopes[1], rtol=1e-4, atol=1e-5)


def test_times_activation(model):
    seen, slopes = (
        wb.capture(model, PROMPTS, sites="z")["z"],
        activation_gradients(model, PROMPTS, sites="z")["z"],
    )
    product = activation_gradients(model, PROMPTS, sites="z", times_activation=True)["z"]
    np.testing.assert_allclose(product, seen * slopes, atol=1e-6)
    assert product.attrs["quantity"] == "gradient times activation"


def test_interventions_are_seen(model):
    plain = activation_gradients(model, PROMPTS[0], sites="resid_post", layers=0)["resid_post"]
    with wb.ablate(model, heads=[(1, 0), (2, 1)]):
        changed = activation_gradients(model, PROMPTS[0], sites="resid_post", layers=0)[
            "resid_post"
        ]
    assert float(abs(plain - changed).max()) > 1e-4
    with wb.ablate(model, heads=model.heads()), wb.ablate(model, site="mlp_out"):
        alone = activation_gradients(model, PROMPTS, sites=["resid_pre", "resid_post"])
    assert float(abs(alone["resid_pre"]).max()) > 0
    np.testing.assert_allclose(
        alone["resid_pre"].sel(layer=0), alone["resid_post"].sel(layer=2), atol=1e-6
    )


def test_frozen_weights_do_not_matter(llama):
    free = activation_gradients(llama, PROMPTS, sites=["embed", "z"])
    try:
        llama.module.requires_grad_(False)
        frozen = activation_gradients(llama, PROMPTS, sites=["embed", "z"])
        assert not any(p.requires_grad for p in llama.module.parameters())
    finally:
        llama.module.requires_grad_(True)
    for site in free:
        np.testing.assert_allclose(free[site], frozen[site], atol=1e-6)


def test_errors(llama):
    with pytest.raises(BadInput, match=r"no gradient at blocks\.0\.ln1\.hook_scale"):
        activation_gradients(llama, PROMPTS, sites="ln1_scale")
    with pytest.raises(BadInput, match="2 metrics for 3 prompts"):
        activation_gradients(llama, PROMPTS, [loss, loss], sites="z")
    with pytest.raises(BadInput, match=r"shape \(\)"):
        activation_gradients(llama, PROMPTS, lambda logits, ids, mask: logits.sum(), sites="z")
    with pytest.raises(BadInput, match="tokens"):
        logit_difference(llama, " Paris and Rome", 5)


def test_loss_is_the_models_own(model):
    for prompt in PROMPTS:
        ids = torch.tensor([model.tokens(prompt)])
        with torch.no_grad():
            own = model.module(ids, labels=ids).loss
        assert value(model, loss, prompt) == pytest.approx(float(own), abs=1e-5)
