"""Home and Playground in a real browser, with the network cut: whatever is not ours is refused and
counted.

One server with a tiny model, a third party's quick analysis and a few saved runs serves all tests.
"""

from __future__ import annotations

import pytest

from tests.helpers import fake_package, serving
from tests.helpers.synthetic import HOSTILE, synthetic_result
from workbench.errors import BadInput

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright, which `pip install .[dev]` brings"
)
expect = sync_api.expect
WAIT = 60_000  # milliseconds; generous, since test machines are slow and shared


@pytest.fixture(scope="module")
def address(llama, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    fake_package.install(tmp_path_factory.mktemp("package"), patch)
    runs = tmp_path_factory.mktemp("runs")
    synthetic_result().save(runs / "20260101-whole")
    synthetic_result(hostile=True).save(runs / "20260101-hostile")
    (runs / "20260101-torn").mkdir()
    (runs / "20260101-torn" / "result.json").write_text("{")
    with serving.little_drawn(), serving.served(llama, runs) as address:
        yield address
    patch.undo()
    fake_package.forget()


@pytest.fixture
def page(browser, address):
    """A page in a fresh context; the test fails on foreign requests, on errors in scripts, and
    if hostile text ran.
    """
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
    context.set_default_timeout(WAIT)
    foreign, errors = [], []

    def local_only(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    context.route("**/*", local_only)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert page.evaluate("window.pwned") is None
    context.close()
    assert foreign == []
    assert errors == []


def playground(page, query: str = "") -> None:
    page.goto(f"/playground{query or '?analysis=intervention'}")
    page.wait_for_selector("#answer .try .tokens li")
    written(page)


def written(page) -> None:
    """Wait until the continuation is written."""
    page.wait_for_function(
        "document.querySelector('#answer .try') && !document.querySelector('#answer .caret')"
    )


def unchanged_tokens(page) -> list[str]:
    return page.locator("#answer .col").first.locator(".tokens code").all_inner_texts()


# -- Home ------------------------------------------------------------------------------------------


def test_home_leads_to_a_question_and_to_a_run(page):
    page.goto("/")
    expect(page.locator("#model")).to_be_visible()
    expect(page.get_by_text("<script>").first).to_be_visible()
    expect(page.get_by_text("cannot be read")).to_be_visible()
    page.get_by_role("link", name="How many sheep does it take?").click()
    expect(page.locator("#run-count-sheep")).to_be_visible()
    expect(page.get_by_role("tab", name="Ask a question")).to_have_attribute(
        "aria-selected", "true"
    )


def test_comparing_needs_two(page):
    page.goto("/")
    button = page.get_by_role("button", name="Compare")
    expect(button).to_be_disabled()
    boxes = page.get_by_role("checkbox", name="Compare")
    boxes.nth(0).check()
    expect(button).to_be_disabled()
    boxes.nth(1).check()
    expect(button).to_be_enabled()


def test_the_theme_is_kept_from_page_to_page(page):
    page.goto("/")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    playground(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.body.classList.contains('dark')")
    page.get_by_role("button", name="Switch between light and dark").click()
    assert not page.evaluate("document.body.classList.contains('dark')")


@pytest.mark.parametrize("path", ["/", "/playground"])
def test_a_narrow_page_does_not_scroll_sideways(page, path):
    page.set_viewport_size({"width": 380, "height": 800})
    page.goto(path)
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_the_keyboard_skips_to_the_content(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Try a prompt")).to_be_focused()


# -- try a prompt ----------------------------------------------------------------------------------


def test_a_prompt_is_answered_as_it_is_typed(page):
    playground(page)
    before = unchanged_tokens(page)
    assert len(before) == 10
    page.get_by_label("Prompt", exact=True).fill("The safe opens with")
    page.wait_for_function(
        "old => [...document.querySelectorAll('#answer .col:first-child .tokens code')].map(e =>"
        " e.innerText).join() !== old",
        arg=",".join(before),
    )
    expect(page.locator("#answer .answer")).to_have_count(2)


def test_an_answer_comes_though_its_stream_was_closed_before(page):
    closed = []

    def close_early(route):
        if closed:
            route.fallback()
            return
        closed.append(route.request.url)
        route.fulfill(
            status=200, content_type="text/event-stream", body='data: {"msg":"close_stream"}\n\n'
        )

    page.route("**/queue/data**", close_early)
    playground(page)
    assert len(closed) == 1


def test_a_hostile_prompt_is_only_text(page):
    playground(page)
    hostile = HOSTILE + "${window.pwned=1}`{{#each value}}{{/each}}"
    page.get_by_label("Prompt", exact=True).fill(hostile)
    page.get_by_label("Memory answer").fill(hostile)
    expect(page.locator("#answer .who").first).to_contain_text("<script>window.pwned=1</script>")
    written(page)
    assert page.locator("#answer img, #answer script").count() == 0


def test_heads_are_switched_by_mouse_and_by_keyboard(page):
    playground(page)
    expect(page.locator(".head-grid .head")).to_have_count(12)
    head = page.locator("[data-head=L1H2]")
    head.hover()
    expect(page.locator(".head-grid-says")).to_contain_text("L1H2")
    head.click()
    expect(head).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#answer")).to_contain_text("1 head off")
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-head=L0H2]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_contain_text("2 heads off")
    page.keyboard.press("Escape")
    expect(page.locator("#answer .hint")).to_be_visible()


def test_a_layer_at_once_and_undo(page):
    playground(page)
    page.get_by_role("button", name="Switch all heads of layer 0").click()
    expect(page.locator("#answer")).to_contain_text("4 heads off")
    page.get_by_role("button", name="Undo all changes").click()
    expect(page.locator("#answer .hint")).to_be_visible()
    expect(page.locator(".head[aria-pressed=true]")).to_have_count(0)


def test_a_prompt_beyond_the_window_is_answered_and_that_is_said(page):
    playground(page)
    page.get_by_label("Prompt", exact=True).fill("word " * 80)
    expect(page.locator("#note")).to_contain_text("runs past it, but was not trained there")
    expect(page.locator("#error-box .wb-message")).to_have_count(0)
    page.get_by_label("Prompt", exact=True).fill("")
    expect(page.locator("#answer")).to_contain_text("Type a prompt")


def test_what_cannot_be_read_is_a_message_that_can_be_dismissed(page, monkeypatch):
    def refuse(*args):
        raise BadInput("The prompt has <b>600</b> tokens.", "at most 256", "Shorten it.")

    playground(page)
    monkeypatch.setattr(
        "hooks.prompt_output.read_prompt", refuse
    )  # the server runs in a thread of this process
    page.get_by_label("Prompt", exact=True).fill("Something that is refused")
    message = page.locator("#error-box .wb-message")
    expect(message).to_contain_text("at most 256")
    message.get_by_role("button", name="Dismiss").click()
    expect(message).to_have_count(0)
    page.get_by_label("Prompt", exact=True).fill("")
    expect(page.locator("#answer")).to_contain_text("Type a prompt")


def test_a_head_is_switched_off_from_home_and_what_is_shown_is_kept(page):
    page.goto("/")
    page.get_by_role("link", name="if I switch a head off?").click()  # 1
    page.wait_for_selector("#answer .try .tokens li")
    page.locator("[data-head=L1H2]").click()  # 2
    expect(page.locator("#answer")).to_contain_text("1 head off")
    page.get_by_role("button", name="Save as a run").click()  # 3
    page.locator("#saved-prompt").get_by_role("link", name="Open in Explorer").click()  # 4
    page.wait_for_url("**/explorer?run=*intervention*")


# -- ask a question --------------------------------------------------------------------------------


def fill(page, name: str, value: str) -> None:
    box = (
        page.locator(f"#param-{name}")
        .locator("input[type=number], input[type=text], textarea")
        .first
    )
    box.fill(value)
    box.press("Tab")


def test_a_run_shows_progress_survives_a_reload_and_is_cancelled(page, llama):
    page.goto("/playground?analysis=count-sheep")
    fill(page, "steps", "400")
    fill(page, "pause", "0.2")
    page.get_by_role("button", name="Run", exact=True).click()
    job = page.locator(".job").first
    expect(job).to_have_attribute("data-state", "running")
    expect(job.get_by_role("progressbar")).to_be_visible()
    expect(job).to_contain_text("Counting sheep")
    expect(job).to_contain_text("so far")
    expect(job.locator(".so-far")).to_contain_text("sheep.")
    page.reload()
    expect(page.locator(".job").first).to_have_attribute("data-state", "running")
    page.get_by_role("tab", name="Try a prompt").click()
    expect(page.locator("#note")).to_contain_text("has the model")
    page.get_by_role("tab", name="Ask a question").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job").first).to_have_attribute("data-state", "cancelled")
    expect(page.locator(".job").first).to_contain_text("kept as a partial run")


def test_from_home_to_the_heads_of_a_run_in_four_clicks(page):
    page.goto("/")
    page.get_by_role("link", name="How many sheep does it take?").click()  # 1
    run = page.locator("#run-count-sheep")
    expect(run).to_be_in_viewport()
    run.click()  # 2
    expect(page.locator(".job").first).to_have_attribute("data-state", "done")
    page.locator(".job").first.get_by_role("link", name="Open in Explorer").click()  # 3
    page.wait_for_url("**/explorer?run=*")


def test_the_keyboard_finds_a_question_and_runs_it_on_a_small_page(page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto("/playground")
    page.get_by_role("tab", name="Ask a question").click()
    questions = page.locator("#questions [data-question]")
    first = questions.first
    expect(first).to_contain_text("Where did this answer come from?")
    groups = page.locator("#questions .room h3").all_inner_texts()
    assert groups == [
        "One prompt",
        "Weights",
        "Context",
        "State",
        "Modules",
        "Features",
        "Training",
        "One model",
        "Other questions",
    ]
    page.locator("[data-question=extraction]").focus()
    page.keyboard.press("Enter")
    heading = page.locator("#asked-extraction h2")
    expect(heading).to_be_focused()
    assert page.url.endswith("analysis=extraction")
    for width, height in ((1280, 720), (420, 900)):
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator("#run-extraction")).to_be_in_viewport()  # though the form is long
    essential = page.locator("[id^=param-]:visible")
    assert essential.count() == 5
    page.locator("#param-text textarea:visible").fill("A text <b>that is cut</b>. " * 20)
    cut = page.locator("#preview-extraction")
    expect(cut).to_contain_text("50 tokens given and 50 wanted")
    assert cut.locator("b").count() == 0
    page.get_by_role("button", name="Quick").locator("visible=true").click()
    expect(page.locator("#preset-extraction")).to_contain_text("without: Membership inference")
    page.locator("#run-extraction").press("Enter")
    expect(page.locator(".job").first).to_contain_text("How much of this text")
    page.get_by_role("button", name="All questions").locator("visible=true").press("Enter")
    expect(first).to_be_focused()


def test_a_finding_is_shown_then_its_dial_moves_the_model(page):
    page.goto("/playground?analysis=count-sheep")
    fill(page, "text", "<img src=x onerror='window.pwned=1'>")
    page.get_by_role("button", name="Run", exact=True).click()
    job = page.locator(".job").first
    expect(job).to_have_attribute("data-state", "done")
    expect(job).to_contain_text("It takes 4 <img src=x onerror='window.pwned=1'>.")
    assert job.locator("img").count() == 0
    run_id = (
        job.get_by_role("link", name="Open in Explorer")
        .get_attribute("href")
        .removeprefix("../explorer?run=")
    )
    page.get_by_role("tab", name="Try a prompt").click()
    page.locator("#run input").click()
    page.get_by_role("option").nth(1).click()
    expect(page.locator("[data-head=L0H1]")).to_have_attribute("data-role", "memory")
    expect(page.locator("[data-head=L1H2]")).to_have_attribute("data-role", "context")
    box = page.locator("#dial input[type=number]")
    box.fill("0.8")
    box.press("Tab")
    expect(page.locator("#answer")).to_contain_text("dial +0.80 toward many")
    page.get_by_role("button", name="Memory heads off").click()
    expect(page.locator("#answer")).to_contain_text("1 head off, dial +0.80 toward many")
    page.goto(f"/playground?run={run_id}")
    expect(page.locator("[data-head=L0H1]")).to_have_attribute("data-role", "memory")
    expect(page.locator("#dial")).to_be_visible()


def test_what_goes_wrong_is_a_message(page):
    page.goto("/playground?analysis=count-sheep")
    page.get_by_label("Crash").check()
    page.get_by_role("button", name="Run", exact=True).click()
    job = page.locator(".job").first
    expect(job).to_have_attribute("data-state", "failed")
    expect(job).to_contain_text("RuntimeError: <b>boom</b>")
    assert "Traceback" not in page.content()


def test_programs_use_the_same_server(address):
    from gradio_client import Client

    client = Client(f"{address}/playground/", verbose=False)
    top = client.predict(
        "The capital of France is", ["L0H0"], None, None, 3, api_name="/next_tokens"
    )
    assert len(top) == 3
    job = client.submit("count-sheep", '{"steps": 3, "pause": 0.2}', 5, api_name="/run")
    steps = list(job)
    assert steps[-1]["findings"]["sheep"]["value"] == 3
    with pytest.raises(Exception, match="There is no analysis 'sheep'") as caught:
        client.predict("sheep", "{}", api_name="/run")
    assert "Traceback" not in str(caught.value)
