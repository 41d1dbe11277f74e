"""The run: one order, what it says of others, and the others really trained."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pandas as pd

from analyses.measures import order_permutations as permutations
from analyses.training.training_order import claims, findings, tables
from analyses.training.training_order import constants as c
from analyses.training.training_order.blocks import reading
from analyses.training.training_order.costs import shares
from analyses.training.training_order.estimates import estimated
from analyses.training.training_order.trainee import trainee
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import torch

    from analyses.training.training_order.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The package's docstring has the steps.

    Raises:
        BadInput: too few or too short texts, orders that are none.
        Unfit: the asked model cannot be trained, or is too large.
        NotFinite: a training went astray; says at which step.
    """
    result = Result(c.NAME)
    read = reading(model, params)
    blocks = len(read.blocks)
    orders = (
        permutations.typed(params.given, blocks)
        if params.given.strip()
        else permutations.chosen(blocks, params.orders, params.seed)
    )
    share = shares(params, len(orders))
    with trainee(model, read, params, progress.subprogress(*share["before"])) as trained:
        before = trained.says(trained.start)
        path: list[torch.Tensor] = []
        reference = trained.trained(range(blocks), progress.subprogress(*share["once"]), path)
        said = trained.says(reference)
        inner, begun = progress.subprogress(*share["others"]), time.perf_counter()
        # The last one is the reference once more: what differs there is no order.
        every = [*orders, tuple(range(blocks))]
        weights = [
            trained.trained(order, inner.subprogress(n / len(every), (n + 1) / len(every)))
            for n, order in enumerate(every)
        ]
        seconds = {"retraining": (time.perf_counter() - begun) * len(orders) / len(every)}
        told = estimated(
            trained, path, list(orders), params, progress.subprogress(*share["estimates"])
        )
        found = tables.OrderOutcome(
            orders,
            before,
            said,
            [trained.says(each) for each in weights[:-1]],
            {name: [trained.says(each) for each in found] for name, found in told.weights.items()},
            weights[:-1],
            reference,
            float((weights[-1] - reference).abs().max()),
        )
    tables.add_tables(result, found, told, read, params.seed)
    result.tables["times"] = pd.DataFrame(
        [(what, took, took / len(orders)) for what, took in (seconds | told.seconds).items()],
        columns=["what", "seconds", "each"],
    )
    findings.add_findings(result, found, params)
    claims.add_claims(result)
    progress(1.0, "Done")
    return result
