"""The table over seeds, and what counts as the same run."""

from __future__ import annotations

import pandas as pd

import workbench as wb
from benchmarks.seeds import differs, table
from workbench.result import Finding


def run(context: list[str], memory: list[str], rate: float) -> wb.Result:
    made = wb.Result("knowledge-conflict")
    rows = [("context", label) for label in context] + [("memory", label) for label in memory]
    made.tables["selected_heads"] = pd.DataFrame(rows, columns=["group", "label"])
    for name in ("base", "prune_context", "prune_memory"):
        if name != "prune_memory" or memory:
            made.add(Finding(name, {"memory": rate, "context": 1 - rate}, ""))
    return made


def test_each_seed_has_a_line_and_heads_are_counted_over_all():
    lines = table({0: run(["L1H1", "L2H0"], ["L3H3"], 0.25), 1: run(["L1H1"], [], 0.75)})
    assert lines[2] == "| 0 | L1H1, L2H0 | L3H3 | 25% | 25% | 75% | 75% |"
    assert lines[3] == "| 1 | L1H1 | cannot be told | 75% | 75% | 25% | – |"
    assert "context heads, in how many of 2 runs: L1H1 2, L2H0 1." in lines[-2]
    assert "memory heads, in how many of 2 runs: L3H3 1." in lines[-1]


def test_what_differs_between_two_runs_is_named():
    one, other = run(["L1H1"], ["L3H3"], 0.25), run(["L1H1"], ["L3H3"], 0.25)
    assert differs(one, other) == []
    other.tables["selected_heads"] = other.tables["selected_heads"].iloc[::-1]
    assert differs(one, other) == ["selected_heads"]
    assert differs(one, run(["L1H1"], ["L3H3"], 0.5)) == ["findings"]
