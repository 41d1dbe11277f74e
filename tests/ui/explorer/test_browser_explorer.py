"""The Explorer in a real browser: linked views, the keyboard, hostile text, and nothing from
elsewhere.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.helpers.serving import served
from tests.helpers.synthetic import synthetic_result

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("runs")
    synthetic_result().save(root / "small")
    synthetic_result(seed=2).save(root / "other")
    synthetic_result(hostile=True).save(root / "hostile")
    endless = synthetic_result(seed=3)
    endless.question = "Why" * 4000
    endless.provenance.model["name"] = "M" * 10_000
    for name in ("base", "random"):
        endless.findings[name] = replace(endless.findings[name], says="S" * 10_000)
    endless.save(root / "endless")
    with served(llama, root, draws_ahead=True) as address:
        yield f"{address}/explorer"


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1440, "height": 1400})
    elsewhere: list[str] = []

    def only_here(route: Any) -> None:
        here = route.request.url.startswith(("http://127.0.0.1", "data:", "blob:"))
        if not here:
            elsewhere.append(route.request.url)
        route.continue_() if here else route.abort()

    opened.route("**/*", only_here)
    yield opened
    assert not elsewhere


def all_drawn(page: Any, many: int) -> None:
    """Wait until every tab that the browser draws itself is there, also those that are not
    looked at.
    """
    page.locator("wb-view[data-state=drawn]").nth(many - 1).wait_for(
        state="attached", timeout=60_000
    )


def tab(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def test_tabs_are_drawn_ahead_and_going_to_one_only_changes_classes(
    page: Any, address: str
) -> None:
    page.goto(f"{address}?run=small")
    all_drawn(page, 7)
    page.locator(".said").wait_for(state="attached", timeout=60_000)  # Heads is built too
    page.locator("canvas:visible").first.wait_for()
    page.wait_for_timeout(2000)
    asked: list[str] = []
    state = "/models/state"  # which the header asks for, on every page
    page.on("request", lambda r: None if r.url.endswith(state) else asked.append(r.url))
    # Marked nodes tell whether what is shown later is what was drawn before.
    views = page.locator("wb-view")
    marked = [views.nth(i).evaluate("view => view.mark = 1") for i in range(views.count())]
    sizes = page.locator("canvas").evaluate_all(
        "all => all.map(c => { c.mark = 1; return [c.width, c.height] })"
    )
    assert len(marked) == 7
    for name in ("Depth", "Heads", "Transfer", "Rates"):
        tab(page, name).click()
        page.wait_for_url(f"**view={name}**")
        assert page.locator("wb-view:visible").count() == (0 if name == "Heads" else 1)
    assert not asked
    assert all(views.nth(i).evaluate("view => view.mark") for i in range(views.count()))
    after = page.locator("canvas").evaluate_all(
        "all => all.map(c => c.mark && [c.width, c.height])"
    )
    assert after == sizes


def test_what_is_away_cannot_be_reached(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Depth")
    all_drawn(page, 7)
    assert page.get_by_text("Side effects of switching the selected heads off").count() == 1
    assert not page.get_by_text("Side effects of switching the selected heads off").is_visible()
    page.locator(".said").wait_for(state="attached", timeout=60_000)  # Heads is built too
    page.locator(".tabulator").first.wait_for(state="attached")
    assert page.locator(".tabulator:visible").count() == 0
    assert page.get_by_role("button", name="Choose", exact=True).count() == 0
    assert page.evaluate("document.documentElement.scrollHeight") < 3000


def test_a_small_page_does_not_scroll_sideways(page: Any, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{address}?run=endless")
    all_drawn(page, 7)
    page.locator(".said").wait_for(state="attached", timeout=60_000)  # Heads is built too
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    # What a stranger wrote leaves the tabs in sight of the first screens.
    assert tab(page, "Answer").bounding_box()["y"] < 3000


def test_two_runs_show_the_views_of_both(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&with=other&view=Rates")
    page.locator("wb-view:visible").nth(1).wait_for()
    page.locator("wb-view:visible[data-state=drawn]").nth(1).wait_for(timeout=60_000)
    tab(page, "A − B").click()
    page.get_by_text("all three on one scale").wait_for(timeout=60_000)


def test_a_heading_sorts_a_table(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Rates")
    heading = page.locator("wb-view:visible .wb-table th").nth(2)
    heading.wait_for(timeout=60_000)
    heading.locator("button").click()
    numbers = page.locator("wb-view:visible .wb-table td:nth-child(3)").evaluate_all(
        "all => all.map(c => +c.textContent)"
    )
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers == sorted(numbers, reverse=True)


def test_keys_move_on_and_on(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Heads&head=L2H0")
    page.locator(".pad").focus()
    for key, at in (("ArrowDown", "L3H0"), ("l", "L3H1"), ("k", "L2H1")):
        page.keyboard.press(key)
        page.locator(".said", has_text=at).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**head=L2H1**")
    page.locator("h3:visible", has_text="L2H1").wait_for()


def test_a_click_chooses_a_head_and_the_address_follows(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Heads")
    page.locator("canvas:visible").first.wait_for()
    page.get_by_role("button", name="↓").click()
    page.get_by_role("button", name="Choose", exact=True).click()
    page.wait_for_url("**head=L5H1**")
    page.locator("h3:visible", has_text="L5H1").wait_for()
    line = page.locator(".pad")
    line.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**head=L3H1**")


def test_hostile_text_runs_nowhere(page: Any, address: str) -> None:
    page.goto(f"{address}?run=hostile&view=Facts")
    page.locator(".tabulator-row").first.wait_for()
    all_drawn(page, 7)
    for tab in ("Rates", "Heads", "Tables"):
        page.get_by_role("button", name=tab, exact=True).click()
        page.wait_for_timeout(900)
    page.mouse.move(900, 900)
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None


def chosen_tab(page: Any, name: str) -> Any:
    return page.locator(".bk-active", has_text=name)


def test_back_and_forward_go_where_one_was(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Heads&head=L2H0")
    page.locator("h3:visible", has_text="L2H0").wait_for(timeout=60_000)
    page.locator(".pad").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**head=L3H0**")
    tab(page, "Depth").click()
    page.wait_for_url("**view=Depth**")
    steps = page.evaluate("history.length")
    page.go_back()
    chosen_tab(page, "Heads").wait_for()
    assert "head=L3H0" in page.url
    page.go_back()
    page.locator("h3:visible", has_text="L2H0").wait_for()
    page.go_forward()
    page.locator("h3:visible", has_text="L3H0").wait_for()
    page.go_forward()
    chosen_tab(page, "Depth").wait_for()
    # Going there has made no steps of its own.
    assert page.evaluate("history.length") == steps


def test_what_is_chosen_in_one_view_is_in_the_address_and_goes_back(
    page: Any, address: str
) -> None:
    from playwright.sync_api import expect

    page.goto(f"{address}?run=small&view=Tables&Tables.table=nothing")
    page.get_by_text("also asks for what is not here: “Tables.table”").wait_for(timeout=60_000)
    choose = page.get_by_label("Table", exact=True).locator("visible=true")
    choose.select_option("heads")
    page.wait_for_url("**Tables.table=heads**")
    page.wait_for_timeout(1100)  # what follows at once is no step of the history
    page.get_by_role("button", name="Next Page").locator("visible=true").click()
    page.wait_for_url("**Tables.page-heads=2**")
    linked = page.url
    page.go_back()
    page.wait_for_url(lambda url: "page-heads" not in url)
    page.locator(".tabulator-page.active:visible", has_text="1").wait_for()
    page.go_back()
    page.wait_for_url(lambda url: "Tables.table" not in url)
    expect(choose).to_have_value("candidates", timeout=20_000)
    page.goto(linked)
    page.locator(".tabulator-page.active:visible", has_text="2").wait_for(timeout=60_000)
    expect(choose).to_have_value("heads")
    assert page.get_by_text("what is not here").count() == 0


def test_two_runs_keep_what_is_chosen_in_each_and_name_the_window(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&with=other&view=Heads&head=L2H0&with.head=L3H1")
    for head in ("L2H0", "L3H1"):
        page.locator("h3:visible", has_text=head).wait_for(timeout=60_000)
    pad = page.locator(".wb-run-B .pad")
    pad.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**with.head=L4H1**")
    assert "&head=L2H0" in page.url
    assert page.title().count("Knowledge conflict") == 2
    page.get_by_label("Compare with", exact=True).select_option(index=0)
    page.wait_for_url(lambda url: "with" not in url)
    page.wait_for_function("!document.title.includes(' and ')")
    assert "head=L2H0" in page.url


def test_back_leads_to_the_run_before_and_a_theme_stays(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Depth&theme=dark")
    all_drawn(page, 7)
    page.get_by_label("Run", exact=True).select_option(index=2)
    page.wait_for_url(lambda url: "run=small" not in url)
    assert "theme=dark" in page.url
    page.go_back()
    page.wait_for_url("**run=small**view=Depth**")
    chosen_tab(page, "Depth").wait_for()


@pytest.mark.parametrize("view", ["Heads", "Rates"])  # made in Python, and fetched
def test_a_picture_can_be_enlarged_and_saved(page: Any, address: str, view: str) -> None:
    page.goto(f"{address}?run=small&view={view}")
    page.locator("canvas:visible").first.wait_for(timeout=60_000)
    open_menu = page.get_by_role("button", name="Enlarge or save this picture")
    open_menu = open_menu.locator("visible=true").first
    saved = {}
    for words in ("Save as SVG", "Save as PNG", "Save as CSV (the numbers)"):
        open_menu.focus()
        page.keyboard.press("Enter")  # the menu needs no mouse
        with page.expect_download() as download:
            page.get_by_role("button", name=words).locator("visible=true").press("Enter")
        name = download.value.suggested_filename
        assert name.startswith(f"small-{view}")
        saved[name.rpartition(".")[2]] = download.value.path().read_bytes()
    assert saved["png"].startswith(b"\x89PNG")
    assert ElementTree.fromstring(saved["svg"]).tag == "{http://www.w3.org/2000/svg}svg"
    rows = list(csv.DictReader(io.StringIO(saved["csv"].decode())))
    if view == "Heads":  # every head with the number that hovering gives
        effects = synthetic_result().tables["heads"]
        assert {row["head"] for row in rows} >= {"L0H0", "L5H3"}
        assert len(rows) == len(effects)
    else:
        assert {row["follows"] for row in rows} == {"memory", "context", "other"}
    canvas = page.locator("canvas:visible").first
    before = canvas.bounding_box()
    open_menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Enlarge", exact=True).locator("visible=true").press("Enter")
    page.wait_for_function("document.fullscreenElement !== null")
    page.evaluate("document.exitFullscreen()")
    page.wait_for_function("document.fullscreenElement === null")
    for _ in range(50):
        if canvas.bounding_box() == before:
            break
        page.wait_for_timeout(100)
    assert canvas.bounding_box() == before


def test_pictures_side_by_side_have_one_scale(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&with=other&view=Depth")
    page.locator("wb-view:visible[data-state=drawn]").nth(1).wait_for(timeout=60_000)
    page.wait_for_timeout(300)
    ends = page.evaluate(
        """() => {
          const figures = [];
          const walk = (view) => {
            if (view.model.type === "Figure") figures.push(view.model);
            for (const child of view.children?.() ?? []) walk(child);
          };
          for (const view of Bokeh.index.roots) walk(view);
          return figures.filter((figure) => /by layer/.test(figure.title.text))
            .map((figure) => [figure.title.text, figure.y_range.start, figure.y_range.end]);
        }"""
    )
    assert len(ends) == 2
    assert ends[0] == ends[1]
    numbers = [synthetic_result(seed=seed).arrays["depth"] for seed in (0, 2)]
    assert ends[0][1] <= min(float(array.min()) for array in numbers)
    assert ends[0][2] >= max(float(array.max()) for array in numbers)
