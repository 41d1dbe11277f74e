"""One question under several seeds: how far the answer hangs on what was drawn.

Which items choose and which are held out, which random sets an answer is compared with, what is
sampled: the seed decides it. The interval of one run is over its items; here is the one over seeds
beside it, and how often each choice was made. `workbench/grid/many_seeds.py` makes the runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Protocol

from workbench import registry, run_titles
from workbench.errors import BadInput
from workbench.result import Finding, Result

if TYPE_CHECKING:
    import pandas as pd


class HasFindings(Protocol):
    """A run, or what is kept in mind of one."""

    @property
    def findings(self) -> Mapping[str, Finding]: ...


FINDINGS, CHOICES = "seed_findings", "seed_choices"
"""Tables of a run over seeds: one row per number of a finding, one per item that was chosen."""


def check(asked: registry.Analysis) -> None:
    """Raises BadInput where a seed decides nothing."""
    if "seed" not in asked.Params.model_fields:
        raise BadInput(
            f"{asked.name} draws nothing, so every seed gives the same run.",
            "an analysis with the parameter seed",
            "Leave out --seeds.",
        )


def summary(asked: registry.Analysis, done: Mapping[int, Result]) -> Result:
    """The first of these runs, and what all of them say."""
    result = next(iter(done.values()))
    result.tables[FINDINGS] = spread(list(done.values()), asked)
    choices = count_choices([chosen_items(asked, run) for run in done.values()])
    if asked.choices:
        result.tables[CHOICES] = choices
    numbers = ", ".join(map(str, done))
    result.provenance.notes["seeds"] = (
        f"{numbers}; sentences, pictures and tables are those of seed {next(iter(done))}, but for"
        f" {FINDINGS} and {CHOICES}"
    )
    result.made_title = run_titles.make_title(result, seeds=len(done))
    result.add(Finding("seeds", float(len(done)), _sentence(done, choices), unit="runs"))
    return result


def spread(results: Sequence[HasFindings], asked: registry.Analysis) -> pd.DataFrame:
    """Every number of every finding over the runs that have it.

    Columns finding, title, value, unit, n (runs that have it), mean, low and high (95 % interval
    over seeds, Student's), smallest, largest, items_low and items_high (the first run's own
    interval, over its items).
    """
    import pandas as pd

    names = {
        (f.name, key): f for r in reversed(results) for f in r.findings.values() for key in f.values
    }
    rows = []
    for (name, key), one in sorted(names.items(), key=lambda item: item[0]):
        numbers = [
            float(r.findings[name].values[key])
            for r in results
            if name in r.findings and key in r.findings[name].values
        ]
        low, high = _interval(numbers)
        spans = one.interval if isinstance(one.interval, Mapping) else {"value": one.interval}
        items = spans.get(key) or (math.nan, math.nan)
        rows.append(
            {
                "finding": name,
                "title": asked.schema.title(name),
                "value": key,
                "unit": one.unit,
                "n": len(numbers),
                "mean": fmean(numbers),
                "low": low,
                "high": high,
                "smallest": min(numbers),
                "largest": max(numbers),
                "items_low": items[0],
                "items_high": items[1],
            }
        )
    return pd.DataFrame(rows)


def _interval(numbers: Sequence[float]) -> tuple[float, float]:
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        return math.nan, math.nan
    from scipy.stats import t

    half = float(t.ppf(0.975, len(numbers) - 1)) * stdev(numbers) / len(numbers) ** 0.5
    return fmean(numbers) - half, fmean(numbers) + half


def chosen_items(asked: registry.Analysis, run: Result) -> dict[str, list[str]]:
    """What one run chose, by what a person calls it; empty where the analysis declares no
    choices.
    """
    return {name: list(of(run)) for name, of in asked.choices.items()}


def count_choices(chosen: Sequence[Mapping[str, Sequence[str]]]) -> pd.DataFrame:
    """How many runs chose each item: columns choice, item, runs, of.

    Args:
        chosen: for each run what `chosen_items` gives.
    """
    import pandas as pd

    rows = [
        {"choice": name, "item": item, "runs": many, "of": len(chosen)}
        for name in (chosen[0] if chosen else ())
        for item, many in Counter(item for run in chosen for item in run[name]).most_common()
    ]
    return pd.DataFrame(rows, columns=["choice", "item", "runs", "of"])


def _sentence(done: Mapping[int, Result], choices: pd.DataFrame) -> str:
    says = f"{len(done)} runs with the seeds {', '.join(map(str, done))}."
    for name, rows in choices.groupby("choice", sort=False):
        always = list(rows.loc[rows["runs"] == len(done), "item"])
        says += (
            f" {str(name).capitalize()} chosen by all of them: {', '.join(always) or 'none'}; by"
            f" any: {len(rows)}."
        )
    return says
