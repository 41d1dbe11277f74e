"""What the pages of a grid show of grids of every form."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from workbench import registry
from workbench.draw.items import Picture, Row
from workbench.grid_page import views
from workbench.grid_page.findings import findings
from workbench.grid_page.selections import multiples, numbers
from workbench.result import Result

SPREAD = ["finding", "title", "value", "unit", "n", "mean", "low", "high", "smallest", "largest",
          "items_low", "items_high"]  # fmt: skip


def grid_of(axes: dict[str, list], seeds: int = 3, choices: bool = True,
            analysis: str = "no-such") -> Result:  # fmt: skip
    """A grid with two numbers, whose mean grows with the combination's number."""
    over, chosen, runs, values = [], [], [], []
    for n, combination in enumerate(itertools.product(*axes.values())):
        varied = dict(zip(axes, combination, strict=True))
        name = ", ".join(f"{k} {v}" for k, v in varied.items()) or "all runs"
        for value in ("memory", "context"):
            mean = 0.1 + 0.05 * n
            row = ["answers", "Answers", value, "share of facts", seeds, mean, mean - 0.01,
                   mean + 0.01, mean - 0.02, mean + 0.02, mean - 0.3, mean + 0.3]  # fmt: skip
            over.append({"combination": name, **varied, **dict(zip(SPREAD, row, strict=True))})
        for item, many in (("L1H2", seeds), ("L3H4", seeds - 1)):
            chosen.append(
                {"combination": name, "choice": "memory heads", "item": item, "runs": many,
                 "of": seeds}
            )  # fmt: skip
        for seed in range(seeds):
            run = f"run-{n}-{seed}"
            runs.append({"run": f"{name}, seed {seed}", **varied, "seed": seed, "state": "done",
                         "seconds": 1.0, "says": "Yes.", "id": run})  # fmt: skip
            values.append({"combination": name, **varied, "finding": "answers",
                           "title": "Answers", "value": "memory", "unit": "share of facts",
                           "number": 0.1 + n + seed, "id": run})  # fmt: skip
    tables = {"runs": runs, "numbers": values, "over_seeds": over}
    if choices:
        tables["choices"] = chosen
    made = Result(registry.GRID, params={"analysis": analysis, "models": ["m"]},
                  tables={name: pd.DataFrame(rows) for name, rows in tables.items()})  # fmt: skip
    made.add(*findings(made))
    return made


def pictures(run: Result) -> list[Picture]:
    shown = [*views._stable(run), *views._multiples(run)]
    return [p for one in shown for p in (one.parts if isinstance(one, Row) else [one])]


FORMS = {
    "only seeds": ({}, ["labelled_bars", "intervals"]),
    "words": ({"relation": ["a", "b"]}, ["matrix", "intervals"]),
    "steps": ({"model": [f"m@step-{n}" for n in (1, 2, 4)]}, ["matrix", "curves"]),
    "numbers and words": ({"size": [1, 2, 3], "relation": ["a", "b"]}, ["matrix", "curves"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_grid_of_each_form_is_drawn(form):
    axes, kinds = FORMS[form]
    run = grid_of(axes)
    assert not list(registry.get("grid").schema.problems(run))
    drawn = pictures(run)
    assert [picture.kind for picture in drawn] == kinds
    for picture in drawn:
        assert picture.drawn() is not None
    for view in views.VIEWS:
        assert view.still(run)


def test_curves_of_several_combinations_are_told_apart():
    run = grid_of({"size": [1, 2, 3], "relation": ["a", "b"]})
    curves = pictures(run)[-1]
    assert set(curves.given[0]["of"]) == {
        "relation a, memory", "relation a, context", "relation b, memory", "relation b, context"
    }  # fmt: skip
    assert curves.options["xlabel"] == "size"


def test_one_seed_shows_the_interval_of_the_run_itself_and_says_what_is_missing():
    run = grid_of({"relation": ["a", "b"]}, seeds=1, choices=False, analysis="knowledge-conflict")
    assert "stability" not in run.findings
    assert "One seed was run" in run.findings["spread"].says
    (picture,) = pictures(run)
    frame = picture.given[0]
    assert (frame["high"] - frame["mean"]).tolist() == pytest.approx([30.0] * 4)


def test_where_nothing_is_drawn_no_seeds_are_asked_for():
    assert "spread" not in grid_of({"relation": ["a", "b"]}, 1, False, "inside").findings


def test_what_all_seeds_chose_is_counted():
    alone = grid_of({}).findings["stability"]
    assert alone.values == {"share": 0.5, "items": 2.0}
    assert alone.says == (
        "All 3 seeds agree on 1 of the 2 memory heads (L1H2) that any of them chose."
    )
    several = grid_of({"relation": ["a", "b"]}).findings["stability"]
    assert several.says == (
        "All 3 seeds agree on 2 of the 4 memory heads that any of them chose, over 2 combinations."
    )


def test_numbers_of_the_answer_come_first_and_a_missing_analysis_hides_none():
    run = grid_of({})
    assert [number.says for number in numbers(run)] == ["Answers: context", "Answers: memory"] or (
        [number.says for number in numbers(run)] == ["Answers: memory", "Answers: context"]
    )
    assert len(multiples(run)) == 1


def test_a_run_is_opened_from_its_row():
    run = grid_of({"relation": ["<b>", "b"]})
    view = next(view for view in views.VIEWS if view.title == "Runs")
    pick = view.pick(run)
    assert views._open(run, pick) is None
    pick.choose("run", "run-0-1")
    shown = str(views._open(run, view.pick(run)))
    assert 'href="explorer?run=run-0-1"' in shown
    assert "<b>, seed" not in shown
