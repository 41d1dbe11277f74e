"""Part `items`: items, their variants, and what the options alone give away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of reading every version of every item once."""
    return Cost(forward=20.0 * params.items)


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the table `items`."""
    result.tables["items"] = pd.DataFrame({"item": []})
