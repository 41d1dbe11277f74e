"""The Playground's tab for pairs: a list read, one pair of it changed by a click, and what cannot
be asked.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import workbench as wb
from analyses.state.recurrent_state import playground_tab
from ui.playground import pairs_tab
from workbench.errors import BadInput
from workbench.playground import PairsForm

PAIRS = "k5 v7, k9 v1, k30 v44, k12 v3"
WAIT = 60_000


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load("organism/recall-mamba-16")


def answers_for(model: Any) -> pairs_tab._Answers:
    form = playground_tab.playground.form
    assert isinstance(form, PairsForm)
    slot = SimpleNamespace(model=model, serial=1, need=lambda: model)
    return pairs_tab._Answers(SimpleNamespace(slot=slot), form)  # type: ignore[arg-type]


def test_a_rewritten_pair_answers_with_the_new_value_and_the_others_stay(model: Any) -> None:
    asked = playground_tab.read(model, PAIRS)
    assert asked.pairs[1] == ("k9", "v1")
    assert all(answer.right and answer.p == answer.own for answer in asked.before)
    changed = asked.rewrite(1, "v99", None)
    assert changed.new == changed.after[1].answer == "v99"
    assert changed.after[1].own < 0.1 < changed.after[1].p
    assert [each.right for each in changed.after] == [True, False, True, True]
    assert changed.random[1].answer == "v1"
    # The second layer stores nothing: there the same change does nothing.
    assert asked.rewrite(1, "v99", 1).after[1].answer == "v1"
    erased = asked.erase(1, 0)
    assert erased.new == ""
    assert not erased.after[1].right
    with pytest.raises(BadInput, match="no value of one token"):
        asked.rewrite(1, "k9", None)
    with pytest.raises(BadInput, match="Layer 7"):
        asked.erase(0, 7)


def test_what_refusal(model: Any, llama: Any) -> None:
    assert playground_tab.refusal(model) is None
    too_many = ", ".join(f"k{n + 1} v{n}" for n in range(33))
    with pytest.raises(BadInput, match="33 pairs"):
        playground_tab.read(model, too_many)
    without = answers_for(llama)
    problem, _, held = without.read(PAIRS)
    assert "carries no state" in problem
    assert held["pairs"] == []
    assert "carries no state" in without.fit()[2]
    answers = answers_for(model)
    assert "One pair alone" in answers.read("k5 v7")[0]
    _, _, held = answers.read("")  # the pairs that stand there in grey
    words = ", ".join(f"{pair['key']} {pair['value']}" for pair in held["pairs"])
    assert words == answers.fit()[0].placeholder
    stale = {**held, "chosen": 4}
    assert "have changed" in answers.change(PAIRS, stale, pairs_tab.REWRITE, "", "all")[0]


@pytest.mark.browser
def test_a_click_changes_a_pair_in_the_browser(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/playground?pairs={PAIRS}")
    page.get_by_text("4 of 4 are recalled").wait_for()
    page.locator("#pairs-new textarea, #pairs-new input").first.fill("v99")
    page.get_by_role("button", name="k9 → v1").click()
    page.get_by_text("“k9” now answers “v99”").wait_for()
    row = page.locator(".pair-list tbody tr", has_text="k9")
    assert [part.strip() for part in row.locator("td b").all_inner_texts()] == ["v1", "v99", "v1"]
    page.get_by_label("Erase it").click()
    page.get_by_text("k9 erased").wait_for()
    assert row.locator("td").nth(1).get_attribute("data-kind") == "another"
    assert page.get_by_role("button", name="k9 → v1").get_attribute("aria-pressed") == "true"
    page.locator("#pairs-pairs textarea").fill("k5 v7, <img src=x onerror=window.hacked=1> v1")
    page.locator("#pairs-read").click()
    page.get_by_text("no key of one token").first.wait_for()
    assert page.evaluate("window.hacked") is None
    assert errors == []
    page.close()
