"""Grids as they are typed, their workers, and what they leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from workbench.grid.campaign import Campaign
from workbench.grid.page import GridPage
from workbench.grid.plan import PlannedRun
from workbench.result import Finding, Provenance, Result

WORKER = "workbench.grid.local"


def started(place: Path, *arguments: str) -> subprocess.Popen[str]:
    code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "grid", "count-sheep", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=place)


def processes(name: str) -> list[int]:
    """Those that are alive and have this in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def workers_of(driver: int) -> list[int]:
    """Local workers that a driver hired."""
    return [process for process in processes(WORKER) if _parent(process) == driver]


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def runs_in(folder: Path) -> list[Path]:
    """Runs of a grid that are done."""
    return sorted((folder / "runs").glob("*/result.json"))


CHANCE = {("a", 0): 0.2, ("a", 1): 0.4, ("b", 0): 0.7, ("b", 1): 0.9}
"""By model and seed, the number that the runs of `finished_grid` find."""
ASKED = {
    "analysis": "intervention",
    "models": ["a", "b"],
    "values": {"seed": [0, 1]},
    "fixed": {"prompt": "One, two"},
}
CELLS = [
    PlannedRun(
        "intervention",
        model,
        {"seed": seed, "prompt": "One, two"},
        {"model": model, "seed": seed},
    )
    for model, seed in CHANCE
]


def finish(campaign: Campaign, which: PlannedRun) -> None:
    """Put the run of a cell where it belongs."""
    chance = CHANCE[which.model, which.params["seed"]]
    numbers = {"unchanged": 0.5, "changed": chance}
    Result(
        which.analysis,
        params=dict(which.params),
        findings={"next_token": Finding("next_token", numbers, f"It is {chance}.", "probability")},
        provenance=Provenance({"name": which.model}, started="2026-01-01T00:00:00", duration=2.0),
        made_title=f"Intervention · {which.says}",
    ).save(campaign.place(which))


def finished_grid(folder: Path) -> None:
    """A grid of two models and two seeds that is done."""
    campaign = Campaign(folder, CELLS)
    with campaign.claimed():
        for cell in CELLS:
            finish(campaign, cell)
        GridPage(campaign, ASKED).write()
