"""What parts are tested with that train a small model many times."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb
from analyses.measures import exposure_trainings
from tests.helpers import tiny


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load((tiny.tiny_llama(n_layers=2), tiny.tiny_tokenizer()))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder in which finished trainings are kept."""
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exposure_trainings.paths, "cache_dir", lambda: place)
        yield place
