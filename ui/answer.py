"""What stands first of a run: its answer in a sentence or two, and what it must be read against."""

from __future__ import annotations

from dataclasses import dataclass

from workbench import registry
from workbench.errors import WorkbenchError
from workbench.result import Result


@dataclass(frozen=True)
class Lead:
    """The answer of a run.

    Args:
        says: sentences, the first one to be read from afar.
        beside: sentences on the control.
        picture: the view and the number of the picture in it that carry the answer; None if nothing
            is declared.
    """

    says: tuple[str, ...]
    beside: tuple[str, ...] = ()
    picture: tuple[str, int] | None = None


def lead_of(result: Result) -> Lead:
    """As its analysis declares it; else the first finding.

    What a run does not have, since it was stopped or not asked for, is left out.
    """
    try:
        declared = registry.get(result.analysis).answer
    except WorkbenchError:
        declared = None  # not installed here: its findings are all that is known of it
    found = result.findings
    first = tuple(finding.says for finding in list(found.values())[:1])
    if declared is None:
        return Lead(first)
    says, beside = (
        tuple(found[name].says for name in names if name in found)
        for names in (declared.says, declared.beside)
    )
    return Lead(says or first, beside, declared.picture)
