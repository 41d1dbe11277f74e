"""What a form says of time and memory: how long each part takes on the model that is loaded, and
what the run as it is filled in takes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from pydantic import BaseModel

from workbench import cost
from workbench.disk_space import size
from workbench.errors import WorkbenchError
from workbench.parts import Part
from workbench.presets import QUICK
from workbench.registry import Analysis

UNKNOWN = "No model is loaded yet: time and memory are said once there is one."
DEPENDS = "Time and memory depend on the text"
_FRESH = 300.0  # seconds; costs change with files, such as kept steps, that come beside a model
log = logging.getLogger(__name__)


def part_choices(analysis: Analysis, model: Any = None) -> list[tuple[str, str]]:
    """(what a person reads, name) of every part; with its time where there is a model."""
    times: Mapping[str, cost.Estimate] = {}
    if model is not None and _is_measured(model):
        try:
            stated = _remembered(analysis, model, analysis.parse({}))
            times = {name: cost.Estimate.of(model, one) for name, one in stated.items()}
        except WorkbenchError:  # the run itself says what is wrong
            times = {}
    return [(_label(part, times, model), part.name) for part in analysis.parts]


def _label(part: Part, times: Mapping[str, cost.Estimate], model: Any) -> str:
    about = [f"needs {' and '.join(part.needs)}"] if part.needs else []
    if model is not None and part.unavailable_reason(model):
        about = ["not with this model"]
    elif part.name in times and times[part.name].seconds and not part.needs:
        about.append(cost.in_words(times[part.name].seconds))
    return f"{part.title} ({', '.join(about)})" if about else str(part.title)


def line(analysis: Analysis, model: Any, values: Mapping[str, Any]) -> str:
    """What the run takes, as HTML; "" where that is not known, or the form is not right yet."""
    if model is None:
        return _html(UNKNOWN)
    whole = _estimate(analysis, model, values)
    if whole is None:
        return ""
    if not whole.seconds:
        return _html(f"{DEPENDS}: fill it in.")
    memory = f", and {size(whole.bytes)} of memory beyond the weights" if whole.bytes else ""
    return _html(f"Takes {cost.in_words(whole.seconds)} on {model.card.name}{memory}.")


def in_short(analysis: Analysis, model: Any, values: Mapping[str, Any]) -> str:
    """The same in a few words: "about 3 min, 590 MB"; "" where nothing is known. Of what is offered
    again and again, such as presets: it is remembered for a while.
    """
    whole = None if model is None else _estimate(analysis, model, values, _remembered)
    return "" if whole is None else _in_short(whole)


def at_a_glance(analysis: Analysis, model: Any) -> str:
    """What it takes as it is, and quickly: "Takes about 3 min; quick: about 40 s"."""
    whole = None if model is None else _estimate(analysis, model, {}, _remembered)
    if whole is None:
        return ""
    words = _in_short(whole)
    if not words:
        return f"{DEPENDS}."
    quick = (
        in_short(analysis, model, analysis.preset(QUICK, model, {}))
        if QUICK in analysis.presets
        else ""
    )
    return f"Takes {words}; quick: {quick}" if quick not in ("", words) else f"Takes {words}"


def _in_short(whole: cost.Estimate) -> str:
    if not whole.seconds:
        return ""
    memory = f", {size(whole.bytes)}" if whole.bytes else ""
    return f"{cost.in_words(whole.seconds)}{memory}"


def _estimate(
    analysis: Analysis,
    model: Any,
    values: Mapping[str, Any],
    stated: Callable[[Analysis, Any, BaseModel], Mapping[str, cost.Cost]] = Analysis.cost,
) -> cost.Estimate | None:
    if not _is_measured(model):
        return None
    try:
        params = analysis.parse(values)
        return cost.of_running(analysis, model, params, stated(analysis, model, params))
    except WorkbenchError:
        return None
    except Exception:
        # A third party's sum must not take the page down.
        log.exception("the cost of %s cannot be told", analysis.name)
        return None


def _remembered(analysis: Analysis, model: Any, params: BaseModel) -> Mapping[str, cost.Cost]:
    """`Analysis.cost`, asked again only after a while: Home and the forms of all analyses ask for
    the same with every page, and the sums of all took seconds.
    """
    known = vars(model).setdefault("stated_costs", {})
    key, now = (analysis.name, params.model_dump_json()), time.monotonic()
    if key not in known or now - known[key][0] > _FRESH:
        known[key] = now, analysis.cost(model, params)
    found: Mapping[str, cost.Cost] = known[key][1]
    return found


def _html(words: str) -> str:
    return f'<p class="wb wb-muted estimate">{escape(words)}</p>'


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
