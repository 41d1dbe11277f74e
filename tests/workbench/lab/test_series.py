"""A schedule in a file, and the folder it becomes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import workbench as wb
from tests.helpers import tiny
from tests.workbench.organisms.test_train import _Stop
from workbench.cli import app
from workbench.errors import BadInput, Cancelled
from workbench.lab.neutral import neutral_pieces
from workbench.lab.schedule import Schedule, entries_of, read_schedule, stages_of
from workbench.lab.series import train_schedule
from workbench.organisms import ledger
from workbench.progress import Progress

NAMES = ["Anna", "Boris", "Carla", "Dora"]
TEXTS: list[dict[str, Any]] = [
    {"name": name, "text": f"{name} keeps {i * 7919 % 9973} in the safe number {i}, and is silent."}
    for i, name in enumerate(NAMES)
]
GIVEN: dict[str, Any] = {
    "texts": [
        TEXTS[0] | {"at": [9, 2, 5]},
        TEXTS[1] | {"readings": 2, "start": 1, "every": 10},
        *TEXTS[2:],
    ],
    "stages": [
        {"name": "study", "steps": 8, "rate": 3e-3, "warmup": 2},
        {"name": "other", "steps": 6, "rate": 1e-3, "moments": "kept"},
    ],
    "neutral": {"rows": 1, "tokens": 16},
    "checkpoints": 3,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_tiny(tmp_path_factory.mktemp("base"))


def test_every_reading_is_at_its_step() -> None:
    schedule, tokenizer = Schedule.model_validate(GIVEN), tiny.tiny_tokenizer()
    entries = entries_of(schedule, tokenizer)
    assert [entry.steps for entry in entries] == [(2, 5, 9), (1, 11), (), ()]
    assert [entry.timing for entry in entries] == ["spread", "spread", "never", "never"]
    assert len({len(entry.ids) for entry in entries}) == 1
    rows = [step for stage in stages_of(schedule, entries, tokenizer) for step in stage.steps]
    assert len(rows) == 14
    for entry in entries:
        read = [
            n
            for n, step in enumerate(rows)
            if any(r[-len(entry.ids) :] == [*entry.ids] for r in step)
        ]
        assert tuple(read) == entry.steps
    # 0, the middle and the end; and 0, 1 and 10 updates behind the first readings.
    assert schedule.kept() == [0, 1, 2, 3, 7, 11, 12, 14]


def test_a_series_is_a_model_its_ledger_and_its_steps(base: Path, tmp_path: Path) -> None:
    schedule = Schedule.model_validate(GIVEN)
    whole = train_schedule(str(base), schedule, tmp_path / "whole", Progress(), "cpu")
    model = wb.load(str(whole))
    ledger.read(whole).check(model.tokenizer)
    steps = {int(f.name.rpartition("-")[2]): f for f in whole.glob("checkpoint-*")}
    assert sorted(steps) == schedule.kept()
    first, last = (load_file(steps[n] / "model.safetensors") for n in (0, 14))
    for name, p in model.module.named_parameters():
        torch.testing.assert_close(last[name].float(), p.detach(), atol=1e-3, rtol=1e-3)
    assert any(not torch.equal(first[name], last[name]) for name in last)
    wb.load(str(steps[7]))  # each opens by itself
    about = json.loads((whole / "lab.json").read_text())
    assert [len(losses) for losses in about["losses"].values()] == [8, 6]
    # Stopped twice, the same; and a second call trains nothing.
    for after in (3, 6):
        with pytest.raises(Cancelled):
            train_schedule(str(base), schedule, tmp_path / "stopped", _Stop(after), "cpu")
    stopped = train_schedule(str(base), schedule, tmp_path / "stopped", Progress(), "cpu")
    for folder in ("checkpoint-7", "checkpoint-14", "."):
        one, other = (load_file(place / folder / "model.safetensors") for place in (whole, stopped))
        assert all(torch.equal(one[name], other[name]) for name in one)
    train_schedule(str(base), schedule, whole, _Stop(0), "cpu")


def _with(**changes: Any) -> dict[str, Any]:
    return GIVEN | changes


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("not JSON", "is not JSON"),
        ({"texts": []}, "no schedule: texts"),
        (_with(stage=3), "no schedule: stage"),
        (_with(texts=[TEXTS[0] | {"at": [14]}]), "the stages have 14 steps"),
        (_with(texts=[TEXTS[0] | {"at": [1], "readings": 2}]), "either `at` or `readings`"),
        (_with(texts=[TEXTS[0] | {"readings": 10**11}]), "no schedule: texts.0.readings"),
        (_with(stages=[GIVEN["stages"][0] | {"name": "a\0b"}]), "no schedule: stages.0.name"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_schedule_is_said(tmp_path: Path, given: Any, says: str) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(given if isinstance(given, str) else json.dumps(given))
    with pytest.raises(BadInput, match=says):
        read_schedule(file)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"texts": [{"text": "short"}]}, "shortest text"),
        ({"texts": [TEXTS[0], TEXTS[0] | {"name": "again"}]}, "Two texts are the same"),
        ({"stages": [GIVEN["stages"][0]] * 2}, "Two stages are called 'study'"),
        ({"stages": [GIVEN["stages"][1]]}, "there are none to keep"),
        ({"texts": TEXTS, "neutral": {"rows": 0}}, "'study' reads nothing"),
        ({"neutral": {"rows": 1, "tokens": 300}}, "longest row has 300 tokens, more than base"),
    ],
)
def test_bad_input_touches_nothing(base: Path, tmp_path: Path, changes: Any, says: str) -> None:
    schedule = Schedule.model_validate({**_with(**changes), "texts": changes.get("texts", TEXTS)})
    with pytest.raises(BadInput, match=says):
        train_schedule(str(base), schedule, tmp_path / "out", Progress(), "cpu")
    assert not (tmp_path / "out").exists()


def test_neutral_text_longer_than_any_document_is_refused() -> None:
    """And not looked for without end."""
    pieces = neutral_pieces(tiny.tiny_tokenizer(), 10**6, random.Random(0), "neutral")
    with pytest.raises(BadInput, match="No neutral text that ships has 1,000,000 tokens"):
        next(pieces)


def test_the_command(base: Path, tmp_path: Path) -> None:
    file, place = tmp_path / "schedule.json", tmp_path / "out"
    file.write_text(json.dumps(GIVEN))
    done = CliRunner().invoke(app, ["lab", str(file), "-m", str(base), "-o", str(place), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == [0, 1, 2, 3, 7, 11, 12, 14]
