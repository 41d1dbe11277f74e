"""A third party's quick analysis, and a tiny model, for grids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers import fake_package, tiny

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder, with a third party's analysis installed."""
    (tmp_path / "site").mkdir()
    fake_package.install(tmp_path / "site", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path / "site")]))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    fake_package.forget()
