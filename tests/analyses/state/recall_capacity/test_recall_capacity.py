"""A run of `recall-capacity`: its tables, its sentences, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import workbench as wb
from analyses.state import recall_capacity
from analyses.state.recall_capacity import claims, designs, selections, state_size
from analyses.state.recall_capacity.constants import MEASURED, NAME, RECORDED
from analyses.state.recall_capacity.measure import Answers
from analyses.state.recall_capacity.params import Params
from analyses.state.recall_capacity.stored import PAIRS, Stored, family_of, organisms
from tests.helpers import tiny
from ui.runs.static_views import fragments
from workbench.errors import BadInput
from workbench.organisms import shipped
from workbench.organisms.recall.record import Record, Training, read
from workbench.progress import Progress
from workbench.result import Result

SMALL = {"pairs": [4, 16], "gaps": [0, 8], "rows": 8, "draws": 2}
FEW = {"dimensions": [32, 64, 128], "items": 200, "memories": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of both default parts on an organism, opened again from its folder."""
    model = wb.load("organism/recall-mamba-16")
    folder = tmp_path_factory.mktemp("runs") / "run"
    wb.run(NAME, model, {**SMALL, **FEW}, out=folder)
    return wb.open_run(folder)


def test_recall_is_what_the_record_says(run):
    known = {16: 0.918, 4: 1.0}
    table = run.tables["by_pairs"].set_index("pairs")
    for pairs, share in known.items():
        row = table.loc[pairs]
        assert row["low"] - 0.02 <= share <= row["high"] + 0.02
        assert row["guess"] == 1 / pairs
        assert row["chance"] == 1 / 128
        assert row["lowest"] <= row["recall"] <= row["highest"]
    assert "organism/recall-mamba-16 recalls 100 % of 4 and" in run.findings["recall"].says.replace(
        "\u00a0", " "
    )
    assert run.findings["span"].value == 16
    assert "all keys are asked for" in run.provenance.notes["pairs"]


def test_every_organism_is_measured_beside_its_record(run):
    table = run.tables["state_size"]
    names = {f"organism/recall-{name}" for name in table["model"]}
    assert names == {one.name for one in organisms() if read(one.folder).task == PAIRS}
    for _, rows in table.groupby(["model", "pairs"]):
        measured = rows[rows["source"] == MEASURED].iloc[0]
        recorded = rows[(rows["source"] == RECORDED) & (rows["training_seed"] == 0)].iloc[0]
        assert abs(measured["recall"] - recorded["recall"]) < 0.15
    finding = run.findings["state_size"]
    assert finding.values["steps"] >= 2
    assert "mamba" in finding.says


def test_what_grows_is_drawn_at_what_it_holds_in_the_end(run):
    table = run.tables["state_size"].set_index(["model", "pairs"])
    for name in ("attention", "hybrid"):
        assert set(table.loc[(name, 4), "held_bytes"]) == {512 * 64}
    fixed = table[~table["grows"]]
    assert (fixed["held_bytes"] == fixed["state_bytes"]).all()


def test_every_view_is_drawn_from_the_run_alone(run):
    shown = dict(fragments(run))
    assert {
        "Pairs",
        "Order and gap",
        "Read twice, bound again",
        "State size",
        "Outer product",
    } <= set(shown)
    for title, one in shown.items():
        assert "cannot be drawn" not in one.html, title
        assert "was not measured" not in one.html, title


def test_the_live_memory_follows_what_is_chosen():
    result = Result(NAME)
    chosen = {"rule": "top", "dimension": 256, "number": 1000, "exponent": 2.0}
    made = selections.live_margins(result, chosen)
    frame = made["frame"]
    assert frame["right"].iloc[0] == 100
    assert frame["right"].iloc[-1] < 60
    assert frame["margin"].iloc[0] > frame["margin"].iloc[-1]
    assert "d = 256, 1,000 items" in made["where"]
    assert "right for" in selections.live_sentence(result, chosen)
    other = selections.live_margins(result, {**chosen, "dimension": 2048})["frame"]
    assert other["right"].mean() > frame["right"].mean()


def test_rows_longer_than_a_model_reads_are_refused_before_anything_is_read():
    model = wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput, match="a gap of 900 tokens make a row of"):
        recall_capacity.run(model, Params(parts=["recall"], pairs=[4], gaps=[900]), Progress())


@pytest.mark.parametrize(
    "wrong", [{"pairs": [1]}, {"pairs": [200]}, {"gaps": [-1]}, {"dimensions": [32]}, {"rows": 1}]
)
def test_what_cannot_be_asked_is_refused(wrong):
    with pytest.raises(ValidationError):
        Params(**wrong)


# -- organisms that are made up --------------------------------------------------------------------


def answers(share: float, n: int = 400) -> Answers:
    right = np.arange(n) < round(share * n)
    right = np.random.default_rng(0).permutation(right)
    zeros = np.zeros(n, dtype=bool)
    rows = np.arange(n) // 4
    return Answers(right, right, right, zeros, zeros, rows % 4, zeros, rows, rows * 0)


def made_up(
    name: str, held: int, shares: list[float], *, grows: bool = False, active: int | None = None
) -> Stored:
    """An organism whose trainings under seeds 0, 1, … recall these shares of 4 and of 32 pairs."""
    trainings = tuple(
        Training(seed, 0.01, 100, {4: share, 32: share}, {4: 0, 8: 9} if share > 0.2 else {4: 0})
        for seed, share in enumerate(shares)
    )
    known = Record(name, held, grows, trainings, active)
    answered = {4: answers(1.0), 32: answers(shares[0])}
    return Stored(name, family_of(name), known, answered, 512 if grows else 0)


def told(*found: Stored) -> Result:
    result = Result(NAME)
    result.tables["state_size"] = state_size._table(list(found), Params())
    state_size._add_steps(result, list(found))
    state_size._add_state_size(result, list(found))
    designs.add_designs(result, list(found))
    return result


def test_families_are_those_that_differ_in_size_alone():
    assert family_of("mamba-16") == family_of("mamba-8") == "mamba"
    assert family_of("attention") == "attention"
    assert family_of("mamba-16-mimetic") == "mamba-16-mimetic"
    assert all(name.startswith("organism/recall-") for name in (one.name for one in organisms()))
    assert {one.name for one in organisms()} <= set(shipped())


def test_a_rise_is_told_and_so_is_a_fall():
    rising = told(made_up("delta-8", 512, [0.3]), made_up("delta-16", 2048, [0.7]))
    finding = rising.findings["state_size"]
    assert finding.values["rising"] == finding.values["steps"] == 1
    assert "recall rises with every larger state" in finding.says
    falling = told(made_up("delta-8", 512, [0.7]), made_up("delta-16", 2048, [0.3]))
    assert falling.findings["state_size"].values["rising"] == 0
    assert "rises in 0 of 1 step" in falling.findings["state_size"].says


def test_steps_are_told_over_trainings_where_there_are_three():
    result = told(
        made_up("delta-8", 512, [0.3, 0.25, 0.32]),
        made_up("delta-16", 2048, [0.7, 0.72, 0.66, 0.01]),
        made_up("delta-32", 8192, [0.71, 0.69]),
    )
    steps = result.tables["state_steps"].set_index(["small_bytes", "pairs"])
    small = steps.loc[(512, 32)]
    assert small["gain"] == pytest.approx(np.mean([0.7, 0.72, 0.66]) - np.mean([0.3, 0.25, 0.32]))
    assert small["trainings"] == 3
    assert 0 < small["low"] < small["gain"] < small["high"]
    assert steps.loc[(2048, 32), "trainings"] == 1  # two trainings: over rows
    finding = result.findings["state_size"]
    assert finding.values["delta_16"] == pytest.approx(np.mean([0.7, 0.72, 0.66]))
    assert "(66 to 72) with 2,048 bytes" in finding.says
    assert "did not train: delta-16 (seed 3)" in finding.says


def test_what_did_not_train_is_shown_and_not_counted():
    result = told(
        made_up("delta-8", 512, [0.3]),
        made_up("delta-16", 2048, [0.01]),
        made_up("delta-32", 8192, [0.8]),
        made_up("attention", 512, [1.0], grows=True),
    )
    steps = result.tables["state_steps"]
    assert set(zip(steps["small_bytes"], steps["large_bytes"], strict=True)) == {(512, 8192)}
    says = result.findings["state_size"].says
    assert "did not train: delta-16" in says
    assert "attention 100" in says
    table = result.tables["state_size"]
    assert not table.loc[table["model"] == "delta-16", "trained"].any()
    picture = selections.state_size(result)
    assert picture is not None
    assert "delta-16" not in set(picture["model"])
    assert picture["title"].iloc[0].startswith("Recall of 32 pairs")
    grown = picture[picture["model"] == "attention"]
    assert set(grown["held_bytes"]) == {512 * 64, 512 * 128}


def test_a_planted_router_is_compared_over_seeds():
    result = told(
        made_up("mom-planted", 8192, [0.7, 0.6, 0.65], active=2048),
        made_up("mom-one", 2048, [0.3, 0.25, 0.22]),
        made_up("mom-large", 8192, [0.5]),
    )
    table = result.tables["designs"].set_index(["against", "pairs"])
    one = table.loc[("mom-one", 32)]
    assert one["gain"] == pytest.approx(0.393, abs=0.001)
    assert one["seeds"] == 3
    assert 0 < one["low"] < 0.39 < one["high"]
    assert table.loc[("mom-large", 32), "seeds"] == 1
    assert "mom-one (2,048 bytes, equal active bytes)" in result.findings["designs"].says
    assert "mom-large (8,192 bytes, equal total bytes)" in result.findings["designs"].says


def test_claims_follow_the_numbers():
    result = told(made_up("delta-8", 512, [0.3]), made_up("delta-16", 2048, [0.7]))

    def reading(once: float, gain: float, half: float) -> str:
        row = {"pairs": 32, "reading": "twice", "recall": once + gain, "gain": gain}
        bounds = {"gain_low": gain - half, "gain_high": gain + half}
        result.tables["by_reading"] = pd.DataFrame([{**row, **bounds}])
        return claims._twice(result).verdict

    assert claims._rises(result).verdict == "replicates"
    assert reading(0.5, 0.2, 0.05) == "replicates"
    assert reading(0.5, 0.0, 0.01) == "does not replicate"
    assert reading(0.5, 0.0, 0.2) == "cannot be told"
    assert reading(0.99, 0.0, 0.01) == "cannot be told"
    assert claims._attention(result).verdict == "cannot be told"
    everything = told(made_up("attention", 512, [1.0], grows=True))
    assert claims._attention(everything).verdict == "replicates"


def test_a_mimetic_start_is_compared_with_the_default_one():
    result = Result(NAME)
    designs.add_learning(result, [made_up("mamba-16", 8192, [0.6])])
    assert "mimetic" not in result.findings
    pair = [made_up("mamba-16", 8192, [0.6]), made_up("mamba-16-mimetic", 8192, [0.7])]
    designs.add_learning(result, pair)
    assert result.findings["mimetic"].values == {"mimetic": 9, "default": 9}
    assert set(result.tables["learning_steps"]["step"]) == {9}


def test_what_is_forgotten_is_told_of_those_that_were_trained_so(run):
    table = run.tables["forgetting"].set_index("model")
    trained_so = [one for one in organisms() if read(one.folder).task == "rebound"]
    assert set(table.index) == {one.name.removeprefix("organism/recall-") for one in trained_so}
    assert table[["new", "old", "other"]].sum(axis=1).to_numpy() == pytest.approx(1)
    assert table.loc["forgetting-delta", "new"] > table.loc["forgetting-delta", "old"]
