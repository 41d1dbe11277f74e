"""Blocks that are looked up, episodes, and reading past the window, against plain loops."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.kv_cache.attention_received import attention_entropy, attention_received
from hooks.kv_cache.blocks import (
    LookUp,
    attention_mass,
    block_keys,
    block_mask,
    block_scores,
    fetched,
    fixed_blocks,
)
from hooks.kv_cache.episodes import (
    boundary_f1,
    even_episodes,
    random_episodes,
    surprise_episodes,
)
from hooks.kv_cache.lambda_mask import lambda_attention
from hooks.kv_cache.reading import read_context, surprisal_of
from hooks.kv_cache.shared_rows import question_keys
from tests.helpers import families, tiny
from workbench.errors import BadInput, Unfit


def tokens(n: int) -> list[int]:
    ids = torch.randint(1, 384, (n,), generator=torch.Generator().manual_seed(0)).tolist()
    ids[20] = ids[3]
    return ids


@cache
def read() -> Any:
    return read_context(wb.load((families.module("llama"), tiny.tiny_tokenizer())), tokens(60))


def test_attention_within_a_window_is_a_banded_softmax() -> None:
    memory = read().layers[1]
    queries = memory.queries * memory.scaling
    plain = torch.zeros(4, 60)
    for head in range(4):
        for at in range(60):
            first = max(0, at - 7 + 1)
            scores = queries[head, at] @ memory.keys[head // 2, first : at + 1].T
            plain[head, first : at + 1] += scores.softmax(0)
    found = attention_received(memory.keys, queries, 7)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-4)


def test_a_block_is_its_most_attended_keys_before_positions() -> None:
    context = read()
    behind = question_keys(context, [7, 8, 9])
    blocks = fixed_blocks(4, 50, 10)
    assert blocks == [(4, 14), (14, 24), (24, 34), (34, 44), (44, 50)]
    attention = context.model.module.model.layers[1].self_attn
    stream: list[torch.Tensor] = []
    hook = attention.register_forward_pre_hook(
        lambda _, args, kwargs: stream.append(kwargs["hidden_states"]), with_kwargs=True
    )
    with torch.no_grad():
        context.model.module(torch.tensor([[*context.ids, 7, 8, 9]]))
    hook.remove()
    keys = attention.k_proj(stream[0])[0].view(63, 2, 8).transpose(0, 1).detach()
    queries = attention.q_proj(stream[0])[0, 60:].view(3, 4, 8).mean(0).detach()
    memory = context.layers[1]
    got = attention_received(memory.keys, memory.queries * memory.scaling, 10).mean(0)
    found = block_keys(context, 1, blocks, 10)
    scores = block_scores(context, 1, found, behind)
    for n, (first, last) in enumerate(blocks):
        best = sorted(range(first, last), key=lambda pos: -float(got[pos]))[:4]
        plain = keys[:, best].mean(1)
        torch.testing.assert_close(found[n], plain, atol=1e-4, rtol=1e-3)
        score = sum(queries[head] @ plain[head // 2] for head in range(4))
        torch.testing.assert_close(scores[n], score, atol=1e-3, rtol=1e-3)


def test_what_is_fetched_fits_and_neighbours_come_behind() -> None:
    blocks = [(4, 14), (14, 24), (24, 34), (34, 44), (44, 50)]
    scores = torch.tensor([0.1, 0.9, 0.2, 0.3, 0.8])
    assert fetched(scores, blocks, LookUp(10, 20)) == [1, 4]  # 10 + 6, and no room for ten more
    assert fetched(scores, blocks, LookUp(10, 26)) == [1, 3, 4]
    # 70 % of 30 are 21: blocks 1 and 4; the rest goes to the neighbour that comes first.
    assert fetched(scores, blocks, LookUp(10, 30, contiguity=0.3)) == [1, 2, 4]
    context = read()
    mask = block_mask(context, {n: [1, 4] for n in context.layers}, blocks, LookUp(10, 20))
    positions = [*range(4), *range(14, 24), *range(44, 60)]
    assert all(row.nonzero()[:, 0].tolist() == positions for m in mask.values() for row in m)


def test_mass_is_the_questions_attention_over_the_whole_cache() -> None:
    context = read()
    question = [7, 8, 9]
    module = families.module("llama")
    module.set_attn_implementation("eager")
    with torch.no_grad():
        out = module(torch.tensor([[*context.ids, *question]]), output_attentions=True)
    blocks = fixed_blocks(4, 50, 10)
    found = attention_mass(context, 2, blocks, question_keys(context, question))
    pattern = out.attentions[2][0][:, 60:].mean((0, 1))
    plain = torch.stack([pattern[a:b].sum() for a, b in blocks])
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-4)


def test_episodes_begin_at_surprising_tokens() -> None:
    values = torch.ones(100) + 0.01 * torch.arange(100).remainder(2)
    values[[30, 33, 60, 97]] = 9.0
    found = surprise_episodes(values, 4, 100)
    # 33 would make an episode of three tokens, 97 one at the end.
    assert [first for first, _ in found] == [4, 30, 60]
    assert found[-1][1] == 100
    assert all(b - a <= 20 for a, b in surprise_episodes(values, 4, 100, longest=20))
    shuffled = random_episodes(found, 3)
    assert sorted(b - a for a, b in shuffled) == sorted(b - a for a, b in found)
    assert (shuffled[0][0], shuffled[-1][1]) == (4, 100)
    assert all(one[1] == other[0] for one, other in pairwise(shuffled))
    assert [b - a for a, b in even_episodes(found)] == [32, 32, 32]
    assert boundary_f1(found, [30, 61, 80]) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert boundary_f1(found, []) == 0.0


@torch.no_grad()
def test_a_lambda_mask_changes_nothing_within_the_window_and_holds_distances_back() -> None:
    model = wb.load((families.module("llama"), tiny.tiny_tokenizer()))
    ids = tokens(90)
    plain, _ = surprisal_of(model, ids)
    with lambda_attention(model, 40, first=5):
        masked, _ = surprisal_of(model, ids)
        slow = model.module(torch.tensor([ids])).logits[0]
    torch.testing.assert_close(masked[1:40], plain[1:40], atol=1e-4, rtol=1e-4)
    assert float((masked[60:] - plain[60:]).abs().max()) > 1e-3
    torch.testing.assert_close(
        -slow.log_softmax(-1)[range(89), ids[1:]], masked[1:], atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_the_lambda_mask_is_a_plain_loop_with_clipped_distances() -> None:
    """One layer, one query at a time: the newest 12 keys, and the first 3 as if 12 away."""
    module = tiny.tiny_llama(n_layers=1)
    model = wb.load((module, tiny.tiny_tokenizer()))
    ids = tokens(30)
    attention = module.model.layers[0].self_attn
    taken: dict[str, torch.Tensor] = {}
    hook = attention.register_forward_hook(
        lambda _, args, kwargs, out: taken.update(x=kwargs["hidden_states"], out=out[0]),
        with_kwargs=True,
    )
    with lambda_attention(model, 12, first=3):
        model.module(torch.tensor([ids]))
    hook.remove()
    stream = taken["x"]
    shape = (30, -1, 8)
    q, k, v = (f(stream)[0].view(shape) for f in (attention.q_proj, attention.k_proj,
                                                  attention.v_proj))  # fmt: skip
    cos, sin = module.model.rotary_emb(stream, torch.arange(30)[None])

    def turned(x: torch.Tensor, at: int) -> torch.Tensor:
        swapped = torch.cat([-x[4:], x[:4]])
        return x * cos[0, at] + swapped * sin[0, at]

    rows = []
    for i in range(30):
        heads = []
        for h in range(4):
            seen = [j for j in range(i + 1) if j > i - 12 or j < 3]
            scores = [
                turned(q[i, h], min(i - j, 12) if j > i - 12 else 12) @ k[j, h // 2] / 8**0.5
                for j in seen
            ]
            weights = torch.stack(scores).softmax(0)
            heads.append(sum(w * v[j, h // 2] for w, j in zip(weights, seen, strict=True)))
        rows.append(torch.cat(heads))
    plain = attention.o_proj(torch.stack(rows))
    torch.testing.assert_close(taken["out"][0], plain, atol=1e-4, rtol=1e-3)


def test_entropy_is_that_of_the_patterns() -> None:
    memory = read().layers[0]
    at = [1, 17, 59]
    found = attention_entropy(memory.keys, memory.queries[:, at] * memory.scaling, at)
    for n, pos in enumerate(at):
        plain = []
        for head in range(4):
            keys = memory.keys[head // 2, : pos + 1]
            p = (memory.queries[head, pos] @ keys.T * memory.scaling).softmax(0)
            plain.append(-(p * p.log()).sum())
        assert float(found[n]) == pytest.approx(float(torch.stack(plain).mean()), abs=1e-4)


def test_what_has_no_rotary_positions_is_refused() -> None:
    learned = wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer()))
    with pytest.raises(Unfit, match="not rotary"), lambda_attention(learned, 40):
        pass
    model = read().model
    with pytest.raises(BadInput, match="more than the first tokens"), lambda_attention(model, 4):
        pass
    assert np.isfinite(float(surprisal_of(model, tokens(30))[0].mean()))
