"""What the kernels of recurrent layers are given, and what follows from it: states, and implicit
attention.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import workbench as wb
from hooks.invariants import contract
from hooks.recurrent.kernel_inputs import KernelInputs
from hooks.recurrent.scan import read_out, states_of
from hooks.recurrent.weights import attention_weights, weighted_sum
from hooks.sites import SITES, STATE_SITES, Place
from hooks.state_capture import read_in_parallel, trajectory
from tests.helpers.families import built
from tests.helpers.tiny import tiny_tokenizer
from workbench.errors import BadInput, NotFound, SiteNotFound

PROMPT = "The capital city of Peru is Lima."
# Their kernel for single tokens does not clamp the time step, so that reading token by token gives
# other states: see docs/reference/architectures.md.
CLAMPED = ("nemotron_h", "zamba2")
RECURRENT = (
    *("bailing_hybrid", "bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba"),
    *("kimi_linear", "mamba", "mamba2", "minimax", "olmo_hybrid", "qwen3_5_moe_text"),
    *("qwen3_5_text", "qwen3_next", "qwen4_exp_text", "recurrent_gemma", "rwkv", "xlstm"),
    *("zamba", *CLAMPED),
)


def ids_of(model: wb.InstrumentedModel) -> list[int]:
    return model.tokens(PROMPT)


@pytest.mark.parametrize("family", [f for f in RECURRENT if f not in CLAMPED])
def test_one_pass_gives_what_reading_token_by_token_gives(family: str) -> None:
    model = built(family)
    ids = ids_of(model)
    slow = ("state", "conv_state", "state_decay", "state_write")
    places = [
        Place(SITES[site], layer)
        for layer, block in enumerate(model.layout.blocks)
        for site in slow
        if site in block.parallel_states
    ]
    assert places
    stepped = trajectory(model, ids, places)
    reading = read_in_parallel(model, ids, places)
    for place in places:
        shape = model.layout.blocks[place.layer].states[place.site.short]
        value = reading.value(place.layer, place.site.short, shape)
        assert value.shape[1:] == shape
        # A maximum that states are divided by starts at minus infinity in one of the two (RWKV).
        own, value = stepped[place][1:], value[1:]
        error = (value - own).norm() / own.norm().clamp(min=1e-6)
        assert float(error) < 1e-4, (place.name, float(error))


@pytest.mark.parametrize("family", RECURRENT)
def test_implicit_attention_times_values_is_a_row_of_the_contract(family: str) -> None:
    model = built(family)
    rows = {line.name: line for line in contract(model, PROMPT)}
    line = rows["implicit attention"]
    assert line.layers
    assert line.holds(), str(line)


def test_the_row_notices_a_wrong_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    import hooks.invariants.recurrent as checks

    monkeypatch.setattr(
        checks, "attention_weights", lambda inputs: 1.01 * attention_weights(inputs)
    )
    failed = [line.name for line in contract(built("qwen3_next"), PROMPT) if not line.holds()]
    assert failed == ["implicit attention"]


@pytest.mark.parametrize(("family", "erases"), [("qwen3_next", True), ("mamba2", False)])
def test_the_sites_are_what_the_rule_is_made_of(family: str, erases: bool) -> None:
    """A loop of our own over what was captured ends in the states and read-outs that were
    captured.
    """
    model = built(family)
    names = ["state_q", "state_k", "state_v", "state_beta", "state_decay", "state", "state_out"]
    trace = wb.capture(model, PROMPT, sites=names, layers=0)
    q, k, v, beta, decay, states, out = (torch.tensor(trace[n].values[0, 0]) for n in names)
    state = torch.zeros(k.shape[1], k.shape[2], v.shape[2])
    for t in range(len(q)):
        state = decay[t].mT * state if family == "mamba2" else decay[t] * state
        new = v[t] - torch.einsum("hk,hkv->hv", k[t], state) if erases else v[t]
        state = state + torch.einsum("hk,hv->hkv", beta[t] * k[t], new)
        kept = states[t].mT if family == "mamba2" else states[t]
        torch.testing.assert_close(state, kept, rtol=1e-4, atol=1e-5)
        read = torch.einsum("hk,hkv->hv", q[t], state)
        torch.testing.assert_close(read, out[t], rtol=1e-4, atol=1e-5)


def test_captured_like_any_site(tmp_path: Path) -> None:
    """Positions, reducers, mixed lengths and streaming give what the whole capture gives."""
    model = built("mamba2")
    whole = wb.capture(model, PROMPT, sites=["state", "state_k"])
    last = wb.capture(model, PROMPT, sites=["state", "state_k"], positions=[-1])
    for site in ("state", "state_k"):
        assert (last[site].values[:, :, 0] == whole[site].values[:, :, -1]).all()
    folder = wb.capture(
        model, ["No.", PROMPT], sites="state_k", reduce="norm", out=tmp_path / "trace"
    )
    length = len(ids_of(model))
    norms = torch.tensor(folder["state_k"].values[1, :, :length])
    torch.testing.assert_close(norms, torch.tensor(whole["state_k"].values[0]).norm(dim=-1))


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next", "rwkv"])
def test_some_positions_of_prompts_of_different_lengths(family: str) -> None:
    """Only the states that are wanted are held, and they are those of the whole capture."""
    model = built(family)
    prompts, positions = [PROMPT, "No."], [0, -1]
    sites = [s for s in model.sites if s in STATE_SITES]
    some = wb.capture(model, prompts, sites=sites, positions=positions)
    for row, prompt in enumerate(prompts):
        whole = wb.capture(model, prompt, sites=sites)
        for site in sites:
            torch.testing.assert_close(
                torch.tensor(some[site].values[row]),
                torch.tensor(whole[site].values[0][:, positions]),
                rtol=1e-4,
                atol=1e-5,
            )


@pytest.mark.verify
def test_memory_on_a_long_prompt() -> None:
    """The last state of a prompt of 4,000 tokens takes no room for the states before it."""
    import resource

    from transformers import AutoModelForCausalLM, Mamba2Config

    torch.manual_seed(0)
    config = Mamba2Config(
        hidden_size=256,
        num_hidden_layers=2,
        num_heads=8,
        head_dim=64,
        state_size=128,
        n_groups=1,
        vocab_size=384,
    )
    model = wb.load((AutoModelForCausalLM.from_config(config).eval(), tiny_tokenizer()))
    ids = [5 + i % 300 for i in range(4000)]
    model.next_logits([ids])  # what the model's own pass takes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trace = wb.capture(model, [ids], sites="state", positions=[-1])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert trace["state"].shape == (1, 2, 1, 8, 64, 128)
    assert grown < 500 * 2**20  # all states of one layer are 1 GB


@st.composite
def kernel_inputs(draw: st.DrawFn) -> KernelInputs:
    """Random arguments of either rule, with one decay per head, per key, or per key and value."""
    n, heads = draw(st.integers(1, 70)), draw(st.integers(1, 2))
    d_key, d_value = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    rule = draw(st.sampled_from(["additive", "delta"]))
    row, col = draw(st.sampled_from([(1, 1), (d_key, 1), (d_key, d_value)]))
    if rule == "delta":
        col = 1
    torch.manual_seed(draw(st.integers(0, 2**20)))
    k = torch.randn(1, n, heads, d_key)
    return KernelInputs(
        q=torch.randn(1, n, heads, d_key),
        k=k / k.norm(dim=-1, keepdim=True) if rule == "delta" else k,
        v=torch.randn(1, n, heads, d_value),
        beta=torch.rand(1, n, heads, 1 if col == 1 else d_value),
        step=torch.rand(1, n, heads, row, col),
        rate=-torch.rand(heads, 1, 1) * draw(st.sampled_from([0.0, 0.1, 30.0])),
        rule=rule,
    )


@given(kernel_inputs())
@settings(max_examples=30, deadline=None)
def test_weights_are_what_the_kernel_does_to_one_hot_values(inputs: KernelInputs) -> None:
    """The rule is run with values that name the token they come from: what is read are weights."""
    weights = attention_weights(inputs)
    assert float(weights.triu(1).abs().max()) == 0.0
    out, last = read_out(inputs)
    scale = 1e-4 * max(1.0, float(out.abs().max()))
    assert float((weighted_sum(weights, inputs.v) - out).abs().max()) < scale
    torch.testing.assert_close(list(states_of(inputs))[-1], last)
    if inputs.per_channel:
        return
    for s in {0, inputs.n_tokens // 2}:
        one = torch.zeros_like(inputs.v)
        one[:, s] = 1.0
        read = read_out(_with_values(inputs, one))[0][..., 0]  # (batch, pos, head)
        assert float((read.mT - weights[:, :, 0, :, s]).abs().max()) < scale


def _with_values(inputs: KernelInputs, values: Tensor) -> KernelInputs:
    from dataclasses import replace

    return replace(inputs, v=values)


def test_shares_and_raw_weights() -> None:
    model = built("qwen3_next")
    share = wb.implicit_attention(model, PROMPT)
    assert share.dims == ("layer", "state_head", "query", "key")
    assert share.sum("key").values == pytest.approx(1.0, abs=1e-5)
    raw = wb.implicit_attention(model, PROMPT, layers=1, form="raw")
    trace = wb.capture(model, PROMPT, sites=["state_v", "state_out"], layers=1)
    value, out = (torch.tensor(trace[site].values[0, 0]) for site in ("state_v", "state_out"))
    read = torch.einsum("hqk,khv->qhv", torch.tensor(raw.values[0]), value)
    torch.testing.assert_close(read, out, rtol=1e-4, atol=1e-5)
    assert (raw < 0).any()  # signed: that is why shares are what is compared


def test_maps_per_channel() -> None:
    model = built("mamba")
    raw = wb.implicit_attention(model, PROMPT, layers=0, form="raw", channels=[3, 5])
    assert raw.dims == ("layer", "state_head", "channel", "query", "key")
    trace = wb.capture(model, PROMPT, sites=["state_v", "state_out"], layers=0)
    value, out = (torch.tensor(trace[site].values[0, 0, :, 0]) for site in ("state_v", "state_out"))
    read = torch.einsum("cqk,kc->qc", torch.tensor(raw.values[0, 0]), value[:, [3, 5]])
    torch.testing.assert_close(read, out[:, [3, 5]], rtol=1e-4, atol=1e-5)
    share = wb.implicit_attention(model, PROMPT, layers=0)
    assert share.sum("key").values == pytest.approx(1.0, abs=1e-5)


def test_bad_requests_say_what_to_do() -> None:
    with pytest.raises(SiteNotFound, match="state_out"):
        wb.implicit_attention(built("llama"), PROMPT)
    with pytest.raises(BadInput, match="channels=\\[0, 1\\]"):
        wb.implicit_attention(built("mamba"), PROMPT, form="raw")
    with pytest.raises(BadInput, match="one map serves"):
        wb.implicit_attention(built("mamba2"), PROMPT, form="raw", channels=[0])
    with pytest.raises(BadInput, match="one prompt"):
        wb.implicit_attention(built("mamba2"), [PROMPT, PROMPT])  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="form"):
        wb.implicit_attention(built("mamba2"), PROMPT, form="signed")  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["mamba", "qwen3_next"])
def test_interventions_are_seen_in_one_pass_and_token_by_token(family: str) -> None:
    model = built(family)
    ids, place = ids_of(model), Place(SITES["state"], 1)
    own = wb.capture(model, PROMPT, sites="state", layers=1)["state"].values[0, 0]
    with wb.ablate(model, site="resid_pre", layers=0, positions=[2]):
        captured = wb.capture(model, PROMPT, sites="state", layers=1)["state"].values[0, 0]
        stepped = trajectory(model, ids, [place])[place]
    torch.testing.assert_close(torch.tensor(captured), stepped, rtol=1e-4, atol=1e-5)
    assert abs(captured[:2] - own[:2]).max() < 1e-5
    assert abs(captured[3:] - own[3:]).max() > 1e-3
