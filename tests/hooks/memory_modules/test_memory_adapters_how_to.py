"""What docs/how-to/memory-adapters.md shows is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "memory-adapters.md"


def test_the_page_of_memory_adapters_runs(capsys: pytest.CaptureFixture[str]) -> None:
    shared: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, PAGE.name, "exec"), shared)
    assert not shared["report"].failed
    assert not torch.equal(shared["before"], shared["after"])
    said = capsys.readouterr().out.split()
    assert said[-2] == "London"
    assert said[-1] != "London"
