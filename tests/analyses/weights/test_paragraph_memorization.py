"""`paragraph-memorization` on the organism whose memories are known, part by part against the
plain way of doing it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.text_source import Texts, windows_of
from analyses.weights.paragraph_memorization import (
    edit,
    gradient_maps,
    groups,
    heads,
    patching,
    triggers,
)
from analyses.weights.paragraph_memorization.constants import (
    GROUPS,
    MASKS,
    MEMORIZED,
    NOT,
    PARTLY,
    Mask,
)
from analyses.weights.paragraph_memorization.groups import Passage
from hooks.weights import requires_grad
from tests.helpers.same_weights import same, weights_of
from workbench.errors import BadInput
from workbench.progress import Progress


@pytest.fixture(scope="module")
def passages(organism: Any) -> list[Passage]:
    documents, cut, _, _ = windows_of(organism, Texts(), 50, 50, 100, 500, [])
    chosen, _ = groups.choose(documents, cut, score(organism, cut, Sampler(0)), 4)
    return chosen


# -- which passages --------------------------------------------------------------------------------


def test_groups_are_by_match_and_alike(passages: list[Passage]) -> None:
    by_group = {g: [p for p in passages if p.group == g] for g in GROUPS}
    assert [len(mine) for mine in by_group.values()] == [4, 4, 4]
    assert {p.match for p in by_group[MEMORIZED]} == {50}
    assert all(10 < p.match < 50 for p in by_group[PARTLY])
    assert all(p.match <= 10 for p in by_group[NOT])
    assert len({p.kind for p in by_group[MEMORIZED]}) == 4
    assert [p.kind for p in by_group[NOT]] == [p.kind for p in by_group[MEMORIZED]]
    assert len({p.window for p in passages}) == len(passages)


def test_of_the_others_the_nearest_loss_is_taken() -> None:
    kinds, loss = np.array(["a", "a", "b", "a", "b"]), np.array([0.0, 3.0, 0.1, 1.0, 2.0])
    assert groups._alike([0], np.array([1, 2, 3, 4]), kinds, loss) == [3]
    assert groups._alike([0, 0, 0, 0], np.array([1, 2]), kinds, loss) == [1, 2]


def test_recited_is_what_generate_says(organism: Any, passages: list[Passage]) -> None:
    match, loss = groups.greedy_match(organism, [(p.prompt, p.suffix) for p in passages])
    assert match.tolist() == [p.match for p in passages]
    for passage, said in zip(passages, match, strict=True):
        ids = torch.tensor(
            [passage.prompt]
        )  # whose first token is also what generation would take for padding
        options = {
            "do_sample": False,
            "eos_token_id": None,
            "pad_token_id": 0,
            "max_new_tokens": 50,
        }
        out = organism.module.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), **options
        )[0, ids.shape[1] :].tolist()
        leading = next(
            (n for n, (a, b) in enumerate(zip(out, passage.suffix, strict=True)) if a != b), 50
        )
        assert leading == said
    np.testing.assert_allclose(loss, [p.loss for p in passages], atol=1e-5)


# -- triggers --------------------------------------------------------------------------------------


def test_triggers_equal_asking_again_with_each_token_replaced(
    organism: Any, passages: list[Passage]
) -> None:
    chosen = [passages[0], passages[-1]]
    own = [passages[0].suffix, passages[-1].suffix[::-1]]
    found = triggers.perturb(organism, chosen, own, 2, 0, Progress())
    for n, passage in enumerate(chosen):
        base, base_loss = groups.greedy_match(organism, [(passage.prompt, own[n])])
        for draw in (0, 1):
            for at in (0, 17, 47, 49):
                place = passage.beginning + at
                new = int(found.tokens[n, draw, at])
                assert new != passage.prompt[place]
                changed = [*passage.prompt[:place], new, *passage.prompt[place + 1 :]]
                match, loss = groups.greedy_match(organism, [(changed, own[n])])
                assert found.match[n, draw, at] == match[0] - base[0]
                assert found.loss[n, draw, at] == pytest.approx(loss[0] - base_loss[0], abs=1e-4)
    at, draw = found.worst(0)
    assert found.match[0, draw, at] == found.match[0].min()


# -- weights ---------------------------------------------------------------------------------------


def test_gradient_maps_are_those_of_autograd(organism: Any, passages: list[Passage]) -> None:
    chosen = [p for p in passages if p.group in (MEMORIZED, NOT)][::2]
    table, low = gradient_maps.gradient_map(organism, chosen, Progress())
    for group in (MEMORIZED, NOT):
        mine = [p for p in chosen if p.group == group]
        largest, together = np.zeros(8), torch.zeros(0)
        q = organism.module.model.layers[2].self_attn.q_proj.weight
        shares = []
        for passage in mine:
            ids = torch.tensor([[*passage.prompt, *passage.suffix]])
            logits = organism.module(input_ids=ids).logits[0, len(passage.prompt) - 1 : -1]
            value = torch.nn.functional.cross_entropy(logits, ids[0, len(passage.prompt) :])
            (gradient,) = torch.autograd.grad(value, [q])
            of_heads = gradient.view(8, 20, 160)
            largest += of_heads.abs().amax((1, 2)).numpy() / len(mine)
            together = of_heads / len(mine) + (together if len(together) else 0)
            shares.append(passage.number)
        rows = table[
            (table["group"] == group) & (table["matrix"] == "W_Q") & (table["layer"] == 2)
        ].sort_values("head")
        np.testing.assert_allclose(rows["max"], largest, rtol=1e-3)
        np.testing.assert_allclose(
            rows["batch_rms"], together.square().mean((1, 2)).sqrt().numpy(), rtol=1e-3
        )
        assert low.loc[low["group"] == group, "passage"].tolist() == shares
    for size in gradient_maps.SIZES:
        np.testing.assert_allclose(table.groupby("group")[f"share_{size}"].sum(), 1.0)
    assert ((low["lower_share_max"] > 0) & (low["lower_share_max"] < 1)).all()


# -- patching --------------------------------------------------------------------------------------


def test_all_of_the_difference_passes_the_replaced_token(
    organism: Any, passages: list[Passage]
) -> None:
    memorized = [p for p in passages if p.group == MEMORIZED][:1]
    perturbed = triggers.perturb(
        organism, memorized, [p.suffix for p in memorized], 1, 0, Progress()
    )
    (twin,) = patching.twins(organism, memorized, perturbed)
    said, _ = groups.greedy_match(organism, [(twin.prompt, twin.passage.suffix)])
    assert said[0] == twin.divergence_position
    assert sum(a != b for a, b in zip(twin.prompt, twin.passage.prompt, strict=True)) == 1
    arrays = patching.patch(organism, [twin], Progress())
    before = arrays["patch_baseline"].isel(passage=0)
    gap = float(before.sel(direction=patching.BREAK) - before.sel(direction=patching.RESTORE))
    first = arrays["patch_positions"].isel(passage=0).sel(site="resid_pre", layer=0, pos=twin.at)
    assert float(first.sel(direction=patching.RESTORE)) == pytest.approx(gap, abs=1e-3)
    assert float(first.sel(direction=patching.BREAK)) == pytest.approx(-gap, abs=1e-3)
    assert gap > 0.5


# -- heads -----------------------------------------------------------------------------------------


def test_correlations_are_scipys() -> None:
    draw = np.random.default_rng(0)
    values, ranks = draw.random((2, 3, 20)), np.sort(draw.integers(0, 9, 20))
    found = heads._correlations(values, ranks)
    for i in range(2):
        for j in range(3):
            assert found[i, j] == pytest.approx(spearmanr(values[i, j], ranks).statistic)
    assert math.isnan(heads._correlations(np.ones((1, 1, 20)), ranks)[0, 0])
    assert heads._dense_ranks([5, 1, 5, 90]).tolist() == [1, 0, 1, 2]


def test_a_head_that_looks_at_rare_tokens_is_found_and_an_even_one_gets_chance(
    organism: Any, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known truth: attention made of the counts themselves, and attention that is the same
    everywhere.
    """
    import xarray as xr

    counts = Counter({token: 1 + token % 37 for passage in passages for token in passage.prompt})

    def made(model: Any, prompts: list[list[int]], **asked: Any) -> dict[str, xr.DataArray]:
        rare = np.array([1.0 / counts[t] for t in prompts[0]])
        both = np.stack([rare / rare.sum(), np.full(len(rare), 1 / len(rare))])
        dims, coords = ("prompt", "layer", "head", "query", "key"), {"layer": [0], "head": [0, 1]}
        return {"pattern": xr.DataArray(both[None, None, :, None], dims=dims, coords=coords)}

    monkeypatch.setattr(heads, "capture", made)
    found = heads.rare_token_attention(organism, passages, counts, Progress())
    assert float(found["within"].sel(layer=0, head=0)) == pytest.approx(-1)
    assert math.isnan(float(found["within"].sel(layer=0, head=1)))
    assert float(found["pooled"].sel(layer=0, head=1)) == pytest.approx(
        found.attrs["chance"], abs=0.05
    )
    assert found.attrs["chance"] < -0.2  # which is why the pooled number alone proves little


def test_halves_share_nothing_and_both_have_every_kind(passages: list[Passage]) -> None:
    many = [p for p in passages if p.group == MEMORIZED] * 2
    choosing, held_out = heads.halves(many)
    assert len(choosing) == len(held_out) == 4
    assert not heads.halves([p for p in passages if p.group == NOT])[0]


# -- removal ---------------------------------------------------------------------------------------


def task_of(organism: Any, passages: list[Passage]) -> edit.Task:
    memorized = [p for p in passages if p.group == MEMORIZED]
    plain = groups.neutral(organism, 100, [0], 4)
    rest = [(p.prompt, p.suffix) for p in memorized[1:]]
    return edit.Task(memorized[0], "unlearn", [], [*plain[:2], rest[0]], rest[1:], plain[2:])


@pytest.mark.parametrize("mask", MASKS)
def test_an_update_touches_its_weights_only_and_leaves_the_model_as_it_was(
    organism: Any, passages: list[Passage], mask: Mask
) -> None:
    before, changed = weights_of(organism), edit.Weights(organism)
    frozen = [p.requires_grad for p in organism.module.parameters()]
    outcome = edit.apply_edit(changed, task_of(organism, passages), mask, 0.001, 0.05, 2, 0)
    assert same(before, organism)
    assert [p.requires_grad for p in organism.module.parameters()] == frozen
    expected = changed.total if mask == "all" else round(changed.total * 0.001)
    assert outcome.delta.size == outcome.row["n_weights"] == expected
    assert len(outcome.curve) == outcome.row["steps"]
    with outcome.delta.applied(organism.module):
        moved = sum(
            int((a != b).sum()) for a, b in zip(before, organism.module.parameters(), strict=True)
        )
        assert 0 < moved <= expected
        passage = task_of(organism, passages).passage
        match = groups.greedy_match(organism, [(passage.prompt, passage.suffix)])[0]
        assert match[0] == outcome.row["prefix_match"]  # the change is the whole of it
    assert same(before, organism)


def test_random_masks_have_the_same_count_in_every_matrix(
    organism: Any, passages: list[Passage]
) -> None:
    changed, task = edit.Weights(organism), task_of(organism, passages)
    with requires_grad(changed.parameters):
        best = edit._places(changed, task, task.passage.suffix, "contrast", 0.001, 0)
        drawn = edit._places(changed, task, task.passage.suffix, "random", 0.001, 0)
        again = edit._places(changed, task, task.passage.suffix, "random", 0.001, 1)
    assert [len(a) for a in best] == [len(b) for b in drawn]
    assert all(len(set(index.tolist())) == len(index) for index in drawn)
    assert not all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))


def test_the_divergence_is_flat_before_the_first_step(
    organism: Any, passages: list[Passage]
) -> None:
    """So the first gradient is that of the passage alone, as the method's card says."""
    task, changed = task_of(organism, passages), edit.Weights(organism)
    reference = edit._log_p(organism, task.keep)
    with requires_grad(changed.parameters):
        value = edit._divergence(organism, task.keep, reference)
        gradients = torch.autograd.grad(value, changed.parameters)
    assert abs(float(value.detach())) < 1e-5
    assert max(float(g.abs().max()) for g in gradients) < 1e-4


def test_a_failure_in_the_middle_leaves_the_model_as_it_was(
    organism: Any, passages: list[Passage]
) -> None:
    before = weights_of(organism)

    def stop(fraction: float, says: str) -> None:
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit.apply_edit(
            edit.Weights(organism),
            task_of(organism, passages),
            "all",
            0.001,
            0.05,
            2,
            0,
            progress=stop,
        )
    assert same(before, organism)


def test_every_mask_gets_its_rate_by_the_same_procedure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest rate that does it, for each mask by itself; the largest where none does."""
    needed, tried = {"contrast": 0.01, "gradient": 0.03, "random": 1.0, "all": 0.003}, []

    def carried(
        weights: Any, task: Any, mask: str, fraction: float, rate: float, *rest: Any
    ) -> edit.Outcome:
        tried.append((mask, rate))
        row = {"learning_rate": rate, "succeeded": rate >= needed[mask]}
        return edit.Outcome(row, [], None)  # type: ignore[arg-type]

    monkeypatch.setattr(edit, "apply_edit", carried)
    for mask in MASKS:
        outcome = edit.tune_rate(None, None, mask, 0.001, edit.RATES, 20, 0)  # type: ignore[arg-type]
        assert outcome.row["learning_rate"] == min(needed[mask], edit.RATES[-1])
    assert [rate for mask, rate in tried if mask == "gradient"] == [0.003, 0.01, 0.03]


# -- bad input -------------------------------------------------------------------------------------


def test_without_others_to_compare_with_it_says_so(
    organism: Any, passages: list[Passage], tmp_path: Any
) -> None:
    only = next(p for p in passages if p.group == MEMORIZED)
    file = tmp_path / "one.txt"
    file.write_text(organism.tokenizer.decode([*only.prompt[1:], *only.suffix]), encoding="utf-8")
    with pytest.raises(BadInput, match="the suffix of all of these"):
        wb.run("paragraph-memorization", organism, {"path": str(file)})
