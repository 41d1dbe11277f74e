"""The Playground's My documents tab in a real browser: files dropped, a verdict for each, what
is no text named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.helpers import tiny
from tests.helpers.serving import served

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> "
WAIT = 60_000  # milliseconds; generous, since test machines are slow and shared


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    with served(model, tmp_path_factory.mktemp("runs")) as address:
        yield address


@pytest.mark.browser
def test_files_get_a_verdict_each(browser: Any, address: str, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    (tmp_path / "letter.txt").write_text(HOSTILE * 40)
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF\0")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/playground/")
    page.get_by_role("tab", name="My documents").click()
    page.locator("#documents-run").click()
    expect(page.locator("#documents-error-box")).to_contain_text(
        "There is no document", timeout=WAIT
    )
    page.locator("#documents-files input[type=file]").set_input_files(
        [str(p) for p in sorted(tmp_path.iterdir())]
    )
    expect(page.locator("#documents-files")).to_contain_text("letter", timeout=WAIT)
    cut = page.locator("#preview-documents")
    expect(cut).to_contain_text("50 tokens given and 50 wanted", timeout=WAIT)
    expect(cut).to_contain_text("<script>window.hacked=1</script>")
    expect(page.locator("#takes-documents")).to_contain_text("Takes", timeout=WAIT)
    page.locator("#documents-run").click()
    frame = page.frame_locator("#documents-explorer iframe")
    expect(frame.locator(".wb-verdict").first).to_contain_text("letter.txt", timeout=WAIT)
    expect(frame.get_by_text("scan.pdf").first).to_be_visible(timeout=WAIT)
    expect(frame.get_by_text("3 uploaded files").first).to_be_attached(timeout=WAIT)
    assert frame.get_by_text("workbench-uploads").count() == 0
    assert page.evaluate("window.hacked") is None
