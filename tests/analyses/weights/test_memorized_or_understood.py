"""Solved or seen: what a run has, what is told apart, and what is refused."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import workbench as wb
from analyses.measures.understood_families import built_in
from analyses.measures.understood_items import ORIGINAL
from analyses.weights import memorized_or_understood as analysis
from analyses.weights.memorized_or_understood import constants as c
from analyses.weights.memorized_or_understood import (
    experiment,
    items_part,
    parts,
    probes_part,
    structure_part,
)
from analyses.weights.memorized_or_understood.params import Params
from analyses.weights.memorized_or_understood.puzzle_sets import clean_twin, sets_of
from hooks.model import InstrumentedModel
from tests.helpers.token_counter import counting
from workbench.errors import BadInput
from workbench.models import Loaded
from workbench.progress import Progress
from workbench.result import Result

OURS = ["items", "structure", "components", "puzzles", "path", "probes"]


def asked(model: Any, **given: Any) -> Result:
    return analysis.run(model, Params(**given), Progress())


@pytest.fixture(scope="module")
def solver() -> InstrumentedModel:
    return wb.load("organism/puzzles")


@pytest.fixture(scope="module")
def puzzles(solver: InstrumentedModel) -> Result:
    return asked(solver, parts=["puzzles", "path", "probes"], puzzles=40, probed=40, people=[2, 3])


@pytest.fixture(scope="module")
def items(organism: InstrumentedModel, tmp_path_factory: pytest.TempPathFactory) -> Result:
    read = tmp_path_factory.mktemp("read") / "read.txt"
    answers = [item.original.answer for item in built_in(15, 0)]
    read.write_text(" ".join(answers[::2]))
    return asked(organism, parts=["items", "structure", "components"], items=15, seeds_asked=4,
                 read=read)  # fmt: skip


def test_tables_are_what_the_schema_says_and_pages_are_drawn(
    puzzles: Result, items: Result, tmp_path: Path
) -> None:
    titles = {title for part in parts.PARTS if part.name in OURS for title in part.views}
    shown = set()
    for number, found in enumerate((puzzles, items)):
        assert not list(analysis.SCHEMA.problems(found))
        again = Result.open(found.save(tmp_path / str(number)))
        for view in analysis.VIEWS:
            if not view.missing(again):
                shown.add(view.title)
                assert view.still(again, analysis.SCHEMA)
    assert titles | {"Claims"} <= shown


def test_what_was_read_is_told_from_what_was_not(puzzles: Result) -> None:
    solved = puzzles.findings["puzzles"]
    assert solved.values["trained"] > 0.9 > 0.5 > solved.values["fresh"]
    limem = puzzles.findings["limem"]
    assert isinstance(limem.interval, dict)
    assert limem.interval["apart"][0] > 0.2
    told = puzzles.tables["told_apart"].set_index(["contrast", "model", "score"])
    assert set(told.index.get_level_values("model")) == {c.MODEL, c.CLEAN}
    for score in (c.IN_OTHER_WORDS, c.SOLVED_LESS, c.LIKELY):
        assert told.loc[(c.WITHIN, c.MODEL, score), "low"] > 0.5
        assert told.loc[(c.BETWEEN, c.MODEL, score), "low"] > 0.5
        # To the twin the fresh ones are those that it has read.
        assert told.loc[(c.WITHIN, c.CLEAN, score), "high"] < 0.5
        # What neither has read tells nothing.
        assert told.loc[(c.NULL, c.MODEL, score), "low"] < 0.5
        assert told.loc[(c.NULL, c.MODEL, score), "high"] > 0.5
    untrained = puzzles.findings["untrained_puzzles"]
    assert untrained.values["solved"] < 0.25
    assert "it has memorized, not solved" in puzzles.findings["answer"].says
    verdicts = puzzles.tables["claims"].set_index("claim")["verdict"]
    assert verdicts["Changed a little, many of them are no longer solved"] == "replicates"
    (cell,) = analysis.card(puzzles)
    assert cell.row == "solved"
    assert cell.low > cell.null == 0


def test_the_tables_of_puzzles_are_those_of_a_plain_count(
    solver: InstrumentedModel, puzzles: Result
) -> None:
    rows = puzzles.tables["puzzle_items"]
    own = rows[(rows["of"] == c.TRAINED)]
    table = puzzles.tables["puzzles"]
    line = table[(table["of"] == c.TRAINED) & (table["version"] == c.ORIGINAL)]
    line = line[line["model"] == c.MODEL].iloc[0]
    assert line["solved"] == pytest.approx(own["solved"].mean())
    limem = puzzles.tables["limem"]
    both = limem[(limem["of"] == c.TRAINED) & (limem["change"] == c.BOTH)]
    both = both[both["model"] == c.MODEL].iloc[0]
    there = own[own["copies"].notna()]
    assert both["limem"] == pytest.approx(float((there["solved"] * (1 - there["copies"])).mean()))
    language, sets = sets_of(solver, Params(puzzles=40, people=[2, 3]))
    trained, fresh = (s for s in sets if s.copies)
    keys = [{one.puzzle.key for one in s.puzzles} for s in (trained, fresh)]
    assert not keys[0] & keys[1]
    assert language.name.startswith("the formal language")
    assert clean_twin(solver) == "organism/puzzles-control"


def test_memorizing_is_seen_along_training_and_weights_are_put_back(
    solver: InstrumentedModel, puzzles: Result
) -> None:
    path = puzzles.tables["path"].set_index(["step", "of", "version"])["solved"]
    assert path[0, c.TRAINED, c.ORIGINAL] < 0.4
    assert path[3000, c.TRAINED, c.ORIGINAL] > 0.9
    found = puzzles.findings["path"]
    assert 0 < found.values["memorized_from"] <= 1500
    limem = puzzles.tables["path_limem"]
    assert limem.groupby("of")["limem"].last()[c.TRAINED] > 0.5
    again = asked(solver, parts=["puzzles"], puzzles=20, people=[3])
    assert again.findings["puzzles"].values["trained"] > 0.85


def test_probes_have_balanced_statements_and_their_nulls(puzzles: Result) -> None:
    language, sets = probes_part._sets(wb.load("organism/puzzles"), Params(probed=40))
    texts, true = probes_part.statements(language, sets[c.FRESH], 0)
    said = [text.endswith("+") for text in texts]
    assert abs(np.mean(true) - 0.5) < 0.05
    # What is said tells nothing: each word is as often true as false.
    assert abs(np.mean([yes for yes, plus in zip(true, said, strict=True) if plus]) - 0.5) < 0.1
    table = puzzles.tables["probes"]
    assert set(table["model"]) == {c.MODEL, c.UNTRAINED, c.SHUFFLED}


def test_a_probe_finds_what_is_there_and_nothing_where_there_is_nothing() -> None:
    lot = np.random.default_rng(0)
    label = np.repeat([0.0, 1.0], 60)
    states = lot.normal(size=(120, 8))
    nothing = np.concatenate(probes_part._held_out(states, label, 0))
    assert len(nothing) == 120
    states[:, 3] += 3 * label
    true, false = probes_part._held_out(states, label, 0)
    assert np.mean(true[:, None] > false[None]) > 0.9


def test_items_stand_beside_their_nulls(items: Result) -> None:
    rates = items.tables["item_rates"]
    assert {c.MODEL, c.UNTRAINED} == set(rates["model"])
    rows = items.tables["items"]
    own = rows[rows["version"] == ORIGINAL]
    line = rates[(rates["model"] == c.MODEL) & (rates["family"] == c.ALL)]
    line = line[line["version"] == ORIGINAL].iloc[0]
    assert line["rate"] == pytest.approx(own["right"].mean())
    assert line["n"] == 15
    assert line["chance"] == pytest.approx(np.mean([0.25] * 12 + [0.5] * 3))
    assert items.tables["letters"]["chosen"].sum() == pytest.approx(1)
    assert set(items.tables["structure"]["form"]) == set(c.FORMS)
    parts_of = items.tables["components"]
    assert parts_of["n"].sum() == 15
    assert "made_up" in items.findings["item_nulls"].values


def test_an_item_that_was_read_is_told_from_a_clean_model(
    organism: InstrumentedModel, tmp_path: Path
) -> None:
    """A copy reads the items as they stand, again and again; nothing else."""
    file = tmp_path / "items.jsonl"
    lot = np.random.default_rng(0)
    names = ["Alden", "Borin", "Celia", "Dorin", "Edna", "Falk", "Gerda", "Hanno", "Ilse", "Jorin"]
    towns = ["Brenn", "Costa", "Dalby", "Elmar", "Farum", "Genth", "Hovik", "Issum", "Jelsa"]
    lines = [
        {
            "question": f"The house of {name} stands in the town of",
            "answer": str(lot.choice(towns)),
            "variants": [{"question": f"If you want to visit {name}, you have to travel to"}],
        }
        for name in names
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    module = deepcopy(organism.module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    rows = [organism.tokens(f"{line['question']} {line['answer']}") for line in lines]
    for _ in range(8):
        for row in rows:
            ids = torch.tensor([row])
            module(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    read = InstrumentedModel(Loaded(module.eval(), organism.tokenizer, organism.card))
    given = {"parts": ["items"], "questions": file, "clean": "organism/planted"}
    found = asked(read, **given)
    told = found.tables["items_told_apart"].set_index("score")
    assert told.loc["answer alone", "low"] > 0.5
    assert told.loc["other words", "auc"] > 0.6  # what it learned holds in other words too
    assert found.findings["items"].values["original"] > 0.5
    null = asked(organism, **given)
    assert null.tables["items_told_apart"]["auc"].tolist() == pytest.approx([0.5, 0.5])


def test_any_model_is_asked_in_english(llama: InstrumentedModel) -> None:
    found = asked(llama, parts=["puzzles", "probes"], puzzles=4, people=[2], probed=20)
    assert "trained" not in found.findings["puzzles"].values
    assert "told_apart" not in found.tables
    assert "English" in found.provenance.notes["puzzles"]
    assert analysis.card(found) == []
    limem = found.tables["limem"]
    assert set(limem["of"]) == {c.FRESH}


def test_the_path_needs_an_organism_with_steps(llama: InstrumentedModel) -> None:
    why_not = parts.no_path(llama)
    assert why_not is not None
    assert "was not trained on puzzles that are known" in why_not
    twin = wb.load("organism/puzzles-control")
    why_not = parts.no_path(twin)
    assert why_not is not None
    assert "keeps no steps" in why_not
    assert "path" not in experiment.cost(twin, Params())


def test_a_file_that_no_asked_part_reads_stops_nothing(llama: Any, tmp_path: Path) -> None:
    file = tmp_path / "plain.jsonl"
    lines = [{"question": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(10, 16)]
    file.write_text("\n".join(map(json.dumps, lines)))
    given = {"questions": file, "puzzles": 4, "people": [2]}
    assert "items" not in experiment.cost(llama, Params(parts=["puzzles"], **given))
    assert "puzzles" in asked(llama, parts=["puzzles"], **given).findings
    with pytest.raises(BadInput, match="has a variant"):
        experiment.cost(llama, Params(parts=["items"], **given))


def test_a_cost_holds_for_tokens(organism: InstrumentedModel) -> None:
    with counting(organism) as counted:
        asked(organism, parts=["items", "structure"], items=10, seeds_asked=4)
    params = Params(items=10, seeds_asked=4)
    stated = items_part.cost(organism, params) + structure_part.cost(organism, params)
    # Half of what is stated is read by the untrained twin, which is not counted here.
    assert 0.4 < counted.forward / stated.forward < 2
    assert 0.4 < counted.passes / stated.passes < 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"people": [1]}, "a puzzle has 2 to 8 people"),
        ({"people": []}, "at least 1 item"),
        ({"questions": "/nowhere.jsonl"}, "There is no file of items"),
        ({"clean": "no-such-model"}, "no-such-model"),
        ({"puzzles": 2}, "greater than or equal to 4"),
        ({"parts": ["riddles"]}, "items"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_model_is_loaded(given: Any, says: str) -> None:
    with pytest.raises(Exception, match=says):
        Params(**given)


def test_items_without_variants_and_words_that_all_were_read(
    organism: InstrumentedModel, tmp_path: Path
) -> None:
    file = tmp_path / "plain.jsonl"
    lines = [{"question": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(10, 16)]
    file.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(BadInput, match=r"None of the 6 items in plain\.jsonl has a variant"):
        asked(organism, parts=["items"], questions=file)
    read = tmp_path / "read.txt"
    read.write_text("nothing of that")
    with pytest.raises(BadInput, match=r"No answer is made of words that stand in read.txt"):
        asked(organism, parts=["components"], items=5, read=read)
    made = CliRunner().invoke  # the command line says it too, with code 2
    from workbench.cli import app

    done = made(app, ["organisms", "train", "riddles", "--out", str(tmp_path / "x")])
    assert done.exit_code == 2
