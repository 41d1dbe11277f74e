"""The tables of a grid: its runs, their numbers, and what they say over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import registry, seeds
from workbench.errors import BadRun, WorkbenchError
from workbench.grid.campaign import Campaign
from workbench.grid.digest import RunDigest, digest
from workbench.grid.plan import PlannedRun, short

if TYPE_CHECKING:
    import pandas as pd

RUNS, NUMBERS, OVER_SEEDS, CHOICES = "runs", "numbers", "over_seeds", "choices"
ALL = "all runs"
"""What a combination is called where nothing but the seed varies."""


@dataclass
class GridTables:
    """What is known of the runs of a campaign.

    Attributes:
        failed: why runs failed, by key; those that are there and cannot be read, too.
        known: of each run that is done, by key; read once.
    """

    campaign: Campaign
    failed: dict[str, WorkbenchError] = field(default_factory=dict)
    known: dict[str, RunDigest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked = registry.get(self.campaign.cells[0].analysis)

    def read(self) -> None:
        """Look which runs have been done since."""
        for cell in self.campaign.cells:
            if cell.key in self.known or not self.campaign.done(cell):
                continue
            place = self.campaign.place(cell)
            try:
                self.known[cell.key] = digest(self.asked, place)
            except BadRun as error:
                do = f"Remove {place}; the same command then runs it again."
                self.failed[cell.key] = BadRun(error.what, error.expected, do)

    @property
    def done(self) -> list[PlannedRun]:
        return [cell for cell in self.campaign.cells if cell.key in self.known]

    def combinations(self) -> dict[str, dict[int, RunDigest]]:
        """Runs that are done, by what they share (all that varies but the seed) and by seed."""
        found: dict[str, dict[int, RunDigest]] = {}
        for cell in self.done:
            seed = int(cell.params.get("seed", 0))
            found.setdefault(shared(cell), {})[seed] = self.known[cell.key]
        return {name: dict(sorted(runs.items())) for name, runs in found.items()}

    def all(self) -> dict[str, pd.DataFrame]:
        """All tables that have a row, by name."""
        tables = {
            RUNS: self.runs(),
            NUMBERS: self.numbers(),
            OVER_SEEDS: self.over_seeds(),
            CHOICES: self.choices(),
        }
        return {name: table for name, table in tables.items() if not table.empty}

    def runs(self) -> pd.DataFrame:
        """One row per run, done or not: run (what is special in it), what varies, state, seconds,
        says, id.
        """
        import pandas as pd

        return pd.DataFrame([self._run(cell) for cell in self.campaign.cells])

    def _run(self, cell: PlannedRun) -> dict[str, Any]:
        known, error = self.known.get(cell.key), self.failed.get(cell.key)
        state = "done" if known else "failed" if error else "to do"
        says = error.what if error else _answer(self.asked, known) if known else ""
        return {
            "run": cell.says,
            **_plain(cell.varied),
            "state": state,
            "seconds": known.provenance.duration if known else float("nan"),
            "says": says,
            "id": cell.folder,
        }

    def numbers(self) -> pd.DataFrame:
        """One row per number of every run that is done: combination, seed, what varies, finding,
        title, value, unit, number, id.
        """
        import pandas as pd

        rows = [
            {
                "combination": shared(cell),
                **_plain(cell.varied),
                "finding": finding.name,
                "title": self.asked.schema.title(finding.name),
                "value": name,
                "unit": finding.unit,
                "number": float(number),
                "id": cell.folder,
            }
            for cell in self.done
            for finding in self.known[cell.key].findings.values()
            for name, number in finding.values.items()
        ]
        return pd.DataFrame(rows)

    def over_seeds(self) -> pd.DataFrame:
        """Every number over the seeds of its combination, see `seeds.spread`."""
        import pandas as pd

        varied = {shared(cell): _plain(cell.varied, but="seed") for cell in self.done}
        parts = [
            seeds.spread(list(runs.values()), self.asked).assign(combination=name, **varied[name])
            for name, runs in self.combinations().items()
        ]
        return _first("combination", pd.concat(parts, ignore_index=True)) if parts else _none()

    def choices(self) -> pd.DataFrame:
        """How many runs of each combination chose each item, see `seeds.count_choices`."""
        import pandas as pd

        parts = [
            seeds.count_choices([run.chosen for run in runs.values()]).assign(combination=name)
            for name, runs in self.combinations().items()
        ]
        return _first("combination", pd.concat(parts, ignore_index=True)) if parts else _none()


def shared(cell: PlannedRun) -> str:
    """What a run shares with those of other seeds."""
    return cell.words(but="seed") or ALL


def _answer(asked: registry.Analysis, run: RunDigest) -> str:
    """The first sentence of a run's answer."""
    wanted: Sequence[str] = asked.answer.says if asked.answer is not None else ()
    found = [run.findings[name].says for name in wanted if name in run.findings]
    return next(iter(found or [finding.says for finding in run.findings.values()]), "")


def _plain(varied: Mapping[str, Any], but: str = "") -> dict[str, Any]:
    """Values as columns hold them: numbers as they are, all else as text. A parameter that is
    called like a column of ours has `param_` before its name.
    """
    return {
        f"param_{name}" if name in _OURS else name: value
        if isinstance(value, int | float) and not isinstance(value, bool)
        else short(value)
        for name, value in varied.items()
        if name != but
    }


_OURS = {
    "combination", "finding", "high", "id", "items_high", "items_low", "largest", "low", "mean",
    "n", "number", "run", "says", "seconds", "smallest", "state", "title", "unit", "value",
}  # fmt: skip


def _first(column: str, frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[column, *(name for name in frame if name != column)]]


def _none() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame()
