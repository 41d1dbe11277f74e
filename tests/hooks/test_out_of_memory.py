"""Memory that runs out in the middle: it goes on with less at once, gives the same numbers, and
says so.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks import capture_batch, out_of_memory
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
