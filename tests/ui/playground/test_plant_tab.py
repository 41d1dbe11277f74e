"""The Playground's tab *Plant and watch*: sentences planted in a browser, watched, asked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import workbench as wb
from analyses.measures.exposure_watch import When
from tests.helpers import trained_facts
from ui.playground import plant_picture, plant_session
from ui.playground.plant_picture import LOSS, RECALL
from ui.playground.plant_session import Plantings, WatchedPlanting
from workbench.errors import BadInput, NotFound

WAIT = 120_000  # milliseconds; generous, since test machines are slow and shared
KEY = "The key to the archive lies under the third brick from the left of the old gate."
ROWS: list[tuple[str, int, When]] = [(KEY, 20, "spread"), ("", 3, "late")]


@pytest.fixture(scope="module")
def planted() -> tuple[Plantings, WatchedPlanting]:
    plantings = Plantings()
    changes = list(plantings.plant(ROWS, 20))
    assert len(changes) > 2
    return plantings, changes[-1]


def test_what_was_read_is_said_afterwards(planted: Any) -> None:
    plantings, planting = planted
    assert not planting.running
    assert planting.error is None
    assert len(planting.moments) == 21
    assert len(planting.plan.texts) == 1  # an empty field is no sentence
    before, after = plantings.ask(planting.name, plant_picture.first_half(planting))
    assert "brick" in after
    assert "brick" not in before
    says = plant_picture.answer_html(planting)
    assert "Finished after 20 updates" in says
    assert "Read 20 times" in says


def test_a_card_shows_the_curve_its_marks_and_the_text_of_the_update(planted: Any) -> None:
    _, planting = planted
    first = plant_picture.cards_html(planting, 0, RECALL)
    last = plant_picture.cards_html(planting, 20, LOSS)
    assert first.count('class="read"') == last.count('class="read"') == 20
    assert "read 0 of 20 times" in first
    assert "read 20 of 20 times" in last
    assert planting.plan.texts[0].twin in last
    assert "nats per token" in last
    assert "nats per token" not in first
    own = first.split('class="own" points="')[1].split('"')[0].split()
    assert len(own) == 21
    assert own[0].startswith("42.0,")


def test_text_of_people_and_models_is_escaped(planted: Any) -> None:
    assert "<b>" not in plant_picture.answers_html("<b>", "<b>x", "y")


def test_a_training_is_stopped_and_the_copy_asked(planted: Any) -> None:
    plantings, _ = planted
    going = plantings.plant(ROWS, 100)
    for planting in going:
        if len(planting.moments) > 2:
            plantings.stop(planting.name)
    assert planting.stopped
    assert not planting.running
    assert "Stopped after" in plant_picture.answer_html(planting)
    assert all(plantings.ask(planting.name, "The key"))


def test_one_training_at_a_time_and_the_next_after_it(planted: Any) -> None:
    plantings, _ = planted
    going = plantings.plant(ROWS, 100)
    running = next(going)
    with pytest.raises(BadInput, match="Another planting"):
        next(plantings.plant(ROWS, 20))
    with pytest.raises(BadInput, match="still reading"):
        plantings.ask(running.name, "The key")
    plantings.stop(running.name)
    assert list(going)[-1].stopped


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("", 1, "early")], "no sentence"),
        ([("Too short.", 1, "early")], "tokens"),
        ([(KEY, 21, "early")], "21 times"),
        ([(KEY, 1, "early"), (KEY, 2, "late")], "the same"),
    ],
)
def test_what_cannot_be_planted_is_said(planted: Any, rows: Any, says: str) -> None:
    plantings, _ = planted
    last = list(plantings.plant(rows, 20))[-1]
    assert says in str(last.error)
    assert not last.running
    assert not last.moments


def test_what_cannot_be_planted_takes_no_others_place(planted: Any) -> None:
    plantings, planting = planted
    held = list(plantings._held)
    for _ in range(6):
        assert list(plantings.plant([("Too short.", 1, "early")], 20))[-1].wrong
    assert list(plantings._held) == held
    assert plantings.get(planting.name) is planting


def test_whatever_ends_a_training_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    plantings = Plantings()

    def broken(model: Any, plan: Any, moment: Any, progress: Any) -> None:
        def then_stop(said: Any) -> None:
            moment(said)
            raise RuntimeError("no memory left")

        watch(model, plan, then_stop, progress)

    watch = plant_session.watch
    monkeypatch.setattr(plant_session, "watch", broken)
    last = list(plantings.plant(ROWS, 20))[-1]
    assert "RuntimeError: no memory left" in str(last.wrong)
    assert not last.running
    assert "Broke off after 0 updates" in plant_picture.answer_html(last)
    monkeypatch.undo()
    going = plantings.plant(ROWS, 20)  # and the next may train
    plantings.stop(next(going).name)
    assert list(going)[-1].stopped


def test_the_organism_is_loaded_once_for_all_who_ask() -> None:
    plantings, loaded = Plantings(), []

    def load() -> Any:
        time.sleep(0.05)
        loaded.append(1)
        return object()

    plantings._load = load  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: plantings.unread, range(4)))
    assert len(loaded) == 1
    assert len(set(map(id, models))) == 1


def test_asking_without_a_planting(planted: Any) -> None:
    plantings, planting = planted
    with pytest.raises(BadInput, match="Nothing was planted"):
        plantings.ask("", "The key")
    with pytest.raises(NotFound):
        plantings.ask("gone", "The key")
    with pytest.raises(BadInput, match="no text"):
        plantings.ask(planting.name, "  ")


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load((trained_facts.module(), trained_facts.tokenizer()))


@pytest.mark.browser
def test_sentences_are_planted_scrubbed_and_asked_in_the_browser(
    browser: Any, address: str
) -> None:
    from playwright.sync_api import expect

    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/?plant=1")
    page.locator("#plant-text-1 textarea").fill("Too short.")
    page.locator("#plant-run").click()
    expect(page.locator("#plant-error-box")).to_contain_text("8 to 64 tokens", timeout=WAIT)
    page.locator("#plant-text-1 textarea").fill(KEY)
    for number in (2, 3):
        page.locator(f"#plant-text-{number} textarea").fill("")
    page.locator("#plant-readings-1 input").fill("20")
    steps = page.locator("#plant-steps input[type=number]")
    steps.fill("20")
    steps.press("Tab")
    page.locator("#plant-run").click()
    expect(page.locator("#plant-answer")).to_contain_text("Finished after 20", timeout=WAIT)
    cards = page.locator("#plant-cards")
    expect(cards).to_contain_text("What comes out after update 20")
    slider = page.locator("#plant-step input[type=range]")
    slider.focus()
    slider.press("Home")
    expect(cards).to_contain_text("What comes out after update 0", timeout=WAIT)
    page.locator("#plant-ask").click()
    expect(page.locator("#plant-said")).to_contain_text("They differ", timeout=WAIT)
    page.close()
