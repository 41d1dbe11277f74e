"""What several files of tests about the context share."""

from __future__ import annotations

import pytest

import workbench as wb
from tests.helpers import planted


@pytest.fixture(scope="session")
def planted_model():
    """The model whose heads are known, for tests that leave its weights as they are."""
    return wb.load((planted.planted_module(), planted.planted_tokenizer()))
