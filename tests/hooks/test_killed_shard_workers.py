"""A trace whose workers, driver or cluster are killed: the same command ends it, with the bytes of
one worker.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from tests.helpers import ray_cluster, waiting
from tests.helpers.capturing import contents
from tests.helpers.grids import processes, workers_of
from tests.helpers.ray_cluster import ACTOR
from workbench.trace_files.manifest import UNFINISHED

MODEL = "organism/planted"
TOKENS = 200_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """At least 200,000 tokens of an organism, in windows of 256."""
    file = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    words = Path(__file__).with_name("test_capture.py").read_text(encoding="utf-8").split()
    some = random.Random(0)
    file.write_text(
        "\n".join(" ".join(some.choices(words, k=400)) for _ in range(160)), encoding="utf-8"
    )
    return file


def started(corpus, folder, *arguments):
    code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
    request = ["--prompts", str(corpus), "--window", "256", "--site", "resid_post"]
    request += ["--reduce", "norm", "-m", MODEL, "-o", str(folder), "--json", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code, "trace", *request], stdout=pipe, stderr=pipe, text=True
    )


def ended(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return json.loads(out)


def shards_in(folder):
    return sorted(Path(folder).glob("shard-*"))


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """What one worker writes."""
    folder = tmp_path_factory.mktemp("whole") / "t"
    assert ended(started(corpus, folder, "--workers", "1"))["tokens"] >= TOKENS
    assert len(shards_in(folder)) >= 12
    return folder


@pytest.mark.process
@pytest.mark.verify
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_ctrl_c_says_what_is_saved_and_leaves_no_process(corpus, tmp_path):
    folder = tmp_path / "t"
    driver = started(corpus, folder, "--workers", "2")
    waiting.until(lambda: len(shards_in(folder)) >= 1, 240)
    workers = workers_of(driver.pid)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "prompts are saved" in " ".join(err.split())
    assert len(workers) == 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not list(folder.glob(UNFINISHED + "*"))


@pytest.mark.verify
@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_worker_and_driver_are_killed_and_the_same_command_ends_it(corpus, whole, tmp_path):
    """200,000 tokens on two workers: one is killed, then the driver; a second driver is refused
    meanwhile; every file ends as one worker wrote it, and no finished shard is written again.
    """
    folder = tmp_path / "t"
    driver = started(corpus, folder, "--workers", "2")
    try:
        workers = waiting.until(lambda: len(w := workers_of(driver.pid)) == 2 and w, 120)
        waiting.until(lambda: len(shards_in(folder)) >= 2, 240)
        second = started(corpus, folder, "--workers", "2")
        os.kill(workers[0], signal.SIGKILL)
        waiting.until(lambda: set(workers_of(driver.pid)) - set(workers), 120)
        _, err = second.communicate(timeout=240)
        assert second.returncode == 2, err
        assert "Another capture is writing" in err
        waiting.until(lambda: len(shards_in(folder)) >= 5, 240)
        workers = workers_of(driver.pid)
    finally:
        driver.kill()
        driver.communicate()
    waiting.until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    finished = {file: file.stat().st_mtime_ns for file in shards_in(folder)}
    assert 5 <= len(finished) < len(shards_in(whole))
    ended(started(corpus, folder, "--workers", "2"))
    assert contents(folder) == contents(whole)
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    norms = wb.Trace.open(folder)["resid_post"]
    assert np.isfinite(norms.values[:, :, 0]).all()


@pytest.mark.verify
@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="actors are found in /proc")
def test_on_a_cluster_a_worker_the_driver_and_the_head_are_killed(
    corpus, whole, tmp_path, monkeypatch
):
    """The same on two workers of a Ray cluster: the bytes of one process of this machine."""
    pytest.importorskip("ray")
    folder = tmp_path / "t"
    with ray_cluster.running(monkeypatch) as cluster:
        asked = ["--workers", "2", "--engine", "ray", "--address", cluster.start()]
        driver = started(corpus, folder, *asked)
        try:
            actors = waiting.until(lambda: len(a := processes(ACTOR)) == 2 and a, 240)
            waiting.until(lambda: len(shards_in(folder)) >= 1, 240)
            os.kill(actors[0], signal.SIGKILL)
            waiting.until(lambda: set(processes(ACTOR)) - set(actors), 240)
            waiting.until(lambda: len(shards_in(folder)) >= 3, 240)
        finally:
            driver.kill()
            driver.communicate()
        waiting.until(lambda: not processes(ACTOR), 240)
        finished = {file: file.stat().st_mtime_ns for file in shards_in(folder)}
        driver = started(corpus, folder, *asked)
        waiting.until(lambda: len(shards_in(folder)) > len(finished), 240)
        cluster.kill_head()
        driver.communicate(timeout=300)
        assert driver.returncode != 0
        assert len(shards_in(folder)) < len(shards_in(whole))
        cluster.stop()
        cluster.start()
        ended(started(corpus, folder, *asked))
    assert contents(folder) == contents(whole)
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
