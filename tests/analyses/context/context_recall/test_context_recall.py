"""What is found of a long prompt: whole runs, what they cost, what is refused, how they look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import workbench as wb
from analyses.context import context_recall
from analyses.context.context_recall import further_tasks, own_contexts, score_tables
from analyses.context.context_recall.constants import CONDITIONS
from tests.helpers import families
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from tests.helpers.token_counter import counting
from workbench import cost, parts, runs
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

SMALL: dict[str, Any] = {
    "lengths": "250, 400", "depths": 3, "pairs": 6, "lists": 6, "between": "0, 60", "draws": 1,
    "ablated": "0.1",
}  # fmt: skip


def wide(module: Any, window: int = 2048) -> Any:
    """A tiny model with a window that its byte-like tokens need."""
    module.config.max_position_embeddings = window
    return wb.load((module, tiny_tokenizer()))


def ran(model: Any, **values: Any) -> Result:
    params = context_recall.Params.model_validate(SMALL | values)
    result: Result = context_recall.run(model, params, Progress())
    assert not list(context_recall.SCHEMA.problems(result))
    return result


@pytest.fixture(scope="module")
def model() -> Any:
    return wide(tiny_llama())


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("own") / "mine.jsonl"
    rows = [
        {"context": "Anna has a cat. Ben has a dog.", "question": "Anna has a", "answer": "cat"},
        {"context": "Anna has a cat. Ben has a dog.", "question": "Ben has a", "answer": "dog",
         "candidates": ["dog", "horse"]},
        {"context": "Nobody is here.", "question": "Carl has a", "answer": "cat"},
    ]  # fmt: skip
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def whole(model: Any, own: Path) -> Result:
    names = [part.name for part in context_recall.PARTS if part.name not in further_tasks.MADE]
    return ran(model, parts=[*names, "order", "repetition"], contexts_file=str(own))


def test_every_needle_is_asked_at_every_depth_and_length(whole: Result) -> None:
    table = whole.tables["needles"]
    hidden = table[table["task"] == "needle"]
    assert len(hidden) == 3 * 3 * 2 * 2  # facts, depths, lengths, wordings of the question
    assert set(hidden["depth"]) == {0.0, 0.5, 1.0}
    cells = whole.tables["cells"].set_index(["depth", "length"])
    for key, part in hidden.groupby(["depth", "length"]):
        assert cells.loc[key, "rate"] == pytest.approx(part["correct"].mean())
        assert cells.loc[key, "n"] == len(part)
        assert cells.loc[key, "logprob"] == pytest.approx(part["logprob"].mean())
    found = whole.findings["found"].values
    assert found["rate"] == pytest.approx(hidden["correct"].mean())
    assert found["worst"] == pytest.approx(cells["rate"].min())
    assert all(row.answer in row.evidence for row in hidden.itertuples())


def test_lists_have_their_controls(whole: Result) -> None:
    table = whole.tables["position"]
    assert set(table["condition"]) == set(CONDITIONS)
    assert sorted(table["position"].unique()) == [1, 2, 3, 4, 5, 6]
    shares = whole.arrays["intrusions"]
    assert shares.shape == (6, 6)
    lists = table[table["condition"] == CONDITIONS[0]].set_index("position")
    assert np.allclose(np.diagonal(shares), lists["rate"])
    assert (shares.sum("answered") <= 1 + 1e-9).all()
    last = whole.findings["last_word"].values
    assert last["last"] == pytest.approx(np.mean([shares.values[n, 5] for n in range(5)]))
    wrong = [shares.values[a, b] for a in range(5) for b in range(5) if a != b]
    assert last["other"] == pytest.approx(np.mean(wrong))


def test_a_saved_run_opens_and_every_view_is_drawn(whole: Result, tmp_path: Path) -> None:
    whole.save(tmp_path / "run")
    run = runs.open_run(str(tmp_path / "run"))
    views = bound(context_recall.VIEWS, run, context_recall.SCHEMA)
    assert list(views) == [
        "Needles", "Controls", "What matters", "Position", "Interference", "Heads", "Without them",
        "Passkey", "Contiguity", "Further tasks", "Your own", "Claims",
    ]  # fmt: skip
    for title, view in views.items():
        still = " ".join(map(str, view.still()))
        assert "The run was stopped" not in still, title
        assert "cannot be drawn" not in still, title


def test_further_tasks_are_counted(whole: Result) -> None:
    table = whole.tables["tasks"]
    assert set(table["part"]) == {"order", "repetition"}
    order = table[table["part"] == "order"]
    # Whatever always says one letter is right half of the time.
    if order["first"].isin([0.0, 1.0]).all():
        assert (order["rate"] == 0.5).all()
    assert (order["guess"] == 0.5).all()
    repeated = table[table["part"] == "repetition"]
    assert (repeated["n"] == 4).all()
    assert "It says A" in whole.findings["task_order"].says


def test_own_questions_say_what_cannot_be_told(whole: Result) -> None:
    table = whole.tables["own"].set_index("line")
    assert list(table["stands"]) == [1, 1, 0]
    assert list(table["candidates"]) == [2, 2, 2]
    assert "1 answer does not stand in its context" in whole.findings["own"].says


@pytest.mark.parametrize(
    "part", ["needles", "wordings", "position", "interference", "passkey", "repetition"]
)
def test_a_part_reads_as_many_tokens_as_it_says(part: str, model: Any) -> None:
    params = context_recall.Params.model_validate(SMALL | {"parts": [part]})
    stated = cost.total(
        each for name, each in context_recall.cost(model, params).items()
        if name in parts.running(context_recall.PARTS, params)
    )  # fmt: skip
    with counting(model) as counted:
        context_recall.run(model, params, Progress())
    assert 0.4 <= stated.forward / counted.forward <= 2.5
    assert 0.3 <= (stated.passes + 1) / (counted.passes + 1) <= 3


def test_a_model_of_states_answers_all_but_heads() -> None:
    model = families.built("mamba")
    params = context_recall.Params()
    assert context_recall.PARTS[4].name == "heads"
    assert "no attention heads" in str(context_recall.PARTS[4].unavailable_reason(model))
    assert "heads" not in context_recall.cost(model, params)
    result = ran(model, parts=["passkey"], lengths="190", depths=1)
    assert result.tables["passkey"]["n"].sum() == 2


def test_lengths_past_the_window_are_left_out_and_said() -> None:
    model = wb.load((tiny_llama(), tiny_tokenizer()))  # 256 tokens
    assert score_tables.fitting(model, [100, 190, 400]) == ([100, 190], [400])
    assert score_tables.fitting(model, [400]) == ([192], [400])
    result = ran(model, parts=["passkey"], lengths="180, 400", depths=1)
    assert "400" in result.provenance.notes["lengths"]
    assert set(result.tables["passkey"]["length"]) == {180}


def test_a_context_longer_than_the_window_loses_its_beginning(tmp_path: Path) -> None:
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    file = tmp_path / "long.jsonl"
    row = {"context": "Anna has a cat. " + "It rains. " * 90 + "Ben has a dog.",
           "question": "Ben has a", "answer": "dog", "candidates": ["dog", "cat"]}  # fmt: skip
    file.write_text(json.dumps(row), encoding="utf-8")
    result = ran(model, parts=["own"], contexts_file=str(file))
    table = result.tables["own"]
    assert table["cut"].iloc[0] > 100
    assert "cut off" in result.findings["own"].says
    made = own_contexts.prepared(model, own_contexts.read_file(file)).contexts[0]
    assert made.text.endswith("Ben has a dog.")
    assert "Anna" not in made.text
    assert made.text[slice(*made.questions[0].evidence)] == "dog"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no json", "not JSON"),
        ('["a list"]', "has no 'context'"),
        ('{"context": "a", "question": "b", "answer": "  "}', "has no 'answer'"),
        ('{"context": "a", "question": "b", "answer": "c", "candidates": ["d"]}', "not among"),
        ('{"context": "a", "question": "b", "answer": "c", "candidates": "d"}', "no list"),
        ("", "holds no question"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_early(line: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line, encoding="utf-8")
    with pytest.raises((BadInput, ValidationError), match=words):
        context_recall.Params(contexts_file=file)


@pytest.mark.parametrize(
    "wrong",
    [{"lengths": ""}, {"lengths": "5"}, {"lengths": "many"}, {"filler": "x"}, {"ablated": "2"}],
)
def test_parameters_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((BadInput, ValidationError)):
        context_recall.Params.model_validate(wrong)


def test_a_run_can_be_stopped(model: Any) -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(wb.errors.Cancelled):
        context_recall.run(model, context_recall.Params.model_validate(SMALL), progress)
