"""An analysis from the command line: its parameters, its answer as text and as JSON, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command_line import Said

ROOT = Path(__file__).parents[3]


def test_analyses_lists_questions_and_explains_parameters(workbench: Callable[..., Said]) -> None:
    listed = workbench("analyses", "--json").json
    assert {
        "name": "count-steps",
        "question": "How many steps are there?",
        "gives": "",
        "room": "",
        "package": "stranger",
    } in listed["analyses"]
    assert "How many steps are there?" in workbench("analyses").out
    about = workbench("analyses", "count-steps", "--json").json
    assert about["parameters"][0] == {
        "name": "steps",
        "type": "whole number",
        "default": 3,
        "bounds": "≥ 1, ≤ 1000",
        "description": "How many",
    }
    assert [p["type"] for p in about["parameters"]][2:5] == ["text", "list of text", "up | down"]
    table = workbench("analyses", "count_steps").out
    assert re.search(r"steps\s+How many\s+whole number, default 3, ≥ 1, ≤ 1000", table)


def test_run_saves_tells_and_lists(workbench: Callable[..., Said], model_folder: str) -> None:
    said = workbench(
        "run",
        "count-steps",
        "-m",
        model_folder,
        "--set",
        "steps=2",
        "--set",
        "word=7",
        "--set",
        "places=x, y",
    )
    assert said.code == 0, said.err
    assert "There are 2 steps of [red]7[/red]" in said.out  # markup of a stranger stays text
    assert "\x1b" not in said.out
    assert "workbench report" in said.out
    [entry] = [e for e in workbench("runs", "--json").json if not e["sample"]]
    assert (entry["analysis"], entry["model"], entry["partial"]) == (
        "count-steps",
        "tiny-model",
        False,
    )
    saved = json.loads((Path(entry["path"]) / "result.json").read_text())
    assert (saved["params"]["word"], saved["params"]["places"]) == ("7", ["x", "y"])
    assert entry["id"] in workbench("runs").out


def test_run_json_is_the_result_and_nothing_else(
    workbench: Callable[..., Said], model_folder: str, places: Path
) -> None:
    out = places / "answer"
    (places / "p.toml").write_text('steps = 4\nhow = "down"\n')
    said = workbench(
        "run",
        "count-steps",
        "-m",
        model_folder,
        "--params",
        "p.toml",
        "--set",
        "steps=5",
        "--seed",
        "9",
        "--out",
        out,
        "--json",
    )
    assert said.json["path"] == str(out)
    assert said.json["findings"]["steps"]["value"] == 5
    assert (said.json["params"]["how"], said.json["provenance"]["seed"]) == ("down", 9)
    assert said.json["provenance"]["model"]["n_layers"] == 3


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write everywhere"
)
def test_folder_without_permission_is_noticed_before_the_model_loads(
    workbench: Callable[..., Said], places: Path
) -> None:
    (places / "locked").mkdir(mode=0o500)
    said = workbench("run", "count-steps", "--out", places / "locked" / "run")
    assert said.code == 2
    assert "Nothing may be written" in said.err


def test_work_is_not_lost_when_the_runs_folder_goes_bad_meanwhile(
    workbench: Callable[..., Said], model_folder: str, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import runs

    run = runs.run

    def then_the_disk_goes_bad(*arguments: Any, **options: Any) -> Any:
        result = run(*arguments, **options)
        (places / "runs").write_text("a file where the folder should be")
        return result

    monkeypatch.setattr(runs, "run", then_the_disk_goes_bad)
    said = workbench("run", "count-steps", "-m", model_folder)
    assert said.code == 0
    assert "is saved in" in said.err
    assert len(list(places.glob("*count-steps*/result.json"))) == 1


def test_chat_is_a_parameter_of_the_analyses_that_have_it(
    workbench: Callable[..., Said], model_folder: str
) -> None:
    said = workbench("run", "count-steps", "--chat", "--model", model_folder)
    assert (said.code, "count-steps does not use a chat format" in said.err) == (2, True)
    said = workbench("run", "inside", "--chat", "--set", "prompt=a", "--model", model_folder)
    assert (said.code, "no chat template" in said.err) == (2, True)


def started(places: Path, stranger: Path, *arguments: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(stranger), os.environ.get("PYTHONPATH", "")])
    code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=places,
    )


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_keeps_what_is_finished(places: Path, stranger: Path, model_folder: str) -> None:
    child = started(
        places,
        stranger,
        "run",
        "count-steps",
        "-m",
        model_folder,
        "--set",
        "steps=400",
        "--set",
        "pause=0.05",
        "--json",
    )
    assert child.stderr is not None
    for line in child.stderr:  # until it counts
        if "How many steps" in line or "Step" in line:
            break
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 130
    kept = json.loads(out)
    assert kept["partial"] is True
    assert 1 <= kept["findings"]["steps"]["value"] < 400
    assert kept["path"] in err.replace("\n", "")
    assert "saved as a partial run" in err
    assert Path(kept["path"]).parent == places / "runs"


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_second_ctrl_c_ends_at_once(places: Path, stranger: Path, model_folder: str) -> None:
    child = started(places, stranger, "run", "count-steps", "-m", model_folder, "--set", "pause=60")
    assert child.stderr is not None
    for line in child.stderr:
        if "How many steps" in line:
            break
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=300) == 130
