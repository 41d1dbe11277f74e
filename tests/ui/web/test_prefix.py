"""A workbench under a path of a proxy: every link and every request stays below it, whether the
proxy passes it on or not.
"""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from tests.helpers import serving
from tests.helpers.synthetic import synthetic_result
from ui.server import build
from ui.web.prefix import checked
from workbench.errors import BadInput

OWN = "http://127.0.0.1:7860"
ROOT = "/user/ann/lab"


@pytest.fixture(scope="module", autouse=True)
def _little_drawn():
    with serving.little_drawn():
        yield


@pytest.fixture(scope="module")
def at_the_host(llama, runs):
    """A client of a workbench that is under no path."""
    with TestClient(build(llama, runs), base_url=OWN) as client:
        yield client


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    synthetic_result().save(root / "20260101-one")
    synthetic_result().save(root / "20260101-other")
    return root


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", ""),
        ("/", ""),
        ("lab", "/lab"),
        ("/lab", "/lab"),
        ("/lab/", "/lab"),
        ("/a/b-c/~d.e_f/", "/a/b-c/~d.e_f"),
    ],
)
def test_a_prefix_is_written_in_one_way(given, found):
    assert checked(given) == found


@pytest.mark.parametrize(
    "given",
    ["https://example.org/lab", "/lab?x", "/lab#", "/a//b", "/../x", "/.", "/lab space", "/é"],
)
def test_what_is_no_path_is_refused(given, llama, runs):
    with pytest.raises(BadInput, match="is no path"):
        build(llama, runs, root_path=given)


@pytest.mark.parametrize("passed_on", [ROOT, ""])
@pytest.mark.parametrize(
    "forwarded", [{}, {"X-Forwarded-Host": "example.org", "X-Forwarded-Proto": "https"}]
)
def test_pages_answer_with_and_without_the_prefix(llama, runs, passed_on, forwarded):
    with TestClient(
        build(llama, runs, root_path=ROOT, behind_proxy=True), base_url=OWN, headers=dict(forwarded)
    ) as client:
        for path in (
            "/",
            "/healthz",
            "/playground/",
            "/explorer",
            "/assets/workbench.css",
            "/runs/20260101-one/report.html",
        ):
            assert client.get(passed_on + path).status_code == 200, path
        place = forwarded.get("X-Forwarded-Host", "127.0.0.1:7860")
        told = client.get(f"{passed_on}/playground/config").json()["root"]
        assert told == f"{'https' if forwarded else 'http'}://{place}{ROOT}/playground"
        policy = client.get(f"{passed_on}/explorer").headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        lost = client.get(f"{passed_on}/runs/x/report.html")
        assert lost.status_code == 404
        assert 'href="../.././"' in lost.text


@pytest.mark.parametrize("path", ["/", "/playground/", "/explorer", "/nothing/here/at/all"])
def test_no_link_of_a_page_begins_at_the_host(at_the_host, path):
    page = re.sub(r"<script(?! src).*?</script>", "", at_the_host.get(path).text, flags=re.DOTALL)
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert links == []


@pytest.mark.browser
def test_a_browser_finds_everything_below_the_prefix(browser, llama, runs):
    pytest.importorskip(
        "playwright.sync_api", reason="needs playwright, which `pip install .[dev]` brings"
    )
    from playwright.sync_api import expect

    with serving.served(llama, runs, root_path=ROOT) as address:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        asked, failed, errors = [], [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url.replace("ws://", "http://")))
        page.on(
            "response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}{ROOT}")  # without the slash
        page.wait_for_selector('body[data-model="ready"]')  # until then Home loads itself again
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Playground").click()
        page.get_by_role("tab", name="Try a prompt").click()
        page.wait_for_selector("#answer .try .tokens li", timeout=60_000)
        before = page.locator("#answer").inner_text()
        page.get_by_label("Prompt", exact=True).fill("The capital of Peru is")
        expect(page.locator("#answer")).not_to_have_text(before)
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Home").click()
        page.locator("article.run").get_by_role("link", name="Open").first.click()
        expect(page.get_by_role("button", name="Copy link to this view")).to_be_visible()
        expect(page.locator(".bk-Figure, .bk-DataTable, wb-view").first).to_be_visible()
        page.get_by_role("link", name="Report").first.click()
        expect(page.locator("h1")).to_be_visible()
        assert [
            url
            for url in asked
            if url.startswith("http") and not url.startswith(f"{address}{ROOT}")
        ] == []
        assert failed == []
        assert errors == []
