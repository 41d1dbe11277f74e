"""Titles of runs: what is special in the parameters, in plain words and in one line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.context.knowledge_conflict.parts import DEFAULT
from sample_runs.make import RUNS, place_of
from workbench import registry, run_titles
from workbench.result import Provenance, Result


def title(analysis: str, seeds: int = 0, **params: object) -> str:
    values = registry.get(analysis).Params().model_dump(mode="json") | params
    result = Result(analysis, params=values, provenance=Provenance(model={"name": "tiny"}))
    return run_titles.make_title(result, seeds)


@pytest.mark.parametrize(
    ("params", "special"),
    [
        ({}, None),
        (
            {"relation": "language", "format": "dialogue", "seed": 1},
            "language, in a dialogue, seed 1",
        ),
        ({"format": "Note: {statement}"}, "format “Note: {statement}”"),
        ({"facts_file": "/home/me/secret/place/my facts.csv"}, "facts file “my facts.csv”"),
        ({"max_facts": 12, "k_grid": [1, 2, 3]}, "max facts 12, k grid 1, 2 and 3"),
        ({"k_grid": [1, 2, 3, 4, 5, 6, 7]}, "k grid 7 values"),
        ({"parts": ["rates"]}, "only rates"),
        ({"parts": [*DEFAULT, "transfer"]}, "with transfer"),
        (
            {"relation": "language", "max_facts": 9, "random_sets": 30, "seed": 2, "template": "x"},
            "language, template x, max facts 9, and 2 more",
        ),
    ],
)
def test_what_is_special_is_said(params: dict[str, object], special: str | None) -> None:
    expected = ["Context against memory", "tiny", *([special] if special else [])]
    assert title("knowledge-conflict", **params) == " · ".join(expected)


def test_words_of_other_forms() -> None:
    assert title("extraction", reference="organism/x").endswith("against organism/x")
    assert title("inside", prompt="To be, or\nnot", chat=True).endswith("“To be, or not”, chat")
    assert title("knowledge-conflict", seeds=5, seed=3).endswith("· tiny · 5 seeds")
    assert title("function-tokens", tokens=1_000_000).endswith("1,000,000 tokens")


def test_an_analysis_that_is_not_installed_keeps_its_name() -> None:
    result = Result("count-sheep", provenance=Provenance(model={"name": "tiny"}))
    assert run_titles.make_title(result) == "Count sheep · tiny" == result.title


@pytest.mark.parametrize("name", RUNS)
def test_sample_runs_are_called_what_they_would_be_called_today(name: str) -> None:
    result = Result.open(place_of(name))
    seeds = result.findings.get("seeds")
    told = run_titles.make_title(result, int(seeds.value) if seeds else 0)
    assert result.made_title == told


@given(st.text(max_size=400), st.text(max_size=300))
def test_whatever_is_in_it_a_title_is_one_short_line(prompt: str, model: str) -> None:
    result = Result(
        "inside", params={"prompt": prompt}, provenance=Provenance(model={"name": model})
    )
    made = run_titles.make_title(result)
    assert 0 < len(made) <= run_titles.LONGEST
    assert made.splitlines() == [made]
    assert not {unicodedata.category(c) for c in made} & {"Cc", "Cf", "Cs"}
