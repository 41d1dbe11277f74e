"""Forgetting in models whose truth is known: facts that were overwritten are lost, facts behind
another format are misplaced; and what each part of a run holds.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.training import forgetting
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.first_steps import angle, early_share
from analyses.training.forgetting.old_facts import old_facts
from analyses.training.forgetting.remedies import frozen_bottom, frozen_half
from tests.helpers import tuned_pairs as pairs
from tests.helpers.forgetting_runs import SMALL, base, changed_in, ran, task_file
from tests.helpers.token_counter import counting
from workbench import cost, parts
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_overwritten_facts_are_lost_and_those_behind_a_format_misplaced(seed, tmp_path):
    module = base(seed).module
    for make, says in (
        (pairs.misplaced, "misplaced, not lost"),
        (pairs.lost, "The facts are lost"),
    ):
        ref = pairs.saved(make(module, seed), tmp_path / make.__name__)
        run = ran(base(seed), tmp_path, seed, tuned=ref, facts=36, parts=["lost-or-misplaced"])
        assert says in run.findings["verdict"].says
        tests = run.tables["tests"].set_index("test")
        assert tests.loc[c.FREE, "before"] == 1.0
        assert tests.loc[c.FREE, "after"] < 0.2
        assert tests.loc[c.REALIGNED, "floor"] < 0.4
        assert (tests.loc[c.REALIGNED, "after"] > 0.9) == (make is pairs.misplaced)


@pytest.fixture(scope="module")
def pair_run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("pair")
    ref = pairs.saved(pairs.misplaced(base(0).module, 0), folder / "tuned")
    named = ["reset-map", "reset-more", "lost-or-misplaced", "path", "cka", "law"]
    return ran(base(0), folder, tuned=ref, facts=12, parts=named, finer=True)


def test_the_map_of_a_pair(pair_run):
    table = pair_run.tables["reset"]
    assert not table.duplicated(["layer", "part"]).any()
    up, down = (rows for _, rows in pair_run.tables["cumulative"].groupby("order", sort=False))
    for rows in (up, down):
        assert rows["recovery"].iloc[0] == pytest.approx(0.0, abs=1e-5)
        assert rows["facts"].iloc[0] == pytest.approx(0.0, abs=1e-5)
    # Putting back all layers leaves what lies in none: embedding, unembedding and last norm.
    assert up["kl"].iloc[-1] == pytest.approx(down["kl"].iloc[-1], abs=1e-6)
    halves = pair_run.tables["halves"]
    assert (halves["kind"] == c.SHRUNK).sum() == 1
    assert (halves["kind"] == c.HALVES).sum() == 6
    answers = pair_run.tables["answers"]
    assert len(answers) == (len(table) + 2) * 8
    assert answers[answers["part"] == c.BASE]["right"].all()
    assert "the pair was given" in pair_run.provenance.notes["left_out"]
    assert "law" not in pair_run.tables


def test_the_ends_of_the_path_are_the_two_models(pair_run):
    table = pair_run.tables["path"].set_index("share")
    assert table.loc[0.0, "kl"] == pytest.approx(0.0, abs=1e-6)
    assert table.loc[0.0, "right"] == 1.0
    assert table.loc[1.0, "right"] < 0.5
    assert table.loc[1.0, "kl"] > table.loc[0.2, "kl"]
    assert (pair_run.tables["cka"]["cka"] <= 1.0 + 1e-6).all()


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("trained")
    named = ["law", "reset-map", "reset-more", "path", "first-steps", "remedies", "aligned"]
    return ran(base(0), folder, task=task_file(folder), facts=12, steps=8, ranks=[2, 4], rank=4,
               rate=3e-3, early=6, parts=named)  # fmt: skip


def test_a_training_is_measured_on_its_way(trained_run):
    points = trained_run.tables["points"]
    assert sorted(set(points["step"])) == [0, 1, 2, 4, 8]
    assert set(points["rank"]) == {2, 4}
    start = points[points["step"] == 0]
    np.testing.assert_allclose(start["kl"], 0.0, atol=1e-6)
    assert (start["size"] < 1e-12).all()
    end = points[(points["step"] == 8) & (points["text"] == c.TASK)]
    first = points[(points["step"] == 0) & (points["text"] == c.TASK)]
    assert (end["nats"].to_numpy() < first["nats"].to_numpy()).all()
    trained = points.groupby("rank")["trained"].first()
    assert trained[4] == 2 * trained[2]
    fits = trained_run.tables["fits"]
    assert len(fits[fits["rank"] == 0]) == 4
    assert "cost" in trained_run.findings
    assert trained_run.findings["cost"].values["gain"] > 0
    assert "reset_shuffled" in trained_run.tables


def test_first_steps_and_their_angles(trained_run):
    steps, angles = trained_run.tables["steps"], trained_run.tables["angles"]
    assert list(steps["step"]) == list(range(7))
    assert steps["kl"].iloc[0] == pytest.approx(0.0, abs=1e-6)
    assert ((angles["angle"] >= 0) & (angles["angle"] <= 90)).all()
    same = torch.linalg.qr(torch.randn(20, 3)).Q
    assert angle(same, same @ torch.linalg.qr(torch.randn(3, 3)).Q) == pytest.approx(0, abs=0.1)
    assert angle(torch.eye(6)[:, :3], torch.eye(6)[:, 3:]) == pytest.approx(90.0)
    assert early_share(np.array([0.0, -0.8, *[-0.9] * 8, -1.0])) == pytest.approx(0.8)


def test_remedies_end_beside_plain_fine_tuning(trained_run):
    table = trained_run.tables["remedies"].set_index("method")
    points = trained_run.tables["law"]
    end = points[(points["rank"] == 4) & (points["step"] == 8)].iloc[0]
    assert table.loc["plain", "kl"] == pytest.approx(end["kl"], abs=1e-5)
    assert table.loc["plain", "nats"] == pytest.approx(end["nats"], abs=1e-5)
    # A quarter of itself at every step is nearly what is trained.
    near, far = (abs(table.loc[f"slow copy, {keeps}", "kl"] - end["kl"]) for keeps in (0.25, 0.999))
    assert near < far
    assert table.loc["weights averaged", "kl"] < end["kl"]


def test_what_is_frozen():
    model = base(0)
    half, bottom = frozen_half(model, 0), frozen_bottom(model)
    names = [n for n, p in model.module.named_parameters() if p.dim() == 2 and "layers." in n]
    assert sum(map(half, names)) == 3 * 4  # four of seven matrices in each of three layers
    assert {n.split(".")[2] for n in names if bottom(n)} == {"1", "2"}
    assert not bottom("model.embed_tokens.weight")


def test_every_view_is_drawn(trained_run, pair_run):
    for run in (trained_run, pair_run):
        for view in bound(forgetting.VIEWS, run, forgetting.SCHEMA).values():
            assert view is not None
    words = trained_run.tables["claims"]["verdict"]
    assert set(words) - {"cannot be told"}


def test_a_low_rank_adapter_is_compared_with_its_base(tmp_path):
    from peft import LoraConfig, get_peft_model

    module = copy.deepcopy(base(0).module)
    home = Path(pairs.saved(module, tmp_path / "home"))
    wrapped = get_peft_model(module, LoraConfig(r=2, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    wrapped.save_pretrained(tmp_path / "adapter")
    ref = f"{home}+{tmp_path / 'adapter'}"
    run = ran(base(0), tmp_path, tuned=ref, facts=8, parts=["reset-map"])
    assert run.findings["cost"].values[c.NEUTRAL] > 0
    # An adapter on other weights says so.
    with pytest.raises(BadInput, match="made on"):
        ran(base(1), tmp_path, 1, tuned=ref, facts=8, parts=["reset-map"])


def test_a_pair_of_which_one_module_differs(tmp_path):
    ref = changed_in("model.layers.1.mlp.down_proj.weight", tmp_path, 0.5)
    run = ran(base(0), tmp_path, tuned=ref, facts=8, parts=["reset-more"])
    assert run.findings["where"].values["recovery"] == pytest.approx(1.0, abs=1e-5)
    assert "random sets" not in run.findings["where"].says
    assert "halving" not in run.findings  # there is no half of one
    assert list(run.tables["halves"]["kind"]) == [c.SHRUNK]
    assert "correlation" not in run.findings["mirror"].says
    for view in bound(forgetting.VIEWS, run, forgetting.SCHEMA).values():
        assert view is not None


@pytest.mark.parametrize(
    ("name", "add", "says"),
    [
        ("model.embed_tokens.weight", 0.3, "nothing in the layers differs"),
        ("model.layers.1.mlp.down_proj.weight", 1e-7, "moved nothing on neutral text"),
    ],
)
def test_a_pair_without_a_map_says_so(name, add, says, tmp_path):
    ref = changed_in(name, tmp_path, add)
    run = ran(base(0), tmp_path, tuned=ref, facts=8, parts=["reset-more", "path"])
    assert says in run.provenance.notes["left_out"]
    assert "reset" not in run.tables
    assert "path" in run.tables


def test_the_largest_part_is_named_as_in_a_sentence(pair_run):
    says = pair_run.findings["where"].says
    top = pair_run.tables["reset"].sort_values("recovery").iloc[-1]
    where = f" of layer {top['layer']}" if top["layer"] >= 0 else ""
    assert f"The largest single part is the {top['part']}{where} with" in says


def test_few_shot_is_left_out_where_nothing_can_be_spared(tmp_path):
    found = ran(base(0), tmp_path, task=task_file(tmp_path), facts=4, shots=20, steps=2, rank=2,
                parts=["lost-or-misplaced"])  # fmt: skip
    few = old_facts(base(0), forgetting.Params.model_validate({
        **SMALL, "facts_file": str(few_facts(tmp_path)), "shots": 3}), Progress())  # fmt: skip
    assert len(found.tables["tests"]) == 5
    assert len(few.facts) == 4
    assert few.with_shots == []


def few_facts(folder: Path) -> Path:
    """Four facts alone."""
    rows = pairs.facts_file(folder, 0).read_text(encoding="utf-8").splitlines()[:5]
    file = folder / "few.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    # Of the tests of retention half is the model of random weights, which is not counted here.
    "named", [["law"], ["reset-more", "path", "cka"], ["first-steps", "remedies", "aligned"]]
)  # fmt: skip
def test_tokens_are_counted(named, tmp_path):
    params = forgetting.Params.model_validate({
        **SMALL, "facts_file": str(pairs.facts_file(tmp_path, 0)), "task": task_file(tmp_path),
        "facts": 12, "steps": 8, "ranks": [2, 4], "rank": 4, "early": 6, "parts": named,
    })  # fmt: skip
    model = wb.load((copy.deepcopy(base(0).module), pairs.tokenizer()))
    wanted = parts.running(forgetting.PARTS, params)
    stated = cost.total(c for name, c in forgetting.cost(model, params).items() if name in wanted)
    with counting(model) as counted:
        forgetting.run(model, params, Progress())
    assert 0.5 <= stated.forward / counted.forward <= 2
    assert 0.5 <= stated.backward / counted.backward <= 2


def test_costs_are_stated_for_every_part():
    model = base(0)
    stated = forgetting.cost(model, forgetting.Params(facts_file=None, relations="capital"))
    assert set(stated) == {part.name for part in forgetting.PARTS}
    assert all(each.forward > 0 for each in stated.values())
    assert parts.running(forgetting.PARTS, forgetting.Params(parts=["law"])) == {"law", "pair"}
