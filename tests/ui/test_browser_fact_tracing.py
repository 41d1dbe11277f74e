"""A trace map in a real browser: a click on a token and a layer says the fact's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.helpers import planted
from tests.helpers.serving import served

pytestmark = pytest.mark.browser


def test_a_cell_of_a_trace_map_says_its_numbers(browser: Any, tmp_path: Path) -> None:
    model = wb.load((planted.planted_module(), planted.planted_tokenizer()))
    facts = str(planted.planted_facts(tmp_path))
    values = {"facts_file": facts, "template": "The capital of {subject} is", "facts": 8}
    wb.run("fact-tracing", model, values, out=tmp_path / "runs" / "traced")
    with served(model, tmp_path / "runs") as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/explorer?run=traced&view=Trace")
        page.get_by_text("(last subject token)").wait_for()
        page.locator('td[data-at="1,4"]').first.click()
        page.get_by_text("(last token)").wait_for()
        page.get_by_text("layer 1, token 4").wait_for()
        page.get_by_label("Restored").select_option(label="attention")
        row, fresh = page.locator(".tabulator-row", has_text="Land").nth(2), "(last subject token)"
        for _ in range(4):  # the table moves while what stands above it is drawn anew
            row.click()
            page.wait_for_timeout(2000)
            if page.get_by_text(fresh).count():
                break
        page.get_by_text(fresh).wait_for()  # another fact has no token chosen yet
        page.goto(f"{address}/playground?analysis=fact-tracing")
        page.get_by_role("textbox", name="A fact of your own").first.fill("The capital of Land1 is")
        page.get_by_role("textbox", name="Subject").first.fill("Land1")
        page.get_by_role("textbox", name="Answer").first.fill("City2")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_text("does not know this fact").first.wait_for()
        assert errors == []
        page.close()
