"""What most tabs are tested with: a model, and the address of a server that has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.serving import served


@pytest.fixture(scope="module")
def model(llama: Any) -> Any:
    """A file may have its own."""
    return llama


@pytest.fixture(scope="module")
def address(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(model, tmp_path_factory.mktemp("runs")) as address:
        yield address
