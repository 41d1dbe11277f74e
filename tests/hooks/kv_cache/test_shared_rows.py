"""Hiding keys of a context that was read once is the same as taking them out of the cache."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

import workbench as wb
from hooks.kv_cache.budget import cache_bytes, everything, keep, without
from hooks.kv_cache.policies import BUILT_IN
from hooks.kv_cache.policy_registry import scored
from hooks.kv_cache.reading import read_context
from hooks.kv_cache.shared_rows import ask, complete, question_keys
from hooks.recurrent.cache_tensors import mapped
from tests.helpers import families, tiny
from workbench.errors import BadInput, Unfit

# Grouped queries; learned positions; parallel blocks; windows; soft caps; experts; sinks; three
# kinds of hybrids.
FAMILIES = (
    "llama", "gpt2", "gpt_neox", "gemma3_text", "gemma2", "mixtral", "gpt_oss",
    "qwen3_next", "jamba", "falcon_h1",
)  # fmt: skip
_NEW = 6


@cache
def tiny_model(family: str) -> Any:
    module = families.module(family)
    if family == "gemma3_text":  # windows and full attention in turns
        config = families.config(family)
        config.layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = type(module)(config).eval()
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter, std=0.2)
    return wb.load((module, tiny.tiny_tokenizer()))


def tokens(n: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, tiny.VOCABULARY, (n,), generator=generator).tolist()


@cache
def read(family: str) -> Any:
    text = tokens(40, 0)
    text[20] = text[3]
    return read_context(tiny_model(family), text)


def some_kept(context: Any, seed: int) -> Any:
    """As many positions in every head of a layer, drawn; layers with a window keep theirs."""
    generator = torch.Generator().manual_seed(seed)
    kept = everything(context)
    for layer, memory in context.layers.items():
        if memory.window is None:
            order = torch.rand(memory.keys.shape[:2], generator=generator).argsort(1)
            kept[layer] = torch.zeros_like(kept[layer]).scatter(1, order[:, :9], True)
    return kept


def evicted(context: Any, kept: Any) -> Any:
    """The model's own cache with positions really taken out of it."""
    layers = {layer: m for layer, m in context.layers.items() if m.window is None}

    def change(name: str, value: torch.Tensor) -> torch.Tensor:
        parts = name.split(".")
        if parts[0] == "layers" and parts[-1] in ("keys", "values") and int(parts[1]) in layers:
            mask = kept[int(parts[1])]
            heads = [value[:, n, mask[n]] for n in range(len(mask))]
            return torch.stack(heads, 1)
        return value.clone()

    return mapped(context.cache, change)


def continued(context: Any, cache: Any, ids: list[int]) -> torch.Tensor:
    """Token by token over a cache, as the model itself does it, (token, d_vocab)."""
    said = []
    for n, token in enumerate(ids):
        where = torch.tensor([[len(context) + n]])
        out = context.model.module(
            input_ids=torch.tensor([[token]]), position_ids=where, past_key_values=cache,
            use_cache=True,
        )  # fmt: skip
        said.append(out.logits[0, -1])
    return torch.stack(said)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_masked_is_evicted(family: str) -> None:
    context, question = read(family), tokens(5, 1)
    one, other = some_kept(context, 2), some_kept(context, 3)
    rows = ask(context, [one, None, other, everything(context)], [question] * 4, [5] * 4)
    for row, kept in ((0, one), (2, other)):
        expected = continued(context, evicted(context, kept), question)
        torch.testing.assert_close(rows[row], expected.float(), atol=1e-5, rtol=1e-5)
    # All of the budget is the full cache, bit for bit, and the full cache is the model's own.
    alone = [ask(context, [k], [question], [5])[0] for k in (None, everything(context))]
    assert torch.equal(*alone)
    torch.testing.assert_close(rows[3], alone[0], atol=1e-5, rtol=1e-5)
    own = continued(context, mapped(context.cache, lambda _, x: x.clone()), question)
    torch.testing.assert_close(rows[1], own.float(), atol=2e-5, rtol=1e-5)
    assert float((rows[0] - rows[1]).abs().max()) > 1e-2


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", "mixtral", "qwen3_next"])
@torch.no_grad()
def test_what_is_generated_over_it_is_what_generate_says(family: str) -> None:
    context, question = read(family), tokens(4, 5)
    kept = [some_kept(context, 2), None]
    said = complete(context, kept, question, _NEW)
    for row, of_row in enumerate(kept):
        cache = evicted(context, of_row if of_row is not None else everything(context))
        logits = continued(context, cache, question)[-1]
        plain = []
        for n in range(_NEW):
            plain.append(int(logits.argmax()))
            if plain[-1] == 0:  # the end token
                plain.pop()
                break
            here = torch.tensor([[len(context) + len(question) + n]])
            logits = context.model.module(
                input_ids=torch.tensor([[plain[-1]]]), position_ids=here, past_key_values=cache,
                use_cache=True,
            ).logits[0, -1]  # fmt: skip
        assert said[row] == plain


@torch.no_grad()
def test_generate_of_transformers_goes_on_with_the_full_cache() -> None:
    context, question = read("llama"), tokens(4, 5)
    ids = torch.tensor([[*context.ids, *question]])
    out = context.model.module.generate(
        ids, past_key_values=mapped(context.cache, lambda _, x: x.clone()),
        max_new_tokens=_NEW, do_sample=False,
    )  # fmt: skip
    assert complete(context, [None], question, _NEW)[0] == out[0, ids.shape[1] :].tolist()


def test_rows_of_different_lengths_share_a_batch() -> None:
    context = read("llama")
    rows = [tokens(n, n) for n in (7, 2, 5)]
    kept = [some_kept(context, n) for n in range(3)]
    together = ask(context, kept, rows, [2, 1, 5])
    for row in range(3):
        alone = ask(context, [kept[row]], [rows[row]], [[2, 1, 5][row]])[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


def test_keys_and_queries_of_a_question_are_those_of_one_whole_reading() -> None:
    context, question = read("llama"), tokens(6, 9)
    whole = read_context(context.model, [*context.ids, *question])
    for layer, (keys, queries) in question_keys(context, question).items():
        torch.testing.assert_close(keys, whole.layers[layer].keys[:, 40:], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            queries, whole.layers[layer].queries[:, 40:], atol=1e-5, rtol=1e-4
        )


def test_surprisal_is_that_of_the_logits() -> None:
    context = read("gemma2")
    logits = context.model.module(input_ids=torch.tensor([context.ids])).logits[0].float()
    plain = -logits.log_softmax(-1)[range(39), context.ids[1:]]
    torch.testing.assert_close(context.surprisal[1:], plain, atol=1e-4, rtol=1e-4)
    assert context.surprisal[0] == context.surprisal[1:].max()


def test_what_is_kept_is_counted() -> None:
    context = read("llama")
    scores = scored(BUILT_IN["key-norm"], context)
    quarter = keep(context, scores, 0.25)
    assert all(int(mask.sum(1).unique()) == 10 for mask in quarter.values())
    assert all(bool(mask[:, :4].all()) for mask in quarter.values())
    whole = keep(context, scores, 1.0)
    assert all(bool(mask.all()) for mask in whole.values())
    layers, heads, a_key = 3, 2, 2 * 8 * 4
    assert cache_bytes(context, whole) == layers * heads * 40 * a_key
    assert cache_bytes(context, quarter) == layers * heads * 10 * (a_key + 4)
    half = keep(context, scores, 0.5, recent=0.5)
    assert all(bool(mask[:, -10:].all()) for mask in half.values())
    assert all(not bool(mask[:, 5:9].any()) for mask in without(context, 5, 9).values())
    assert not any(bool(mask.any()) for mask in keep(context, scores, 0.0).values())


def test_a_window_counts_what_it_holds() -> None:
    context = read("gemma3_text")
    windows = [m for m in context.layers.values() if m.window is not None]
    assert windows and all(int(m.held().sum()) == m.window - 1 for m in windows)  # noqa: PT018
    kept = keep(context, scored(BUILT_IN["random"], context), 0.5)
    for layer, memory in context.layers.items():
        assert int(kept[layer][0].sum()) == -(-int(memory.held().sum()) // 2)
        assert not bool(kept[layer][:, ~memory.held()].any())


@pytest.mark.parametrize("budget", [-0.1, 1.5, float("nan")])
def test_budgets_that_are_no_shares_are_refused(budget: float) -> None:
    context = read("llama")
    with pytest.raises(BadInput, match="share of the cache from 0 to 1"):
        keep(context, scored(BUILT_IN["random"], context), budget)


@pytest.mark.parametrize(
    ("family", "why"),
    [
        ("mamba", "no attention whose keys can be reached"),
        ("bloom", "in the family's own code"),
        ("deepseek_v32", "off by"),
    ],
)
def test_models_whose_cache_cannot_be_masked_are_refused(family: str, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        read_context(tiny_model(family), tokens(40, 0))


def test_other_bad_input_is_refused() -> None:
    context = read("llama")
    with pytest.raises(BadInput, match="two tokens or more"):
        read_context(context.model, [3])
    with pytest.raises(BadInput, match="0 masks and 0 questions"):
        ask(context, [], [])
    with pytest.raises(BadInput, match=r"\(kv_head, pos\)"):
        ask(context, [{0: torch.ones(2, 3, dtype=torch.bool)}], [[1]])
    learned = read("gpt2")
    with pytest.raises(BadInput, match="256"):
        ask(learned, [None], [tokens(230, 0)])
