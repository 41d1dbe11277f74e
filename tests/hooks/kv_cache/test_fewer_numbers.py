"""Keys with fewer channels and caches of fewer bits, against plain formulas."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
import torch

import workbench as wb
from hooks.kv_cache.changed_keys import with_layers
from hooks.kv_cache.channels import (
    attention_divergence,
    channel_scores,
    grouped_queries,
    low_rank,
    lowest,
    score_error,
    without_channels,
)
from hooks.kv_cache.fewer_bits import relative_error, round_memory, rounded, rounded_bytes
from hooks.kv_cache.reading import read_context
from hooks.kv_cache.shared_rows import ask
from tests.helpers import families, tiny
from workbench.errors import BadInput


@cache
def read() -> Any:
    ids = torch.randint(1, 384, (80,), generator=torch.Generator().manual_seed(0)).tolist()
    ids[20] = ids[3]
    return read_context(wb.load((families.module("llama"), tiny.tiny_tokenizer())), ids)


def test_a_channel_scores_its_two_norms() -> None:
    memory = read().layers[1]
    scores = channel_scores(memory)
    queries = torch.stack([memory.queries[2, -32:], memory.queries[3, -32:]])
    for channel in range(8):
        plain = queries[..., channel].pow(2).mean() * memory.keys[1, :, channel].pow(2).mean()
        torch.testing.assert_close(scores[1, channel], plain)


def test_the_lowest_channels_go_and_the_newest_keys_stay_whole() -> None:
    memory = read().layers[0]
    scores = channel_scores(memory)
    gone = lowest(scores, 0.4)
    assert gone.sum(1).tolist() == [3, 3]
    changed = without_channels(memory, gone)
    for head in range(2):
        weakest = scores[head].argsort()[:3]
        assert gone[head].nonzero()[:, 0].tolist() == sorted(weakest.tolist())
        assert bool((changed.keys[head, :48][:, weakest] == 0).all())
    assert torch.equal(changed.keys[:, 48:], memory.keys[:, 48:])
    whole = without_channels(memory, lowest(scores, 0.0))
    assert torch.equal(whole.keys, memory.keys)


def test_no_choice_of_channels_is_better_than_the_best_truncation() -> None:
    memory = read().layers[2]
    queries = grouped_queries(memory)
    best = score_error(memory, low_rank(memory, 0.5))
    for head in range(2):
        products = queries[head] @ memory.keys[head, :48].T
        sizes = torch.linalg.svdvals(products)
        whole = (queries[head] @ memory.keys[head].T).norm()
        torch.testing.assert_close(best[head], sizes[4:].norm() / whole, atol=1e-4, rtol=1e-3)
    every = []
    for four in itertools.combinations(range(8), 4):
        gone = torch.zeros(2, 8, dtype=torch.bool)
        gone[:, list(four)] = True
        every.append(score_error(memory, without_channels(memory, gone)))
    assert bool((torch.stack(every) >= best - 1e-5).all())
    torch.testing.assert_close(low_rank(memory, 0.0).keys, memory.keys, atol=1e-4, rtol=1e-3)


def test_divergence_is_that_of_the_patterns() -> None:
    memory = read().layers[1]
    changed = without_channels(memory, lowest(channel_scores(memory), 0.4))
    total = []
    for head in range(4):
        for query in range(48, 80):
            pair = []
            for each in (memory, changed):
                keys = each.keys[head // 2, : query + 1]
                pair.append((memory.queries[head, query] @ keys.T * 8**-0.5).log_softmax(0))
            total.append((pair[0].exp() * (pair[0] - pair[1])).sum())
    plain = torch.stack(total).view(2, -1).mean(1)
    torch.testing.assert_close(attention_divergence(memory, changed), plain, atol=1e-6, rtol=1e-4)
    assert bool((attention_divergence(memory, memory).abs() < 1e-6).all())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("along", ["pos", "channel"])
def test_numbers_are_rounded_in_groups(bits: int, along: Any) -> None:
    x = torch.randn(2, 70, 40, generator=torch.Generator().manual_seed(1))
    found = rounded(x, bits, along)
    given = x if along == "channel" else x.transpose(1, 2)
    other = found if along == "channel" else found.transpose(1, 2)
    for row, of_row in zip(given.flatten(0, 1), other.flatten(0, 1), strict=True):
        for group, seen in zip(row.split(32), of_row.split(32), strict=True):
            step = (group.max() - group.min()) / (2**bits - 1)
            assert float((group - seen).abs().max()) <= float(step) / 2 + 1e-6
            assert len(seen.unique()) <= 2**bits
    assert torch.equal(rounded(torch.ones(1, 3, 3), 2, "pos"), torch.ones(1, 3, 3))


def test_a_cache_of_few_bits() -> None:
    context = read()
    memory = context.layers[0]
    errors = []
    for bits in (8, 4, 2):
        changed = round_memory(memory, bits, "kivi")
        assert torch.equal(changed.keys[:, 48:], memory.keys[:, 48:])
        torch.testing.assert_close(changed.keys[:, :48], rounded(memory.keys[:, :48], bits, "pos"))
        torch.testing.assert_close(
            changed.values[:, :48], rounded(memory.values[:, :48], bits, "channel")
        )
        errors.append(float(relative_error(memory.keys, changed.keys).mean()))
    assert errors[0] < errors[1] < errors[2]
    both = round_memory(memory, 2, "channel")
    torch.testing.assert_close(both.values[:, :48], rounded(memory.values[:, :48], 2, "pos"))
    # 16 numbers a token and head: 48 old tokens of 2 bits and 4 bytes for 32, 32 new of 2 bytes.
    assert rounded_bytes(memory, 2) == 2 * 16 * (48 * (0.25 + 0.125) + 32 * 2)
    with pytest.raises(BadInput, match="1 to 8 bits"):
        rounded(memory.keys, 0, "pos")


def test_a_question_over_changed_keys_sees_them() -> None:
    context = read()
    question = [[5, 9, 17]]
    plain = ask(context, [None], question)[0]
    same = ask(with_layers(context, lambda _, memory: memory), [None], question)[0]
    assert torch.equal(plain, same)
    rough = with_layers(context, lambda _, memory: round_memory(memory, 2, "kivi"))
    assert float((ask(rough, [None], question)[0] - plain).abs().max()) > 1e-3
