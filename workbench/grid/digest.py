"""What a grid keeps in mind of one of its runs: findings, choices, provenance; no tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import seeds
from workbench.result import Finding, Provenance, Result

if TYPE_CHECKING:
    from workbench.registry import Analysis


@dataclass(frozen=True)
class RunDigest:
    """One run that is done.

    Attributes:
        chosen: the items of each choice that the analysis declares.
    """

    findings: Mapping[str, Finding]
    chosen: Mapping[str, Sequence[str]]
    provenance: Provenance


def digest(asked: Analysis, folder: Path) -> RunDigest:
    """Read a run folder.

    Raises:
        BadRun: it cannot be read.
    """
    result = Result.open(folder)
    return RunDigest(result.findings, seeds.chosen_items(asked, result), result.provenance)
