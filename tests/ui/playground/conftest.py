"""What most tabs are tested with: a model, the address of a server that has it, and what the pages
have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import fake_package
from tests.helpers.serving import served
from ui.app_state import AppState
from ui.jobs import Jobs
from ui.model_shelf import ModelShelf


@pytest.fixture(scope="module")
def model(llama: Any) -> Any:
    """A file may have its own."""
    return llama


@pytest.fixture(scope="module")
def address(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(model, tmp_path_factory.mktemp("runs")) as address:
        yield address


@pytest.fixture
def app(llama: Any, tmp_path: Path) -> Iterator[AppState]:
    """What all pages share, with no server around it."""
    shelf = ModelShelf(llama)
    made = AppState(shelf, Jobs(shelf, tmp_path / "runs"), tmp_path / "runs")
    yield made
    made.jobs.stop()


@pytest.fixture
def sheep_run(
    app: AppState, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A finished run of a third party's analysis that gives a dial, and found L0H1 and L1H2."""
    fake_package.install(tmp_path_factory.mktemp("package"), monkeypatch)
    job = app.jobs.submit("count-sheep", {"steps": 1})
    assert job.finished.wait(60)
    yield job.run_id
    monkeypatch.undo()
    fake_package.forget()
