"""`workbench grid` as it is typed, with real workers: kills, stops, and going on."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import waiting
from tests.helpers.grids import runs_in, started, workers_of
from workbench import cli, paths, runs
from workbench.result import Result


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(["grid", "count-sheep", *arguments])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--engine", "slurm"], "There is no engine 'slurm'"),
        (["--address", "host:1"], "An address is of a Ray cluster"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "No Ray cluster answers at 127.0.0.1:1"),
        (["--engine", "ray", "--address", "nowhere"], "No Ray cluster answers at nowhere"),
        (["--max-memory", "cpu=lots"], "is no amount of memory"),
        (["--bits", "3"], "cannot be rounded to 3 bits"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--set", "steps"], "is not an assignment"),
        (["--set", "steps=1", "--set", "steps=2"], "sets a parameter twice"),
        (["--set", "steps=1,no"], "The run with steps=no"),
        (["--set", "stps=1"], "stps"),
        (["-m", "no/where@*"], "no/where"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(place, capsys, arguments, says):
    code, out, err = run(capsys, *arguments, "--out", "grid")
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())
    assert not (place / "grid").exists()


def test_a_list_is_written_as_json(place, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["grid", "intervention", "--set", "heads=L0H1,L0H2", "--plan"])
    assert end.value.code == 2
    assert "heads is a list" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(["grid", "intervention", "--set", 'heads=["L0H1","L0H2"],[]', "--plan", "--json"])
    planned = json.loads(capsys.readouterr().out)
    assert [one["params"]["heads"] for one in planned] == [["L0H1", "L0H2"], []]


def test_the_plan_runs_nothing(place, capsys, model_folder):
    code, out, _ = run(capsys, "-m", model_folder, "--set", "steps=1,2", "--out", "grid", "--plan")
    assert code == 0
    assert out.count("to do") == 3
    assert "2 runs, 2 to do" in out
    assert not (place / "grid").exists()


@pytest.mark.verify
@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_workers_and_driver_are_killed_and_the_same_command_ends_it(place, model_folder):
    """One grid: a worker dies and its cell is run again; the driver dies, and its workers with it;
    the same command runs what is left, and no more.
    """
    arguments = ["-m", model_folder, "--set", "seed=0,1,2,3,4,5", "--set", "steps=20", "--set"]
    arguments += ["pause=0.1", "--out", "grid", "--workers", "2", "--json"]
    folder = place / "grid"
    driver = started(place, *arguments)
    try:
        workers = waiting.until(lambda: len(w := workers_of(driver.pid)) == 2 and w)
        waiting.until(lambda: len(runs_in(folder)) >= 1)
        os.kill(workers[0], signal.SIGKILL)
        waiting.until(lambda: set(workers_of(driver.pid)) - set(workers))
        waiting.until(lambda: len(runs_in(folder)) >= 3)
        workers = workers_of(driver.pid)
    finally:
        driver.kill()
        driver.communicate()
    waiting.until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    kept = {file: file.stat().st_mtime_ns for file in runs_in(folder)}
    assert 3 <= len(kept) < 6
    out, err = started(place, *arguments).communicate(timeout=300)
    assert f"{6 - len(kept)} run" in err
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    said = json.loads(out)
    assert sorted(row["seed"] for row in said["runs"]) == [0, 1, 2, 3, 4, 5]
    assert said["failed"] == {}
    table = pd.read_csv(folder / "summary.csv")
    assert list(table["sheep"]) == [20.0] * 6
    opened = Result.open(folder / table["folder"][5])
    assert opened.params["seed"] == table["seed"][5]
    assert not list((folder / "runs").glob(".*"))


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(place, model_folder):
    driver = started(place, "-m", model_folder, "--set", "seed=0,1,2", "--set", "steps=20",
                     "--set", "pause=0.1", "--out", "grid", "--workers", "1")  # fmt: skip
    waiting.until(lambda: len(runs_in(place / "grid")) == 1)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 130
    n = len(runs_in(place / "grid"))
    assert f"{n} run{'s' if n > 1 else ''} of 3 finished and kept in grid" in " ".join(err.split())
    assert "the same again with this folder goes on" in " ".join(err.split())


@pytest.mark.process
def test_what_the_seeds_agree_on_is_summed_up(place, capsys, model_folder):
    values = ["--set", "seed=2,0", "--set", "steps=3,4", "--out", "grid"]
    code, out, err = run(capsys, "-m", model_folder, *values)
    assert code == 0, err
    assert "2 seeds of each combination." in out
    assert "goes from 3 sheep (steps 3) to 4 sheep (steps 4), mean over the seeds" in out
    page = Result.open(place / "grid")
    over = page.tables["over_seeds"].set_index("combination")
    assert over["mean"].to_dict() == {"steps 3": 3.0, "steps 4": 4.0}
    assert over["n"].tolist() == [2, 2]
    code, out, err = run(capsys, "-m", model_folder, *values, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert len(said["runs"]) == 4
    assert said["findings"]["runs"] == "4 of 4 runs are done."


@pytest.mark.process
def test_a_grid_lies_among_the_runs_and_its_runs_are_found_by_their_name(
    place, capsys, model_folder
):
    values = ["-m", model_folder, "--set", "steps=2,3"]
    code, _out, err = run(capsys, *values, "--out", "elsewhere")
    assert code == 0, err
    code, _out, err = run(capsys, *values)
    assert code == 0, err
    grids = [entry for entry in runs.listing(samples=False) if entry.analysis == "grid"]
    assert [entry.linked for entry in grids] == [False, True]
    assert grids[0].path.parent == paths.runs_dir()
    inner = sorted(path.parent.name for path in runs_in(grids[0].path))
    assert len(inner) == 2
    assert runs.find(inner[0]).path == grids[0].path / "runs" / inner[0]


@pytest.mark.process
def test_a_run_that_fails_is_named_and_the_others_are_kept(place, capsys, model_folder):
    code, out, err = run(capsys, "-m", model_folder, "--set", "crash=false,true", "--out", "grid")
    assert code == 2
    assert "1 of 2 runs is done, 1 failed." in out
    assert "crash true: The workbench made a mistake: RuntimeError: <b>boom</b>" in err
    assert len(runs_in(place / "grid")) == 1
