"""The parts on premises, tables, kinds, popularity, traps and recited texts: what they add to a
run, whether its tables are as the schema says, every view, and what is refused.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyses.measures import evidence_traps
from analyses.measures.evidence_tables import DataTable
from analyses.measures.statistics import paired_gain
from analyses.weights import memorized_or_understood as analysis
from analyses.weights.memorized_or_understood import (
    attestation_part,
    kinds_part,
    popularity_part,
    recited_part,
    tables_findings,
    tables_part,
    traps_part,
)
from analyses.weights.memorized_or_understood.evidence_params import relations_of
from analyses.weights.memorized_or_understood.params import Params
from analyses.weights.memorized_or_understood.tables_schema import (
    MISSING,
    NEXT_ROW,
    OPENING,
    REDEALT,
    WHOLE,
)
from tests.helpers.token_counter import counting
from workbench import facts, runs
from workbench.errors import BadInput, WorkbenchError
from workbench.progress import Progress
from workbench.result import Result
from workbench.schema import SchemaMismatch
from workbench.views import bound

SMALL = {
    "table_rows": 5, "table_shots": 3, "kind_texts": 3, "popularity_facts": 6, "trap_count": 3,
    "popularity_relations": "capital, currency", "premise_facts": 8, "premise_relations": "capital",
}  # fmt: skip
MODULES = {
    "attestation": attestation_part, "tables": tables_part, "kinds": kinds_part,
    "popularity": popularity_part, "traps": traps_part, "recited": recited_part,
}  # fmt: skip
VIEWS = [
    "Known tables",
    "Kinds of text",
    "Popularity",
    "Copyright traps",
    "Recited or not",
    "Near copies",
]


@pytest.fixture(scope="module")
def small_traps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_traps, "LENGTHS", (12, 16))
        patch.setattr(evidence_traps, "REPEATS", (1, 8))
        yield


@pytest.fixture(scope="module")
def run(organism, small_traps) -> Result:
    return analysis.run(organism, Params(parts=list(MODULES), **SMALL), Progress())


@pytest.fixture(scope="module")
def opened(run: Result, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("runs") / "one"
    with warnings.catch_warnings():
        warnings.simplefilter("error", SchemaMismatch)
        run.save(folder)
    return runs.open_run(folder)


def test_every_view_of_a_saved_run_is_drawn(opened: Result) -> None:
    drawn = bound(analysis.VIEWS, opened, analysis.SCHEMA)
    assert set(VIEWS) <= set(drawn)
    for title in VIEWS:
        assert "cannot be drawn" not in " ".join(map(str, drawn[title].still())), title


def test_a_model_that_knows_no_facts_is_told_so(run: Result) -> None:
    """An organism of old prose knows no capital: nothing can be said, and nothing is made up."""
    assert "Nothing can be said of attestation" in run.findings["attestation"].says
    assert "attestation_tests" not in run.tables
    assert "too few" in run.findings["popularity"].says


def half_known(model: Any, given: Any, progress: Any) -> Any:
    """As `closed_book`, of a model that knows every second fact."""
    closed = type("Closed", (), {})()
    closed.known = [n % 2 == 0 for n in range(len(given.facts))]
    closed.facts = [f for f, yes in zip(given.facts, closed.known, strict=True) if yes]
    return closed


def test_attestation_has_its_null_beside_it(llama, monkeypatch) -> None:
    relation = facts.relation("capital")
    monkeypatch.setattr(attestation_part, "closed_book", half_known)
    found = analysis.run(llama, Params(parts=["attestation"], **SMALL), Progress())
    tests = found.tables["attestation_tests"]
    assert tests["model"].nunique() == 2
    assert len(tests) == 6
    table = found.tables["attestation"]
    assert set(table["relation"]) == {relation.name}
    assert not table["odds"].equals(table["untrained_odds"])
    for title, view in bound(analysis.VIEWS, found, analysis.SCHEMA).items():
        if title == "Attestation":
            assert "cannot be drawn" not in " ".join(map(str, view.still()))


def test_tables_are_asked_in_three_versions(run: Result) -> None:
    tests = run.tables["table_tests"].set_index(["test", "column"])
    assert tests.loc[(NEXT_ROW, WHOLE), "n"].tolist() == [5, 5, 5]
    assert len(tests.loc[MISSING]) == 2
    assert run.tables["table_rows"]["row"].min() > SMALL["table_shots"]
    assert "That iris.csv is known by heart is not shown" in run.findings["table_known"].says


def test_the_user_s_own_table(organism, tmp_path: Path) -> None:
    rows = [f"{n},{n * 7 % 10},{'left' if n % 3 else 'right'}" for n in range(14)]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["number;code;side".replace(";", ","), *rows]))
    given = {**SMALL, "table": file, "table_target": "side"}
    found = analysis.run(organism, Params(parts=["tables"], **given), Progress())
    assert "mine.csv" in found.findings["table_known"].says
    assert "“side”" in found.findings["table_versions"].says
    with pytest.raises(BadInput, match="no column 'colour'"):
        analysis.run(organism, Params(parts=["tables"], **{**given, "table_target": "colour"}),
                     Progress())  # fmt: skip


def test_traps_are_told_and_words_are_not(run: Result) -> None:
    cells = run.tables["trap_cells"]
    assert len(cells) == 2 * 2 * 2
    found = run.findings["traps"].values
    assert found["auc_8"] > 0.9
    assert 0.15 < found["blind"] < 0.85
    others = run.tables["traps"].query("repeats == 0")
    assert others["gain"].mean() < run.tables["traps"].query("repeats == 8")["gain"].mean()


def test_recited_texts_are_those_that_were_planted(run: Result) -> None:
    table = run.tables["recited_windows"]
    assert (table["times"] > 0).all()
    assert table.groupby("recited")["times"].mean().is_monotonic_increasing
    features = run.tables["recited_features"].set_index("feature")
    assert features.loc["how often it was read", "low"] > 0.7
    near = run.tables["near_copies"]
    plain = near[near["prompt"] == "as it stands"]
    assert (plain["edits"] > 0).all()
    assert len(near) - len(plain) == int(table["recited"].sum())


def test_recited_texts_of_a_file(organism, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("The sea was calm and nobody came. " * 40)
    found = analysis.run(organism, Params(parts=["recited"], recited_texts=file), Progress())
    assert set(found.tables["recited_windows"]["text"]) == {"mine.txt"}
    assert "too few" in found.findings["recited"].says
    with pytest.raises(WorkbenchError, match="nowhere"):
        Params(parts=["recited"], recited_texts=tmp_path / "nowhere.txt")


@pytest.mark.parametrize("name", ["tables", "kinds", "popularity", "attestation"])
def test_a_cost_is_about_what_is_read(organism, name: str, monkeypatch) -> None:
    params = Params(parts=[name], **SMALL)
    monkeypatch.setattr(attestation_part, "closed_book", half_known)  # it knows too few by itself
    with counting(organism) as counted:
        analysis.run(organism, params, Progress())
    stated = MODULES[name].cost(organism, params).forward
    # Of `attestation` the untrained twin reads half, which is not counted here.
    assert (0.25 if name == "attestation" else 0.4) < counted.forward / stated < 2.5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"premise_relations": "capitals"}, "capitals"),
        ({"popularity_relations": " , "}, "No relation is named"),
        ({"table": "/nowhere.csv"}, "no table"),
        ({"retrieval_quality": 1.2}, "less than or equal to 1"),
        ({"trap_count": 1}, "greater than or equal to 3"),
        ({"kind_texts": 99}, "less than or equal to 20"),
        ({"table_target": "colour"}, "iris.csv has no column 'colour'"),
        ({"read": "/nowhere.txt"}, "nowhere"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_model_is_loaded(given: Any, says: str) -> None:
    with pytest.raises((WorkbenchError, ValueError), match=says):
        Params(**given)


def test_a_table_that_is_too_short_is_said_before_a_model_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text("\n".join(["a,b", *(f"{n},{n % 2}" for n in range(12))]))
    with pytest.raises(BadInput, match="12 rows, too few to show 12"):
        Params(table=file, table_shots=12)
    assert Params(table=file, table_shots=11, table_target="a").data_table().number_of("a") == 0


def test_a_relation_that_is_named_twice_is_asked_once() -> None:
    names = [relation.name for relation in relations_of("capital, language,capital , language")]
    assert names == ["capital", "language"]


def test_as_many_known_facts_as_unknown_ones_of_each_relation(llama, monkeypatch) -> None:
    """One relation is nearly all known, the other nearly not: what differs is the relation."""

    def uneven(model: Any, given: Any, progress: Any) -> Any:
        closed = half_known(model, given, progress)
        most = 2 if given.name == "capital" else len(given.facts) - 3
        closed.known = [n < most for n in range(len(given.facts))]
        closed.facts = list(given.facts[:most])
        return closed

    monkeypatch.setattr(attestation_part, "closed_book", uneven)
    asked, n, (known, unknown) = attestation_part._questions(
        llama, Params(premise_facts=12, premise_relations="capital, currency"), Progress()
    )
    assert n == 2 + 3
    assert (known, unknown) == (2 + 36 - 3, 36 - 2 + 3)
    kinds = pd.DataFrame([vars(question) for question in asked]).groupby("relation")
    for _, part in kinds:
        facts_of = part.groupby("kind")["fact"].nunique()
        assert facts_of["known"] == facts_of["unknown"]
    assert {question.fact for question in asked} == set(range(2 * n))


@pytest.mark.parametrize(
    ("p", "low", "says"),
    [
        (0.03, -0.1, "is not shown"),  # one of two tests, so each needs half of .05
        (0.001, -0.1, "t.csv comes out by heart"),
        (0.001, 0.2, "as far as it can also be predicted"),
    ],
)
def test_what_can_be_predicted_is_not_said_to_be_known(p: float, low: float, says: str) -> None:
    row = {"right": 0.5, "low": 0.3, "high": 0.7, "bits": 0.5, "chance": 0.1, "predictor": "it",
           "n": 10}  # fmt: skip
    rows = [
        {**row, "version": version, "test": test, "column": WHOLE if test != MISSING else "b",
         "p": p if (version, test) == ("original", NEXT_ROW) else 1.0}
        for version in ("original", "perturbed", REDEALT)
        for test in (NEXT_ROW, OPENING, MISSING)
    ]  # fmt: skip
    result = Result(analysis.name)
    result.tables["table_tests"] = pd.DataFrame(rows)
    table = DataTable("t.csv", ("a", "b"), (("1", "2"),) * 12)
    names = ["original", "perturbed", "task", "statistical", "the nearest"]
    result.tables["table_versions"] = pd.DataFrame(
        {"version": names, "right": [1.0, 0.5, 0.5, 0.0, 0.5], "n": 10}
    )
    right = {"original": np.ones(10, bool), "perturbed": np.arange(10) % 2 == 0}
    tables_findings.add(result, table, 1, (0.3, low, 0.5, 2), right)
    assert says in result.findings["table_known"].says
    versions = result.findings["table_versions"]
    assert versions.values["apart"] == 0.5
    assert isinstance(versions.interval, dict)
    assert versions.interval["apart"] == paired_gain(np.repeat([1, 0], 5))[1]
    assert "once digits are moved" in versions.says


@pytest.mark.parametrize(
    ("blind", "says"),
    [((0.5, 0.4, 0.6), "Traps show that"), ((0.8, 0.7, 0.9), "Traps show nothing here")],
)
def test_traps_that_differ_by_themselves_show_nothing(run: Result, blind: Any, says: str) -> None:
    result = Result(analysis.name)
    traps_part._say(result, run.tables["traps"], run.tables["trap_cells"], blind)
    assert result.findings["traps"].says.startswith(says)


def test_frames_have_no_row_twice(run: Result) -> None:
    for name in ("table_tests", "kinds", "popularity_grid", "trap_cells"):
        frame: pd.DataFrame = run.tables[name]
        assert not frame.astype(str).duplicated().any(), name
