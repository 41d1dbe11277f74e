"""What every part of a run looks at: the windows, their scores, and what follows from both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.read_windows import WindowReadings

if TYPE_CHECKING:
    from analyses.weights.extraction import Params


@dataclass(frozen=True)
class ScoredWindows(WindowReadings):
    """What was read, with everything needed to say what it means."""

    params: Params


def groups(found: ScoredWindows) -> dict[str, np.ndarray]:
    """Name to which windows: all, and where it is known, those read so many times."""
    groups = {"all": np.ones(len(found.windows), bool)}
    if found.repeats is not None:
        groups |= {
            f"{count}×": found.repeats == count for count in sorted(set(found.repeats.tolist()))
        }
    return groups
