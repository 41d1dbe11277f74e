"""Memorisation profiles of a run: effects of a first reading with bands over all cells at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_effects import (
    FEWEST,
    NEVER,
    CohortEffects,
    check_never,
    cohort_effects,
    placebo_coverage,
)
from analyses.training.retention.constants import DOSES
from analyses.training.retention.step_tables import gain_of
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.measures.exposure_panel import ExposurePanel
    from analyses.training.retention.params import Params
    from workbench.result import Result

_Z = 1.959964


def add_tables(result: Result, panel: ExposurePanel, params: Params) -> None:
    """`profiles`, `events` and `bands`.

    Raises:
        BadInput: too few texts were never read, or no cohort is large enough.
    """
    never = panel.repeats == 0
    check_never(int(never.sum()))
    chosen_steps, cohort = _cohorts(panel)
    values, steps = gain_of(panel)[:, chosen_steps], panel.steps[chosen_steps]
    profiles, events, bands = [], [], []
    for name, (least, most) in DOSES.items():
        chosen = never | ((panel.repeats >= least) & (panel.repeats <= most))
        try:
            effects = cohort_effects(values[chosen], cohort[chosen], seed=params.seed)
        except BadInput:
            if name == next(iter(DOSES)):
                raise
            continue  # the whole has cohorts, this share of it has none
        profiles.append(_cells(effects, steps).assign(dose=name))
        events.append(_events(effects).assign(dose=name))
        inside, rounds = placebo_coverage(
            values[never], effects.n, effects.cohorts, seed=params.seed
        )
        bands.append(
            {
                "dose": name,
                "texts": int(effects.n.sum()),
                "never_read": effects.n_never,
                "cohorts": len(effects.n),
                "critical": effects.critical,
                "before": effects.cells(before=True),
                "before_outside": effects.outside(before=True),
                "after": effects.cells(before=False),
                "after_outside": effects.outside(before=False),
                "placebo_inside": inside,
                "placebo_rounds": rounds,
            }
        )
    for table, parts in (("profiles", profiles), ("events", events)):
        whole = pd.concat(parts, ignore_index=True)
        result.tables[table] = whole[["dose", *whole.columns.drop("dose")]]
    result.tables["bands"] = pd.DataFrame(bands)


def _cohorts(panel: ExposurePanel) -> tuple[np.ndarray, np.ndarray]:
    """(kept steps that are used, the cohort of each text as a number among these).

    Where few texts were first read between two kept steps, the step between them and the next ones
    is left out, so that they are in one cohort.
    """
    first = np.array(
        [
            np.searchsorted(panel.steps, entry.steps[0] + 1) if entry.steps else NEVER
            for entry in panel.entries
        ]
    )
    used, waiting = [0], 0
    for at in range(1, len(panel.steps)):
        waiting += int((first == at).sum())
        if waiting == 0 or waiting >= FEWEST or at == len(panel.steps) - 1:
            used.append(at)
            waiting = 0
    steps = np.array(used)
    return steps, np.where(first == NEVER, NEVER, np.searchsorted(steps, first))


def _cells(effects: CohortEffects, steps: np.ndarray) -> pd.DataFrame:
    rows = []
    for row, cohort in enumerate(effects.cohorts):
        for at, step in enumerate(steps):
            effect, half = effects.effect[row, at], effects.critical * effects.error[row, at]
            plain, wide = effects.plain[row, at], _Z * effects.plain_error[row, at]
            rows.append(
                (
                    int(steps[cohort]),
                    int(step),
                    int(at - cohort),
                    effect,
                    effect - half,
                    effect + half,
                    plain,
                    plain - wide,
                    plain + wide,
                    int(effects.n[row]),
                )
            )
    columns = ["cohort", "step", "event", "effect", "low", "high", "plain", "plain_low",
               "plain_high", "n"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _events(effects: CohortEffects) -> pd.DataFrame:
    half = effects.event_critical * effects.event_error
    return pd.DataFrame(
        {
            "event": effects.events,
            "effect": effects.by_event,
            "low": effects.by_event - half,
            "high": effects.by_event + half,
        }
    )
