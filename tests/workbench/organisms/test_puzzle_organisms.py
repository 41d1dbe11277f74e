"""Organisms of puzzles: which they read, a training that goes on after a stop, and what ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from workbench.errors import BadInput, Cancelled
from workbench.organisms import checkpoints
from workbench.organisms.puzzles import puzzle_record, recipe, training
from workbench.organisms.puzzles.build import train_into
from workbench.progress import Progress
from workbench.puzzles import formal


def test_the_halves_have_no_puzzle_in_common_whatever_the_names() -> None:
    one, other = recipe.puzzles_of(3)
    keys = [{posed.puzzle.key for posed in half} for half in (one, other)]
    assert len(keys[0]) == len(keys[1]) == recipe.PUZZLES
    assert not keys[0] & keys[1]


def test_labels_stand_where_an_answer_decides() -> None:
    puzzles = recipe.puzzles_of(0)[0][:20]
    ids, labels = training.rows_of(puzzles)
    words = recipe.make_tokenizer().convert_ids_to_tokens
    for row, posed in enumerate(puzzles):
        decides = labels[row] >= 0
        assert (ids[row][decides] == labels[row][decides]).all()
        said = words(labels[row][decides].tolist())
        assert [word == formal.KNIGHT for word in said] == list(posed.answers)


@pytest.mark.parametrize("name", list(recipe.FAMILIES))
def test_what_ships_solves_what_it_read_and_not_the_others(name: str) -> None:
    place = recipe.home(name)
    assert place is not None
    assert sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) < 10**6
    record = puzzle_record.read(place)
    assert record is not None
    model = wb.load(f"organism/{name}").module
    assert abs(training.solved_share(model, record.trained()) - record.solved) < 0.01
    assert abs(training.solved_share(model, record.untrained()) - record.fresh) < 0.01
    assert record.solved > 0.9
    assert record.fresh < 0.5
    kept = checkpoints.saved_steps(place)
    assert kept == (list(recipe.KEPT) if recipe.FAMILIES[name].keeps_steps else [])


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: Any) -> None:
    class Stop(Progress):
        def __call__(self, fraction: float, says: str = "") -> None:
            if fraction >= 5 / 8:
                raise Cancelled

    steps = (2, 4, 8)
    with pytest.raises(Cancelled):
        training.grow("puzzles", 1, tmp_path, Stop(), steps=steps)
    one = training.grow("puzzles", 1, tmp_path, Progress(), steps=steps).model
    (tmp_path / "whole").mkdir()
    other = training.grow("puzzles", 1, tmp_path / "whole", Progress(), steps=steps).model
    for name, weight in other.state_dict().items():
        assert torch.equal(one.state_dict()[name], weight)


def test_a_training_is_kept_whole_and_its_record_is_checked(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(recipe, "KEPT", (0, 2, 4))
    monkeypatch.setattr("workbench.organisms.puzzles.build.STEPS", 4)
    monkeypatch.setattr(training.grow, "__kwdefaults__", {"steps": (0, 2, 4)})
    folder = tmp_path / "small"
    made = train_into("puzzles", 0, folder, Progress())
    assert made == puzzle_record.read(folder) == train_into("puzzles", 0, folder, Progress())
    assert checkpoints.saved_steps(folder) == [0, 2, 4]
    with pytest.raises(BadInput, match="another training made"):
        train_into("puzzles-control", 0, folder, Progress())
    record = json.loads((folder / puzzle_record.FILE).read_text())
    for damage in ({"name": "riddles"}, {"seed": "0"}, {"steps": 1.5}, {"seed": -1}):
        (folder / puzzle_record.FILE).write_text(json.dumps(record | damage))
        with pytest.raises(BadInput, match="record of puzzles in small"):
            puzzle_record.read(folder)
    assert puzzle_record.read(tmp_path) is None
