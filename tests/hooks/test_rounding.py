"""What is rounding and what is not: limits of the contract in half precision, and what a sweep's
control says.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import workbench as wb
from hooks import rounding
from hooks.invariants import InvariantCheck, contract
from hooks.rounding import RoundingControl, UnclearEffects
from tests.helpers import families
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench import registry

PROMPT = "The capital of France is"
HALF = (torch.bfloat16, torch.float16)
# What they show: see `tests.families`. (All families of the contract hold it in both; these keep
# the suite short.)
FAMILIES = (
    *(
        "bert",
        "bloom",
        "cohere2_moe",
        "deepseek_v32",
        "falcon",
        "gemma2",
        "gemma3_text",
        "gemma4_unified_text",
        "gpt2",
    ),
    *(
        "gpt_neox",
        "gpt_oss",
        "granite",
        "jamba",
        "llama",
        "mamba2",
        "mbart",
        "nanochat",
        "olmo2",
        "opt",
        "qwen3_next",
    ),
    *("qwen4_exp_text", "recurrent_gemma", "rwkv", "xlstm", "zamba2", "zaya"),
)


def parts(model):
    """What was found out about a model: where its sites are, what its norms do, and how its
    logits come about.
    """
    layout = model.layout
    norms = [
        None if norm is None else norm.centred
        for block in layout.blocks
        for norm in (block.ln1, block.ln2)
    ]
    return dict(model.sites), norms, layout.logit_cap


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_keeps_the_contract_and_finds_the_same(family):
    full = families.built(family)
    for dtype in HALF:
        half = wb.load((families.module(family).to(dtype), tiny_tokenizer()))
        assert [str(line) for line in contract(half) if not line.holds()] == []
        assert parts(half) == parts(full)
        for name in ("logit_scale", "head_gain"):
            assert getattr(half.layout, name) == pytest.approx(
                getattr(full.layout, name), rel=0.02, nan_ok=True
            )


@pytest.mark.parametrize("dtype", HALF)
def test_what_a_norm_with_a_mean_divides_by_in_half_precision(dtype):
    """By hand, from the stream: the standard deviation over the channels, and not the root of
    the mean square.
    """
    module = tiny_gpt2()
    module.transformer.wte.weight.data += 1.0  # a mean that the two differ by
    trace = wb.capture(
        wb.load((module.to(dtype), tiny_tokenizer())), PROMPT, sites=["resid_pre", "ln1_scale"]
    )
    stream = np.asarray(trace["resid_pre"].values, dtype=np.float64)
    np.testing.assert_allclose(trace["ln1_scale"].values, np.sqrt(stream.var(-1) + 1e-5), rtol=0.01)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "at", ["model.layers.1.mlp.down_proj", "model.layers.0.self_attn.v_proj", "lm_head"]
)
def test_no_line_holds_on_values_that_are_not_finite(value, at):
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    model.layout  # noqa: B018
    model.module.get_submodule(at).weight.data[0] = value
    lines = contract(model)
    assert {"watching", "empty", "logits", "stream"} <= {line.name for line in lines}
    assert [line.name for line in lines if line.holds()] == []


def test_a_part_that_is_wrong_is_no_rounding_in_half_precision_either():
    """A head that is a tenth too large, in the coarsest numbers."""
    model = wb.load((tiny_llama().to(torch.bfloat16), tiny_tokenizer()))
    assert all(line.holds() for line in contract(model))
    block = model.layout.blocks[1]
    weight = block.out_proj.weight
    block.module.self_attn.register_forward_hook(lambda m, args, out: (out[0] * 1.1, *out[1:]))
    assert weight.dtype == torch.bfloat16
    assert {line.name for line in contract(model) if not line.holds()} == {"heads"}


def test_limits_grow_with_the_numbers_and_not_beyond():
    line = {
        dtype: InvariantCheck("heads", "", (0,), 0.005, torch.finfo(dtype).eps)
        for dtype in (torch.float32, *HALF)
    }
    assert [line[dtype].holds() for dtype in (torch.float32, torch.bfloat16, torch.float16)] == [
        False,
        True,
        False,
    ]
    exact = [InvariantCheck(name, "", None, 1e-9, 0.01).holds() for name in ("watching", "empty")]
    assert exact == [False, False]


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
def test_a_sweep_says_how_far_its_control_is_off(dtype):
    model = wb.load((tiny_llama().to(dtype), tiny_tokenizer()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnclearEffects)
        swept = wb.sweep(model, PROMPT, [" P", " R"], read="logit_diff")
    error, moved = swept.attrs["control_error"], swept.attrs["control_moved"]
    assert 0 <= moved <= 2 * error
    assert error < (1e-4 if dtype == torch.float32 else 0.2)
    larger = int((np.abs(swept["effect"].values) > moved).sum())
    assert f"{larger:,} of {swept['effect'].size:,} effects are larger" in swept.attrs["control"]
    assert model.controls[-1].error == error
    assert model.rounding() == swept.attrs["control"]


def test_every_run_with_sweeps_says_it(tmp_path, monkeypatch):
    """An analysis that knows nothing of it, and one that does not sweep after it."""
    model = wb.load((tiny_llama().to(torch.bfloat16), tiny_tokenizer()))

    def swept(model, params, progress):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnclearEffects)
            wb.sweep(model, [PROMPT, "The"], [[3], [4]])
        return wb.Result("swept")

    own = registry.get("inside")
    with monkeypatch.context() as patched:
        patched.setattr(
            registry, "get", lambda name: replace(own, module=SimpleNamespace(run=swept))
        )
        result = wb.run("swept", model, {"prompt": PROMPT})
    error = max(control.error for control in model.controls)
    assert f"within {error:.1g} logits of its own pass" in result.provenance.notes["rounding"]
    result.save(tmp_path / "run")
    assert (
        wb.Result.open(tmp_path / "run").provenance.notes["rounding"]
        == result.provenance.notes["rounding"]
    )
    assert "rounding" not in wb.run("inside", model, {"prompt": PROMPT}).provenance.notes


def test_effects_of_the_size_of_rounding_are_warned_of_once():
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    effects, moved = torch.tensor([[0.3], [float("nan")], [0.1]]), torch.tensor([0.2])
    unclear = rounding.of_effects(0.5, effects, moved)
    assert unclear == RoundingControl(0.5, count=2, larger=1, clear=False)
    with pytest.warns(UnclearEffects, match="1 of 2 effects are larger.*load the model in float32"):
        rounding.note(model, unclear)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rounding.note(model, unclear)
        rounding.note(model, rounding.of_effects(0.5, effects * 10, moved))
    fine = rounding.says([rounding.of_effects(1e-6, effects * 0, moved * 1e-6)])
    assert "no part changes what was measured" in fine
    assert "float32" not in fine


@pytest.mark.model
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_default_model_in_half_precision(dtype):
    model = wb.load("smollm2-135m", dtype=dtype)
    assert [str(line) for line in contract(model) if not line.holds()] == []
