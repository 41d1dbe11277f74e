"""Choosing a model in a browser: switching during a run, one that is broken, one that does not fit,
and two side by side; with the keyboard alone.
"""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

from tests.helpers import fake_package
from tests.helpers.serving import served
from tests.helpers.tiny import tiny_llama, tiny_tokenizer

HOSTILE = "<img src=x onerror=window.pwned=1> & ‮🦊"


def save(folder, seed: int) -> None:
    folder.mkdir()
    tiny_llama(n_layers=2 + seed, seed=seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)


@pytest.fixture
def page(browser, tmp_path, monkeypatch):
    """A page of a server that was started with the model "first", beside three others."""
    (tmp_path / "package").mkdir()
    fake_package.install(tmp_path / "package", monkeypatch)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for seed, name in enumerate(("first", HOSTILE, "broken", "too large")):
        save(work / name, seed)
    cut = (work / "broken" / "model.safetensors").read_bytes()
    (work / "broken" / "model.safetensors").write_bytes(cut[: len(cut) // 2])
    head = b'{"w":{"dtype":"BF16","shape":[70000,1000000],"data_offsets":[0,140000000000]}}'
    (work / "too large" / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    (tmp_path / "runs").mkdir()
    with served(str(work / "first"), tmp_path / "runs") as address:
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 720})
        errors: list[str] = []
        opened = context.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        assert opened.evaluate("window.pwned") is None
        assert errors == []
        context.close()
    monkeypatch.undo()
    fake_package.forget()


def choose(page, words: str) -> None:
    """With the keyboard alone."""
    expect(page.locator(".wb-model")).to_be_visible()  # once it is known what the model is
    page.locator(".wb-model").focus()
    page.keyboard.press("Enter")
    page.keyboard.type(words)
    row = page.locator(".wb-pick").first
    expect(row).to_contain_text(words)
    page.keyboard.press("ArrowDown")
    expect(row).to_be_focused()
    page.keyboard.press("Enter")


def test_models_are_switched_during_a_run(page):
    page.goto("/playground/?analysis=count-sheep")
    current = page.locator(".wb-model-name")
    expect(current).to_have_text("first")
    expect(page.locator("#status")).to_contain_text("2 layers")
    page.locator("#param-pause input[type=number]").first.fill("0.5")
    page.locator("#param-steps input[type=number]").first.fill("400")
    page.locator("#run-count-sheep").click()
    expect(page.locator(".job[data-state=running]")).to_contain_text("on first")
    page.get_by_role("tab", name="Try a prompt").click()
    page.locator("#prompt textarea").fill("What I typed")

    choose(page, "too large")
    says = page.locator(".wb-picker-says")
    expect(says).to_contain_text("280 GB")
    expect(page.locator(".wb-picker-runs")).to_contain_text(
        "“Count sheep” runs on first and keeps it"
    )
    page.keyboard.press("Escape")
    expect(page.locator(".wb-model")).to_be_focused()
    choose(page, "broken")
    expect(says.or_(page.locator(".wb-model-says")).first).to_contain_text("broken")
    page.keyboard.press("Escape")
    expect(current).to_have_text("first")

    choose(page, HOSTILE)
    expect(current).to_have_text(HOSTILE)
    expect(page.locator("#status")).to_contain_text("3 layers")
    expect(page.locator("#prompt textarea")).to_have_value("What I typed")
    expect(page.locator("#answer .tokens li").first).to_be_visible()
    page.locator("#second-model input").click()
    page.get_by_role("option", name="first (loaded)").click()
    second = page.get_by_role("region", name="Second model")
    expect(second).to_contain_text("first")
    expect(page.locator("#note")).to_contain_text("“Count sheep” has the model")
    page.get_by_role("tab", name="Ask a question").click()
    job = page.locator(".job").first
    expect(job).to_contain_text("on first")
    job.get_by_role("button", name="Cancel").click()
    expect(job).to_have_attribute("data-state", "cancelled")
    page.get_by_role("tab", name="Try a prompt").click()
    expect(second.locator(".tokens li").first).to_be_visible()
    expect(second.locator(".differs").first).to_be_visible()

    page.goto("/")
    expect(page.locator("#model")).to_contain_text(HOSTILE)
    choose(page, "first")
    expect(page.locator("#model")).to_contain_text("first")  # without a reload
    page.goto("/explorer")
    expect(current).to_have_text("first")


def test_a_page_says_that_its_server_is_gone_and_goes_on_when_it_is_back(page):
    page.goto("/runs")
    expect(page.locator(".wb-model-name")).to_have_text("first")
    states = "**/models/state"
    page.route(states, lambda route: route.abort())
    gone = page.locator(".wb-gone")
    expect(gone).to_contain_text("The workbench does not answer", timeout=30_000)
    page.unroute(states)
    expect(gone).to_have_count(0, timeout=30_000)
    page.route(
        states,
        lambda route: route.fulfill(json={**route.fetch().json(), "server": "another"}),
    )
    expect(gone).to_contain_text("was started anew", timeout=30_000)
    page.unroute_all(behavior="ignoreErrors")
    gone.get_by_role("button", name="Reload the page").click()
    expect(page.locator(".wb-model-name")).to_have_text("first")
    expect(gone).to_have_count(0)


def test_the_focus_stays_in_the_picker(page):
    page.goto("/runs")
    choose(page, "broken")
    expect(page.locator(".wb-picker-says")).to_contain_text("broken")
    expect(page.locator(".wb-pick").first).to_be_focused()
