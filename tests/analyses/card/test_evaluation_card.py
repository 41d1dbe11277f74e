"""The evaluation card, from runs that were written by hand."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from scipy import stats
from typer.testing import CliRunner

import workbench as wb
from analyses.card import evaluation_card
from analyses.card.evaluation_card import rows
from analyses.card.evaluation_card.constants import APART, CHANCE, MEASURED, NO_NULL
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench import card_file
from workbench.cli import app
from workbench.errors import NotFound
from workbench.evaluation_card import ROWS, CardCell
from workbench.result import Finding, Result
from workbench.views import bound


@pytest.fixture(scope="module")
def model():
    return wb.load((tiny_llama(), tiny_tokenizer()))


def written(folder, weight_hash, analysis, findings, started, name="a model"):
    """A finished run, as if it had been made then."""
    run = Result(analysis)
    for finding in findings:
        run.add(finding)
    run.provenance.model = {"name": name, "weight_hash": weight_hash}
    run.provenance.started = started
    run.save(folder)


def membership(auc, half):  # by min-k++, and by another score
    return Finding("membership", {"loss": 0.6, "min-k++": auc}, "Told.", unit="AUC",
                   interval={"loss": (0.5, 0.7), "min-k++": (auc - half, auc + half)})  # fmt: skip


def greedy(rate):
    values = {"rate": rate, "extracted": 100 * rate, "n": 100}
    return Finding("greedy", values, "Said.", interval={"rate": (rate - 0.05, rate + 0.05)})


@pytest.fixture
def runs(model, tmp_path):
    own = model.card.weight_hash
    folder = tmp_path / "runs"
    written(folder / "old", own, "extraction", [membership(0.9, 0.1)], "2026-01-01T00:00:00")
    new = [membership(0.7, 0.05), greedy(0.2)]
    written(folder / "new", own, "extraction", new, "2026-02-01T00:00:00")
    written(folder / "other", "0" * 16, "extraction", [membership(0.99, 0.005)],
            "2026-03-01T00:00:00")  # fmt: skip
    written(folder / "late", own, "retention",
            [Finding("late_against_early", 0.01, "Late.", interval=(-0.2, 0.22))],
            "2026-02-02T00:00:00")  # fmt: skip
    return folder


def test_the_newest_run_of_these_weights_is_on_the_card(model, runs):
    card = wb.run("card", model, {"runs": str(runs)})
    assert not list(evaluation_card.SCHEMA.problems(card))
    table = card.tables["card"].set_index("row")
    assert set(table.index) == {row.name for row in ROWS}
    seen = table.loc["seen"]
    assert (seen["value"], seen["run"], seen["null"]) == (0.7, "new", 0.5)
    assert seen["errors"] == pytest.approx(0.2 / (0.05 / 1.96))
    assert seen["p"] == pytest.approx(2 * stats.norm.sf(0.2 / (0.05 / 1.96)))
    assert seen["told"] == APART
    assert table.loc["recites", "told"] == NO_NULL
    assert table.loc["keeps", "told"] == CHANCE
    assert "so it is not told from that" in card.findings["keeps"].says
    assert card.findings["card"].values == {"answered": 3, "asked": len(ROWS), "told": 1}
    missing = table[table["state"] != MEASURED]
    assert (missing["says"].str.len() > 0).any()


def test_a_run_that_vanishes_or_breaks_is_passed_by(model, runs):
    (runs / "new" / "result.json").write_text("{", encoding="utf-8")
    shutil.rmtree(runs / "late")
    card = wb.run("card", model, {"runs": str(runs)})
    assert card.tables["card"].set_index("row").loc["seen", "value"] == 0.9
    with pytest.raises(NotFound, match="no folder"):
        wb.run("card", model, {"runs": str(runs / "nowhere")})


def test_rows_are_told_from_chance_over_the_whole_card(model):
    def cell(row, errors):
        return CardCell(row, errors, "units", "It is so", low=errors - 1.96, high=errors + 1.96,
                        null=0.0)  # fmt: skip

    assert rows.errors_from_null(cell("x", 2.0)) == pytest.approx(2)
    assert rows.errors_from_null(CardCell("x", 1.0, "u", "s", null=0.0)) != 0  # no interval: NaN
    assert math.isnan(rows.errors_from_null(CardCell("x", 1.0, "u", "s", low=0.0, high=2.0)))
    lopsided = CardCell("x", 1.0, "u", "s", low=0.9, high=9.0, null=0.0)
    assert rows.errors_from_null(lopsided) == pytest.approx(1 / (0.1 / 1.96))
    from analyses.card.evaluation_card.collect import FoundCell

    # alone 2.2 errors would do; of four rows only the first stands (Holm)
    found = {
        (row.name, "extraction"): FoundCell(cell(row.name, errors), "extraction", "r", "2026")
        for row, errors in zip(ROWS, (5.0, 2.2, 2.2, 1.0), strict=False)
    }
    table = rows.card_table(model, found).set_index("row")
    told = [table.loc[row.name, "told"] for row in ROWS[:4]]
    assert told == [APART, CHANCE, CHANCE, CHANCE]


def test_two_models_beside_each_other(model, runs, tmp_path):
    other = tmp_path / "other-model"
    tiny_llama(seed=1).save_pretrained(other)
    tiny_tokenizer().save_pretrained(other)
    weights = wb.load(str(other)).card.weight_hash
    written(
        runs / "beside", weights, "extraction", [membership(0.61, 0.005)], "2026-02-01T00:00:00"
    )
    card = wb.run("card", model, {"runs": str(runs), "beside": str(other)})
    (row,) = card.tables["differences"].to_dict("records")
    assert row["difference"] == pytest.approx(0.09)
    assert row["low"] == pytest.approx(0.09 - math.hypot(0.05, 0.005))
    assert row["differs"] == "yes"
    assert card.findings["differ"].value == 1
    card.save(tmp_path / "card")
    drawn = bound(evaluation_card.VIEWS, Result.open(tmp_path / "card"), evaluation_card.SCHEMA)
    for title, view in drawn.items():
        still = " ".join(map(str, view.still()))
        assert "cannot be drawn" not in still, title


def test_files_of_a_card(model, runs):
    card = wb.run("card", model, {"runs": str(runs)})
    card.provenance.model["name"] = "a|b <script>*"
    text = card_file.as_markdown(card)
    assert "# Memory of a\\|b \\<script>\\*" in text
    assert "*Read late, a text is" in text  # as by chance: in italics
    assert {line.count("|") - line.count("\\|") for line in text.splitlines()
            if line.startswith("| Can one")} == {6}  # fmt: skip
    read = json.loads(card_file.as_json(card))
    assert len(read["card"]) == len(ROWS)
    assert read["memories"][0]["memory"] == "in the weights"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (["-o", "card.docx"], "cannot be written as"),
        (["--runs", "nowhere"], "no folder"),
        (["--beside", "nowhere"], "no model"),
    ],
)
def test_wrong_commands(how, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["card", "smollm2-135m", *how])
    assert done.exit_code == 2
    assert says in done.output
    assert not list(tmp_path.iterdir())
