"""What `extraction` says from one pass, against real decoding, real sampling and plain sums over
the vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from analyses.measures import windows
from analyses.measures.decoding import (
    continuations,
    edit_distance,
    longest_common_substring,
    token_accuracy,
)
from analyses.measures.sampler import Sampler
from analyses.measures.sampling import extraction_probability, log_q, queries_needed
from analyses.measures.scoring import score
from analyses.measures.statistics import auc, spearman
from analyses.measures.window_scores import stages
from analyses.measures.windows import Window
from analyses.weights.extraction import membership
from tests.helpers import families, tiny
from tests.helpers.real_decoding import hf_probabilities, made_windows
from workbench.texts import Document

SCHEMES = [
    Sampler(0),
    Sampler(1.0),
    Sampler(0.7),
    Sampler(1.0, top_k=5),
    Sampler(1.3, top_p=0.6),
    Sampler(0.8, top_k=20, top_p=0.7),
]


@pytest.mark.parametrize("sampler", SCHEMES, ids=str)
def test_probabilities_are_those_transformers_samples_from(sampler: Sampler) -> None:
    logits = torch.randn(64, 50, generator=torch.Generator().manual_seed(0)) * 3
    expected = hf_probabilities(logits, sampler)
    mine = torch.stack([log_q(logits, torch.full((64,), v), sampler).exp() for v in range(50)], -1)
    torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mine.sum(-1), torch.ones(64))


@given(
    st.integers(0, 10_000),
    st.floats(0.1, 5),
    st.integers(0, 30),
    st.floats(0.05, 1.0),
    st.integers(2, 30),
)
@settings(max_examples=60, deadline=None)
def test_any_sampler_sums_to_one_and_never_beats_the_likeliest(
    seed: int, t: float, k: int, p: float, vocabulary: int
) -> None:
    logits = torch.randn(4, vocabulary, generator=torch.Generator().manual_seed(seed)) * 2
    sampler = Sampler(t, k, p)
    q = torch.stack(
        [log_q(logits, torch.full((4,), v), sampler).exp() for v in range(vocabulary)], -1
    )
    torch.testing.assert_close(q.sum(-1), torch.ones(4), atol=1e-5, rtol=1e-5)
    assert (q.argmax(-1) == logits.argmax(-1)).all()


def test_wide_open_schemes_are_pure_temperature() -> None:
    logits, targets = torch.randn(9, 40), torch.randint(0, 40, (9,))
    pure = log_q(logits, targets, Sampler(0.9))
    torch.testing.assert_close(log_q(logits, targets, Sampler(0.9, top_k=40)), pure)
    torch.testing.assert_close(log_q(logits, targets, Sampler(0.9, top_k=10_000, top_p=1.0)), pure)


@given(st.floats(-60, -1e-6), st.floats(0.01, 0.999))
@settings(deadline=None)
def test_tries_and_hit_undo_each_other(log_p: float, chance: float) -> None:
    n = queries_needed(log_p, chance)
    assert n >= 1
    assert extraction_probability(log_p, n) == pytest.approx(max(chance, math.exp(log_p)), rel=1e-6)
    assert queries_needed(log_p, min(0.999, chance + 0.0005)) >= n


def test_what_never_or_always_comes() -> None:
    assert queries_needed(-math.inf, 0.5) == math.inf
    assert queries_needed(-800.0, 0.5) == math.inf  # e to that power is 0 as a float
    assert extraction_probability(-math.inf, 10**9) == 0
    assert queries_needed(0.0, 0.9) == 1
    assert extraction_probability(0.0, 1) == 1


def by_hand(model: Any, window: Window) -> tuple[int, list[int], torch.Tensor]:
    """(leading tokens greedy decoding says, what it says, logits before each suffix token), one
    token at a time.
    """
    given, said = list(window.prompt), []
    with torch.no_grad():
        for _ in window.suffix:
            said.append(
                int(model.module(input_ids=torch.tensor([[*given, *said]])).logits[0, -1].argmax())
            )
        whole = (
            model.module(input_ids=torch.tensor([[*given, *window.suffix]]))
            .logits[0, len(given) - 1 : -1]
            .float()
        )
    match = next(
        (i for i, (a, b) in enumerate(zip(said, window.suffix, strict=True)) if a != b), len(said)
    )
    return match, said, whole


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "kind", ["llama", "gpt2", "gpt_neox", "gemma2", "mixtral", "mamba", "jamba", "bloom"]
)
def test_one_pass_says_what_real_decoding_says(kind: str, whole: bool) -> None:
    model = wb.load((families.module(kind), tiny.tiny_tokenizer()))
    cut = made_windows(model)
    scores = score(model, cut, Sampler(1.0), whole=whole)
    said = continuations(model, cut, scores, range(len(cut)))
    for i, window in enumerate(cut):
        match, words, logits = by_hand(model, window)
        assert scores.match[i] == match
        assert said[i] == words
        own = logits.log_softmax(-1).gather(-1, torch.tensor(window.suffix)[:, None])[:, 0].numpy()
        read = scores.read[i]
        np.testing.assert_allclose(scores.logprob[i, :read], own[:read], atol=2e-4)
        if whole:
            assert read == len(window.suffix)
            assert scores.log_p[i] == pytest.approx(own.sum(), abs=2e-3)
            others = (
                logits.scatter(-1, torch.tensor(window.suffix)[:, None], -math.inf).max(-1).values
            )
            mine = logits.gather(-1, torch.tensor(window.suffix)[:, None])[:, 0]
            assert scores.margin[i] == pytest.approx(float((mine - others).min()), abs=2e-3)


def test_windows_are_dropped_only_where_nothing_can_come_of_them(llama: Any) -> None:
    cut = made_windows(llama, 24)
    floor = math.log(1e-6)
    whole, quick = (
        score(llama, cut, Sampler(1.0, top_k=8), whole=w, floor=floor) for w in (True, False)
    )
    np.testing.assert_array_equal(whole.match, quick.match)
    dropped = quick.read < 9
    assert dropped.any()
    kept = ~np.isnan(quick.log_p) & ~dropped
    np.testing.assert_allclose(whole.log_p[kept], quick.log_p[kept], atol=1e-3)
    assert (whole.log_p[dropped] <= floor).all()


def test_stages_cover_the_suffix() -> None:
    for n in (1, 3, 4, 5, 50, 333):
        parts = stages(n, whole=False)
        assert [i for start, end in parts for i in range(start, end)] == list(range(n))
        assert stages(n, whole=True) == [(0, n)]


@pytest.mark.parametrize("sampler", SCHEMES[1:], ids=str)
def test_closed_form_agrees_with_sampling(llama: Any, sampler: Sampler) -> None:
    """10,000 samples of three tokens; the hits lie inside the 99.9 % binomial interval of the
    closed form.
    """
    from scipy.stats import binom

    model = wb.load((tiny.tiny_llama(seed=3), tiny.tiny_tokenizer()))
    model.module.model.norm.weight.data *= (
        4  # a random model is nearly uniform: nothing would ever be drawn twice
    )
    prefix = model.continuation_tokens("The capital of France")
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        options = {
            "temperature": sampler.temperature,
            "top_k": sampler.top_k,
            "top_p": sampler.top_p,
        }
        ids = torch.tensor([prefix] * 2500)
        samples = [
            model.module.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                max_new_tokens=3,
                min_new_tokens=3,
                eos_token_id=None,
                pad_token_id=0,
                **options,
            )[:, len(prefix) :]
            for _ in range(4)
        ]
    drawn = [tuple(row) for row in torch.cat(samples).tolist()]
    with torch.no_grad():  # what greedy decoding says: chosen without looking at the samples
        target = tuple(
            model.module.generate(ids[:1], do_sample=False, max_new_tokens=3, pad_token_id=0)[
                0, len(prefix) :
            ].tolist()
        )
    scores = score(model, [Window(0, 0, (), tuple(prefix), target)], sampler)
    p = math.exp(scores.log_p[0])
    assert p > 0.002
    low, high = binom.interval(0.999, len(drawn), p)
    assert low <= drawn.count(target) <= high


def test_sampling_reaches_at_least_what_greedy_does_not_below_its_floor(llama: Any) -> None:
    cut = made_windows(llama, 24)
    greedy = score(llama, cut, Sampler(0))
    assert ((greedy.log_p == 0) == (greedy.match == 9)).all()


def test_min_k_of_everything_is_the_loss_and_scores_are_plain_sums(llama: Any) -> None:
    cut = made_windows(llama)
    scores = score(llama, cut, Sampler(1.0))
    texts = [llama.tokenizer.decode(w.suffix) for w in cut]
    values = membership.scores_of(scores, texts, share=1.0)
    np.testing.assert_allclose(values["min-k"], values["loss"], rtol=1e-6)
    _, _, logits = by_hand(llama, cut[0])
    lp = logits.log_softmax(-1)
    mu = (lp.exp() * lp).sum(-1)
    sigma = ((lp.exp() * lp**2).sum(-1) - mu**2).sqrt()
    np.testing.assert_allclose(scores.surprise[0], mu, rtol=1e-4)
    np.testing.assert_allclose(scores.spread[0], sigma, rtol=1e-3)


def test_scores_do_not_break_where_the_model_is_certain() -> None:
    """One token has all the mass: the standard deviation is zero, and the score finite."""
    one = np.zeros((1, 3), np.float32)
    from analyses.measures.window_scores import Scores

    certain = Scores(
        *(np.zeros(1) for _ in range(4)),
        logprob=one,
        surprise=one,
        spread=one,
        likeliest=one.astype(int),
    )
    assert all(np.isfinite(v).all() for v in membership.scores_of(certain, ["abc"]).values())


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=30),
    st.lists(st.integers(0, 6), min_size=2, max_size=30),
)
@settings(deadline=None)
def test_auc_is_the_share_of_pairs(a: list[int], b: list[int]) -> None:
    pairs = [1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b]
    value, low, high = auc(np.array(a), np.array(b))
    assert value == pytest.approx(np.mean(pairs))
    assert low <= value <= high
    assert auc(np.array(b), np.array(a))[0] == pytest.approx(1 - value)


def test_rates_at_few_false_alarms_are_conservative() -> None:
    others, members = np.arange(1000.0), np.array([989.0, 990.0, 991.0, 2000.0])
    assert (
        membership.tpr_at_fpr(members, others, 0.01) == 0.75
    )  # above 989 lie just ten of the others
    assert membership.tpr_at_fpr(members, others, 1.0) == 1.0


def test_spearman_of_what_does_not_vary_is_unknown() -> None:
    assert math.isnan(spearman(np.ones(5), np.arange(5)))
    assert spearman(np.arange(5), np.arange(5) ** 3) == pytest.approx(1)


def test_near_verbatim_measures() -> None:
    assert edit_distance([1, 2, 3, 4], [1, 2, 3, 4]) == 0
    assert edit_distance([9, 1, 2, 3], [1, 2, 3, 4]) == 0.5  # one in, one out
    assert token_accuracy([9, 1, 2, 3], [9, 2, 2, 4]) == 0.5
    assert longest_common_substring("the cat sat", "a cat sad") == len(" cat sa")


def test_windows_lie_where_they_should(llama: Any) -> None:
    text = "The capital of France is Paris. Nobody remembers."
    ids = llama.continuation_tokens(text)
    documents, cut, short = windows.cut(llama, [Document("a", text), Document("b", "x")], 5, 4, 3)
    assert [d.name for d in documents] == ["a"]
    assert [d.name for d in short] == ["b"]
    assert [w.start for w in cut] == list(range(0, len(ids) - 8, 3))
    for w in cut:
        assert [*w.prefix, *w.suffix] == ids[w.start : w.start + 9]
