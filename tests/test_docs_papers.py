"""The page of papers: made, complete, and true to the runs that ship."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pandas as pd
import pytest

from analyses.claims import FAILS, OPEN, PART, REPLICATES, Claim
from docs import papers
from docs.papers import JudgedClaim, Paper
from workbench import registry
from workbench.result import Result


@pytest.fixture(scope="module")
def groups():
    return papers.read_list()


@pytest.fixture(scope="module")
def claims():
    return papers.judged_claims()


def test_the_page_is_what_the_script_makes(groups, claims):
    made = papers.page(groups, claims)
    assert papers.PAGE.read_text(encoding="utf-8") == made, "python -m docs.papers"


def test_every_paper_stands_once_and_says_what_became_of_it(groups):
    listed = [paper for group in groups.values() for paper in group]
    ids = [paper.id for paper in listed if paper.id]
    assert len(ids) == len(set(ids))
    assert len({paper.paper for paper in listed}) == len(listed)
    for paper in listed:
        assert paper.says.endswith("."), paper
        assert re.fullmatch(r"\d{4}\.\d{4,5}|", paper.id), paper
        # What no analysis uses has a reason, or the page on which it is.
        assert paper.by or re.search(r"Not done|Left out|\]\(", paper.says), paper


def stated(analysis: str) -> list[Claim]:
    """All claims in an analysis's code, judged by a run that ships or not."""
    package = registry.get(analysis).module
    files = Path(package.__file__).parent.glob("*claims*.py")
    modules = [importlib.import_module(f"{package.__name__}.{file.stem}") for file in files]
    lists = [each for module in modules for each in vars(module).values() if type(each) is list]
    return [claim for each in lists for claim in each if isinstance(claim, Claim)]


def test_every_name_of_a_claim_finds_one(groups):
    of = {name: stated(name) for name in {n for g in groups.values() for p in g for n in p.by}}
    assert sum(map(len, of.values())) > 100
    for paper in (paper for group in groups.values() for paper in group):
        words = [f"{claim.text} | {claim.paper}" for name in paper.by for claim in of[name]]
        for name in paper.named:
            assert any(name in each for each in words), (paper, name)


def test_hardly_a_claim_is_of_no_paper(groups, claims):
    listed = [paper for group in groups.values() for paper in group]
    nobodys = [claim for claim in claims if not any(claim.is_of(paper) for paper in listed)]
    assert len(nobodys) <= len(claims) / 20, nobodys


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ([OPEN, REPLICATES], REPLICATES),
        ([REPLICATES, FAILS, OPEN], FAILS),
        ([PART, REPLICATES], PART),
        ([OPEN], OPEN),
    ],
)
def test_the_less_favourable_verdict_of_those_that_could_be_told_counts(told, verdict):
    claim = JudgedClaim("kv-memory", "a", "b", dict(zip("xyz", told, strict=False)))
    assert claim.verdict == verdict


def _run(folder, model, rows):
    run = Result("kv-memory")
    run.provenance.model["name"] = model
    columns = ["claim", "paper", "measured", "verdict", "uncertainty"]
    run.tables["claims"] = pd.DataFrame(rows, columns=columns)
    run.save(folder)
    return folder


def test_claims_of_two_runs_are_one_and_what_was_not_measured_takes_nothing(tmp_path):
    first = _run(tmp_path / "a", "small", [
        ("It holds", "H2O: 1", "not measured", OPEN, ""),
        ("It is new", "H2O: 2", "not measured", OPEN, ""),
    ])  # fmt: skip
    second = _run(tmp_path / "b", "large", [("It holds", "H2O: 1", "3", REPLICATES, "")])
    third = _run(tmp_path / "c", "third", [("It holds", "H2O: 1", "not measured", OPEN, "")])
    holds, new = papers.judged_claims([first, second, third])
    assert holds.verdicts == {"large": REPLICATES}
    assert new.verdicts == {papers.NOT_RUN: OPEN}
    page = papers.page({"A": [Paper("H2O|x", "Used.", ("kv-memory",), ("H2O",), "2306.14048")]},
                       [holds, new])  # fmt: skip
    assert "[H2O\\|x](https://arxiv.org/abs/2306.14048)" in page
    assert "Used. **Claims: 1 confirmed, 1 cannot be told.**" in page
    assert "cannot be told: not measured in a sample run" in page


def test_of_two_runs_of_one_model_the_less_favourable_counts(tmp_path):
    verdicts = (REPLICATES, FAILS, OPEN, PART)
    runs = [_run(tmp_path / name, "small", [("It holds", "H2O: 1", "3", verdict, "")])
            for name, verdict in zip("abcd", verdicts, strict=True)]  # fmt: skip
    for folders in (runs, runs[::-1]):
        (holds,) = papers.judged_claims(folders)
        assert holds.verdicts == {"small": FAILS}


def test_an_analysis_that_does_not_exist_ends_the_script():
    with pytest.raises(SystemExit, match="no-such-analysis"):
        papers.page({"A": [Paper("A", "Used.", ("no-such-analysis",))]}, [])
