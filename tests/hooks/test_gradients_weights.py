"""Gradients of weights: the right matrix, the right head, the right size."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_gradients_sites import value

import workbench as wb
from hooks.gradients.parameters import LAYER, gradient_norms, weight_gradients
from hooks.gradients.weights import DIMS, weights
from hooks.metrics import logit_difference, loss
from tests.helpers import tiny
from tests.helpers.capturing import PROMPTS, hooks_on
from workbench.errors import BadInput, NotFound, Unfit

FUSED = {
    "phi3": {
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "bloom": {"n_layer": 2, "n_head": 4},
    "mixtral": {
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


def built(name, **more):
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        "vocab_size": tiny.VOCABULARY,
        "hidden_size": 32,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(name, **sizes, **FUSED[name], **more)
    ).eval()
    for parameter in module.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return wb.load((module, tiny.tiny_tokenizer()))


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox", "phi3", "bloom"])
def plain(request):
    """One of each way to keep queries, keys and values.

    Without biases, which are not part of a weight.
    """
    if request.param in FUSED:
        model = built(request.param)
    else:
        model = wb.load((getattr(tiny, f"tiny_{request.param}")(), tiny.tiny_tokenizer()))
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return model


def test_the_weights_do_what_their_names_say(plain):
    trace = wb.capture(
        plain,
        PROMPTS[0],
        sites=[s for s in ("q", "k", "v", "z", "attn_out", "post", "mlp_out") if s in plain.sites],
    )
    for layer, block in enumerate(plain.layout.blocks):
        kept = {}
        norm = next(
            m for n, m in block.module.named_children() if "ln_1" in n or "input_layernorm" in n
        )
        handle = norm.register_forward_hook(
            lambda module, args, output, kept=kept: kept.update(normed=output[0])
        )
        plain.next_logits(PROMPTS[0])
        handle.remove()
        here = {
            w.name: w.view(plain.module.get_parameter(w.parameter))
            for w in weights(plain, layers=layer)
        }
        at = {
            site: torch.as_tensor(trace[site].sel(layer=layer).values[0])
            for site in trace
            if "layer" in trace[site].dims
        }
        groups = plain.n_heads // plain.n_kv_heads
        value = torch.einsum(
            "d,hde->he", kept["normed"][0], here["W_V"]
        ).detach()  # the first token sees only itself
        torch.testing.assert_close(
            value.repeat_interleave(groups, 0), at["z"][0], atol=1e-5, rtol=1e-4
        )
        for name, site in (("W_Q", "q"), ("W_K", "k"), ("W_V", "v")):
            if site in at:
                made = torch.einsum("pd,hde->phe", kept["normed"], here[name]).detach()
                torch.testing.assert_close(
                    made, at[site], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
                )
        made = torch.einsum("phe,hed->pd", at["z"], here["W_O"]).detach()
        torch.testing.assert_close(made, at["attn_out"], atol=1e-5, rtol=1e-4)
        made = (at["post"] @ here["W_out"]).detach()
        torch.testing.assert_close(made, at["mlp_out"], atol=1e-5, rtol=1e-4)


def test_gates_and_inputs_are_told_apart():
    model = built("phi3")
    mlp = model.layout.blocks[0].mlp
    here = {
        w.name: w.view(model.module.get_parameter(w.parameter)) for w in weights(model, layers=0)
    }
    x = torch.randn(5, 32)
    with torch.no_grad():
        made = (torch.nn.functional.silu(x @ here["W_gate"]) * (x @ here["W_in"])) @ here["W_out"]
        torch.testing.assert_close(made, mlp(x), atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(
    not importlib.util.find_spec("transformer_lens"),
    reason="transformer_lens is not installed (the extra 'bench')",
)
def test_the_weights_are_transformer_lenss(model):
    from hooks.backends.transformer_lens import bridge_of

    bridge = bridge_of(model)
    for weight in weights(model, ["W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"]):
        ours = weight.view(model.module.get_parameter(weight.parameter))
        theirs = getattr(bridge, weight.name)[weight.layer]
        if len(theirs) != len(ours):  # it repeats key-value heads, one for each query head
            theirs = theirs[:: len(theirs) // len(ours)]
        assert torch.equal(ours, theirs), weight.name


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_small_step_of_a_head_changes_the_metric_as_the_gradient_says(plain, data):
    fine = plain.module.double() and plain
    chosen = data.draw(st.sampled_from(weights(fine)))
    metric = data.draw(st.sampled_from([loss, logit_difference(fine, 5, 77)]))
    gradient = weight_gradients(fine, PROMPTS[0], metric, chosen.name, chosen.layer)[chosen.name][
        0, 0
    ]
    part = chosen.view(fine.module.get_parameter(chosen.parameter))
    head = data.draw(st.integers(0, len(part) - 1)) if "head" in chosen.dims[0] else slice(None)
    way = torch.as_tensor(
        np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=part[head].shape)
    )
    way, step, found = way / way.norm(), 5e-3, []  # parts of some families are float32 all the same
    with torch.no_grad():
        for sign in (1, -2):  # from the middle to one side, then to the other
            part[head] += sign * step * way
            found.append(value(fine, metric, PROMPTS[0]))
        part[head] += step * way
    expected = float((gradient.values[head] * way.numpy()).sum())
    assert (found[0] - found[1]) / (2 * step) == pytest.approx(expected, rel=1e-2, abs=2e-4)
    fine.module.float()


def test_norms_in_one_pass_are_those_of_a_loop(model):
    texts = [*PROMPTS, "Nobody remembering", "Nobody remembers", PROMPTS[0][::-1]]
    metrics = [loss] * 5 + [logit_difference(model, 5, 77)]
    for chunk in (1, 2, 8):
        fast = gradient_norms(model, texts, metrics, chunk=chunk)
        slow = gradient_norms(model, texts, metrics, one_by_one=True)
        assert set(fast) == set(slow) == {w.name for w in weights(model)} | {LAYER}
        for name in fast:
            np.testing.assert_allclose(fast[name], slow[name], rtol=1e-4, atol=1e-6, err_msg=name)
    whole = weight_gradients(model, texts, metrics)
    for name in whole:
        axes = [
            dim for dim in whole[name].dims if dim not in {"prompt", "layer", "head", "kv_head"}
        ]
        np.testing.assert_allclose(
            (whole[name] ** 2).sum(axes) ** 0.5, slow[name], rtol=1e-4, err_msg=name
        )
    squares = sum(
        (slow[n] ** 2).sum([d for d in slow[n].dims if "head" in d]) for n in slow if n != LAYER
    )
    np.testing.assert_allclose(slow[LAYER], squares**0.5, rtol=1e-5)
    assert hooks_on(model) == 0
    assert all(p.grad is None for p in model.module.parameters())


def test_labels(llama):
    norms = gradient_norms(llama, PROMPTS, weights=["W_Q", "W_K", "W_in"], layers=[2, 0])
    assert norms["W_Q"].dims == ("prompt", "layer", "head")
    assert norms["W_K"].sizes["kv_head"] == llama.n_kv_heads
    assert norms["W_in"].dims == ("prompt", "layer")
    assert norms["W_Q"].layer.values.tolist() == [2, 0]
    assert norms.prompts == PROMPTS
    whole = weight_gradients(llama, PROMPTS, weights="W_O", layers=1)["W_O"]
    assert whole.dims == ("prompt", "layer", *DIMS["W_O"])
    np.testing.assert_allclose(
        (whole**2).sum(["d_head", "d_model"]) ** 0.5,
        gradient_norms(llama, PROMPTS, weights="W_O", layers=1)["W_O"],
        rtol=1e-4,
    )


def test_interventions_are_seen(model):
    with wb.ablate(model, heads=[(0, 1)]):
        fast, slow = gradient_norms(model, PROMPTS), gradient_norms(model, PROMPTS, one_by_one=True)
    for name in fast:
        np.testing.assert_allclose(fast[name], slow[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert (slow["W_O"].sel(layer=0, head=1) == 0).all()
    assert (slow["W_Q"].sel(layer=0, head=1) == 0).all()


def test_frozen_weights_have_gradients_and_stay_frozen(llama):
    free = gradient_norms(llama, PROMPTS)
    try:
        llama.module.requires_grad_(False)
        for one_by_one in (True, False):
            frozen = gradient_norms(llama, PROMPTS, one_by_one=one_by_one)
            np.testing.assert_allclose(free[LAYER], frozen[LAYER], rtol=1e-4)
        assert not any(p.requires_grad for p in llama.module.parameters())
    finally:
        llama.module.requires_grad_(True)


def test_what_cannot_be_told_apart_is_refused(llama, gpt2, neox):
    with pytest.raises(NotFound, match="no weight 'W_X'"):
        weight_gradients(llama, PROMPTS, weights="W_X")
    with pytest.raises(Unfit, match="no W_gate"):
        weight_gradients(gpt2, PROMPTS, weights="W_gate")
    with pytest.raises(BadInput, match="no layer 9"):
        weight_gradients(llama, PROMPTS, layers=9)
    experts = built("mixtral", num_local_experts=4)
    assert {w.name for w in weights(experts)} == {"W_Q", "W_K", "W_V", "W_O"}
    with pytest.raises(Unfit, match="no W_in"):
        gradient_norms(experts, PROMPTS, weights="W_in")


def test_what_cannot_be_vectorized_says_so(llama):
    def decides(logits, ids, mask):
        return loss(logits, ids, mask) * (2 if logits.sum() > 0 else 1)

    with pytest.raises(Unfit, match="one_by_one=True"):
        gradient_norms(llama, PROMPTS, decides)
    gradient_norms(llama, PROMPTS, decides, one_by_one=True)


def test_sizes_are_those_of_plain_autograd(model):
    from hooks.gradients.parameters import gradient_sizes
    from hooks.metrics import continuation_loss

    prompts = [
        model.tokens(text)[:9]
        for text in [
            "The capital of Peru is Lima, not",
            "Nobody remembers what it was",
            "The safe opens with 7 4 1 9",
        ]
    ]
    prompts = [ids[: min(map(len, prompts))] for ids in prompts]
    found = gradient_sizes(model, prompts, continuation_loss(4), chunk=2)
    slow = gradient_sizes(model, prompts, continuation_loss(4), one_by_one=True)
    parameters = dict(model.module.named_parameters())
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for n, ids in enumerate(prompts):
        batch = torch.tensor([ids])
        logits = model.module(input_ids=batch, use_cache=False).logits[0, -5:-1]
        value = torch.nn.functional.cross_entropy(logits, batch[0, -4:])
        own = dict(
            zip(
                parameters,
                torch.autograd.grad(value, list(parameters.values()), allow_unused=True),
                strict=True,
            )
        )
        for weight in weights(model):
            gradient = weight.view(own[weight.parameter])
            for head in range(len(gradient)) if "head" in weight.dims[0] else [slice(None)]:
                at = {"prompt": n, "layer": weight.layer} | (
                    {weight.dims[0]: head} if isinstance(head, int) else {}
                )  # fmt: skip
                part = gradient[head]
                for sizes in (found, slow):
                    got = sizes[weight.name].sel(at)
                    assert float(got.sel(size="max")) == pytest.approx(
                        float(part.abs().max()), rel=1e-4, abs=1e-7
                    )
                    assert float(got.sel(size="rms")) == pytest.approx(
                        float(part.square().mean().sqrt()), rel=1e-4, abs=1e-7
                    )
        for name, gradient in own.items():
            if gradient is not None:
                total[name] += gradient / len(prompts)
    for weight in weights(model):
        gradient = weight.view(total[weight.parameter])
        got = found[f"{weight.name}.batch"].sel(layer=weight.layer, size="max")
        assert float(got.max()) == pytest.approx(float(gradient.abs().max()), rel=1e-4, abs=1e-7)
