"""`paragraph-memorization` on the organism whose memories are known, part by part against the
plain way of doing it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr, ttest_ind

import workbench as wb
from analyses.claims import FAILS, OPEN, PART, REPLICATES, say_claims
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.text_source import Texts, windows_of
from analyses.weights.paragraph_memorization import (
    claims,
    edit,
    gradient_maps,
    groups,
    heads,
    patching,
    triggers,
    weight_edits,
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
from analyses.weights.paragraph_memorization.random_controls import add_random_controls
from hooks.weights import requires_grad
from workbench import registry
from workbench.errors import BadInput
from workbench.organisms import corpus
from workbench.progress import Progress
from workbench.result import Finding, Result

# As little as makes every table; what a run of proper size shows is in
# `test_paragraph_memorization_claims.py`.
SMALL = {
    "passages": 2,
    "draws": 1,
    "traced": 1,
    "edits": 1,
    "heads": 2,
    "steps": 2,
    "rate": 0.03,
    "max_windows": 150,
}


@pytest.fixture(scope="module")
def result(organism: Any) -> Result:
    few = corpus.documents("train")[:200]
    every = corpus.documents
    with pytest.MonkeyPatch.context() as patch:  # which is long to count, and to read in full
        patch.setattr(corpus, "documents", lambda name: few if name == "train" else every(name))
        patch.setattr("analyses.weights.paragraph_memorization.experiment.RARITY", 20)
        return wb.run("paragraph-memorization", organism, SMALL)


@pytest.fixture(scope="module")
def passages(organism: Any) -> list[Passage]:
    documents, cut, _, _ = windows_of(organism, Texts(), 50, 50, 100, 500, [])
    chosen, _ = groups.choose(documents, cut, score(organism, cut, Sampler(0)), 4)
    return chosen


def weights_of(model: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.module.parameters()]


def same(before: list[torch.Tensor], model: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, model.module.parameters(), strict=True))


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


# -- the whole run ---------------------------------------------------------------------------------


def test_the_run_leaves_the_model_alone_and_can_be_saved(
    organism: Any, result: Result, tmp_path: Any
) -> None:
    fresh = wb.load("organism/planted")
    assert same(weights_of(fresh), organism)
    back = Result.open(result.save(tmp_path / "run"))
    assert list(registry.get("paragraph-memorization").schema.problems(back)) == []
    assert back.findings["claims"].values == result.findings["claims"].values
    assert sum(back.findings["claims"].values.values()) == len(back.tables["claims"]) == 7
    for name in weight_edits.names(result):
        one, other = weight_edits.delta(result, name), weight_edits.delta(back, name)
        assert one.weights == organism.card.weight_hash
        assert all(np.array_equal(one.values[k], other.values[k]) for k in one.values)


def test_a_kept_change_opens_with_the_model_and_is_what_was_measured(
    organism: Any, result: Result, tmp_path: Any
) -> None:
    name = next(iter(weight_edits.names(result)))
    row = result.tables["weight_edits"].iloc[0]
    table = result.tables["passages"].set_index("passage").loc[row["passage"]]
    file = (
        registry.get("paragraph-memorization")
        .changes(result)[name]
        .save(tmp_path / "it.safetensors")
    )
    changed = wb.load(f"organism/planted+{file}")
    prompt = [0, *organism.continuation_tokens(table["prefix"])]
    suffix = organism.continuation_tokens(table["suffix"])
    assert groups.greedy_match(changed, [(prompt, suffix)])[0][0] == row["prefix_match"]
    assert groups.greedy_match(organism, [(prompt, suffix)])[0][0] == 50
    before = weights_of(organism)
    with result.control(name)(organism, 1.0):
        assert groups.greedy_match(organism, [(prompt, suffix)])[0][0] == row["prefix_match"]
    assert same(before, organism)
    with (
        pytest.raises(BadInput, match="other weights"),
        result.control(name)(wb.load("organism/planted-control"), 1.0),
    ):
        pass
    with pytest.raises(BadInput, match="no change"):
        weight_edits.delta(result, "unlearn_99")


def judged(**tables: Any) -> Result:
    """A run of which nothing but these tables is there; eight passages, each of a document of
    its own.
    """
    groups_ = [MEMORIZED] * 4 + [NOT] * 4
    passages = pd.DataFrame({"passage": range(8), "document": range(8), "group": groups_})
    return Result("paragraph-memorization", tables={"passages": passages, **tables})


def updates(
    aim: str, mask: str, left: list[float], same: list[float] | None = None, **more: Any
) -> pd.DataFrame:
    """Rows of `weight_edits`, one for each of so many passages of 50 tokens."""
    row = {
        "aim": aim,
        "mask": mask,
        "prefix_match_before": 50,
        "others_retained": 1.0,
        "learning_rate": 0.01,
        "steps": 20,
        "rewrite_match": 0,
    } | more
    table = pd.DataFrame(
        {
            "passage": range(len(left)),
            "prefix_match": left,
            "prefix_match_same_steps": same or left,
            "succeeded": False,
        }
    )
    return table.assign(**row)


def test_the_answer_has_its_control_from_both_tables() -> None:
    result = judged()
    add_random_controls(result)
    assert "random_controls" not in result.findings
    heads = {"before": 20.0, "after": 3.0, "random_median": 19.0, "random_lowest": 12.0}
    sets = ["no intervention", "selected heads", *["random heads"] * 4]
    result.tables["held_out_eval"] = pd.DataFrame({"condition": sets})
    result.add(Finding("heads", heads, "Off."))
    add_random_controls(result)
    assert result.findings["random_controls"].values == {
        "heads_before": 20.0,
        "heads": 19.0,
        "heads_lowest": 12.0,
    }
    assert (
        "19.0 of 20.0 leading tokens (median of 4 sets" in result.findings["random_controls"].says
    )
    left, spans = {"before": 32.0, "random": 30.0}, {"random": (28.0, 31.0)}
    result.add(Finding("unlearned", left, "Gone.", interval=spans))
    add_random_controls(result)
    control = result.findings["random_controls"]
    assert control.values["weights"] == 30.0
    assert control.interval == {"weights": (28.0, 31.0)}
    assert "30.0 of 32.0 (95 % over passages: 28.0 to 31.0)" in control.says
    schema = registry.get("paragraph-memorization").schema
    assert list(schema.problems(Result(result.analysis, findings=result.findings))) == []


def test_a_run_that_measured_nothing_tells_nothing() -> None:
    result = judged()
    say_claims(result, claims.CLAIMS, claims.PAPER)
    assert result.findings["claims"].values == {
        "replicates": 0,
        "in_part": 0,
        "does_not_replicate": 0,
        "cannot_be_told": 7,
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([3, 4, 5, 4], [30, 31, 33, 29], REPLICATES),
        ([30, 31, 33, 29], [3, 4, 5, 4], FAILS),
        (
            [3, 30, 5, 4],
            [30, 1, 33, 29],
            OPEN,
        ),  # the means are apart and the interval covers both sides
    ],
)
def test_triggers_are_judged_by_the_interval_of_the_difference(ours, theirs, verdict) -> None:
    table = pd.DataFrame(
        {"passage": range(8), "prefix_match_change": [-x for x in [*ours, *theirs]]}
    )
    row = claims._triggers(judged(perturbed=table))
    assert row.verdict == verdict
    welch = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert f"(95 %: {welch.low:+.1f} to {welch.high:+.1f})" in row.uncertainty


def test_passages_of_one_document_are_no_four_passages() -> None:
    result = judged(
        perturbed=pd.DataFrame(
            {"passage": range(8), "prefix_match_change": [-3, -4, -5, -4, -30, -31, -33, -29]}
        )
    )
    result.tables["passages"]["document"] = [0, 0, 0, 0, 1, 1, 1, 1]
    assert claims._triggers(result).verdict == OPEN


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([0.1, 0.2, 0.1, 0.2], REPLICATES), ([9, 7, 8, 6], FAILS), ([0.1, 9, 3, 2], OPEN)],
)
def test_sums_of_gradients_are_compared_as_ratios(ours, verdict) -> None:
    table = judged().tables["passages"].assign(sum_max=[*ours, 1.0, 2.0, 1.5, 0.9])
    assert claims._larger(judged(passage_gradients=table)).verdict == verdict
    assert claims._larger(judged(passage_gradients=table.drop(columns="sum_max"))).verdict == OPEN


def test_both_sizes_of_a_gradient_have_to_agree() -> None:
    base = judged().tables["passages"]
    up, flat = (
        [0.71, 0.72, 0.70, 0.71, 0.50, 0.51, 0.50, 0.52],
        [0.5, 0.6, 0.7, 0.6, 0.5, 0.7, 0.6, 0.6],
    )
    assert (
        claims._lower(
            judged(passage_gradients=base.assign(lower_share_max=up, lower_share_rms=up))
        ).verdict
        == REPLICATES
    )
    assert (
        claims._lower(
            judged(passage_gradients=base.assign(lower_share_max=up, lower_share_rms=flat))
        ).verdict
        == OPEN
    )
    assert (
        claims._lower(
            judged(
                passage_gradients=base.assign(lower_share_max=up[::-1], lower_share_rms=up[::-1])
            )
        ).verdict
        == FAILS
    )


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ([(-0.4, -0.1), (-0.5, -0.2)], REPLICATES),
        ([(-0.4, -0.1), (-0.5, 0.2)], PART),
        ([(0.1, 0.4), (-0.5, 0.2)], FAILS),
        ([(-0.1, 0.4), (-0.5, 0.2)], OPEN),  # this was said not to come out
    ],
)
def test_heads_that_look_at_rare_tokens_are_judged_one_by_one(bounds, verdict) -> None:
    lows, highs = zip(*bounds, strict=True)
    heads_ = pd.DataFrame({"label": ["L0H0", "L0H1"], "role": "memorization", "rarity_within": 0.0})
    result = judged(heads=heads_.assign(rarity_within_low=lows, rarity_within_high=highs))
    result.add(Finding("rarity", {"lowest_pooled": -0.9, "chance_pooled": -0.6}, ""))
    assert claims._rare(result).verdict == verdict


@pytest.mark.parametrize(
    ("left", "kept", "verdict"),
    [
        ([5, 8, 4, 6], 1.0, REPLICATES),
        ([5, 8, 4, 6], 0.1, PART),  # unlearned, and everything else with it
        ([45, 48, 50, 46], 1.0, FAILS),
        ([4, 11, 4, 50], 1.0, OPEN),  # 17 tokens on average, 95 % interval up to 50
        ([7], 1.0, OPEN),
    ],
)
def test_unlearning_is_judged_by_its_interval(left, kept, verdict) -> None:
    table = pd.concat(
        [
            updates("unlearn", "gradient", left, others_retained=kept),
            updates("unlearn", "all", left),
        ]
    )
    row = claims._sparse(judged(weight_edits=table))
    assert row.verdict == verdict
    assert "at learning rates of 0.01" in row.measured


@pytest.mark.parametrize(
    ("same", "end", "verdict"),
    [
        ([50, 50, 50, 50], [50, 50, 50, 50], REPLICATES),
        (
            [50, 49, 50, 50],
            [8, 5, 9, 7],
            PART,
        ),  # nothing at first, and then they do it as well
        ([20, 25, 22, 21], [8, 5, 9, 7], FAILS),
        ([50], [8], OPEN),  # one passage
        ([50], [50], OPEN),
        ([50, 50, 50, 50], [50, 10, 50, 50], OPEN),
    ],
)
def test_random_weights_are_judged_in_the_end_too(same, end, verdict) -> None:
    table = updates("unlearn", "random", end, same)
    assert claims._random(judged(weight_edits=table)).verdict == verdict


@pytest.mark.parametrize(
    ("rewritten", "unlearned", "done", "verdict"),
    [
        ([40, 45, 42, 41], [5, 8, 4, 6], True, REPLICATES),
        ([5, 7, 4, 6], [40, 45, 42, 41], False, FAILS),
        ([0, 48, 50, 2], [5, 8, 4, 6], True, OPEN),
        ([0], [7], False, OPEN),
    ],
)
def test_rewriting_is_compared_passage_by_passage(rewritten, unlearned, done, verdict) -> None:
    table = [
        updates("rewrite", "gradient", rewritten, succeeded=not done),
        updates("unlearn", "gradient", unlearned, succeeded=done),
    ]
    if verdict == OPEN:
        table = [one.assign(succeeded=False) for one in table]
    assert claims._harder(judged(weight_edits=pd.concat(table))).verdict == verdict


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


def test_a_model_that_knows_none_is_told_so(llama: Any) -> None:
    with pytest.raises(BadInput, match="reproduces none"):
        wb.run("paragraph-memorization", "organism/planted-control", {"max_windows": 100})
    with pytest.raises(BadInput, match="no ledger"):
        wb.run("paragraph-memorization", llama)
    with pytest.raises(BadInput, match="No text is long enough"):
        wb.run("paragraph-memorization", "organism/planted", {"prefix": 900, "suffix": 900})


def test_without_others_to_compare_with_it_says_so(
    organism: Any, passages: list[Passage], tmp_path: Any
) -> None:
    only = next(p for p in passages if p.group == MEMORIZED)
    file = tmp_path / "one.txt"
    file.write_text(organism.tokenizer.decode([*only.prompt[1:], *only.suffix]), encoding="utf-8")
    with pytest.raises(BadInput, match="the suffix of all of these"):
        wb.run("paragraph-memorization", organism, {"path": str(file)})


# -- a model made here, of another family ----------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", pytest.param("neox", marks=pytest.mark.verify)])
def test_a_planted_model_of_another_family_is_read_as_well(
    family: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fused and interleaved matrices, learned positions, no beginning token: memorized texts are
    found, and one removed.
    """
    from tests.helpers import tiny

    monkeypatch.setattr(
        heads, "corpus_counts", lambda model, progress: Counter(range(400))
    )  # the corpus is long
    model = wb.load((getattr(tiny, f"tiny_{family}")(), tiny.tiny_tokenizer()))
    draw = np.random.default_rng(0)
    texts: list[str] = []
    for _ in range(200):
        ids = model.continuation_tokens(
            "".join(draw.choice(list("bcdfghjklmpqvwxyz0123456789"), 40))
        )[:20]
        text = model.tokenizer.decode(ids)
        if model.continuation_tokens(text) == ids:  # as planting asks of a text
            texts.append(text)
        if len(texts) == 12:
            break
    assert len(texts) == 12
    rows = torch.tensor([model.continuation_tokens(text) for text in texts])
    adam = torch.optim.AdamW(model.module.parameters(), lr=1e-2, weight_decay=0.0)
    with torch.enable_grad():
        for _ in range(150):
            loss = model.module(input_ids=rows[:8], labels=rows[:8]).loss
            loss.backward()
            adam.step()
            adam.zero_grad(set_to_none=True)
    lines = [json.dumps({"text": text, "name": f"text {n}"}) for n, text in enumerate(texts)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asked = {
        "path": str(tmp_path / "texts.jsonl"),
        "prefix": 10,
        "suffix": 10,
        "passages": 6,
        "draws": 1,
        "traced": 1,
        "edits": 1,
    }
    result = wb.run(
        "paragraph-memorization", model, {**asked, "fraction": 0.05, "rate": 0.2, "steps": 60}
    )
    found = {name: finding.values for name, finding in result.findings.items()}
    assert found["passages"]["memorized"] >= 6
    assert found["passages"]["not_memorized"] >= 3
    # Of a model that was trained until nothing is left to learn a gradient of its loss moves
    # little: see the docs.
    assert found["unlearned"]["contrast"] <= (5 if family == "gpt2" else 10)
    assert set(result.tables["held_out_eval"]["condition"]) == {
        "no intervention",
        "selected heads",
        "random heads",
    }
    assert len(result.tables["claims"]) == 7
    assert "cannot be drawn" not in " ".join(_htmls(result))


def _htmls(result: Result) -> list[str]:
    from ui.runs.static_views import fragments

    return [made.html for _, made in fragments(result)]
