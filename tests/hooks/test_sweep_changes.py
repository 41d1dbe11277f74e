"""Several changes in one sweep: the numbers of one sweep each, and the prompts are read once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sweep_families import FAMILIES, PROMPTS, SOURCES, TARGETS, built

import workbench as wb
from hooks.sweeps import runner, sweep
from tests.helpers.capturing import hooks_on
from workbench.errors import BadInput, NotFound

CHANGES = {
    "zero": "zero",
    "mean": wb.Mean(SOURCES),
    "resample": wb.Resample(SOURCES, seed=3),
    "patch 0": wb.Patch(SOURCES),
    "patch 1": wb.Patch(PROMPTS[0], align="end"),
    "noise": wb.Noise(1.0, seed=5),
}


def check(model, names, **options):
    """One sweep with these changes equals one sweep for each."""
    changes = [CHANGES[name] for name in names]
    together = sweep(model, PROMPTS, TARGETS, change=changes, **options)
    assert together["effect"].dims[:2] == ("prompt", "change")
    largest = 0.0
    for number, change in enumerate(changes):
        alone = sweep(model, PROMPTS, TARGETS, change=change, **options)
        own = together.isel(change=number, drop=True)
        assert own["effect"].dims == alone["effect"].dims
        assert list(own.coords) == list(alone.coords)
        assert together.attrs["change"][number] == alone.attrs["change"]
        for name in alone:
            torch.testing.assert_close(
                torch.as_tensor(own[name].values),
                torch.as_tensor(alone[name].values),
                atol=1e-4,
                rtol=1e-4,
                equal_nan=True,
            )
        if "source" in together and "source" not in alone:
            assert own["source"].isnull().all()
        largest = max(largest, float(abs(alone["effect"]).max()))
    assert largest > 1e-3  # the comparison would pass on nothing but zeros
    assert hooks_on(model) == 0
    return together


QUICK = ("GPT2", "Gemma3Text")
"""Families of make test: learned positions with plain norms, and rotary ones with norms around."""


@pytest.mark.parametrize("over", ["heads", "positions"])
@pytest.mark.parametrize(
    "family",
    [
        family if family in QUICK else pytest.param(family, marks=pytest.mark.verify)
        for family in FAMILIES
    ],
)
def test_several_changes_equal_one_sweep_each_in_every_family(family, over):
    found = check(built(family), list(CHANGES), over=over)
    assert found["change"].values.tolist() == list(CHANGES)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_several_changes_equal_one_sweep_each_however_work_is_cut(llama, data):
    names = data.draw(st.lists(st.sampled_from(list(CHANGES)), min_size=1, max_size=4))
    over = data.draw(
        st.sampled_from(["heads", "layers", "positions", "neurons", "edges", wb.Edges([(2, 1)])])
    )
    edges = over == "edges" or isinstance(over, wb.Edges)
    method = "exact" if edges else data.draw(st.sampled_from(["exact", wb.Attribution(2, seed=1)]))
    reads = ["logit", "logit_diff"] if edges or method != "exact" else ["logit_diff", "kl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "WALK", data.draw(st.sampled_from([10**5, 10**6, 2**28])))
        patch.setattr(runner, "RECORD", data.draw(st.sampled_from([1, 10**5, 2**29])))
        patch.setattr(runner, "STRETCHES", data.draw(st.sampled_from([1, 3, 8])))
        check(
            llama,
            names,
            over=over,
            method=method,
            positions=data.draw(st.sampled_from(["last", "all", [-1], [0]])),
            read=data.draw(st.sampled_from(reads)),
        )


def test_a_continuation_follows_the_sources_of_every_change(llama):
    changes = [CHANGES[name] for name in ("zero", "patch 0", "noise")]
    options = {"read": "continuation", "positions": "all"}
    together = sweep(llama, PROMPTS, TARGETS, change=changes, **options)["effect"]
    for number, change in enumerate(changes):
        alone = sweep(llama, PROMPTS, TARGETS, change=change, **options)["effect"]
        torch.testing.assert_close(
            torch.as_tensor(together.isel(change=number).values),
            torch.as_tensor(alone.values),
            atol=1e-4,
            rtol=1e-4,
        )


@pytest.mark.parametrize("over", ["heads", "edges", wb.Edges([(2, 1)])])
def test_prompts_are_read_once_for_all_changes(llama, over, monkeypatch):
    """A patch reads its source besides, and a mean its reference; nothing else is read again."""
    passes = []
    forward = type(llama).forward
    monkeypatch.setattr(
        type(llama), "forward", lambda self, **given: passes.append(1) or forward(self, **given)
    )
    counts = []
    for changes in (["zero"], ["zero", "zero"], ["zero", CHANGES["patch 1"], CHANGES["mean"]]):
        passes.clear()
        sweep(llama, PROMPTS, TARGETS, over=over, change=changes)
        counts.append(len(passes))
    assert counts == [counts[0], counts[0], counts[0] + 2]


def test_what_is_no_list_of_changes_is_said(llama):
    for changes, error, says in [
        ([], BadInput, "There is no change"),
        (["zero", "zeros"], NotFound, "Did you mean 'zero'"),
        ([wb.Zero(), "mean"], BadInput, "reference is missing"),
        ([wb.Zero(), None], NotFound, "way to change"),
        (["zero", wb.Patch(["a", "b"])], BadInput, "2 sources for 1 prompts"),
    ]:
        with pytest.raises(error, match=says):
            sweep(llama, "Nobody", [5], change=changes)
