"""The probability of extraction p_z against code of its own: plain Python, one token and one sample
at a time.

The order is that of `transformers`' generate: temperature, then top-k, then top-p.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures import compression
from analyses.measures.sampler import Sampler
from analyses.measures.sampling import (
    extraction_probability,
    log_q,
    queries_needed,
    rounded_queries,
)
from analyses.measures.scoring import score
from analyses.measures.vocabulary import printable, reads_back, textless, typed
from analyses.measures.windows import Window
from analyses.weights.paragraph_memorization import triggers
from tests.helpers import tiny
from tests.helpers.real_decoding import hf_probabilities
from workbench.errors import BadInput

SAMPLERS = [
    Sampler(1.0),
    Sampler(0.05),
    Sampler(1e-6),
    Sampler(0.7, top_k=3),
    Sampler(1.0, top_k=1),
    Sampler(1.0, top_p=1.0),
    Sampler(1.0, top_p=1e-9),
    Sampler(2.0, top_p=0.8),
    Sampler(0.6, top_k=5, top_p=0.7),
    Sampler(1.5, top_k=1000, top_p=0.4),
]


def plain(logits: list[float], sampler: Sampler) -> list[float]:
    """What each token is drawn with, in plain Python and double precision.

    For logits without equal ones.
    """
    u = [x / sampler.temperature for x in logits]
    order = sorted(range(len(u)), key=lambda v: -u[v])
    kept = order[: sampler.top_k] if sampler.top_k else order
    weights = {v: math.exp(u[v] - u[order[0]]) for v in kept}
    total, mass, nucleus = sum(weights.values()), 0.0, []
    for v in kept:
        nucleus.append(v)
        mass += weights[v] / total
        if mass >= sampler.top_p:
            break
    total = sum(weights[v] for v in nucleus)
    return [weights[v] / total if v in nucleus else 0.0 for v in range(len(u))]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_p_z_is_the_plain_product(sampler: Sampler) -> None:
    logits = torch.randn(40, 30, generator=torch.Generator().manual_seed(1)) * 3
    for row in logits:
        mine = [float(log_q(row[None], torch.tensor([v]), sampler).exp()) for v in range(30)]
        np.testing.assert_allclose(mine, plain(row.tolist(), sampler), atol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("kind", ["rounded", "bfloat16"])
def test_equal_logits_are_drawn_as_transformers_draws_them(sampler: Sampler, kind: str) -> None:
    """Half precision makes many equal logits: top-k keeps all that are as likely as the k-th."""
    logits = torch.randn(60, 50, generator=torch.Generator().manual_seed(2)) * 3
    logits = logits.round() if kind == "rounded" else (logits + 20).bfloat16().float()
    mine = torch.stack([log_q(logits, torch.full((60,), v), sampler).exp() for v in range(50)], -1)
    torch.testing.assert_close(mine, hf_probabilities(logits, sampler), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mine.sum(-1), torch.ones(60))


@pytest.mark.parametrize(
    "sampler", [Sampler(0.7), Sampler(1.2, top_k=4), Sampler(0.9, top_k=6, top_p=0.8)], ids=str
)
def test_samples_drawn_by_a_plain_loop_come_out_that_often(sampler: Sampler) -> None:
    """20,000 samples of two tokens from a tiny model; each pair within five standard deviations
    of its p_z.
    """
    module = tiny.tiny_llama(seed=3)
    module.model.norm.weight.data *= 4
    model = wb.load((module, tiny.tiny_tokenizer()))
    prefix, draw, n = [5, 9, 77], random.Random(0), 20_000
    after: dict[int | None, list[float]] = {}

    def drawn(first: int | None) -> int:
        if first not in after:
            with torch.no_grad():
                ids = torch.tensor([[*prefix, *([] if first is None else [first])]])
                after[first] = plain(module(input_ids=ids).logits[0, -1].tolist(), sampler)
        return draw.choices(range(tiny.VOCABULARY), after[first])[0]

    counts: dict[tuple[int, int], int] = {}
    for _ in range(n):
        one = drawn(None)
        pair = (one, drawn(one))
        counts[pair] = counts.get(pair, 0) + 1
    pairs = sorted(counts, key=lambda pair: -counts[pair])[:20]
    found = score(model, [Window(0, 0, (), tuple(prefix), pair) for pair in pairs], sampler)
    for pair, log_p in zip(pairs, found.log_p, strict=True):
        p = math.exp(log_p)
        assert abs(counts[pair] - n * p) < 5 * math.sqrt(n * p * (1 - p)) + 1


def test_samples_needed_are_the_least_that_reach_the_chance() -> None:
    for p in (0.9, 0.5, 0.4, 0.1, 1e-3, 1e-6):
        for chance in (0.1, 0.5, 0.9, 0.99):
            need = rounded_queries(queries_needed(math.log(p), chance))
            assert need == int(need) >= 1
            assert 1 - (1 - p) ** need >= chance * (1 - 1e-9)
            assert need == 1 or 1 - (1 - p) ** (need - 1) < chance
            assert extraction_probability(math.log(p), need) == pytest.approx(1 - (1 - p) ** need)
    assert rounded_queries(math.inf) == math.inf


def test_a_temperature_that_makes_logits_infinite_is_refused(llama: Any) -> None:
    with pytest.raises(BadInput, match="at least 1e-06"):
        wb.run("extraction", llama, {"text": "x", "temperature": 1e-38})


# -- ids that no text has --------------------------------------------------------------------------


def test_ids_that_no_text_has_take_part_and_are_said() -> None:
    """A model with more ids than its tokenizer: they are in every sum, and end a match where
    they are likeliest.
    """
    model = padded()
    nobody = textless(model)
    assert set(nobody) == set(range(model.card.d_vocab)) - set(model.tokenizer.get_vocab().values())
    text = "The capital of Peru is Lima. " * 9
    found = wb.run(
        "extraction", model, {"text": text, "context": [8], "suffix": 8, "stride": 8, "top_k": 0}
    )
    tokens = found.tables["tokens"].query("part == 'suffix'")
    said = found.findings["textless"]
    assert said.values["n_ids"] == len(nobody)
    assert (
        said.values["n_greedy"]
        == tokens["greedy_token"].str.contains("which no text has").sum()
        > 0
    )
    assert f"{len(nobody)} token ids that no text has" in said.says
    ids = model.continuation_tokens(text)
    one = Window(0, 0, (), tuple(ids[:8]), tuple(ids[8:16]))
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([ids[:15]])).logits[0, 7:].tolist()
    expected = sum(
        math.log(plain(x, Sampler(1.0))[token]) for x, token in zip(logits, one.suffix, strict=True)
    )
    assert score(model, [one], Sampler(1.0)).log_p[0] == pytest.approx(expected, abs=1e-4)
    assert (
        "textless"
        not in wb.run("extraction", full(), {"text": text, "context": [8], "suffix": 8}).findings
    )


def full() -> Any:
    """A model with as many ids as its tokenizer has tokens."""
    known = len(tiny.tiny_tokenizer())
    return padded(known - tiny.VOCABULARY)


def padded(extra: int = 250) -> Any:
    """A byte-level model with as many ids again that its tokenizer has no token for."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tiny.VOCABULARY + extra,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return wb.load((tiny._built(LlamaForCausalLM, config, 0), tiny.tiny_tokenizer()))


def with_beginning() -> Any:
    from tokenizers import processors

    tokenizer = tiny.tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<eos> $A", special_tokens=[("<eos>", 0)]
    )
    return wb.load((tiny.tiny_llama(), tokenizer))


@pytest.mark.parametrize(
    "build", [padded, with_beginning], ids=["padded", "with a beginning token"]
)
def test_the_prompt_that_is_shown_elicits_the_string_when_it_is_typed(build: Any) -> None:
    model = build()
    strings = ["q", "Z", "is"]
    asked = {
        "text": "The capital of Peru is Lima. " * 9,
        "context": [8],
        "suffix": 8,
        "compress": strings,
        "compress_steps": 60,
    }
    table = wb.run("extraction", model, asked).tables["compression"]
    assert (table["prompt_tokens"] > 0).any()
    for row in table[table["prompt_tokens"] > 0].itertuples():
        ids = model.tokens(row.prompt)
        assert len(ids) == row.prompt_tokens + len(model.tokens("a")) - len(
            model.continuation_tokens("a")
        )
        assert row.prompt.isprintable()
        said: list[int] = []
        with torch.no_grad():
            for _ in range(row.string_tokens):
                said.append(
                    int(
                        model.module(input_ids=torch.tensor([[*ids, *said]])).logits[0, -1].argmax()
                    )
                )
        assert model.tokenizer.decode(said) == row.string


def test_only_what_can_be_typed_is_a_prompt(llama: Any) -> None:
    assert typed(llama, llama.continuation_tokens("The capital of")) == "The capital of"
    assert typed(llama, llama.continuation_tokens("a line\nbreak")) is None
    assert typed(llama, llama.continuation_tokens("a space ")) is None
    the = llama.continuation_tokens("The")
    apart = [llama.continuation_tokens(letter)[0] for letter in "The"]
    assert the != apart  # read as one token, so these three are no prompt
    assert typed(llama, apart) is None
    assert not reads_back(llama, apart)
    assert typed(llama, [textless(llama)[0]]) is None
    for i in printable(llama):
        text = llama.tokenizer.decode([i])
        assert text.isprintable()
        assert i not in llama.tokenizer.all_special_ids


def test_replaced_tokens_are_those_a_text_can_have() -> None:
    model = padded()
    prefix = model.continuation_tokens("The safe opens with 7 4 1 9, and the other one")
    choices, draw = printable(model), random.Random(0)
    assert max(choices) < len(model.tokenizer.get_vocab())
    for at, token in enumerate(prefix):
        for _ in range(5):
            new = triggers._other(model, draw, choices, prefix, at)
            assert new != token
            text = model.tokenizer.decode([*prefix[:at], new, *prefix[at + 1 :]])
            assert model.continuation_tokens(text) == [*prefix[:at], new, *prefix[at + 1 :]]


def test_a_string_the_tokenizer_alters_is_named() -> None:
    from tokenizers import normalizers

    tokenizer = tiny.tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    model = wb.load((tiny.tiny_llama(), tokenizer))
    asked = {
        "text": "the capital of peru. " * 9,
        "context": [8],
        "suffix": 8,
        "compress": ["PERU"],
        "compress_steps": 1,
    }
    assert "'PERU'" in wb.run("extraction", model, asked).findings["altered"].says


def test_a_tokenizer_without_a_single_printable_token_finds_no_prompt(llama: Any) -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    assert compression.search(llama, [5], 5, 3, torch.Generator(), nothing) == (None, 0)


# -- long documents --------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_scores_after_2000_tokens_are_those_of_a_plain_loop(whole: bool) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    module = tiny._built(LlamaForCausalLM, config, 0)
    model = wb.load((module, tiny.tiny_tokenizer()))
    document = np.random.default_rng(0).integers(1, tiny.VOCABULARY, 5000)
    for start in (0, 1500):  # twelve tokens of these suffixes are what the model says
        for at in range(start + 2000, start + 2012):
            with torch.no_grad():
                ids = torch.from_numpy(document[None, start:at])
                document[at] = int(module(input_ids=ids, logits_to_keep=1).logits[0, -1].argmax())
    cut = [
        Window(
            0,
            start,
            (),
            tuple(map(int, document[start : start + 2000])),
            tuple(map(int, document[start + 2000 :][:50])),
        )
        for start in range(0, 2901, 725 if whole else 1500)
    ] + [
        Window(
            0, 1500, (), tuple(map(int, document[1500:3500])), tuple(map(int, document[3500:3550]))
        )
    ]
    sampler = Sampler(0.8, top_k=50, top_p=0.95)
    found = score(model, cut, sampler, whole=whole, floor=-60.0)
    for row, window in enumerate(cut):
        with torch.no_grad():
            logits = (
                module(input_ids=torch.tensor([[*window.prefix, *window.suffix]]))
                .logits[0, 1999:-1]
                .double()
                .tolist()
            )
        match = next(i for i, x in enumerate(logits) if int(np.argmax(x)) != window.suffix[i])
        assert found.match[row] == match
        for i in range(found.read[row]):
            x, token = logits[i], window.suffix[i]
            assert found.logprob[row, i] == pytest.approx(
                x[token] - max(x) - math.log(sum(math.exp(v - max(x)) for v in x)), abs=1e-3
            )
        drawn = [plain(x, sampler)[token] for x, token in zip(logits, window.suffix, strict=True)]
        expected = sum(map(math.log, drawn)) if all(drawn) else -math.inf
        if found.read[row] == 50:
            assert found.log_p[row] == pytest.approx(expected, abs=1e-2)
    assert {12} <= set(found.match.tolist())
