"""Models with adapters attached (PEFT): everything that reads a matrix agrees with the merged
model.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.invariants import contract
from hooks.logit_attribution import direct_logits, unembed_direction
from hooks.metrics import continuation_loss
from hooks.weights import bias_of, dense_weight, parameter_of
from tests.helpers import families, tiny
from workbench.errors import BadInput, Unfit
from workbench.models import weight_hash
from workbench.models.weight_delta import Delta

PROMPTS = ["the cat sat on a mat", "a dog"]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GPT2 = ["c_attn", "c_proj", "c_fc"]


def _llama(**config):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    module = LlamaForCausalLM(
        LlamaConfig(vocab_size=tiny.VOCABULARY, tie_word_embeddings=False, **sizes, **config)
    )
    return _spread(module, lambda name: True)


def _spread(module, chosen):
    """Random numbers that show in every result, in eval mode."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() > 1 and chosen(name):
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.2)
            elif chosen(name):
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.2)
    return module.eval()


def _attached(module, config, **more):
    from peft import get_peft_model

    before = {id(p) for p in module.parameters()}
    attached = get_peft_model(module, config, **more)
    own = {name for name, p in attached.named_parameters() if id(p) not in before}
    return _spread(attached, own.__contains__)


def _lora(**options):
    from peft import LoraConfig

    return LoraConfig(
        **({"r": 4, "lora_alpha": 7, "target_modules": ALL, "task_type": "CAUSAL_LM"} | options)
    )


def _merged(module):
    return copy.deepcopy(module).merge_and_unload().eval()


def _two_adapters():
    module = _attached(_llama(), _lora(), adapter_name="one")
    module.add_adapter("two", _lora(r=2, target_modules=["o_proj", "down_proj"]))
    _spread(module, lambda name: "lora_" in name and ".two." in name)
    module.base_model.set_adapter(["one", "two"])
    return module, copy.deepcopy(module).merge_and_unload(adapter_names=["one", "two"]).eval()


def _switched_off():
    module = _attached(_llama(), _lora())
    base = copy.deepcopy(module).unload().eval()
    module.base_model.disable_adapter_layers()
    return module, base


def _merged_in_place():
    module = _attached(_llama(), _lora())
    merged = _merged(module)
    module.merge_adapter()
    return module, merged


def _by_add_adapter():
    """Attached by `transformers` itself: the class of the model stays, and there is nothing to
    unload it with.
    """
    module = _llama()
    module.add_adapter(_lora(target_modules=[*ALL, "lm_head"]))
    _spread(module, lambda name: "lora_" in name)
    merged = copy.deepcopy(module)
    for name, part in list(merged.named_modules()):
        if hasattr(part, "lora_A"):
            factors = (
                part.lora_B["default"].weight
                @ part.lora_A["default"].weight
                * part.scaling["default"]
            )
            part.base_layer.weight.data += factors.detach()
            merged.set_submodule(name, part.base_layer)
    return module, merged


def _dropping():
    module = _attached(_llama(), _lora(lora_dropout=0.5))
    merged = _merged(module)
    return module.train(), merged


def _of(module):
    return module, _merged(module)


# Those whose adapter adds to the matrix, so that the base's parameter is the matrix but for that.
ADDING = {
    "lora": lambda: _of(_attached(_llama(), _lora())),
    "rank-stabilised, unembedding too": lambda: _of(
        _attached(_llama(), _lora(use_rslora=True, target_modules=[*ALL, "lm_head"]))
    ),
    "with biases": lambda: _of(
        _attached(_llama(attention_bias=True, mlp_bias=True), _lora(lora_bias=True))
    ),
    "gpt2": lambda: _of(
        _attached(tiny.tiny_gpt2(), _lora(fan_in_fan_out=True, target_modules=GPT2))
    ),
    "embeddings": lambda: _of(
        _attached(_llama(), _lora(target_modules=["embed_tokens", "o_proj"]))
    ),
    "whole modules": lambda: _of(
        _attached(
            _llama(),
            _lora(
                target_modules=["o_proj"],
                modules_to_save=["lm_head", "embed_tokens", "norm", "input_layernorm"],
            ),
        )
    ),
    "some tokens": lambda: _of(
        _attached(_llama(), _lora(target_modules=["o_proj"], trainable_token_indices=[3, 5, 7]))
    ),
    "two at once": _two_adapters,
    "switched off": _switched_off,
    "merged in place": _merged_in_place,
    "by add_adapter": _by_add_adapter,
    "in training mode": _dropping,
}


def _dora():
    return _of(_attached(_llama(), _lora(use_dora=True, target_modules=[*ALL, "lm_head"])))


def _ia3():
    from peft import IA3Config

    targets = {
        "target_modules": ["k_proj", "v_proj", "o_proj", "down_proj"],
        "feedforward_modules": ["down_proj"],
    }
    return _of(_attached(_llama(), IA3Config(task_type="CAUSAL_LM", **targets)))


def _ia3_of_gpt2():
    from peft import IA3Config

    targets = {
        "target_modules": ["c_attn", "c_proj"],
        "feedforward_modules": ["c_proj"],
        "fan_in_fan_out": True,
    }
    return _of(_attached(tiny.tiny_gpt2(), IA3Config(task_type="CAUSAL_LM", **targets)))


SCALING = {"dora": _dora, "ia3": _ia3, "ia3 of gpt2": _ia3_of_gpt2}


def _both(build):
    pytest.importorskip("peft")
    return [wb.load((module, tiny.tiny_tokenizer())) for module in build()]


def _close(one, two, close=2e-5):
    one, two = np.asarray(one), np.asarray(two)
    np.testing.assert_allclose(
        one, two, atol=close * max(1.0, float(np.abs(two[np.isfinite(two)]).max()))
    )


@pytest.mark.parametrize("name", [*ADDING, *SCALING])
def test_everything_that_reads_a_matrix_agrees_with_the_merged_model(name):
    model, merged = _both((ADDING | SCALING)[name])
    assert [str(c) for c in contract(model) if not c.holds()] == []
    assert list(model.sites) == list(merged.sites)
    one, two = (wb.capture(m, PROMPTS, sites=list(merged.sites)) for m in (model, merged))
    for site in two:
        _close(one[site], two[site])
    for mine, theirs in zip(model.layout.blocks, merged.layout.blocks, strict=True):
        for part in ("out_proj", "down_proj", "gate"):
            _close(
                dense_weight(getattr(mine, part)).detach(),
                dense_weight(getattr(theirs, part)).detach(),
            )
    _close(dense_weight(model.layout.embed).detach(), merged.layout.embed.weight.detach())
    stream, ids = (
        torch.randn(2, 32, generator=torch.Generator().manual_seed(0)),
        torch.tensor([[5, 6], [7, 3]]),
    )
    for ask in (
        lambda m: m.unembed(stream),
        lambda m: m.unembed(stream, torch.tensor([5, 6])),
        lambda m: unembed_direction(m, stream),
        lambda m: direct_logits(m, stream / 2, stream, ids),
        lambda m: dense_weight(m.layout.unembed, torch.tensor([5, 2])),
    ):
        _close(*(ask(m).detach() for m in (model, merged)))
    _close(
        *(
            wb.run("inside", m, {"prompt": PROMPTS[0], "answer": "P"}).arrays["heads"]
            for m in (model, merged)
        )
    )
    swept = (
        {"over": "layers", "change": wb.Noise(seed=1)},
        {"over": wb.Neurons(layers=[1])},
        {},
    )
    for options in swept:
        found = (
            wb.sweep(m, PROMPTS, [[3, 4], [5, 6]], read="logit_diff", **options)["effect"]
            for m in (model, merged)
        )
        _close(*found, close=1e-4)


@pytest.mark.parametrize("name", list(ADDING))
def test_gradients_are_those_of_the_matrix_that_the_model_multiplies_with(name):
    model, merged = _both(ADDING[name])
    metric = continuation_loss(2)
    one, two = (wb.weight_gradients(m, PROMPTS, metric) for m in (model, merged))
    assert list(one) == list(two)
    for weight in two:
        _close(one[weight], two[weight])
    one, two = (wb.gradient_norms(m, PROMPTS, metric) for m in (model, merged))
    assert list(one) == list(two)
    for weight in two:
        _close(one[weight], two[weight])


@pytest.mark.parametrize("name", list(SCALING))
def test_where_no_parameter_is_the_matrix_its_gradient_is_refused(name):
    model, merged = _both(SCALING[name])
    weight = "W_K"
    with pytest.raises(Unfit, match="no parameter is the matrix"):
        wb.weight_gradients(model, PROMPTS, weights=weight)
    one, two = (
        wb.activation_gradients(m, PROMPTS, continuation_loss(2), sites="z")["z"]
        for m in (model, merged)
    )
    _close(one, two)


def test_a_bias_that_an_adapter_adds_is_the_layers_bias():
    model, merged = _both(ADDING["with biases"])
    for mine, theirs in zip(model.layout.blocks, merged.layout.blocks, strict=True):
        _close(bias_of(mine.out_proj), theirs.out_proj.bias.detach())
        assert parameter_of(mine.out_proj) == ("base_layer.weight", False)


def test_factors_that_did_nothing_when_the_parts_were_found():
    """A fresh LoRA adds nothing, so its base gives out what the layer does; both are trained
    afterwards.
    """
    pytest.importorskip("peft")
    from peft import get_peft_model

    module = get_peft_model(
        tiny.tiny_gpt2(), _lora(fan_in_fan_out=True, target_modules=GPT2)
    ).eval()
    model = wb.load((module, tiny.tiny_tokenizer()))
    assert model.layout.blocks
    _spread(module, lambda name: "lora_" in name)
    merged = wb.load((_merged(module), tiny.tiny_tokenizer()))
    one, two = (wb.capture(m, PROMPTS, sites=list(merged.sites)) for m in (model, merged))
    for site in two:
        _close(one[site], two[site])


def test_a_change_of_a_wrapped_matrix_is_that_of_the_merged_one():
    model, merged = _both(ADDING["lora"])
    own, _ = parameter_of(model.layout.blocks[1].down_proj)
    paths = {id(p): name for name, p in model.module.named_parameters()}
    name = paths[id(model.layout.blocks[1].down_proj.get_parameter(own))]
    place = np.array([5, 77])
    base = model.module.get_parameter(name).detach().flatten()[place].numpy()
    moved = Delta(model.card.weight_hash, "moved", {name: place}, {name: base + 0.5})
    with moved.applied(model.module):
        changed = model.next_logits(PROMPTS)
    weight = merged.layout.blocks[1].down_proj.weight
    with torch.no_grad():
        weight.view(-1)[torch.from_numpy(place)] += 0.5
    _close(changed, merged.next_logits(PROMPTS))
    assert weight_hash(model.module) == model.card.weight_hash


def test_influence_needs_the_adapter_merged():
    model, merged = _both(ADDING["lora"])
    with pytest.raises(Unfit, match="has an adapter: lora 'default', rank 4"):
        wb.influence(model, PROMPTS[:1], PROMPTS)
    assert wb.influence(merged, PROMPTS[:1], PROMPTS)["influence"].shape == (1, 2)


@pytest.mark.parametrize(
    "kind", ["PromptTuningConfig", "PrefixTuningConfig", "PromptEncoderConfig"]
)
def test_adapters_that_put_tokens_before_the_prompt_are_refused(kind):
    peft = pytest.importorskip("peft")
    module = peft.get_peft_model(
        _llama(), getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=3)
    )
    with pytest.raises(BadInput, match="reads tokens that are not in the prompt"):
        wb.load((module, tiny.tiny_tokenizer()))


def test_adapters_that_wait_for_a_token_are_refused():
    pytest.importorskip("peft")
    module = _attached(_llama(), _lora(alora_invocation_tokens=[40, 41]))
    with pytest.raises(BadInput, match="at some tokens and not at others"):
        wb.load((module, tiny.tiny_tokenizer()))


@pytest.mark.parametrize(
    "family",
    [
        "falcon",
        "gemma2",
        "gpt_neox",
        "gptj",
        "minimax",
        "mixtral",
        "mpt",
        "opt",
        "phi3",
        "qwen3_next",
    ],
)
def test_families_with_an_adapter_on_every_matrix_experts_and_routers_too(family):
    pytest.importorskip("peft")
    module = _attached(
        families.module(family), _lora(r=2, lora_alpha=2, target_modules="all-linear")
    )
    model, merged = (wb.load((m, tiny.tiny_tokenizer())) for m in (module, _merged(module)))
    assert dict(model.sites) == dict(merged.sites)
    sites = [site for site in merged.sites if not site.startswith(("state", "conv_state"))]
    one, two = (wb.capture(m, [[17, 11, 29, 23, 13, 40, 41]], sites=sites) for m in (model, merged))
    for site in sites:
        _close(one[site], two[site], close=2e-4)
    one, two = (wb.weight_gradients(m, PROMPTS[:1], continuation_loss(2)) for m in (model, merged))
    assert list(one) == list(two)
    for weight in two:
        _close(one[weight], two[weight], close=1e-3)


def test_adapters_that_come_or_go_after_loading_are_not_overlooked():
    """The parts that were found would be those of before: the base alone, or layers that are not
    called any more.
    """
    peft = pytest.importorskip("peft")
    module = _llama()
    model = wb.load((module, tiny.tiny_tokenizer()))
    model.next_logits(PROMPTS)
    attached = _attached(module, _lora())
    with pytest.raises(Unfit, match="attached or taken off after it was loaded"):
        wb.capture(model, PROMPTS, sites="result")
    with pytest.raises(Unfit, match="Load it again"):
        model.unembed(torch.zeros(32))
    again = wb.load((attached, tiny.tiny_tokenizer()))
    wb.capture(again, PROMPTS, sites="result")
    attached.merge_and_unload()
    with pytest.raises(Unfit, match="attached or taken off after it was loaded"):
        wb.capture(again, PROMPTS, sites="result")
    assert isinstance(attached, peft.PeftModel)
