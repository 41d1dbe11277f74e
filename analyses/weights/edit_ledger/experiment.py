"""The run: its parts, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.edit_ledger import claims, findings, layer_sweep, ledger_findings, rates
from analyses.weights.edit_ledger.cases import cases as cases_of
from analyses.weights.edit_ledger.constants import NAME
from analyses.weights.edit_ledger.costs import stages as costs
from analyses.weights.edit_ledger.elsewhere import Yardstick
from analyses.weights.edit_ledger.ledger import ledger
from analyses.weights.edit_ledger.methods import layers_needed, random_layer, workshop
from analyses.weights.edit_ledger.params import Params, relation_of
from analyses.weights.edit_ledger.parts import PARTS
from analyses.weights.edit_ledger.single import facts_table, keep, single
from workbench.cost import of_parts, stages
from workbench.errors import BadInput
from workbench.parts import running
from workbench.result import Result

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other. The package's docstring names them.

    Raises:
        BadInput: facts that the model does not know, a layer that cannot be edited, more edits
            than known facts.
        Unfit: a model without down projections.
    """
    wanted = running(PARTS, params)
    stage = stages(progress, model, of_parts(costs(model, params), wanted))
    result = Result(NAME)
    shop = workshop(model, params)
    other = random_layer(shop, params.seed)
    given = [] if params.subject else relation_of(params).facts
    edited = {params.subject} if params.subject else {fact.subject for fact in given}
    yard = Yardstick(model, edited, params.seed)
    if "single" in wanted:
        cases = cases_of(model, params, params.facts, stage["facts"])
        needed = layers_needed(params.methods, shop, other)
        shop.read_keys(needed, stage["keys"])
        single(
            result, shop, yard, cases, params.methods, other, "robust" in wanted, stage["single"]
        )
        result.tables["facts"] = facts_table(cases, result.tables["answers"])
        result.tables["methods"] = rates.by_method(result.tables["answers"], result.tables["edits"])
        halves = rates.by_popularity(result.tables["answers"], result.tables["facts"])
        if len(halves):
            result.tables["popularity"] = halves
        findings.add_single(result, yard.n_known)
        progress.checkpoint(result)
    if "layers" in wanted:
        cases = cases_of(model, params, params.facts, stage["layers"].subprogress(0, 0.01))
        layer_sweep.sweep_layers(result, shop, cases, params.layer_step, stage["layers"])
        findings.add_layers(result, shop.layer)
        progress.checkpoint(result)
    if "ledger" in wanted:
        cases = cases_of(model, params, params.edits, stage["ledger facts"])
        if len(cases) < 2:
            raise BadInput(
                f"{model.card.name} knows {len(cases)} of these facts: no sequence of edits.",
                "two known facts or more",
                "Try another relation.",
            )
        kept = ledger(result, shop, yard, cases, params.batch, params.sequences, stage["ledger"])
        if "factors" not in result.tables:
            keep(result, kept)
        ledger_findings.add_ledger(result, len(cases), params.edits)
    claims.add_claims(result)
    progress(1.0, "Done")
    return result
