"""What came out of a grid: a table with one row for each run, and what the seeds agree on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench import registry, seeds
from workbench.grid.campaign import Campaign
from workbench.grid.plan import PlannedRun
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd

FILE, OVER_SEEDS = "summary.csv", "over-seeds"


def table(campaign: Campaign) -> pd.DataFrame:
    """Columns: what varies, `seconds`, FINDING or FINDING.VALUE, and `folder`, below the
    campaign's.
    """
    import pandas as pd

    rows = [_row(campaign, cell) for cell in campaign.cells if campaign.done(cell)]
    frame = pd.DataFrame(rows)
    return frame[[*(c for c in frame if c != "folder"), "folder"]] if rows else frame


def write(campaign: Campaign) -> pd.DataFrame:
    """The table, also as `summary.csv` in the campaign's folder."""
    frame = table(campaign)
    frame.to_csv(campaign.folder / FILE, index=False)
    return frame


def _row(campaign: Campaign, cell: PlannedRun) -> dict[str, Any]:
    result = Result.open(campaign.place(cell))
    numbers = {
        finding.name if name == "value" else f"{finding.name}.{name}": value
        for finding in result.findings.values()
        for name, value in finding.values.items()
    }
    where = campaign.place(cell).relative_to(campaign.folder).as_posix()
    return {**cell.varied, "seconds": result.provenance.duration, **numbers, "folder": where}


def write_over_seeds(campaign: Campaign) -> list[Result]:
    """For each combination with several seeds a run that sums them up, in `over-seeds/`: how often
    each choice was made, and every number with its interval over seeds (`workbench.seeds`).
    """
    place = campaign.folder / OVER_SEEDS
    shutil.rmtree(place, ignore_errors=True)
    summaries = []
    for cell, done in _by_seed(campaign):
        if len(done) < 2:
            continue
        summary = seeds.summary(registry.get(cell.analysis), done)
        summary.save(place / cell.folder)
        summaries.append(summary)
    return summaries


def _by_seed(campaign: Campaign) -> list[tuple[PlannedRun, Mapping[int, Result]]]:
    """Runs that are done, by what they share (the cell without its seed) and by seed."""
    groups: dict[str, PlannedRun] = {}
    found: dict[str, dict[int, Result]] = {}
    for cell in campaign.cells:
        if "seed" not in cell.varied or not campaign.done(cell):
            continue
        shared = replace(cell, params=_seedless(cell.params), varied=_seedless(cell.varied))
        groups.setdefault(shared.key, shared)
        found.setdefault(shared.key, {})[cell.params["seed"]] = Result.open(campaign.place(cell))
    return [(groups[key], dict(sorted(done.items()))) for key, done in found.items()]


def _seedless(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "seed"}
