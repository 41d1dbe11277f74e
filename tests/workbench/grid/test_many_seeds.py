"""`workbench run --seeds`: a grid behind it, which goes on after a stop and leaves one run."""

from __future__ import annotations

import pytest

from workbench import cli, paths, seeds
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.grid.many_seeds import run_seeds
from workbench.grid.run import Where
from workbench.progress import Progress
from workbench.result import Result


@pytest.fixture
def cache(place, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(place / "cache"))
    return place / "cache" / "seeds"


@pytest.mark.process
def test_one_command_leaves_one_run_over_all_seeds(place, cache, capsys, model_folder):
    with pytest.raises(SystemExit) as end:
        cli.main(["run", "count-sheep", "-m", model_folder, "--seeds", "3", "--seed", "4",
                  "--set", "steps=2", "--out", "sheep"])  # fmt: skip
    assert not end.value.code
    result = Result.open(place / "sheep")
    assert result.params["seed"] == 4
    assert result.findings["seeds"].says.startswith("3 runs with the seeds 4, 5, 6.")
    (row,) = result.tables[seeds.FINDINGS].to_dict("records")
    assert (row["finding"], row["n"], row["mean"]) == ("sheep", 3, 2.0)
    assert not list(cache.iterdir())
    assert paths.runs_dir().exists() is False
    assert "3 seeds" in result.title


@pytest.mark.process
def test_a_stop_keeps_the_seeds_that_were_finished(cache, model_folder):
    asked = {"steps": 5, "pause": 0.02}
    where = Where(workers=1)
    stopped = Progress(lambda update: "1 of 3 done" in update.says and stopped.cancel())
    with pytest.raises(Cancelled, match="1 run of 3 finished; the same command goes on"):
        run_seeds("count-sheep", model_folder, asked, range(3), where=where, progress=stopped)
    heard = []
    run_seeds("count-sheep", model_folder, asked, range(3), where=where, say=heard.append)
    assert heard[0].startswith("2 runs on 1 worker")


def test_one_seed_is_no_spread(cache, model_folder):
    with pytest.raises(BadInput, match="1 seed is no spread"):
        run_seeds("count-sheep", model_folder, {}, [4])


@pytest.mark.process
def test_a_run_that_fails_is_said(cache, model_folder):
    with pytest.raises(WorkbenchError, match=r"seed 0: .*boom"):
        run_seeds("count-sheep", model_folder, {"crash": True}, range(2), where=Where(workers=1))
