"""A Result in a notebook: executed for real, saved, and looked at without a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.synthetic import synthetic_result
from ui import notebook

ROOT = Path(__file__).parents[2]


def test_outside_jupyter_there_are_text_and_pictures() -> None:
    data, _ = notebook.mimebundle(synthetic_result())
    assert data["text/plain"].startswith("Result of knowledge-conflict")
    assert data["text/html"].count("data:image/png;base64,") >= 4
    assert "88\u00a0%" in data["text/html"]


def test_hostile_text_is_text() -> None:
    assert "<script>window.pwned" not in str(notebook.still(synthetic_result(hostile=True)))


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook whose one cell ends with a result, run by a kernel and turned into HTML as a
    colleague would get it.
    """
    import nbclient
    import nbformat
    from nbconvert import HTMLExporter

    cell = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom tests.helpers.synthetic import"
        " synthetic_result\nsynthetic_result()"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
    page = tmp_path_factory.mktemp("book") / "book.html"
    page.write_text(HTMLExporter().from_notebook_node(book)[0], encoding="utf-8")
    return page


def test_a_saved_notebook_holds_live_plots_and_pictures(executed: Path) -> None:
    text = executed.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") >= 4
    assert "data-root-id" in text or "embed_items" in text


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [False, True])
def test_the_saved_notebook_shows_pictures_with_and_without_scripts(
    browser: Any, executed: Path, scripts: bool
) -> None:
    page = browser.new_context(java_script_enabled=scripts).new_page()
    page.route(
        "**/*",
        lambda route: (
            route.continue_()
            if route.request.url.startswith(("file:", "data:", "blob:"))
            else route.abort()
        ),
    )
    page.goto(f"file://{executed}")
    if scripts:
        page.locator("canvas").first.wait_for(timeout=60_000)
    else:
        assert page.locator(".wb-result img:visible").count() >= 4
