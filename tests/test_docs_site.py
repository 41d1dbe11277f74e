"""The documentation as a site: complete, small, served, and nothing on it from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from docs import build
from tests.helpers.serving import chromium, served
from ui.server import build as server
from ui.web import documentation
from workbench import registry

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    folder = tmp_path_factory.mktemp("site") / "docs"
    assert build.build(folder) < build.LIMIT
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.mark.process
def test_every_page_and_everything_made_is_on_the_site(site):
    assert not (site / "404.html").exists()  # the workbench has its own
    pages = {str(file.parent.relative_to(site)) for file in site.rglob("index.html")}
    written = {
        str(file.relative_to(ROOT / "docs").with_suffix(""))
        for file in (ROOT / "docs").rglob("*.md")
    }
    assert written - {"index"} <= pages
    made = {f"reference/analyses/{analysis.name}" for analysis in registry.all_analyses()[0]}
    made |= {f"examples/{file.stem}" for file in (ROOT / "examples").glob("*.ipynb")}
    assert made <= pages
    door = (site / "reference" / "python" / "wb" / "index.html").read_text(encoding="utf-8")
    assert "Multiply a part&#39;s output" in door or "Multiply a part's output" in door
    asked = (site / "reference" / "analyses" / "extraction" / "index.html").read_text("utf-8")
    assert "Leading tokens of the suffix" in asked


@pytest.mark.process
def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?([^\"' >]+)",
            page.read_text(encoding="utf-8"),
        )
        assert loaded
        assert not [link for link in loaded if re.match(r"(https?:)?//", link)], page


def test_a_page_in_no_menu_is_named(tmp_path):
    config = '[project]\nnav = [{ "Start" = ["a.md", { "More" = ["b/c.md"] }] }]\n'
    for name in ("a.md", "b/c.md", "b/lost.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert build.unlisted(tmp_path, config) == ["b/lost.md"]


@pytest.mark.process
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path, monkeypatch):
    folder = tmp_path / "docs"
    (folder / "theme").mkdir(parents=True)
    (folder / "index.md").write_text("# Home\n\n[gone](gone.md)\n", encoding="utf-8")
    (folder / "zensical.toml").write_text(
        '[project]\nsite_name = "x"\ndocs_dir = "pages"\nnav = ["index.md"]\n', encoding="utf-8"
    )
    monkeypatch.setattr(build, "HERE", folder)
    monkeypatch.setattr(build, "EXAMPLES", tmp_path)
    for made in ("python_pages", "analysis_pages"):
        monkeypatch.setattr(build, made, lambda: ())
    with pytest.raises(SystemExit, match=r"page does not exist\n.*index\.md:3(.|\n)*gone\.md"):
        build.build(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cell_of_a_table_stays_in_its_cell():
    assert build.table(["a"], [["x | y\nz"]])[2] == "| x \\| y z |"


def test_the_built_site_is_served_with_a_policy_of_its_own(tmp_path, monkeypatch, runs):
    (tmp_path / "index.html").write_text("<h1>Docs</h1>", encoding="utf-8")
    monkeypatch.setattr(documentation, "SITE", tmp_path)
    app = server("nothing", runs, load=lambda ref: None, root_path="/lab")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answer = client.get("/lab/docs")
        assert "<h1>Docs</h1>" in answer.text
        assert answer.url.path == "/lab/docs/"
        policy = answer.headers["content-security-policy"]
        assert "worker-src 'self'" in policy
        assert "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in client.get("/lab/").headers["content-security-policy"]
        assert "There is nothing at" in client.get("/lab/docs/nowhere").text
        assert 'href="docs/"' in client.get("/lab/").text


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/how-to/install/"])
def test_where_it_was_not_built_the_page_says_how(tmp_path, monkeypatch, runs, path):
    monkeypatch.setattr(documentation, "SITE", tmp_path / "none")
    app = server("nothing", runs, load=lambda ref: None)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert "make docs" in answer.text


@pytest.mark.browser
@pytest.mark.process
def test_it_is_searched_with_the_keyboard_and_the_network_cut(site, monkeypatch, runs):
    monkeypatch.setattr(documentation, "SITE", site)
    model = SimpleNamespace()
    with served(model, runs, load=lambda ref: None) as address, chromium() as browser:
        page = browser.new_page()
        asked: list[str] = []
        problems: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else 0)
        page.goto(address)
        page.get_by_role("link", name="Docs").click()
        page.get_by_role("heading", name="Memory Workbench").wait_for()
        box = page.get_by_role("combobox", name="Search")
        for _ in range(300):  # until its script listens: an "n" typed before turns the page
            if box.is_visible():
                break
            page.keyboard.press("/")
            page.wait_for_timeout(100)
        page.keyboard.type("path patching")
        page.get_by_text(re.compile(r"\d+ results")).wait_for()
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/docs/.+"))
        page.goto(f"{address}/docs/reference/python/wb/")
        page.get_by_role("link", name="The workbench", exact=False).first.click()
        page.wait_for_url(f"{address}/")
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
        assert problems == []
