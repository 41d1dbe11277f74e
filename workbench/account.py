"""What a run was estimated to take, what it took, and which of its parts were left out.

It is kept in the provenance of a run as `cost`; like all of a run folder it may come from a
stranger, and is read as data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import cost
from workbench.errors import BadInput
from workbench.parts import Part, with_their_ground

if TYPE_CHECKING:
    from pydantic import BaseModel

    from workbench.registry import Analysis
    from workbench.result import Result


@dataclass(frozen=True)
class LeftOut:
    """A part that a run does not have.

    Attributes:
        seconds: it would have taken more, with what it stands on; None where nothing was stated.
        reason: why, where it was not simply not asked for.
    """

    name: str
    title: str
    seconds: float | None = None
    reason: str = ""

    @property
    def says(self) -> str:
        """ "checkpoints (about 3 min more)"."""
        more = "" if self.seconds is None else f"{cost.in_words(self.seconds)} more"
        about = "; ".join(word for word in (more, self.reason) if word)
        return f"{self.title} ({about})" if about else self.title


def with_possible_parts(analysis: Analysis, model: Any, params: BaseModel) -> BaseModel:
    """Parameters whose default parts are those that this model can have; parts that somebody asked
    for stay, and are refused by `check_parts` where they cannot be had.
    """
    default = getattr(params, "parts", None)
    if not default or "parts" in params.model_fields_set:
        return params
    by_name = {part.name: part for part in analysis.parts}
    found = [name for name in default if by_name[name].unavailable_reason(model) is None]
    return params.model_copy(update={"parts": found or default})


def check_parts(analysis: Analysis, model: Any, params: BaseModel) -> None:
    """Whether there is something to run.

    Raises:
        BadInput: a part that this model cannot have, or none whose parameters are set.
    """
    wanted = [part for part in analysis.parts if part.name in getattr(params, "parts", ())]
    for part in wanted:
        if why_not := part.unavailable_reason(model):
            raise BadInput(
                f"The part {part.name!r} of {analysis.name} cannot be run: {why_not}",
                f"other parts: {', '.join(p.name for p in analysis.parts if p is not part)}",
                "Leave it out of parts, or choose another model.",
            )
    if wanted and not analysis.running(params):
        unset = ", ".join(dict.fromkeys(name for part in wanted for name in part.unset(params)))
        raise BadInput(
            f"{analysis.name} has nothing to run: {unset} is not set.",
            "at least one part whose parameters are set",
            f"Set {unset}, or choose other parts.",
        )


def stated(analysis: Analysis, model: Any, params: BaseModel) -> dict[str, Any]:
    """The estimate of a run, as its provenance keeps it: seconds, bytes, and what is left out."""
    whole = cost.estimate(analysis, model, params)
    each = cost.by_part(analysis, model, params)
    about: dict[str, Any] = {}
    if whole is not None:
        about = {"seconds": round(whole.seconds, 1), "bytes": round(whole.bytes)}
    running = analysis.running(params)
    by_name = {part.name: part for part in analysis.parts}

    def more(name: str, had: set[str]) -> float:
        """Seconds of a part and of what it stands on, but for what there is already."""
        if name in had:
            return 0.0
        had.add(name)
        own = each[name].seconds if name in each else 0.0
        return own + sum(more(other, had) for other in by_name[name].stands_on)

    left_out = []
    for part in analysis.parts:
        if part.name in running:
            continue
        reason = part.unavailable_reason(model) or ""
        if not reason and (unset := part.unset(params)):
            reason = f"needs {' and '.join(unset)}"
        seconds = None if reason or part.name not in each else more(part.name, set(running))
        left_out.append(
            {
                "name": part.name,
                "title": part.title,
                "seconds": seconds and round(seconds, 1),
                "reason": reason,
            }
        )
    return about | ({"left_out": left_out} if left_out else {})


def left_out(result: Result) -> list[LeftOut]:
    """The parts that a run does not have; none where it does not say."""
    found = []
    rows = result.provenance.cost.get("left_out")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and isinstance(row.get("name"), str):
            found.append(
                LeftOut(
                    row["name"][:80],
                    str(row.get("title") or row["name"])[:80],
                    _number(row.get("seconds")),
                    str(row.get("reason") or "")[:300],
                )
            )
    return found


def not_run(parts: Sequence[Part], result: Result) -> tuple[list[Part], list[Part]]:
    """Of an analysis's parts those of which a run says that it does not have them, and others that
    it was not asked for: one from before a part was there does not say that it lacks it.
    """
    absent = {part.name for part in left_out(result)}
    stated = [part for part in parts if part.name in absent]
    asked = result.params.get("parts")
    if not isinstance(asked, list):
        return stated, []
    ran = with_their_ground(parts, [name for name in asked if isinstance(name, str)])
    return stated, [part for part in parts if part.name not in ran | absent]


def estimated(result: Result) -> float | None:
    """Seconds that the run was estimated to take; None where it does not say."""
    return _number(result.provenance.cost.get("seconds"))


def peak_bytes(result: Result) -> float | None:
    """Memory that the run took beyond the weights; None where it does not say."""
    return _number(result.provenance.cost.get("peak_bytes"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value < 1e12 else None
