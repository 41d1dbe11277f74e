"""The questions as Home and the Playground list them: by where the memory is, each with what one
gets and what it takes on the model that is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ui import estimates
from workbench import registry
from workbench.registry import OURS, Analysis
from workbench.rooms import Room, grouped


@dataclass(frozen=True)
class Question:
    """One question; `unavailable` is why this model cannot answer, `takes` what a run costs on it
    ("" where that is not known).
    """

    name: str
    text: str
    gives: str
    package: str
    href: str
    takes: str
    unavailable: str | None

    @property
    def foreign(self) -> bool:
        """Whether it comes from another package than ours."""
        return self.package != OURS


Groups = list[tuple[Room, list[Question]]]


def groups_for(model: Any | None) -> tuple[Groups, dict[str, str]]:
    """Every question in its group, and for packages that do not load the reason."""
    good, broken = registry.all_analyses()
    return [(room, [_question(a, model) for a in some]) for room, some in grouped(good)], broken


def unavailable_reason(analysis: Analysis, model: Any | None) -> str | None:
    """Why this model cannot answer; None where it can, or there is no model yet."""
    try:
        return analysis.unavailable_reason(model) if model is not None else None
    except Exception as error:
        # A third party's check must not take the page down.
        return f"its check of the model failed: {type(error).__name__}: {error}"


def _question(analysis: Analysis, model: Any | None) -> Question:
    reason = unavailable_reason(analysis, model)
    return Question(
        analysis.name,
        analysis.question,
        analysis.gives,
        analysis.package,
        "playground/?" + urlencode({"analysis": analysis.name}),
        "" if reason else estimates.at_a_glance(analysis, model),
        reason,
    )
