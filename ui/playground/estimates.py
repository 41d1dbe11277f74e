"""What a form says of time: how long each part takes on the model that is loaded, and how long the
run as it is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from workbench import cost
from workbench.errors import WorkbenchError
from workbench.registry import Analysis


def part_choices(analysis: Analysis, model: Any = None) -> list[tuple[str, str]]:
    """(what a person reads, name) of every part; with its time where there is a model."""
    times: Mapping[str, cost.Estimate] = {}
    if model is not None and _is_measured(model):
        try:
            times = cost.by_part(analysis, model, analysis.parse({}))
        except WorkbenchError:  # the run itself says what is wrong
            times = {}
    return [(_label(part, times), part.name) for part in analysis.parts]


def _label(part: Any, times: Mapping[str, cost.Estimate]) -> str:
    about = [f"needs {' and '.join(part.needs)}"] if part.needs else []
    if part.name in times and not part.needs:
        about.append(cost.in_words(times[part.name].seconds))
    return f"{part.title} ({', '.join(about)})" if about else str(part.title)


def line(analysis: Analysis, model: Any, values: Mapping[str, Any]) -> str:
    """How long the run takes, as HTML; "" where that is not known, or the form is not right yet."""
    if model is None or not _is_measured(model):
        return ""
    try:
        whole = cost.estimate(analysis, model, analysis.parse(values))
    except WorkbenchError:
        return ""
    if whole is None:
        return ""
    return f'<p class="wb wb-muted estimate">Takes {escape(cost.in_words(whole.seconds))}.</p>'


def _is_measured(model: Any) -> bool:
    """Whether it is known how fast the model is; measures it, unless a run has it just now."""
    if "speed" in vars(model):
        return True
    lock = getattr(model, "lock", None)
    if lock is None or not lock.acquire(blocking=False):
        return False
    try:
        return cost.measure(model) is not None
    finally:
        lock.release()
