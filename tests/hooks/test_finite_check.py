"""Nothing is found on values that are not finite, and tokens that a model rules out are no
reason to refuse.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks import prompt_output
from hooks.decode import InterventionDecoder
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench.errors import NotFinite

PROMPT = "The capital of France is"


def spoiled(at="model.layers.1.mlp.down_proj", value=float("nan"), late=True):
    """A model with one bad weight; `late`: it goes bad after it was looked at."""
    module = tiny_llama()
    model = wb.load((module, tiny_tokenizer()))
    if late:
        model.layout  # noqa: B018
        assert model.ignores_padding
    module.get_submodule(at).weight.data[0] = value
    return model if late else wb.load((module, tiny_tokenizer()))


ASKED = {
    "next_tokens": lambda m: m.next_tokens(PROMPT),
    "next_logits": lambda m: m.next_logits([PROMPT, "The"]),
    "generate": lambda m: m.generate(PROMPT, 3),
    "sampling": lambda m: m.generate(PROMPT, 3, temperature=1.0),
    "capture": lambda m: wb.capture(m, PROMPT),
    "the layer itself": lambda m: wb.capture(m, PROMPT, sites="resid_post", layers=[1]),
    "sweep": lambda m: wb.sweep(m, PROMPT, [" Paris", " Rome"]),
    "continuation": lambda m: wb.sweep(m, PROMPT, " Paris", read="continuation"),
    "attribution": lambda m: wb.sweep(
        m, PROMPT, [" P", " R"], read="logit_diff", method="attribution"
    ),
    "activation gradients": lambda m: wb.activation_gradients(m, PROMPT),
    "weight gradients": lambda m: wb.weight_gradients(m, PROMPT, weights="W_V"),
    "gradient norms": lambda m: wb.gradient_norms(m, PROMPT),
    "integrated gradients": lambda m: wb.integrated_gradients(m, PROMPT, steps=3),
    "influence": lambda m: wb.influence(m, PROMPT, ["An example."]),
    "completing": lambda m: InterventionDecoder(m, [m.tokens(PROMPT)]),
    "inside": lambda m: wb.run("inside", m, {"prompt": PROMPT}),
    "extraction": lambda m: wb.run(
        "extraction", m, {"text": PROMPT * 20, "context": [8], "suffix": 8}
    ),
    "the page": lambda m: prompt_output.read_prompt(m, PROMPT, (" Paris", " Rome")),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("late", [True, False])
def test_nothing_is_said(what, late):
    with pytest.raises(NotFinite, match="finite"):
        ASKED[what](spoiled(late=late))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_error_names_the_part(value):
    for late in (True, False):
        with pytest.raises(NotFinite, match=r"model\.layers\.1\.mlp\.down_proj is the first part"):
            spoiled(value=value, late=late).next_tokens(PROMPT)


def test_half_precision_is_told_what_to_do():
    module = tiny_llama().half()
    model = wb.load((module, tiny_tokenizer()))
    module.model.layers[0].mlp.down_proj.weight.data *= 30_000
    module.model.layers[0].mlp.up_proj.weight.data *= 30_000
    with pytest.raises(NotFinite, match="float32 or bfloat16"):
        model.next_tokens(PROMPT)


def test_a_change_that_overflows_is_refused():
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    with (
        wb.scale(model, site="resid_post", layers=1, factor=float("inf")),
        pytest.raises(NotFinite),
    ):
        model.next_tokens(PROMPT)
    with (
        pytest.raises(NotFinite),
        InterventionDecoder(model, [model.tokens(PROMPT)]).with_head_scales(
            {(1, 1): float("inf")}
        ) as reading,
    ):
        reading.complete(lambda row, text: False, 2)


def test_gradients_that_overflow_are_refused():
    model = wb.load((tiny_gpt2(), tiny_tokenizer()))

    def steep(logits, ids, mask):
        return (logits[:, -1, 5] * 1e30) ** 2

    for ask in (wb.activation_gradients, wb.weight_gradients, wb.gradient_norms):
        with pytest.raises(NotFinite, match="gradients"):
            ask(model, PROMPT, steep)


def test_tokens_that_a_model_rules_out_are_no_reason_to_refuse():
    """A vocabulary padded beyond the tokenizer: a bias of minus infinity for tokens that are not
    there.
    """
    plain, module = wb.load((tiny_llama(), tiny_tokenizer())), tiny_llama()
    paris, rome = (plain.continuation_tokens(t)[0] for t in (" P", " R"))
    masked = [i for i in range(300, 384) if i not in (paris, rome)]
    bias = torch.zeros(384)
    bias[masked] = float("-inf")
    module.lm_head.bias = torch.nn.Parameter(bias)
    model = wb.load((module, tiny_tokenizer()))
    found = model.next_tokens(PROMPT, k=384)
    logits = plain.next_logits(PROMPT)[0] + bias
    np.testing.assert_allclose(
        found.set_index("id")["probability"].sort_index(), torch.softmax(logits, -1), atol=1e-6
    )
    assert isinstance(model.generate(PROMPT, 4, temperature=1.0), str)
    want = wb.sweep(plain, PROMPT, [paris, rome], over=wb.Heads(layers=[1]))["effect"]
    np.testing.assert_allclose(
        wb.sweep(model, PROMPT, [paris, rome], over=wb.Heads(layers=[1]))["effect"], want, atol=1e-5
    )

    def kl(rows):  # by hand: over the tokens that are not ruled out
        before = logits.log_softmax(-1)[~bias.isinf()]
        return (before.exp() * (before - rows[:, ~bias.isinf()].log_softmax(-1))).sum(-1)

    own = wb.sweep(model, PROMPT, over=wb.Heads(layers=[1]), read=kl)["effect"]
    np.testing.assert_allclose(
        wb.sweep(model, PROMPT, over=wb.Heads(layers=[1]), read="kl")["effect"].squeeze(),
        own.squeeze(),
        atol=1e-5,
    )
    with pytest.raises(NotFinite):  # nothing can be measured of a token that is ruled out
        wb.sweep(model, PROMPT, [masked[0]], over=wb.Heads(layers=[1]))
