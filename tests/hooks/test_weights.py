"""Models whose weights are not simply there: offloaded by Accelerate, or quantized, by
bitsandbytes and others.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from hooks.invariants import contract
from hooks.metrics import loss
from hooks.quantized_layers import has_int8_inputs
from hooks.weights import dense_weight, is_quantized, parameter_of, sizes
from tests.helpers import plain_loop, tiny
from workbench.errors import BadInput, Unfit
from workbench.models import weight_hash
from workbench.models.weight_delta import Delta

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
        swept = [
            wb.sweep(m, PROMPTS, TARGETS, over=kind_of_sweep, read="logit_diff")["effect"].values
            for m in (here, away)
        ]
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


def _rounded(folder, bits, **options):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    how = (
        {"load_in_8bit": True}
        if bits == 8
        else {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32}
    )
    config = BitsAndBytesConfig(**how, **options)
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, device_map="cpu", dtype=torch.float32
    )


def _quantized(folder, bits):
    return wb.load((_rounded(folder, bits), tiny.tiny_tokenizer()))


def test_four_bits_keep_the_contract(saved):
    model = _quantized(saved, 4)
    assert model.card.quantized_from == "bitsandbytes 4 bit"
    assert [str(c) for c in contract(model) if not c.holds()] == []


def test_eight_bits_round_what_they_read(saved):
    model = _quantized(saved, 8)
    lines = contract(model)
    assert [str(line) for line in lines if not line.holds()] == []
    # Each head's share is rounded with the others: it is nobody's mistake that they do not add up
    # exactly.
    heads = next(line for line in lines if line.name == "heads")
    assert 1e-4 < heads.error < heads.limit < 0.02


@pytest.mark.parametrize(("bits", "close"), [(4, 1e-3), (8, 0.2)])
def test_sweeps_of_a_quantized_model(saved, bits, close):
    model = _quantized(saved, bits)
    ids = model.tokens(PROMPTS[0])
    swept = wb.sweep(model, [ids], [[3]], read="logit")
    for layer, head in [(0, 1), (2, 3)]:

        def silence(z, head=head):
            z[:, -1, head] = 0

        changed = (
            plain_loop.run(model, ids, [("z", layer, silence)])[3] - plain_loop.run(model, ids)[3]
        )
        found = float(swept["effect"].sel(layer=layer, head=head).squeeze())
        assert found == pytest.approx(float(changed), abs=close)
    assert np.isfinite(
        wb.activation_gradients(model, PROMPTS, sites="z")["z"].sel(prompt=0).values
    ).all()
    with pytest.raises(Unfit, match="quantized, and keeps no gradient"):
        wb.weight_gradients(model, PROMPTS)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model whose matrices fit the blocks of 4-bit weights."""
    folder = tmp_path_factory.mktemp("wide")
    tiny.tiny_llama(n_layers=2, d_model=64, n_kv_heads=4).save_pretrained(folder)
    return folder


def _repack(module):
    """What bitsandbytes does at the first forward pass on processors with AVX512-BF16, done on
    any.
    """
    functional = pytest.importorskip("bitsandbytes").functional
    if not hasattr(functional, "_convert_weight_packed_for_cpu"):
        pytest.skip("this version of bitsandbytes does not repack")
    for part in module.modules():
        if type(part).__name__ == "Linear4bit":
            part.support_avx512bf16_for_cpu = True
            part.weight.data, _ = functional._convert_weight_packed_for_cpu(
                part.weight.data, part.weight.quant_state
            )


def _unrounded(module, scales=torch.float32):
    """The same model with plain matrices, from the codes and scales of its 4-bit ones: code
    times scale, block by block.
    """
    plain = tiny.tiny_llama(n_layers=2, d_model=64, n_kv_heads=4)
    plain.load_state_dict(
        {k: v for k, v in module.state_dict().items() if v.is_floating_point()}, strict=False
    )
    for name, part in module.named_modules():
        if type(part).__name__ == "Linear4bit":
            state, raw = part.weight.quant_state, part.weight.data.view(torch.uint8).flatten()
            codes = torch.stack([raw >> 4, raw & 15], 1).flatten().long()
            absmax = state.absmax
            if state.nested:
                from bitsandbytes.functional import dequantize_blockwise

                absmax = dequantize_blockwise(state.absmax, state.state2) + state.offset
            values = state.code[codes].view(-1, state.blocksize) * absmax.to(scales).float().view(
                -1, 1
            )
            plain.get_submodule(name).weight.data = values.view(part.out_features, part.in_features)
    return plain.eval()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("repacked", [False, True])
def test_four_bits_are_what_the_model_multiplies_with_on_any_processor(wide, repacked, nested):
    module = _rounded(
        wide, 4, bnb_4bit_use_double_quant=nested, bnb_4bit_quant_type="nf4" if nested else "fp4"
    )
    plain = wb.load(
        (_unrounded(module, torch.bfloat16 if repacked else torch.float32), tiny.tiny_tokenizer())
    )
    if repacked:
        _repack(module)
    model = wb.load((module, tiny.tiny_tokenizer()))
    before = model.card.weight_hash
    assert [str(c) for c in contract(model) if not c.holds()] == []
    for layer in range(2):
        for name in ("out_proj", "down_proj"):
            mine, theirs = (getattr(m.layout.blocks[layer], name) for m in (model, plain))
            np.testing.assert_allclose(dense_weight(mine), theirs.weight.detach(), atol=1e-6)
            assert is_quantized(mine)
            assert not has_int8_inputs(mine)
    sites = ["result", "attn_out", "post", "resid_post"]
    one, two = (wb.capture(m, PROMPTS, sites=sites) for m in (model, plain))
    for site in sites:
        np.testing.assert_allclose(one[site], two[site], atol=1e-5, err_msg=site)
    # Gradients pass it too, and are those of the plain matrices.
    slopes = [
        wb.activation_gradients(m, PROMPTS, loss, sites="resid_pre")["resid_pre"].values
        for m in (model, plain)
    ]
    np.testing.assert_allclose(*slopes, atol=1e-6)
    assert weight_hash(module) == before


def test_repacking_changes_nothing_of_the_fingerprint_and_scales_count(wide):
    module = _rounded(wide, 4)
    before = weight_hash(module)
    _repack(module)
    assert wb.load((module, tiny.tiny_tokenizer())).card.weight_hash == before
    module.model.layers[0].mlp.up_proj.weight.quant_state.absmax[3] *= 2
    assert weight_hash(module) != before
    eight = _rounded(wide, 8)
    before = weight_hash(eight)
    eight(torch.tensor([[3, 4, 5]]))  # moves the scales of the rows elsewhere
    assert weight_hash(eight) == before
    eight.model.layers[0].mlp.up_proj.state.SCB[3] *= 2
    assert weight_hash(eight) != before


def test_matrices_narrower_than_a_block_work_on_any_processor(saved):
    module = _rounded(saved, 4)
    for part in module.modules():
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = True
    model = wb.load((module, tiny.tiny_tokenizer()))
    assert [str(c) for c in contract(model) if not c.holds()] == []
    assert np.isfinite(wb.capture(model, PROMPTS[0], sites="result")["result"].values).all()


def test_eight_bits_are_read_as_they_are_stored_before_and_after_a_pass(saved):
    module = _rounded(saved, 8)
    layer = module.model.layers[1].mlp.down_proj
    stored = layer.weight.data.float() * layer.weight.SCB[:, None] / 127
    model = wb.load((module, tiny.tiny_tokenizer()))
    for _ in range(2):
        np.testing.assert_allclose(dense_weight(layer), stored, atol=1e-6)
        model.next_logits(PROMPTS[0])
    assert has_int8_inputs(layer)
    assert is_quantized(layer)


class _Packed(nn.Module):
    """A linear layer of a library that nobody knows: 8-bit codes and a scale per row, kept where
    torch does not look.
    """

    def __init__(self, plain, *, rounds=False, learns=True):
        super().__init__()
        self.in_features, self.out_features = plain.in_features, plain.out_features
        weight = plain.weight.detach()
        self.kept = {"scale": weight.abs().amax(1, keepdim=True) / 127}
        self.register_buffer("codes", (weight / self.kept["scale"]).round().to(torch.int8))
        self.bias = plain.bias
        self.rounds, self.learns = rounds, learns

    def forward(self, x):
        x = x if self.learns else x.detach()
        if self.rounds:
            step = x.abs().amax(-1, keepdim=True) / 127
            x = (x / step.clamp(min=1e-9)).round() * step
        return nn.functional.linear(x, self.codes * self.kept["scale"], self.bias)


def _strange(**how):
    """A model with such layers, and the same one with plain layers of the same numbers."""
    module = tiny.tiny_llama()
    plain = copy.deepcopy(module)
    for name, part in list(module.named_modules()):
        if name.endswith("_proj"):
            module.set_submodule(name, _Packed(part, **how))
            packed = module.get_submodule(name)
            plain.get_submodule(name).weight.data = packed.codes * packed.kept["scale"]
    return wb.load((module, tiny.tiny_tokenizer())), wb.load((plain, tiny.tiny_tokenizer()))


def test_a_storage_that_nobody_knows_is_read_by_asking_the_layer():
    model, plain = _strange()
    assert [str(c) for c in contract(model) if not c.holds()] == []
    block, other = model.layout.blocks[1], plain.layout.blocks[1]
    assert sizes(block.down_proj) == (32, 64)
    assert is_quantized(block.out_proj)
    assert not has_int8_inputs(block.module)
    np.testing.assert_allclose(
        dense_weight(block.down_proj), other.down_proj.weight.detach(), atol=1e-6
    )
    rows = torch.tensor([7, 2])
    np.testing.assert_allclose(
        dense_weight(block.down_proj, rows), other.down_proj.weight.detach()[rows], atol=1e-6
    )
    one, two = (wb.capture(m, PROMPTS, sites=["result", "logits"]) for m in (model, plain))
    for site in one:
        np.testing.assert_allclose(one[site], two[site], atol=1e-5)
    for kind in ("heads", "neurons"):
        swept = [
            wb.sweep(m, PROMPTS, TARGETS, over=kind, read="logit_diff")["effect"].values
            for m in (model, plain)
        ]
        np.testing.assert_allclose(*swept, atol=1e-4)
    answers = [
        wb.run("inside", m, {"prompt": PROMPTS[0], "answer": "P"}).arrays["heads"]
        for m in (model, plain)
    ]
    np.testing.assert_allclose(*answers, atol=1e-5)
    for refused in (
        lambda: wb.weight_gradients(model, PROMPTS),
        lambda: wb.influence(model, PROMPTS, PROMPTS),
    ):
        with pytest.raises(Unfit, match="quantized"):
            refused()


def test_a_storage_that_rounds_what_it_reads_is_known_for_it():
    model, plain = _strange(rounds=True)
    assert has_int8_inputs(model.layout.blocks[0].module)
    np.testing.assert_allclose(
        dense_weight(model.layout.blocks[1].out_proj),
        plain.layout.blocks[1].out_proj.weight.detach(),
        atol=1e-5,
    )


def test_a_model_that_no_gradient_passes_is_refused_and_not_called_flat():
    model, _ = _strange(learns=False)
    asked = (
        lambda: wb.activation_gradients(model, PROMPTS, sites="z"),
        lambda: wb.integrated_gradients(model, PROMPTS[0]),
        lambda: wb.sweep(model, [[3, 4, 5]], [[3, 4]], method="attribution"),
    )
    for ask in asked:
        with pytest.raises(Unfit, match="No gradient passes the quantized layers"):
            ask()


def test_a_layer_that_is_no_matrix_is_not_read_as_one():
    class Gated(_Packed):
        def forward(self, x):
            return super().forward(torch.relu(x))

    with pytest.raises(Unfit, match="does more than multiply with a matrix"):
        dense_weight(Gated(nn.Linear(8, 5)))


def test_layers_of_transformers_own_quantizers(saved):
    kept = pytest.importorskip(
        "transformers.integrations.gemma_quant", reason="this transformers has none"
    )
    plain = tiny.tiny_llama()
    module = copy.deepcopy(plain)
    for name, part in list(module.named_modules()):
        if name.endswith("_proj"):
            layer = kept.QuantizedLinear(part.in_features, part.out_features, num_bits=8)
            weight = plain.get_submodule(name).weight
            layer.weight_scale.data = weight.detach().abs().amax(1, keepdim=True) / 127
            layer.weight.data = (weight.detach() / layer.weight_scale).round().to(torch.int8)
            weight.data = layer.weight * layer.weight_scale.detach()
            module.set_submodule(name, layer)
    model, other = (wb.load((m.eval(), tiny.tiny_tokenizer())) for m in (module, plain))
    one, two = (wb.capture(m, PROMPTS, sites=["result", "resid_post"]) for m in (model, other))
    for site in one:
        np.testing.assert_allclose(one[site], two[site], atol=1e-5)


def test_numbers_of_quantized_weights_cannot_be_changed_one_by_one(saved):
    model = _quantized(saved, 8)
    name = "model.layers.0.mlp.up_proj.weight"
    change = Delta(
        model.card.weight_hash, "a try", {name: np.array([1])}, {name: np.array([0.5], np.float32)}
    )
    with pytest.raises(BadInput, match=r"up_proj\.weight is quantized"):
        change.apply(model.module)
    assert model.card.weight_hash == weight_hash(model.module)


def test_the_parameter_of_a_plain_layer_is_its_weight():
    assert parameter_of(nn.Linear(3, 3)) == ("weight", False)
    assert parameter_of(tiny.tiny_gpt2().transformer.h[0].attn.c_attn) == ("weight", True)
    weighed = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    np.testing.assert_allclose(
        dense_weight(weighed).detach(),
        weighed(torch.eye(4)).T.detach() - weighed.bias.detach()[:, None],
        atol=1e-6,
    )
    assert parameter_of(weighed) is None  # its direction and its size are kept apart
