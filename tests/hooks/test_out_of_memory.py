"""Memory that runs out in the middle: it goes on with less at once, gives the same numbers, and
says so.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from analyses.weights.paragraph_memorization.groups import greedy_match
from hooks import capture_batch, out_of_memory
from hooks.decode import InterventionDecoder
from hooks.features import activation_stream
from hooks.gradients.parameters import gradient_norms
from hooks.metrics import logit_difference
from hooks.prefix_cache import PrefixCache
from hooks.sweeps import batched_forward
from tests.helpers import tiny
from workbench.errors import WorkbenchError

PROMPTS = ["the cat sat on a mat", "a dog", "the cat sat on the dog", "no", "a mat"]
TARGETS = [[3, 4]] * len(PROMPTS)


@pytest.fixture
def model():
    return wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))


def walks_of(monkeypatch, most):
    """A card that holds so many variants of prompts, and what was asked of it."""
    asked, real = [], batched_forward.BatchedForward.run

    def run(self):
        size = sum(e.count for e in self.edits) * self.suffix.shape[0]
        asked.append(size)
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self)

    monkeypatch.setattr(batched_forward.BatchedForward, "run", run)
    return asked


def passes_of(monkeypatch, most):
    """A processor that holds so many tokens in one pass of a capture."""
    real = capture_batch.run

    def run(model, plans, ids, *more):
        real(model, plans[:1] if len(ids) > most else plans, ids, *more)
        if len(ids) > most:  # after something was written already
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(capture_batch, "run", run)


@pytest.mark.parametrize("over", ["heads", "layers", "positions", "edges"])
@pytest.mark.parametrize("most", [12, 3])
def test_a_sweep_goes_on_with_less(over, most, model, monkeypatch):
    asked = {"over": over, "read": "logit_diff"}
    whole = wb.sweep(model, PROMPTS, TARGETS, **asked)["effect"]
    assert model.smaller_batches() is None
    sizes = walks_of(monkeypatch, most)
    with pytest.warns(out_of_memory.OutOfMemory, match="goes on with smaller batches"):
        less = wb.sweep(model, PROMPTS, TARGETS, **asked)["effect"]
    np.testing.assert_allclose(less.values, whole.values, atol=2e-5)
    assert sizes[-1] <= most < sizes[0]
    assert "went on in smaller pieces" in model.smaller_batches()


def test_attribution_goes_on_with_less(model, monkeypatch):
    whole = wb.sweep(model, PROMPTS, TARGETS, method=wb.Attribution(), read="logit_diff")["effect"]
    from hooks.sweeps import attribution

    real = attribution._one_batch

    def one_batch(job, batch, prompts):
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(job, batch, prompts)

    monkeypatch.setattr(attribution, "_one_batch", one_batch)
    with pytest.warns(out_of_memory.OutOfMemory):
        less = wb.sweep(model, PROMPTS, TARGETS, method=wb.Attribution(), read="logit_diff")
    np.testing.assert_allclose(less["effect"].values, whole.values, atol=2e-5)


@pytest.mark.parametrize("prompts", [PROMPTS, ["a dog", "the dog"]])
def test_a_capture_goes_on_with_less_in_memory_and_on_disk(prompts, model, monkeypatch, tmp_path):
    sites = ["z", "resid_post", "pattern"]
    whole = wb.capture(model, prompts, sites=sites)
    passes_of(monkeypatch, 1)
    with pytest.warns(out_of_memory.OutOfMemory):
        kept = [
            wb.capture(model, prompts, sites=sites),
            wb.capture(model, prompts, sites=sites, out=tmp_path / "trace"),
        ]
    for less in kept:
        for site in sites:
            np.testing.assert_allclose(less[site].values, whole[site].values, atol=2e-5)


def test_with_a_single_prompt_it_ends_with_a_sentence(model, monkeypatch):
    walks_of(monkeypatch, 0)
    with (
        pytest.warns(out_of_memory.OutOfMemory),
        pytest.raises(WorkbenchError, match="ran out with a single prompt"),
    ):
        wb.sweep(model, PROMPTS, TARGETS, read="logit_diff")


def test_other_errors_are_left_alone(model):
    with pytest.raises(RuntimeError, match="shapes"):
        out_of_memory.fits(model, lambda: torch.ones(2, 3) @ torch.ones(2, 3))
    assert model.shrunk == 0


def test_a_run_says_that_memory_ran_out(model, monkeypatch):
    forward = type(model).forward

    def once(self, **given):
        if not self.shrunk:
            assert not out_of_memory.fits(self, lambda: (_ for _ in ()).throw(MemoryError()))
        return forward(self, **given)

    monkeypatch.setattr(type(model), "forward", once)
    with pytest.warns(out_of_memory.OutOfMemory):
        result = wb.run("intervention", model, {"prompt": PROMPTS[0]})
    assert result.provenance.notes["memory"].startswith("Memory ran out: 1 batch went on")


def rows_of(model, monkeypatch, most):
    """A card that holds so many rows in one pass; what was asked of it. It fails at the end of a
    pass, with all that was hooked on the way already there.
    """
    asked, real = [], model.module.lm_head.forward

    def forward(x):
        asked.append(len(x))
        if len(x) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(x)

    monkeypatch.setattr(model.module.lm_head, "forward", forward)
    return asked


def less_and_whole(model, monkeypatch, work):
    """What `work` gives with memory for two rows and with enough, in this order."""
    whole, model.shrunk = work(), 0
    with monkeypatch.context() as patch:
        asked = rows_of(model, patch, 2)
        with pytest.warns(out_of_memory.OutOfMemory):
            less = work()
    assert max(asked) > 2, "it read no more than two at once anyway"
    assert "went on in smaller pieces" in model.smaller_batches()
    return less, whole


def test_logits_gradients_and_integrated_gradients_go_on_with_less(model, monkeypatch):
    prompts = [*PROMPTS, "a dog", "a dog"]
    metrics = [logit_difference(model, n, n + 1) for n in range(len(prompts))]
    works = {
        "logits": lambda: model.next_logits(prompts).numpy(),
        "gradients": lambda: (
            wb.activation_gradients(model, prompts, metrics, sites="z")["z"].values
        ),
        "integrated": lambda: (
            wb.integrated_gradients(model, prompts[:2], metrics[:2], sites="resid_post", steps=8)[
                "resid_post"
            ].values
        ),
    }
    for name, work in works.items():
        less, whole = less_and_whole(model, monkeypatch, work)
        np.testing.assert_allclose(less, whole, atol=2e-5, err_msg=name)


def test_decoding_under_a_change_goes_on_with_less(model, monkeypatch):
    ids = [model.tokens(prompt) for prompt in PROMPTS]
    answers = [[3, 4, 5], [6], [7, 8], [9, 3, 4], [5]]

    def work():
        given = InterventionDecoder(model, ids)
        found = []
        for factors in ({}, {(1, 0): 0.0, (2, 3): 2.0}):
            with given.with_head_scales(factors) as session:
                found += [c.first for c in session.complete(lambda row, text: False, 4)]
                texts = [c.text for c in session.complete(lambda row, text: row == 1, 4)]
                found += [float(x) for each in session.logp(answers) for x in each]
                found += [sum(map(ord, text)) for text in texts]
        return np.array(found)

    less, whole = less_and_whole(model, monkeypatch, work)
    np.testing.assert_allclose(less, whole, atol=2e-5)


def test_memory_that_runs_out_under_the_change_alone(model, monkeypatch):
    """The prompts are read anew, fewer at once, outside of the change."""
    ids = [model.tokens(prompt) for prompt in PROMPTS]

    def work():
        with InterventionDecoder(model, ids).with_head_scales({(1, 0): 0.0}) as session:
            return session.logp([[3], [4], [5], [6], [7]])[1].numpy()

    whole, real = work(), PrefixCache.state

    def state(self, lowest):
        if len(self.prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, lowest)

    monkeypatch.setattr(PrefixCache, "state", state)
    with pytest.warns(out_of_memory.OutOfMemory):
        np.testing.assert_allclose(work(), whole, atol=2e-5)


@pytest.mark.parametrize("whole", [True, False])
def test_windows_are_scored_with_less(whole, model, monkeypatch):
    windows = [
        Window(0, 0, (), tuple((5 * i + n) % 300 for i in range(6)), (n + 3, n + 4, n + 5))
        for n in range(7)
    ]

    def work():
        return vars(score(model, windows, Sampler(), whole=whole, floor=-12.0))

    less, all_at_once = less_and_whole(model, monkeypatch, work)
    for name, values in all_at_once.items():
        np.testing.assert_allclose(less[name], values, atol=2e-5, err_msg=name)


def test_passages_and_windows_of_features_are_read_with_less(model, monkeypatch):
    ids = [[(5 * i + n) % 300 for i in range(8)] for n in range(5)]
    passages = [(row[:4], row[4:]) for row in ids]
    for work in (
        lambda: np.concatenate(greedy_match(model, passages)),
        lambda: activation_stream.token_losses(model, ids).numpy(),
    ):
        less, whole = less_and_whole(model, monkeypatch, work)
        np.testing.assert_allclose(less, whole, atol=2e-5)


def test_gradients_by_weights_go_on_with_less(model, monkeypatch):
    prompts = [[n, n + 1, n + 2, n + 3] for n in range(5)]

    def work():
        found = gradient_norms(model, prompts, weights=["W_O"])
        return found["W_O"].values

    whole = work()
    real = torch.func.vmap

    def vmap(function, in_dims):
        mapped = real(function, in_dims)

        def run(parameters, batch):
            if len(batch) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return mapped(parameters, batch)

        return run

    monkeypatch.setattr(torch.func, "vmap", vmap)
    with pytest.warns(out_of_memory.OutOfMemory):
        less = work()
    np.testing.assert_allclose(less, whole, atol=2e-5)
