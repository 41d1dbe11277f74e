"""Sequential and random access along training (Zhu et al. 2024, 2403.07805): how much of a text
comes out when it is begun at its beginning, and when it is begun in its middle.

One pass from a start to the end of the text answers for every context length from there: the token
after so many is predicted from exactly these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.exposure_panel import GREEDY, windows_of
from analyses.measures.exposure_series import WeightSeries, along
from analyses.measures.scoring import is_greedy, reading, score
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from jaxtyping import Int

    from hooks.model import InstrumentedModel
    from workbench.organisms.ledger import Entry
    from workbench.progress import Progress

SHARES = (0.0, 0.25, 0.5)
"""Where a text is begun, as a share of its length."""
GIVEN = (1, 5, 25)
"""Tokens of it that are given."""


def starts_of(length: int) -> list[int]:
    """Tokens that are skipped."""
    return [round(share * length) for share in SHARES]


def access_along(
    model: InstrumentedModel,
    series: WeightSeries,
    entries: Sequence[Entry],
    tokens: int,
    progress: Progress,
) -> dict[tuple[int, int], Int[np.ndarray, "item step"]]:
    """(start, tokens given) -> how many of the next `tokens` greedy decoding says of each text at
    each kept step.
    """
    length = len(entries[0].ids)
    cells = [
        (start, given)
        for start in starts_of(length)
        for given in GIVEN
        if start + given + tokens <= length
    ]
    found = {cell: np.zeros((len(entries), len(series.steps)), int) for cell in cells}
    for number, step, part in along(model, series, progress):
        for start in dict.fromkeys(start for start, _ in cells):
            part(0.1, f"Step {step:,}: texts from token {start} on")
            windows, first = windows_of(model, entries, start)
            scores = score(model, windows, GREEDY)
            right = is_greedy(scores, windows)
            for given in (given for at, given in cells if at == start):
                said = right[:, given - first : given - first + tokens].cumprod(-1).sum(-1)
                found[start, given][:, number] = said
    return found


def access_along_cost(model: InstrumentedModel, texts: int, length: int, steps: int) -> Cost:
    """What `access_along` costs."""
    return total(
        reading(model, texts, 0, length - start, whole=True) * steps for start in starts_of(length)
    )
