"""What a grid looks like: its summary is a run like any other, so the Explorer, reports and
notebooks show it.

schema.py       its tables and findings
findings.py     what it says: stability over seeds, best and worst, how many are done
selections.py   what its pictures show
views.py        its pages

It is no question to a model: `workbench grid` makes it (`workbench/grid/page.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from workbench.errors import BadInput
from workbench.grid_page.schema import SCHEMA
from workbench.grid_page.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = ["ANSWER", "SCHEMA", "TITLE", "VIEWS", "Params", "name", "question", "run"]

name, TITLE = "grid", "Grid"  # as `workbench.registry.GRID`
question = "What changes with the model, the parameters and the seed?"


class Params(BaseModel, frozen=True, extra="forbid"):
    """What was asked: see `wb.run_grid`."""

    analysis: str = Field(description="The analysis that was run")
    models: list[str] = Field(description="Of these models")
    values: dict[str, list[Any]] = Field({}, description="With each of these values")
    fixed: dict[str, Any] = Field({}, description="And these everywhere")


def run(model: Any, params: Params, progress: Progress) -> Result:
    """A grid is many runs, not one."""
    raise BadInput(
        "A grid is not run like one analysis.",
        "`workbench grid`, or wb.run_grid",
        f"workbench grid {params.analysis}",
    )
