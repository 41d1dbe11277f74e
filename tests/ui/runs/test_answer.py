"""How sure an answer is, in one line."""

from __future__ import annotations

import pandas as pd
import pytest

from sample_runs.make import place_of
from ui.runs import answer
from workbench.result import Finding, Result


def over_seeds(rows):
    result = Result("third-party")
    result.add(Finding("seeds", 3.0, "3 runs.", unit="runs"))
    result.tables["seed_choices"] = pd.DataFrame(rows, columns=["choice", "item", "runs", "of"])
    return answer.certainty(result)


def test_what_all_seeds_chose_is_named():
    rows = [("heads", "L1H2", 3, 3), ("heads", "L0H1", 1, 3), ("layers", "L4", 2, 3)]
    heads, layers = over_seeds(rows).split("; ")
    assert heads == "3 seeds: heads L1H2 in all, 1 other in some"
    assert layers == "no layers in all, 1 other in some"


def test_of_many_some_are_named():
    assert "L0, L1, L2, L3, L4, L5 … in all, 0 others" in over_seeds(
        [("heads", f"L{n}", 3, 3) for n in range(9)]
    )


@pytest.mark.parametrize("rows", [[], [("heads", None, None, 3)]])
def test_a_table_with_nothing_in_it_breaks_nothing(rows):
    assert over_seeds(rows).startswith("3 seeds")


def test_the_shipped_run_says_which_heads_hold():
    certainty = answer.certainty(Result.open(place_of("capitals")))
    assert "3 seeds: context heads L16H1, L20H1, L15H3 in all" in certainty
    assert "memory heads L23H4 in all" in certainty


LONG, SHORT = f"{'It is so ' * 20}.", f"{'It is not ' * 10}."


@pytest.mark.parametrize(
    ("says", "parts"),
    [
        ("It is so. It is not.", ["It is so. It is not."]),
        (f"{LONG} {SHORT}", [LONG, SHORT]),
        (f"Yes. {LONG} {SHORT}", [f"Yes. {LONG}", SHORT]),
        (f"{'Without an end ' * 30}.", [f"{'Without an end ' * 30}."]),
        (f"{'long ' * 80}. Then. Now.", [f"{'long ' * 80}.", "Then. Now."]),
        (f"“A. B {'b ' * 130}” is said. So.", [f"“A. B {'b ' * 130}” is said.", "So."]),
    ],
)
def test_only_what_can_be_read_from_afar_stands_in_large_letters(says, parts):
    result = Result(analysis="nobody", question="?")
    result.add(Finding("one", 1.0, says))
    assert answer.lead_of(result).says == tuple(parts)
