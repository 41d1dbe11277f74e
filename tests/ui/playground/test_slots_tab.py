"""The Playground's tab for slots: facts are asked, a slot is masked by a click, and what cannot be
asked.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch

import workbench as wb
from analyses.modules.memory_modules import playground_tab
from hooks.memory_modules import masked, memory_places, neuron_places
from tests.helpers import families, tiny
from ui.playground import slots_tab
from ui.playground.slot_board import EMPTY_BOARD
from workbench.errors import BadInput
from workbench.slots_form import SlotsForm

FACTS = "Leo Lang lives in → London\nLeo Lang works as -> brewer\nLuis Jung lives in"
WAIT = 60_000


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load("organism/facts-in-slots")


def page_for(model: Any) -> slots_tab._SlotPage:
    form = playground_tab.playground.form
    assert isinstance(form, SlotsForm)
    slot = SimpleNamespace(model=model, serial=1, need=lambda: model)
    return slots_tab._SlotPage(SimpleNamespace(slot=slot), form)  # type: ignore[arg-type]


@torch.no_grad()
def test_slots_and_answers_by_hand(model: Any) -> None:
    asked = playground_tab.read(model, FACTS)
    assert [answer.says for answer in asked.before] == ["London", "brewer", "Florence"]
    assert all(answer.right for answer in asked.before)
    assert asked.questions[2].answer == ""
    module = model.module.model.layers[1].mlp
    given: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(lambda mod, args: given.append(args[0]))
    model.next_logits("Leo Lang lives in")
    handle.remove()
    read = module.look_up(given[0])
    wanted = dict.fromkeys(read.index[0, -1].flatten().tolist(), 0.0)
    lengths = module.values.weight.norm(dim=-1)
    for slot, weight in zip(read.index[0, -1].flatten().tolist(),
                            read.weight[0, -1].flatten().tolist(), strict=True):  # fmt: skip
        wanted[slot] += weight * float(lengths[slot])
    total = sum(wanted.values())
    first = asked.questions[0].slots
    assert {slot.number for slot in first} == set(wanted)
    for slot in first:
        assert abs(slot.share - wanted[slot.number] / total) < 1e-4
    assert sum(bool(slot.promotes) for slot in first) == len(first)
    chosen = [slot.number for slot in first]
    after, random = asked.masked(chosen), asked.at_random(chosen)
    assert not after[0].right
    assert after[2].right
    assert random.answers[0].right
    assert random.are_read  # slots of the two other facts
    (place,) = memory_places(model)
    with masked(place, chosen):
        p = model.next_logits("Leo Lang lives in").softmax(-1).flatten()
    assert abs(float(p.max()) - after[0].p) < 1e-5
    with pytest.raises(BadInput, match="reads slot"):
        asked.masked([next(n for n in range(4096) if n not in chosen)] * 50)


def test_slots_that_are_written_are_asked_line_by_line() -> None:
    model = wb.load("organism/updates-in-slots")
    asked = playground_tab.read(model, playground_tab.example(model))
    assert "12 gated slots, which are written" in asked.about
    assert all(answer.right for answer in asked.before)
    after = asked.masked([asked.questions[0].slots[0].number])
    assert [answer.right for answer in after] == [False, True, True]


def test_a_model_without_a_memory_has_its_neurons_asked() -> None:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    asked = playground_tab.read(model, "The capital of France is\nNobody remembers")
    assert "no memory module" in asked.about
    assert "neurons" in asked.about
    first = asked.questions[0].slots
    assert len(first) == 16
    names = {slot.name.partition("·")[0] for slot in first}
    assert names <= {f"L{layer}" for layer in range(model.n_layers)}
    # The largest of all layers, by hand.
    sizes = []
    places = neuron_places(model)
    from hooks.memory_modules import recorded

    with recorded(places) as calls:
        model.next_logits("The capital of France is")
    for call in calls:
        value = call.slots.value
        assert value is not None
        sizes.append(call.reads.weight[0, -1, 0].abs() * value.norm(dim=-1))
    layer, neuron = divmod(int(torch.stack(sizes).argmax()), len(sizes[0]))
    assert first[0].name == f"L{layer}·{neuron}"
    # Of all that they bring, not of the largest.
    every = torch.stack(sizes).detach()
    assert first[0].share == pytest.approx(float(every.max() / every.sum()), rel=1e-3)
    assert sum(slot.share for slot in first) < 0.9
    assert asked.at_random([slot.number for slot in first]).are_read
    assert all(answer.right for answer in asked.before)  # its own answers count
    changed = asked.masked([slot.number for slot in first])
    assert changed[0].p != asked.before[0].p


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: wb.load("organism/definitions-in-memory"), "tokens of each text are its slots"),
        (lambda: families.built("mixtral"), "mixture of experts"),
    ],
)
def test_other_memories_are_asked_too(build: Any, words: str) -> None:
    model = build()
    text = playground_tab.example(model) if "tokens" in words else "The capital\nof France"
    asked = playground_tab.read(model, text)
    assert words in asked.about
    first = asked.questions[0].slots
    assert first
    after = asked.masked([first[0].number])
    assert len(after) == len(asked.before)
    if "tokens" in words:
        assert not after[0].right  # its definition is masked
        assert asked.before[0].right
        assert asked.at_random([first[0].number]).answers[0].right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("→ London", "no fact"),
        ("Leo Lang lives in →", "no fact"),
        ("Leo Lang → lives in → London", "no fact"),
        ("\n".join(["Leo Lang lives in"] * 13), "13 lines"),
        ("Zorb Blick lives in → London", "does not know every word of “Zorb Blick lives in”"),
        ("Leo Lang lives in → Atlantis", "does not know every word of “Atlantis”"),
    ],
)
def test_what_is_no_fact_is_said(model: Any, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        playground_tab.read(model, text)
    assert "no fact" in page_for(model).ask("→ x")[0]


def test_the_page_asks_masks_and_unmasks(model: Any) -> None:
    page = page_for(model)
    assert "Leo Lang lives in → London" in page.fit()[0].placeholder
    problem, about, shown = page.ask("")  # those in grey
    assert problem == ""
    assert "4,096 slots" in about
    mine = [slot["number"] for slot in shown["facts"][0]["slots"]]
    began = time.monotonic()
    problem, after = page.mask({**shown, "masked": mine})
    assert time.monotonic() - began < 2
    assert after["heads"] == ["As it is", "16 slots masked", "As many others by lot"]
    assert after["facts"][0]["answers"][1]["kind"] == "another"
    assert "1 of 6 answers are lost" in after["says"]
    assert page.unmask(after)[1]["heads"] == ["As it is"]
    stale = page.mask({**shown, "masked": [4095]})
    assert "reads slot" in stale[0]
    for empty in (None, dict(EMPTY_BOARD)):  # nothing was asked: those in grey are not
        assert page.unmask(empty) == [gr.skip()] * 2
    nobody = page_for(families.built("falcon_mamba"))
    assert "cannot be asked" in nobody.ask("x")[0]
    assert "cannot be asked" in nobody.fit()[1]


def test_a_click_asks_the_facts_of_the_board(model: Any) -> None:
    page = page_for(model)
    _, _, shown = page.ask(FACTS)
    again = page.mask({**shown, "masked": [shown["facts"][0]["slots"][0]["number"]]})[1]
    assert [fact["prompt"] for fact in again["facts"]] == [
        fact["prompt"] for fact in shown["facts"]
    ]
    assert [fact["answer"] for fact in again["facts"]] == ["London", "brewer", ""]
    assert [f["answers"][0]["word"] for f in again["facts"]] == ["London", "brewer", "Florence"]


def test_one_fact_alone_is_compared_with_nothing(model: Any) -> None:
    page = page_for(model)
    _, _, shown = page.ask("Leo Lang lives in → London")
    mine = [slot["number"] for slot in shown["facts"][0]["slots"]]
    after = page.mask({**shown, "masked": mine})[1]
    assert after["heads"][2] == "As many that none of these reads"
    assert "too few other slots" in after["says"]
    assert "masked by lot" not in after["says"]
    one = page.mask({**shown, "masked": mine[:1]})[1]  # 15 others are read
    assert one["heads"][2] == "As many others by lot"


def test_what_was_read_goes_with_its_model(model: Any) -> None:
    page = page_for(model)
    page.fit()
    page.ask(FACTS)
    assert page._read.cache_info().currsize == 1
    page.fit()
    assert page._read.cache_info().currsize == 1
    page._app.slot.serial = 2  # type: ignore[misc]
    page.fit()
    assert page._read.cache_info().currsize == 0


@pytest.mark.browser
def test_a_click_masks_a_slot_in_the_browser(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 420, "height": 900})
    page.set_default_timeout(WAIT)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/playground?slots=Leo Lang lives in → London%0ALuis Jung lives in")
    page.get_by_text("2 of 2 facts answered").wait_for()
    first = page.locator(".slot-board .fact").first
    assert first.locator(".slot").count() == 16
    first.locator(".slot").first.click()
    page.get_by_text("masked by lot").wait_for()
    assert first.locator(".slot").first.get_attribute("aria-pressed") == "true"
    assert first.locator(".said").count() == 3
    first.locator(".every").click()
    page.get_by_text("1 of 2 answers are lost").wait_for()
    assert first.locator(".said").nth(1).get_attribute("data-kind") == "another"
    assert first.locator(".every").inner_text() == "none of them"
    page.locator("#slots-clear").click()
    page.get_by_text("2 of 2 facts answered").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.locator("#slots-facts textarea").fill("<img src=x onerror=window.hacked=1> → London")
    page.locator("#slots-ask").click()
    page.get_by_text("does not know every word").first.wait_for()
    assert page.evaluate("window.hacked") is None
    assert errors == []
    page.close()
