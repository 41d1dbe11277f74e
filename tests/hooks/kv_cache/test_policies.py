"""The scores of the policies against plain formulas, and what is refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import workbench as wb
from hooks.kv_cache.budget import keep
from hooks.kv_cache.policies import BUILT_IN, CachePolicy
from hooks.kv_cache.policy_registry import as_policy, policies, policy, scored
from hooks.kv_cache.reading import read_context
from tests.helpers import families, tiny
from workbench.errors import BadInput, NotFound


@cache
def read() -> Any:
    ids = torch.randint(1, 384, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    ids[20] = ids[3]
    return read_context(wb.load((families.module("llama"), tiny.tiny_tokenizer())), ids)


def patterns(ids: list[int]) -> list[Tensor]:
    """The model's own attention, by eager code: (head, query, key) by layer."""
    module = families.module("llama")
    module.set_attn_implementation("eager")
    with torch.no_grad():
        out = module(torch.tensor([ids]), output_attentions=True)
    return [layer[0] for layer in out.attentions]


QUESTION = [5, 9, 200, 17, 31]


@pytest.mark.parametrize("question", [[], QUESTION])
def test_scores_of_attention_are_those_of_the_models_own(question: list[int]) -> None:
    context = read()
    own = patterns([*context.ids, *question])
    n, group = len(context), 2
    for name in ("h2o", "tova", "snapkv"):
        blind = scored(BUILT_IN[name], context)
        found = scored(BUILT_IN[name], context, question, blind)
        for layer, pattern in enumerate(own):
            if name == "h2o":
                plain = pattern.sum(1).view(-1, group, pattern.shape[-1]).mean(1)[:, :n]
            elif name == "tova":
                plain = pattern[:, -1].mean(0)[:n].expand(2, -1)
            else:
                got = pattern[:, -32:, :-32].mean(1)
                pooled = torch.stack([
                    sum(got[:, max(0, at - 2) : at + 3].unbind(1)) / 5  # zeros count at the ends
                    for at in range(got.shape[1])
                ], 1)  # fmt: skip
                plain = pooled.view(-1, group, pooled.shape[-1]).mean(1)
                assert bool((found[layer][:, plain.shape[1] :] > plain.max()).all())
            torch.testing.assert_close(
                found[layer][:, : plain.shape[1]], plain, atol=1e-5, rtol=1e-4
            )


def test_scores_of_keys_are_their_formulas() -> None:
    context = read()
    memory = context.layers[1]
    assert torch.equal(scored(BUILT_IN["key-norm"], context)[1], -memory.keys.norm(dim=-1))
    mean = torch.stack([k / k.norm() for k in memory.keys[0]]).mean(0)
    plain = torch.stack([-(k @ mean) / (k.norm() * mean.norm()) for k in memory.keys[0]])
    torch.testing.assert_close(scored(BUILT_IN["keydiff"], context)[1][0], plain)
    sir = scored(BUILT_IN["sirllm"], context)
    assert all(torch.equal(row, context.surprisal) for layer in sir.values() for row in layer)
    streaming = keep(context, scored(BUILT_IN["streaming"], context), 0.5)[0][0]
    assert streaming.nonzero()[:, 0].tolist() == [0, 1, 2, 3, *range(34, 60)]
    newest = BUILT_IN["recency"]
    kept = keep(context, scored(newest, context), 0.5, sinks=newest.sinks)[0][0]
    assert kept.nonzero()[:, 0].tolist() == list(range(30, 60))
    once, again = scored(BUILT_IN["random"], context), scored(BUILT_IN["random"], context)
    assert torch.equal(once[0], again[0])
    assert not torch.equal(once[0], once[1])


def test_expected_attention_is_its_formula_with_the_models_own_rotation() -> None:
    context = read()
    layer, model = 1, context.model
    found = scored(BUILT_IN["expected"], context)[layer]
    attention = model.module.model.layers[layer].self_attn
    stream: dict[str, Tensor] = {}
    hook = attention.register_forward_pre_hook(
        lambda _, args, kwargs: stream.update(x=kwargs["hidden_states"]), with_kwargs=True
    )
    with torch.no_grad():
        model.module(torch.tensor([context.ids]))
        hook.remove()
        queries = attention.q_proj(stream["x"])[0].view(60, 4, 8).transpose(0, 1)[:, 4:]
        cos, sin = model.module.model.rotary_emb(queries, torch.arange(60, 60 + 512)[None])
        swap = torch.zeros(8, 8)
        swap[4:, :4], swap[:4, 4:] = torch.eye(4), -torch.eye(4)
        turn = (cos[0][:, None] * torch.eye(8) + sin[0][:, None] * swap).mean(0)
        keys, values = context.layers[layer].keys[:, 4:], context.layers[layer].values[:, 4:]
        for group in range(2):
            shares = []
            for head in (2 * group, 2 * group + 1):
                mean = queries[head].mean(0)
                spread = (queries[head] - mean).T @ (queries[head] - mean) / 56
                mean, spread = turn @ mean, turn @ spread @ turn.T
                logits = [k @ mean / 8**0.5 + k @ spread @ k / 16 for k in keys[group]]
                shares.append(torch.stack(logits).softmax(0))
            plain = (shares[0] + shares[1]) / 2 * values[group].norm(dim=-1)
            torch.testing.assert_close(found[group, 4:], plain, atol=1e-4, rtol=1e-3)
    assert bool((found[:, :4] > found[:, 4:].max()).all())


def test_the_first_layer_says_whether_rotary_positions_are_known() -> None:
    context = read()
    rotary = context.rotary[0]
    keys = context.layers[0].keys
    turned = rotary.turn(keys[:, 3:4], torch.tensor([17]))
    torch.testing.assert_close(turned, keys[:, 20:21], atol=1e-5, rtol=1e-4)
    by = torch.tensor([3.0, 11.0])
    twice = rotary.turn(rotary.turn(keys[:, :2], by), -by)
    torch.testing.assert_close(twice, keys[:, :2], atol=1e-5, rtol=1e-4)
    assert not rotary.explains(torch.randn(2, 60, 8), context.ids)
    learned = read_context(wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer())), context.ids)
    assert learned.rotary == {}


def test_a_policy_of_ones_own_is_a_function() -> None:
    def alternate(keys: Tensor, values: Tensor, queries: Tensor, surprisal: Tensor) -> Tensor:
        """Every second token."""
        return (torch.arange(keys.shape[1]) % 2.0).expand(keys.shape[0], -1)

    context = read()
    own = as_policy(alternate, "alternate")
    assert own.about == "Every second token."
    kept = keep(context, scored(own, context), 0.5, sinks=0)
    assert kept[2][1].nonzero()[:, 0].tolist() == list(range(1, 60, 2))
    assert {"streaming", "h2o", "snapkv", "tova", "key-norm", "keydiff", "expected", "sirllm",
            "random", "recency"} <= set(policies())  # fmt: skip


def test_what_is_no_policy_is_refused() -> None:
    context = read()
    with pytest.raises(NotFound, match="snapkv"):
        policy("snapvk")
    with pytest.raises(BadInput, match="a function score"):
        as_policy("snapkv")  # type: ignore[arg-type]
    for wrong, why in (
        (lambda k, v, q, s: q[..., 0], r"shape \(4, 60\)"),
        (lambda k, v, q, s: None, "None"),
        (lambda k, v, q, s: k[..., 0] * float("nan"), "no numbers"),
    ):
        with pytest.raises(BadInput, match=why):
            scored(CachePolicy("wrong", wrong, ""), context)
