"""Our own model of states: its kernels equal their recurrences, one token at a time equals one
pass, and a mixture is what its parts are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import workbench as wb
from workbench.errors import BadInput
from workbench.organisms.recall import task
from workbench.state_lm import kernels
from workbench.state_lm.configuration import AS_BEFORE, NO_MEMORY, StateLMConfig
from workbench.state_lm.diagonal import channel_kernels
from workbench.state_lm.modeling import StateLMForCausalLM

ROUTES = [NO_MEMORY, *(key % 3 for key in range(1, 128)), *[AS_BEFORE] * 128]
KINDS: dict[str, dict[str, Any]] = {
    "one": {},
    "heads": {"num_heads": 3, "num_hidden_layers": 2},
    "planted": {
        "num_memories": 3,
        "router": "planted",
        "token_routes": ROUTES,
        "num_heads": 2,
        "num_hidden_layers": 2,
    },
    "learned": {
        "num_memories": 3,
        "router": "learned",
        "memories_per_token": 2,
        "shared_memory": True,
    },
    "by key": {
        "num_memories": 3,
        "router": "learned",
        "memories_per_token": 2,
        "token_routes": ROUTES,
    },
    "additive": {"rule": "additive", "num_memories": 2},
    "s4d": {"mixer": "s4d", "state_size": 4, "num_hidden_layers": 2},
    "lstm": {"mixer": "lstm", "num_hidden_layers": 2},
}


def built(kind: str = "one", **more: Any) -> Any:
    torch.manual_seed(0)
    return StateLMForCausalLM(StateLMConfig(**KINDS[kind], **more)).eval()


def logits_of(model: Any, ids: Tensor, **more: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(ids, use_cache=False, **more).logits
    return out


def some_ids(rows: int = 3, length: int = 20) -> Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(1))


@given(st.integers(1, 150), st.integers(1, 3), st.integers(0, 2**31), st.booleans())
@settings(deadline=None, max_examples=25)
def test_chunks_equal_the_recurrences(length: int, heads: int, seed: int, started: bool) -> None:
    torch.manual_seed(seed)
    q, k = (torch.randn(2, length, heads, 4) for _ in range(2))
    v, beta = torch.randn(2, length, heads, 3), torch.rand(2, length, heads)
    g = -3 * torch.rand(2, length, heads)
    start = torch.randn(2, heads, 4, 3) if started else None
    k = kernels.l2_normalized(k)
    delta, added = (torch.zeros(2, heads, 4, 3) if start is None else start for _ in range(2))
    read_delta, read_added = [], []
    for t in range(length):
        delta = delta * g[:, t].exp()[..., None, None]
        new = beta[:, t, :, None] * (v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], delta))
        delta = delta + torch.einsum("bhk,bhv->bhkv", k[:, t], new)
        added = added + torch.einsum("bhk,bhv->bhkv", k[:, t], beta[:, t, :, None] * v[:, t])
        read_delta.append(torch.einsum("bhk,bhkv->bhv", q[:, t] / 2, delta))
        read_added.append(torch.einsum("bhk,bhkv->bhv", q[:, t], added))
    for (out, last), reads, state in (
        (kernels.gated_delta_rule(q, k, v, g, beta, start, True), read_delta, delta),
        (kernels.linear_attention(q, k, v, beta, start, True), read_added, added),
    ):
        torch.testing.assert_close(out, torch.stack(reads, 1), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(last, state, rtol=1e-4, atol=1e-4)


def test_orthonormal_keys_are_read_back_and_a_key_written_again_is_rebound_or_added_up() -> None:
    keys = torch.eye(4)[[0, 1, 2, 0]][None, :, None]
    values = torch.randn(1, 4, 1, 3)
    ones = torch.ones(1, 4, 1)
    _, state = kernels.gated_delta_rule(keys, keys, values, 0 * ones, ones, None, True)
    _, total = kernels.linear_attention(keys, keys, values, ones, None, True)
    assert state is not None
    assert total is not None
    torch.testing.assert_close(state[0, 0, :3], values[0, [3, 1, 2], 0])
    torch.testing.assert_close(total[0, 0, 0], values[0, 0, 0] + values[0, 3, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_token_by_token_in_pieces_and_generated_it_is_one_pass(kind: str) -> None:
    model, ids = built(kind), some_ids()
    whole = logits_of(model, ids)
    for cuts in ([*range(20)], [0, 7], [0, 1, 19]):
        cache, parts = None, []
        for start, stop in zip(cuts, [*cuts[1:], 20], strict=True):
            with torch.no_grad():
                out = model(ids[:, start:stop], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            parts.append(out.logits)
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
    text = ids[:, :10]
    for _ in range(4):
        text = torch.cat([text, logits_of(model, text)[:, -1:].argmax(-1)], 1)
    assert torch.equal(model.generate(ids[:, :10], max_new_tokens=4, do_sample=False), text)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_neither_read_nor_routed_after(kind: str) -> None:
    model, ids = built(kind), some_ids()
    mask = torch.ones(3, 24, dtype=torch.long)
    mask[:, :4] = 0
    padded = torch.cat([torch.full((3, 4), 7), ids], 1)  # k7 would route a value behind it
    got = logits_of(model, padded, attention_mask=mask)[:, 4:]
    torch.testing.assert_close(got, logits_of(model, ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("router", ["none", "learned"])
def test_a_mixture_of_one_memory_is_the_layer_without_a_router(router: str) -> None:
    alone, ids = built(), some_ids()
    mixture = built(router=router, num_memories=1)
    mixture.load_state_dict(alone.state_dict(), strict=router == "none")
    assert torch.equal(logits_of(mixture, ids), logits_of(alone, ids))


def test_memories_that_a_token_is_not_routed_to_stay_as_they_are() -> None:
    loaded = wb.load((built("planted"), task.make_tokenizer()))
    trace = wb.capture(loaded, "k1 v3 . k2 v5 k4 v9", sites=["state", "router_weights"], layers=0)
    states = torch.tensor(trace["state"].values[0, 0]).unflatten(1, (3, 2))
    weights = torch.tensor(trace["router_weights"].values[0, 0])
    assert weights.tolist() == [[0, 1, 0]] * 2 + [[0, 0, 0]] + [[0, 0, 1]] * 2 + [[0, 1, 0]] * 2
    for t in range(1, 7):
        for memory in range(3):
            same = torch.equal(states[t, memory], states[t - 1, memory])
            assert same == (weights[t, memory] == 0)
    assert not states[:, 0].any()


def test_a_learned_router_chooses_so_many_and_its_weights_add_up_to_one() -> None:
    loaded = wb.load((built("learned"), task.make_tokenizer()))
    weights = wb.capture(loaded, "k1 v3 . k2", sites="router_weights")["router_weights"].values
    assert weights.shape == (1, 1, 4, 3)
    assert ((weights > 0).sum(-1) == 2).all()
    assert weights.sum(-1) == pytest.approx(1, abs=1e-6)


def test_it_is_saved_and_opens_like_any_model(tmp_path: Path) -> None:
    model = built("planted")
    model.save_pretrained(tmp_path)
    task.make_tokenizer().save_pretrained(tmp_path)
    again = wb.load(tmp_path)
    ids = some_ids(1)
    assert torch.equal(logits_of(again.module, ids), logits_of(model, ids))
    assert again.generate("k1 v3 k2 v5 k1", max_new_tokens=2)


def test_settings_that_make_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a route for each"):
        StateLMConfig(router="planted")
    for wrong in ({"router": "hashed"}, {"rule": "oja"}, {"mixer": "gru"}):
        with pytest.raises(ValueError, match=next(iter(wrong.values()))):
            StateLMForCausalLM(StateLMConfig(**wrong))
    model = built()
    model.config.rule = "oja"
    model.save_pretrained(tmp_path)
    task.make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="oja"):
        wb.load(tmp_path)


def test_a_planted_router_knows_embeddings_without_their_tokens() -> None:
    model, ids = built("planted"), some_ids()
    with torch.no_grad():
        embedded = model.get_input_embeddings()(ids)
        got = model(inputs_embeds=embedded + 1e-4, use_cache=False).logits
    torch.testing.assert_close(got, logits_of(model, ids), rtol=0.1, atol=0.01)


def test_the_loss_is_that_of_the_next_token() -> None:
    model, ids = built(), some_ids()
    loss = model(ids, labels=ids).loss
    log_probs = logits_of(model, ids)[:, :-1].log_softmax(-1)
    torch.testing.assert_close(loss, -log_probs.gather(-1, ids[:, 1:, None]).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_the_workbench_reads_and_changes_its_states(kind: str) -> None:
    model = wb.load((built(kind), task.make_tokenizer()))
    prompt = "k1 v3 k2 v5 . . k7 v8 k1 . k2"
    lines = wb.contract(model, prompt)
    assert not [str(line) for line in lines if not line.holds()]
    assert {"steps", "restored"} <= {line.name for line in lines}
    if kind == "lstm":  # its gates look at what was read from the state: no kernel says it all
        with pytest.raises(BadInput, match="captured but not changed"):
            wb.change_state(model, wb.WipeState()).__enter__()
        return
    assert {"implicit attention", "write"} <= {line.name for line in lines}
    config = model.module.config
    heads = (config.num_memories + config.shared_memory) * config.num_heads
    if kind == "s4d":
        heads = config.hidden_size
    assert wb.implicit_attention(model, prompt).sizes["state_head"] == heads
    ids = torch.tensor([model.tokens(prompt)])
    before = logits_of(model.module, ids)
    with wb.change_state(model, wb.WipeState(), positions=[7]):
        wiped = logits_of(model.module, ids)
    torch.testing.assert_close(wiped[:, :8], before[:, :8])
    torch.testing.assert_close(wiped[:, 8:], logits_of(model.module, ids[:, 8:]))
    with wb.change_state(model, wb.WipeState(), heads=[0], positions=[7]):
        part = logits_of(model.module, ids)
    torch.testing.assert_close(part[:, :8], before[:, :8])


def test_the_lstm_is_torchs() -> None:
    model, x = built("lstm"), torch.randn(2, 9, 64)
    mixer = model.model.layers[0].mixer
    torchs = torch.nn.LSTM(64, 64, batch_first=True)
    order = [0, 1, 3, 2]  # torch has the candidate before the output gate

    def sorted_rows(weight: Tensor) -> Tensor:
        return weight.unflatten(0, (4, 64))[order].flatten(0, 1)

    with torch.no_grad():
        torchs.weight_ih_l0.copy_(sorted_rows(mixer.in_proj.weight))
        torchs.weight_hh_l0.copy_(sorted_rows(mixer.recurrent.weight))
        torchs.bias_ih_l0.copy_(sorted_rows(mixer.in_proj.bias))
        torchs.bias_hh_l0.zero_()
        torch.testing.assert_close(mixer(x, None), mixer.out_proj(torchs(x)[0]))


def test_implicit_attention_of_s4d_is_its_kernel() -> None:
    model = built("s4d")
    loaded = wb.load((model, task.make_tokenizer()))
    mixer = model.model.layers[1].mixer
    log_decay, write = mixer.discrete()
    kernel = channel_kernels(log_decay, write, mixer.read, 6).detach()
    maps = wb.implicit_attention(loaded, "k1 v3 . k2 v5 k4", layers=1, form="raw").values[0]
    for lag in range(6):
        along = torch.tensor(maps).diagonal(-lag, 1, 2)
        torch.testing.assert_close(along, kernel[:, lag : lag + 1].expand_as(along))
