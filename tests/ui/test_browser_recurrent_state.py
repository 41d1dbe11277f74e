"""Pairs in a recurrent state, in a real browser: typed, changed by a click, and asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.helpers.serving import served

pytestmark = pytest.mark.browser


def test_pairs_that_are_typed_are_changed_by_a_click(browser: Any, tmp_path: Path) -> None:
    wb.run(
        "recurrent-state",
        wb.load("organism/recall-mamba-16"),
        {"pairs": "k5 v7, k9 v1, k30 v44", "parts": ["reading", "pairs"], "rows": 8},
        out=tmp_path / "typed",
    )
    with served(wb.load("organism/recall-mamba-16"), tmp_path) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/explorer?run=typed&view=Pairs")
        page.get_by_text("Under the key of “k5 → v7”").wait_for()
        page.locator(".tabulator-row", has_text="k30").first.click()
        page.get_by_text("Under the key of “k30 → v44”").wait_for()
        row = page.locator(".tabulator-row:visible", has_text="k30").first
        assert "v44" in row.inner_text()  # its value, and what was answered before
        page.get_by_label("What was done").select_option(label="the pair erased")
        page.get_by_text("gives nothing").wait_for()
        page.goto(f"{address}/playground?analysis=recurrent-state")
        page.get_by_role("textbox", name="Pairs").first.fill("k5 k6")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_text("One pair alone was typed.").first.wait_for()
        assert errors == []
        page.close()
