"""What docs/how-to/cache-policies.md shows is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.helpers import tiny

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "cache-policies.md"


def test_the_page_of_cache_policies_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    monkeypatch.setattr(wb, "load", lambda *a, **k: model, raising=False)
    shared: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, PAGE.name, "exec"), shared)
    assert "bytes, keys, values and their places" in capsys.readouterr().out
    assert shared["mine"].name == "large-values"
    n = len(shared["context"])
    assert all(set(m.sum(1).tolist()) == {-(-n // 2)} for m in shared["kept"].values())
    assert len(shared["surprisal"]) == n
