"""The views that every run has: all its numbers, and the tables behind its pictures."""

from __future__ import annotations

from ui.runs import numbers
from workbench import draw, registry
from workbench import views as v
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.schema import Schema
from workbench.wording import counted

_SHOWN = ["title", "value", "number", "low", "high", "unit", "says", "finding"]


def _numbers(run: Result) -> v.Table:
    return v.Table(numbers.table(run)[_SHOWN], headings=numbers.HEADINGS)


def _names(run: Result) -> dict[str, str]:
    return {name.replace("_", " "): name for name in run.tables}


def _table(run: Result, pick: v.Pick) -> v.Item:
    if (name := pick["table"]) is None:
        return draw.empty_state(
            "This run has no tables.",
            "It was stopped before the first one; run the analysis again.",
        )
    said = schema_of(run).table(name)
    about = [said.says] if said is not None else []
    frame = run.tables[name]
    return v.Table(frame, " ".join([*about, f"{counted(len(frame), 'row')}."]), of=name)


VIEWS = (
    v.View("All numbers", [v.show(_numbers)]),
    v.View("Tables", [v.knob("table", "Table", _names, width=260), v.on("table", _table)]),
)


def schema_of(run: Result) -> Schema:
    """What the run's tables mean; nothing is known of an analysis that is not installed here."""
    try:
        return registry.get(run.analysis).schema
    except WorkbenchError:
        return Schema()
