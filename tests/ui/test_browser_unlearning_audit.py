"""The audit in a real browser: a criterion is chosen, and the passages behind it are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.helpers.serving import served
from workbench.organisms import DATA, ledger

pytestmark = pytest.mark.browser


def test_a_criterion_shows_the_passages_it_is_counted_over(
    browser: Any, organism: Any, tmp_path: Path
) -> None:
    book = ledger.read(DATA / "planted" / "planted")
    often = [e.text for e in book.entries if e.repeats == 64 and e.kind == "biography"]
    never = [e.text for e in book.entries if not e.repeats and e.kind == "biography"][:6]
    for name, texts in (("forget", often[:3]), ("retain", often[3:]), ("unseen", never)):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(texts), encoding="utf-8")
    files = {name: str(tmp_path / f"{name}.txt") for name in ("forget", "retain", "unseen")}
    asked = {**files, "methods": ["ga"], "steps": 2, "parts": ["criteria"], "longest": 40}
    wb.run("unlearning-audit", organism, asked, out=tmp_path / "runs" / "audited")
    with served(organism, tmp_path / "runs") as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/explorer?run=audited")
        page.get_by_text("3 passages were to be forgotten.").first.wait_for()
        page.goto(f"{address}/explorer?run=audited&view=Passages")
        page.get_by_text("verbatim (%): ROUGE-L F1").wait_for()
        row = page.locator(".tabulator-row", has_text="leakage (%)").first
        row.scroll_into_view_if_needed()
        row.locator(".tabulator-cell").nth(1).click()
        page.get_by_text("leakage (%): MUSE's PrivLeak").wait_for()
        page.locator(".tabulator-row", has_text="unseen").first.wait_for()
        page.get_by_label("Model").last.select_option(label="original")
        page.get_by_text("leakage (%): MUSE's PrivLeak").wait_for()
        assert errors == []
        page.close()
