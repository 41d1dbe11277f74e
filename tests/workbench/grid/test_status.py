"""How far a grid is, told to other processes, and how it is stopped by them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading

import pytest

from workbench.grid import status
from workbench.grid.status import GridStatus
from workbench.progress import Update

LOOKS = """
import sys
from pathlib import Path
from workbench.grid import status
print(status.read(Path(sys.argv[1])))
"""


def seen_from_elsewhere(folder) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOOKS, str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_only_while_somebody_is_at_work_there_is_a_status(tmp_path):
    assert status.read(tmp_path) is None
    with status.locked(tmp_path) as mine:
        assert mine
        assert status.read(tmp_path) == GridStatus()
        status.write(tmp_path, Update(0.25, "1 of 4 done", 10.0, 30.0))
        told = GridStatus(0.25, "1 of 4 done", 30.0, False)
        assert seen_from_elsewhere(tmp_path) == str(told)
        with status.locked(tmp_path) as second:
            assert not second
        status.ask_to_stop(tmp_path)
        assert status.read(tmp_path).stopping
    assert not status.is_at_work(tmp_path)
    assert seen_from_elsewhere(tmp_path) == "None"


def test_who_only_looks_keeps_no_grid_from_beginning(tmp_path):
    """A page that asks whether anybody is at work holds the lock for a moment."""
    handle = os.open(tmp_path / status.LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_SH)
    threading.Timer(0.03, os.close, [handle]).start()
    with status.locked(tmp_path) as mine:
        assert mine


def test_what_a_killed_grid_left_behind_is_forgotten(tmp_path):
    (tmp_path / status.STATUS).write_text(json.dumps({"fraction": 0.5, "says": "", "left": 1}))
    status.ask_to_stop(tmp_path)
    assert status.read(tmp_path) is None
    with status.locked(tmp_path):
        assert status.read(tmp_path) == GridStatus()


@pytest.mark.parametrize("text", ["", "[]", '{"fraction": "much", "says": 1, "left": null}'])
def test_a_damaged_status_is_no_error(tmp_path, text):
    with status.locked(tmp_path):
        (tmp_path / status.STATUS).write_text(text)
        assert status.read(tmp_path) == GridStatus()
