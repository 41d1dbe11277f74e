"""Which texts read in training pushed the model toward this answer (TracIn, Pruthi et al. 2020), on
models that keep steps of their training and say what was read in it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.exposure_series import along, own_series, series_ledger
from analyses.prompt.provenance.constants import KEPT_STEPS, NEVER_READ
from hooks.gradients.flat_weights import FlatLoss
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.exposure_series import WeightSeries
    from analyses.prompt.provenance.prompt_parts import PromptParts
    from hooks.model import InstrumentedModel
    from workbench.organisms.ledger import Entry, Ledger
    from workbench.progress import Progress

_AT_ONCE = 32  # texts


def training_of(model: InstrumentedModel) -> tuple[WeightSeries, Ledger] | str:
    """The kept steps of a model's own training and what was read in it; or why there is nothing."""
    try:
        series = own_series(model)
        ledger = None if series is None else series_ledger(series)
        if ledger is not None:
            ledger.check(model.tokenizer)
    except WorkbenchError as error:
        return error.what.rstrip(".")
    if series is None:
        return "no steps of its training are kept"
    if ledger is None or not any(entry.repeats for entry in ledger.entries):
        return "its kept steps have no ledger that says what was read"
    return series, ledger


def compared(ledger: Ledger, seed: int) -> list[Entry]:
    """All texts that were read, and of those that never were so many, drawn by lot."""
    read = [entry for entry in ledger.entries if entry.repeats]
    never = [entry for entry in ledger.entries if not entry.repeats]
    return read + random.Random(seed).sample(never, min(NEVER_READ, len(never)))


def steps_of(series: WeightSeries) -> list[int]:
    """The steps whose gradients are added up: spread over the training, the last among them. The
    weights before the first update say nothing yet.
    """
    steps = [step for step in series.steps if step]
    places = np.linspace(0, len(steps) - 1, min(KEPT_STEPS, len(steps)))
    return [steps[round(place)] for place in places]


def influence_table(
    model: InstrumentedModel,
    asked: PromptParts,
    answer: Sequence[int],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """A row for each text that was read in training, and for as many that never were.

    `pull` is the product of the gradients of the answer's and the text's losses (nats per token
    each), summed over kept steps: above 0, a small step of training on the text makes the answer
    likelier. One forward-mode pass gives it for all texts at once.
    """
    import pandas as pd

    found = training_of(model)
    if isinstance(found, str):
        raise TypeError(found)  # the part does not run then
    series, ledger = found
    entries, steps = compared(ledger, seed), steps_of(series)
    beginning = tuple(model.text.beginning)
    rows = [[*beginning, *entry.ids] for entry in entries]
    whole, flat = [*asked.ids, *answer], FlatLoss(model.module)
    pull = np.zeros(len(rows))
    for _, step, part in along(model, series.only(steps), progress):
        at = flat.weights()
        slope = flat.gradient(at, [whole], [len(asked.ids)])
        for start in range(0, len(rows), _AT_ONCE):
            part(start / len(rows), f"Step {step:,}: text {start} of {len(rows)}")
            some = flat.row_slopes(at, rows[start : start + _AT_ONCE], slope)
            pull[start : start + _AT_ONCE] += some.double().cpu().numpy()
    return pd.DataFrame({
        "text": [entry.id for entry in entries],
        "kind": [entry.kind for entry in entries],
        "repeats": [entry.repeats for entry in entries],
        "timing": [entry.timing for entry in entries],
        "pull": pull / len(steps),
        "words": [entry.text for entry in entries],
    }).sort_values("pull", ascending=False, ignore_index=True)  # fmt: skip
