"""Changing what recurrent layers remember: in one pass over a prompt, token by token and in
`generate`.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import workbench as wb
from hooks.states import mixers_of, stepping
from tests.helpers.families import built
from workbench.errors import BadInput, NotFinite, SiteNotFound

TEXT = [5, 9, 30, 22, 7, 40, 8, 19, 3, 11, 25, 6]
OTHER = [44, 10, 31, 2, 17, 20, 8, 19, 3, 11, 25, 6]  # the same from token 6 on
CHANGED = (
    *("bailing_hybrid", "bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba"),
    *("kimi_linear", "mamba", "mamba2", "minimax", "olmo_hybrid", "qwen3_5_text"),
    *("qwen3_next", "recurrent_gemma", "zamba"),
)


def captured(model: wb.InstrumentedModel, ids: list[int]) -> wb.Trace:
    return wb.capture(model, [ids], [s for s in ("state", "conv_state") if s in model.sites])


def stepped(model: wb.InstrumentedModel, after: int, *, of: list[int] | None) -> Tensor:
    """Logits after `TEXT`, read token by token, where after a token the memory is that of another
    text, or wiped: the plain loop.
    """
    mixers = mixers_of(model)
    put: dict[int, dict[str, Tensor]] = {}
    with stepping(model.module, mixers, len(TEXT)) as stepper:
        for token in (of or TEXT)[: after + 1]:
            stepper.feed(token)
        for layer in mixers:
            state, conv = stepper.state(layer), stepper.conv_state(layer)
            held = {"state": state, "conv_state": conv}
            put[layer] = {
                name: value if of else torch.zeros_like(value)
                for name, value in held.items()
                if value is not None
            }
    logits = torch.empty(0)
    with stepping(model.module, mixers, len(TEXT)) as stepper:
        for t, token in enumerate(TEXT):
            logits = stepper.feed(token)
            if t == after:
                for layer, values in put.items():
                    stepper.set_state(layer, **values)
    return logits.float()


@pytest.mark.parametrize("family", CHANGED)
def test_patching_and_wiping_are_what_writing_into_the_cache_gives(family: str) -> None:
    model = built(family)
    own = model.next_logits([TEXT])[0]
    source = captured(model, OTHER)
    with wb.change_state(model, wb.PatchState(source), positions=[5]):
        patched = model.next_logits([TEXT])[0]
    with wb.change_state(model, wb.WipeState(), positions=[-7]):
        wiped = model.next_logits([TEXT])[0]
    size = own.norm()
    for value, plain in (
        (patched, stepped(model, 5, of=OTHER)),
        (wiped, stepped(model, 5, of=None)),
    ):
        assert float((value - plain).norm() / size) < 1e-4
        assert float((value - own).norm() / size) > 1e-3
    assert torch.equal(model.next_logits([TEXT])[0], own)  # nothing stays


@pytest.mark.parametrize("family", ["mamba", "mamba2", "qwen3_next", "minimax", "zamba"])
def test_what_is_there_already_changes_no_bit(family: str) -> None:
    model = built(family)
    with wb.change_state(model, wb.PatchState(captured(model, TEXT)), positions=[3, 5]):
        same = model.next_logits([TEXT])
    assert torch.equal(same, model.next_logits([TEXT]))


@pytest.mark.parametrize("family", ["mamba", "mamba2", "falcon_mamba"])
def test_wiping_everything_is_a_fresh_prompt(family: str) -> None:
    model = built(family)
    with wb.change_state(model, wb.WipeState(), positions=[5]):
        wiped = model.next_logits([TEXT])
    torch.testing.assert_close(wiped, model.next_logits([TEXT[6:]]), rtol=1e-4, atol=1e-4)
    with wb.change_state(model, wb.PatchState(captured(model, OTHER)), positions=[5]):
        other = model.next_logits([TEXT])
    torch.testing.assert_close(other, model.next_logits([OTHER]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["mamba2", "jamba", "kimi_linear"])
def test_prompts_in_a_batch_and_one_by_one(family: str) -> None:
    model = built(family)
    prompts = [TEXT[3:], TEXT]
    sources = wb.capture(model, [OTHER[3:], OTHER], sites=["state", "conv_state"])
    with wb.change_state(model, wb.PatchState(sources), positions=[-7]):
        together = model.next_logits(prompts)
    for row, (prompt, other) in enumerate(zip(prompts, [OTHER[3:], OTHER], strict=True)):
        with wb.change_state(model, wb.PatchState(captured(model, other)), positions=[-7]):
            alone = model.next_logits([prompt])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["mamba", "mamba2", "qwen3_next", "recurrent_gemma"])
@pytest.mark.parametrize("position", [5, 11])
def test_changes_hold_in_generate(family: str, position: int) -> None:
    """What is generated from the cache is what one pass over all of it gives, under the change."""
    model = built(family)
    change = wb.change_state(model, wb.PatchState(captured(model, OTHER)), positions=[position])
    ids = list(TEXT)
    with change:
        for _ in range(4):
            ids.append(int(model.next_logits([ids])[0].argmax()))
        module = model.module
        out = module.generate(
            torch.tensor([TEXT]),
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            pad_token_id=0,
        )[0].tolist()
    assert out == ids


def test_a_frozen_token_neither_decays_nor_writes() -> None:
    model = built("qwen3_next")
    with wb.change_state(model, wb.FreezeState(), layers=0, heads=[1], positions=[4, 5]):
        frozen = wb.capture(model, [TEXT], sites="state", layers=0)["state"].values[0, 0]
    own = wb.capture(model, [TEXT], sites="state", layers=0)["state"].values[0, 0]
    assert (frozen[3, 1] == frozen[5, 1]).all()
    assert abs(frozen[:, 0] - own[:, 0]).max() < 1e-5
    assert abs(frozen[5, 1] - own[5, 1]).max() > 1e-3


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next"])
def test_a_pair_is_erased_or_rewritten(family: str) -> None:
    """After rewriting, the key reads the new value exactly, and what it does not overlap with is
    as it was.
    """
    model = built(family)
    trace = wb.capture(model, [TEXT], sites=["state_k", "state"], layers=0)
    key = torch.tensor(trace["state_k"].values[0, 0, 3])
    d_value = model.layout.blocks[0].states["state_v"][1]
    value = torch.linspace(-1, 1, d_value)

    def held(change: object, query: Tensor) -> Tensor:
        with wb.change_state(model, change, layers=0, positions=[7]):  # type: ignore[arg-type]
            state = wb.capture(model, [TEXT], sites="state", layers=0)["state"].values[0, 0, 7]
        kept = torch.tensor(state)
        kept = kept.mT if family == "mamba2" else kept
        return torch.einsum("hk,hkv->hv", query, kept)

    own = torch.tensor(trace["state"].values[0, 0, 7])
    own = own.mT if family == "mamba2" else own
    read = held(wb.RewritePair(key, value), key)
    torch.testing.assert_close(read, value.expand_as(read), rtol=1e-4, atol=1e-4)
    assert float(held(wb.EraseKey(key), key).abs().max()) < 1e-4
    other = torch.randn(key.shape)
    other = other - (other * key).sum(-1, True) * key / key.square().sum(-1, True)
    torch.testing.assert_close(
        held(wb.EraseKey(key), other),
        torch.einsum("hk,hkv->hv", other, own),
        rtol=1e-4,
        atol=1e-4,
    )


def test_what_is_added_to_a_state_stands_beside_what_it_held() -> None:
    model = built("mamba2")
    plain = wb.capture(model, [TEXT], sites="state", layers=0)["state"].values[0, 0]
    more = torch.tensor(plain[3]).mT
    with wb.change_state(model, wb.AddToState({0: more}), layers=0, positions=[7]):
        changed = wb.capture(model, [TEXT], sites="state", layers=0)["state"].values[0, 0]
    torch.testing.assert_close(
        torch.tensor(changed[7]), torch.tensor(plain[7] + plain[3]), rtol=1e-4, atol=1e-5
    )
    with (
        pytest.raises(BadInput, match="layer 0"),
        wb.change_state(model, wb.AddToState({0: more[:, :1]}), layers=0, positions=[7]),
    ):
        model.next_logits([TEXT])


def test_an_initial_state_is_one_more_term_of_what_is_read() -> None:
    """With a state at the start, a token reads what it read before plus the decayed start."""
    model = built("mamba2")
    layer = model.n_layers - 1
    start = torch.randn(model.layout.blocks[layer].states["state"])
    plain = wb.capture(model, [TEXT], sites=["state", "state_decay"], layers=layer)
    with wb.change_state(model, wb.SetState({layer: start.mT}), layers=layer, positions="start"):
        changed = wb.capture(model, [TEXT], sites="state", layers=layer)
        logits = model.next_logits([TEXT])
    decay = torch.tensor(plain["state_decay"].values[0, 0]).cumprod(0)
    expected = torch.tensor(plain["state"].values[0, 0]) + decay * start
    torch.testing.assert_close(
        torch.tensor(changed["state"].values[0, 0]), expected, rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(logits, model.next_logits([TEXT]), atol=1e-3)


def test_bad_requests_say_what_to_do() -> None:
    model = built("mamba2")
    source = captured(model, OTHER)
    with pytest.raises(BadInput, match="change_state"), wb.ablate(model, site="state"):
        pass
    with (
        pytest.raises(SiteNotFound, match="state"),
        wb.change_state(built("llama"), wb.WipeState()),
    ):
        pass
    with (
        pytest.raises(BadInput, match="state heads"),
        wb.change_state(model, wb.WipeState(), heads=[99]),
    ):
        pass
    with (
        pytest.raises(BadInput, match="nothing to hold still"),
        wb.change_state(model, wb.FreezeState(), positions="start"),
    ):
        pass
    for family in ("xlstm", "rwkv"):
        with pytest.raises(BadInput), wb.change_state(built(family), wb.WipeState(), positions=[3]):
            built(family).next_logits([TEXT])
    with (
        pytest.raises(BadInput, match="same model"),
        wb.change_state(built("qwen3_next"), wb.PatchState(source), layers=0, positions=[3]),
    ):
        built("qwen3_next").next_logits([TEXT])
    values = {0: torch.full(model.layout.blocks[0].states["state"], float("nan"))}
    with (
        pytest.raises(NotFinite, match="finite"),
        wb.change_state(model, wb.SetState(values), positions="start"),
    ):
        model.next_logits([TEXT])
    with (
        pytest.raises(BadInput, match="read from states"),
        wb.change_state(model, wb.WipeState(), positions=[3]),
    ):
        wb.capture(model, [TEXT], sites="state_out")
