"""The summary of a grid as a run of its own, in the grid's folder: `result.json` and `tables/`; and
`summary.csv` for other programs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import grid_page, run_writing
from workbench.errors import WorkbenchError
from workbench.grid.campaign import Campaign, unwritable
from workbench.grid.plan import models_of
from workbench.grid.tables import GridTables
from workbench.grid_page.findings import findings
from workbench.result import Provenance, Result
from workbench.run_titles import one_line
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

FILE = "summary.csv"


@dataclass
class GridPage:
    """What is shown of a campaign, written again whenever there is more.

    Attributes:
        asked: what was asked, as `grid_page.Params` has it.
        failed: why runs failed, by key of the cell.
    """

    campaign: Campaign
    asked: Mapping[str, Any]
    failed: dict[str, WorkbenchError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tables = GridTables(self.campaign, self.failed)
        self._started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")

    def write(self) -> Result:
        """Put the summary of what is done so far into the grid's folder.

        Raises:
            WorkbenchError: it cannot be written.
        """
        result = self._result()
        try:
            run_writing.put(self.campaign.folder, result.to_json(), result.tables)
            self.summary().to_csv(self.campaign.folder / FILE, index=False)
        except OSError as error:
            raise unwritable(self.campaign.folder, error) from error
        result.path = self.campaign.folder
        return result

    def summary(self) -> pd.DataFrame:
        """One row per run that is done: what varies, `seconds`, FINDING or FINDING.VALUE, and
        `folder`, below the campaign's.
        """
        import pandas as pd

        rows = []
        for cell in self._tables.done:
            known = self._tables.known[cell.key]
            numbers = {
                finding.name if name == "value" else f"{finding.name}.{name}": value
                for finding in known.findings.values()
                for name, value in finding.values.items()
            }
            where = self.campaign.place(cell).relative_to(self.campaign.folder).as_posix()
            seconds = known.provenance.duration
            rows.append({**cell.varied, "seconds": seconds, **numbers, "folder": where})
        frame = pd.DataFrame(rows)
        return frame[[*(c for c in frame if c != "folder"), "folder"]] if rows else frame

    def _result(self) -> Result:
        self._tables.read()
        asked = self._tables.asked
        result = Result(
            grid_page.name,
            f"{asked.question} Over {self._varying()}.",
            dict(self.asked),
            tables=self._tables.all(),
            provenance=self._provenance(),
        )
        result.add(*findings(result))
        result.partial = any(result.tables["runs"]["state"] == "to do")
        model = "" if len(models_of(self.campaign.cells)) > 1 else self._model()
        result.made_title = one_line(
            " · ".join(filter(None, [asked.title, model, self._varying()]))
        )
        return result

    def _varying(self) -> str:
        """How many of what: "2 models, 3 seeds, 2 values of relation"."""
        values: dict[str, set[str]] = {}
        for cell in self.campaign.cells:
            for name, value in cell.varied.items():
                values.setdefault(name, set()).add(str(value))
        return ", ".join(_counted(len(values[name]), name) for name in values) or "one run"

    def _model(self) -> str:
        known = next(iter(self._tables.known.values()), None)
        name = str(known.provenance.model.get("name") or "") if known else ""
        return name or self.campaign.cells[0].model

    def _provenance(self) -> Provenance:
        known = [run.provenance for run in self._tables.known.values()]
        models = models_of(self.campaign.cells)
        one = known[0].model if known and len(models) == 1 else {}
        name = counted(len(models), "model") if len(models) > 1 else self._model()
        return Provenance(
            model={**one, "name": name},
            versions=known[0].versions if known else {},
            started=min((run.started for run in known), default=self._started),
            duration=round(sum(run.duration for run in known), 2),
            machine=known[0].machine if known else "",
            notes={"duration": "the sum over the runs, some of which ran side by side"},
        )


def _counted(n: int, name: str) -> str:
    """So many values of a parameter: "3 seeds", "2 values of relation"."""
    return counted(n, name) if name in ("model", "seed") else f"{counted(n, 'value')} of {name}"
