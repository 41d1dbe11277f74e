"""The report: one file, nothing from elsewhere, nothing executed, written whole or not at all."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import workbench as wb
from tests.helpers.synthetic import synthetic_result
from ui.report import html_file, notebook_file, pdf_file, write, zip_file
from ui.runs import provenance
from ui.runs.static_pictures import titled_pictures
from workbench import registry
from workbench.draw.view import View
from workbench.errors import BadInput, WorkbenchError
from workbench.result import Finding, Result


@pytest.fixture(scope="module")
def run() -> Result:
    return synthetic_result()


@pytest.fixture(scope="module")
def file(run: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    return write.write(run, tmp_path_factory.mktemp("report") / "r.html")


@pytest.fixture(scope="module")
def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@pytest.fixture
def drawn_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What prints or packs the page takes the one that is drawn already."""
    monkeypatch.setattr(html_file, "html", lambda result: text)


def test_it_says_what_was_asked_found_and_how_to_run_it_again(text: str) -> None:
    for words in (
        "which attention heads decide?",
        "With 5 context heads off",
        "88\u00a0%",
        "73–100\u00a0%",
        "toy-6l",
        "workbench run knowledge-conflict",
    ):
        assert words in text
    assert "wb.run(" in text


def test_it_asks_nothing_of_the_network(text: str) -> None:
    assert not re.search(
        r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""",
        re.sub(r"<script>.*?</script>", "", text, flags=re.S),
    )
    assert "<link" not in text
    assert len(text.encode()) < 5e6


def test_hostile_text_is_text() -> None:
    text = html_file.html(synthetic_result(hostile=True))
    assert "<script>window.pwned" not in text
    assert "<img src=x" not in text
    pictures = re.search(r'id="pictures">(.*?)</script>', text, re.S)
    assert pictures
    assert json.loads(pictures[1])


def test_an_analysis_that_is_not_installed_leaves_findings_and_tables() -> None:
    result = synthetic_result()
    result.analysis = "not-installed"
    text = html_file.html(result)
    assert "cannot be drawn here" in text
    assert "88\u00a0%" in text
    assert "random sets" in text


def test_a_view_that_is_not_shown_has_no_page_of_its_own(text: str) -> None:
    assert "<h2>Transfer</h2>" in text
    assert "Not shown – Transfer" not in text
    less = html_file.html(synthetic_result(transfer=False))
    assert "Not shown – Transfer: " in less
    assert "<h2>Transfer</h2>" not in less


def test_words_stay_with_their_picture_on_paper(browser: Any, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    blocks = page.locator(".wb-block:has(.wb-figure)")
    kept = blocks.evaluate_all("all => all.map((e) => getComputedStyle(e).breakInside)")
    assert len(kept) > 5
    assert set(kept) == {"avoid"}
    said = page.locator("#answer .wb-beside").first.bounding_box()
    assert said["y"] < page.locator("#answer .wb-paper").bounding_box()["y"]
    page.close()


def test_written_whole_or_not_at_all(run: Result, file: Path, tmp_path: Path) -> None:
    assert file.stat().st_size > 1e5
    with pytest.raises(WorkbenchError, match="exists already"):
        write.write(run, file)
    assert [f.name for f in file.parent.iterdir()] == ["r.html"]
    quick = synthetic_result()
    quick.analysis = "not-installed"  # of which no picture is drawn
    short = tmp_path / "short.html"
    short.write_text("what was there", encoding="utf-8")
    write.write(quick, short, force=True)
    assert "cannot be drawn here" in short.read_text(encoding="utf-8")
    assert [f.name for f in tmp_path.iterdir()] == ["short.html"]
    with pytest.raises(WorkbenchError, match="could not be written"):
        write.write(quick, short / "below" / "x.html")


def test_an_ending_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot be written as 'r\.docx'"):
        write.write(synthetic_result(), tmp_path / "r.docx")
    assert list(tmp_path.iterdir()) == []


def test_paper_gets_every_picture_as_svg_at_once(browser: Any, file: Path) -> None:
    page = browser.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(file.as_uri())  # until it has loaded, and no longer
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert (
        page.locator(".wb-code pre").first.evaluate("e => getComputedStyle(e).maxHeight") == "none"
    )
    pictures = page.locator(".wb-figure")
    paper = page.locator(".wb-paper svg")
    assert paper.count() == pictures.count() > 5
    for n in range(paper.count()):
        assert paper.nth(n).is_visible()
        assert not pictures.nth(n).is_visible()
        assert len(paper.nth(n).inner_html()) > 3000
        box = paper.nth(n).bounding_box()
        assert box["width"] > 150
        assert box["height"] > 100
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert paper.count() == 0
    assert pictures.first.is_visible()
    assert trouble == []


def test_what_is_too_large_for_paper_is_cut_or_made_smaller(browser: Any, file: Path) -> None:
    """A table of thirty columns, a picture three pages high, and what is folded up in a finding."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(file.as_uri())
    page.evaluate(
        """() => {
            const row = (tag) =>
                "<tr>" + [...Array(30)].map((_, n) => `<${tag}>column ${n}</${tag}>`).join("");
            document.querySelector("#tables").insertAdjacentHTML("beforeend",
                "<div class='wb-scroll' id='wide'><table class='wb-table'><thead>" + row("th")
                + "</thead><tbody>" + row("td") + "</tbody></table></div>");
            document.querySelector("#found li").insertAdjacentHTML("beforeend",
                "<details id='more'><summary>more</summary>The rest.</details>");
            dispatchEvent(new Event("beforeprint"));
            const tall = document.querySelector(".wb-paper svg");
            tall.setAttribute("viewBox", "0 0 400 3000");
        }"""
    )
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins
    pieces = page.locator("#wide .wb-piece")
    assert pieces.count() > 2
    names = [piece.locator("th").all_inner_texts() for piece in pieces.all()]
    assert all(first == "column 0" for first, *_ in names)
    assert [name for _, *rest in names for name in rest] == [f"column {n}" for n in range(1, 30)]
    assert all(piece.bounding_box()["width"] <= 703 for piece in pieces.all())
    assert not page.locator("#wide > table:not(.wb-piece)").is_visible()
    assert page.locator(".wb-paper svg").first.bounding_box()["height"] < 235 / 25.4 * 96 + 1
    assert page.locator("#more").evaluate("e => e.open")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert pieces.count() == 0
    assert page.locator("#wide > table").is_visible()
    assert not page.locator("#more").evaluate("e => e.open")


def test_a_table_that_is_folded_up_shows_its_first_rows_on_paper(browser: Any, file: Path) -> None:
    page = browser.new_page(viewport={"width": 703, "height": 1000})
    page.goto(file.as_uri())
    page.evaluate(
        """() => {
            const rows = [...Array(50)].map((_, n) => `<tr><td>row ${n}.</td></tr>`).join("");
            document.querySelector("#view-0").insertAdjacentHTML("beforeend",
                "<details class='wb-fold' id='long'><summary>50 rows</summary>"
                + "<div class='wb-scroll'><table class='wb-table'><tbody>"
                + `${rows}</tbody></table></div></details>`);
            dispatchEvent(new Event("beforeprint"));
        }"""
    )
    page.emulate_media(media="print")
    assert page.locator("#long td:visible").all_inner_texts() == [f"row {n}." for n in range(20)]
    says = "e => getComputedStyle(e, '::after').content"
    assert "The first 20 rows" in page.locator("#long").evaluate(says)
    assert "tables.zip" in page.locator("#tables").evaluate(says)
    assert not page.locator("#tables .wb-table").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.locator("#long table").is_visible()


@pytest.mark.usefixtures("drawn_once")
def test_a_pdf_is_printed_by_the_browser_of_this_machine(run: Result, tmp_path: Path) -> None:
    if pdf_file.browser() is None:
        pytest.skip("no Chromium on this machine: `make chromium` installs it")
    content = write.write(run, tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
    assert [f.name for f in tmp_path.iterdir()] == ["r.pdf"]


@pytest.mark.usefixtures("drawn_once")
def test_without_a_browser_a_pdf_is_refused_in_words(
    run: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CHROMIUM", str(tmp_path / "nothing"))
    with pytest.raises(WorkbenchError, match="none is installed here"):
        write.write(run, tmp_path / "r.pdf")
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho it broke >&2\n")
    silent.chmod(0o755)
    monkeypatch.setenv("WORKBENCH_CHROMIUM", str(silent))
    with pytest.raises(WorkbenchError, match=r"printed nothing\. it broke"):
        write.write(run, tmp_path / "r.pdf")
    assert not (tmp_path / "r.pdf").exists()


def test_a_notebook_opens_the_run_it_came_from(tmp_path: Path) -> None:
    import nbformat

    result = synthetic_result(hostile=True)
    result.save(tmp_path / "run")
    book = nbformat.read(write.write(result, tmp_path / "r.ipynb"), as_version=4)
    nbformat.validate(book)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    names: dict[str, Any] = {}
    exec(code[0].removesuffix("\nrun"), names)
    assert names["run"].findings.keys() == result.findings.keys()
    for lines in code[1 : 1 + len(result.tables)]:
        assert not eval(lines, names).empty
    words = "".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "<script>" not in words
    assert sum("attachments" in cell for cell in book.cells) > 5


@pytest.mark.usefixtures("drawn_once")
def test_a_zip_holds_the_numbers_and_the_pictures(run: Result, text: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(write.write(run, tmp_path / "r.zip")) as file:
        names = file.namelist()
        assert {"report.html", "findings.csv", "README.txt"} <= set(names)
        for name, frame in run.tables.items():
            read = pd.read_csv(file.open(f"tables/{name}.csv"))
            assert len(read) == len(frame)
            assert list(read.columns) == list(frame.columns)
        for name, array in run.arrays.items():
            values = pd.read_csv(file.open(f"arrays/{name}.csv"))["value"]
            assert values.sum() == pytest.approx(float(array.sum()), rel=1e-4)
        found = pd.read_csv(file.open("findings.csv"))
        for name, finding in run.findings.items():
            mine = found[found["finding"] == name].set_index("value")["number"]
            assert mine.to_dict() == pytest.approx(finding.values, nan_ok=True)
        pictures = [name for name in names if name.endswith(".svg")]
        assert len(pictures) > 5
        assert b"<svg" in file.read(pictures[0])
        assert file.read("report.html").decode() == text


def test_a_view_that_cannot_be_drawn_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    result = synthetic_result()
    views = registry.get(result.analysis).views(result)
    broken = {"Broken": View(lambda: [1 / 0]), "Rates": views["Rates"]}
    monkeypatch.setattr(registry.Analysis, "views", lambda self, result: broken)
    with zipfile.ZipFile(io.BytesIO(zip_file.archive(result))) as file:
        assert [name for name in file.namelist() if name.startswith("pictures/")]
        assert "'Broken' cannot be drawn: ZeroDivisionError" in file.read("README.txt").decode()
    book = json.loads(notebook_file.notebook(result))
    assert "ZeroDivisionError" in json.dumps(book)
    assert any("attachments" in cell for cell in book["cells"])


def test_every_picture_of_one_prompt_is_drawn_without_a_browser(organism: Any) -> None:
    broken: list[str] = []
    run = wb.run("inside", organism, {"prompt": "The capital of France is"})
    assert len(list(titled_pictures(run, "svg", broken=broken))) > 3
    assert not broken


@pytest.mark.usefixtures("drawn_once")
def test_an_array_too_large_for_a_table_is_named(
    run: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_file, "MOST_VALUES", 3)
    monkeypatch.setattr(zip_file, "titled_pictures", lambda result, form, broken: iter([]))
    with zipfile.ZipFile(io.BytesIO(zip_file.archive(run))) as file:
        assert not [name for name in file.namelist() if name.startswith("arrays/")]
        about = file.read("README.txt").decode()
    assert run.arrays
    for name in run.arrays:
        assert f"the array {name} with" in about


def test_of_endless_findings_the_first_are_shown_and_the_rest_counted() -> None:
    result = synthetic_result()
    for n in range(5000):
        result.findings[f"more {n}"] = Finding(f"more {n}", float(n), f"More {n}.")
    page = str(provenance.findings_html(result))
    assert page.count('<li class="wb-finding"') == provenance.MOST_FINDINGS
    assert f"of {len(result.findings):,} findings" in page


@pytest.mark.process
def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    """Nor does importing an analysis: what measures is imported when it measures."""
    import subprocess
    import sys

    code = """
import sys
from workbench import registry
from workbench.frontends import front_end
from workbench.runs import open_run
run = open_run("one-head-off")
for ending in ("html", "ipynb", "zip"):
    front_end("report")(run, f"{sys.argv[1]}/r.{ending}")
good, broken = registry.all_analyses()
assert len(good) >= 6 and not broken, broken
for sample in ("capitals", "what-an-organism-recites", "where-an-organism-keeps-passages"):
    opened = open_run(sample)
    analysis = registry.get(opened.analysis)
    assert analysis.views(opened) and analysis.controls(opened) is not None
print(*sorted({"torch", "transformers"} & set(sys.modules)))
"""
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == []
    assert {file.suffix for file in tmp_path.iterdir()} == {".html", ".ipynb", ".zip"}
