"""The parts that trace more facts, or change them: wordings, languages, the layer to edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.fact_tracing import best_layer, part_findings, shared_maps
from analyses.weights.fact_tracing.constants import MLP, NOISE, STATE
from workbench import facts as known_facts
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.params import Params
    from analyses.weights.fact_tracing.traced_facts import Chosen
    from hooks.model import InstrumentedModel
    from workbench.facts import Relation
    from workbench.progress import Progress
    from workbench.result import Result


def languages_of(params: Params, chosen: Chosen) -> dict[str, list[Relation]]:
    """The asked relations in each language that is named; none where they have no names in it."""
    from workbench.facts.languages import RELATIONS

    codes = [code.strip() for code in params.languages.split(",") if code.strip()]
    names = [each.name.partition("@")[0] for each in chosen.relations]
    kept = [name for name in dict.fromkeys(names) if name in RELATIONS]
    names_of = known_facts.language_names()
    return {
        names_of.get(code, code): [known_facts.relation(f"{name}@{code}") for name in kept]
        for code in codes
        if kept
    }


def compare_maps(
    result: Result, model: InstrumentedModel, params: Params, chosen: Chosen, progress: Progress
) -> None:
    """Maps over wordings and languages, and what they share.

    Raises:
        BadInput: the fact was typed, so there is no other wording of it.
    """
    import pandas as pd

    if not chosen.relations:
        raise BadInput(
            "A fact of your own has one wording.",
            "facts of a built-in relation for the part “wordings”",
            "Leave the part out, or leave the prompt empty.",
        )
    kinds = [STATE, MLP] if "mlp_out" in model.sites else [STATE]
    asked = {
        "wording": shared_maps.wordings_of(chosen.relations),
        "language": languages_of(params, chosen),
    }
    pairs, maps = [], []
    counts: dict[str, dict[str, int]] = {}
    for n, (by, named) in enumerate(asked.items()):
        part = progress.subprogress(n / 2, (n + 1) / 2)
        known = shared_maps.known_in(model, named, params, part.subprogress(0, 0.5))
        counts[by] = {name: len(facts) for name, facts in known.items()}
        found, shown = shared_maps.compare(
            model, known, kinds, params, by, part.subprogress(0.5, 1)
        )
        pairs.append(found)
        maps.append(shown)
    result.tables["shared"] = pd.concat(pairs, ignore_index=True)
    result.tables["shared_maps"] = pd.concat(maps, ignore_index=True)
    for by, each in counts.items():
        if each:
            part_findings.add_shared(result, by, each)


def compare_edits(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    chosen: Chosen,
    maps: dict[str, Maps],
    progress: Progress,
) -> None:
    """Facts edited at every so many layers, beside their traces there.

    Raises:
        BadInput: fewer than two facts can be changed to another answer of their relation.
    """
    able = [fact for fact in chosen.facts if best_layer.new_answers(fact, chosen)]
    if len(able) < 2:
        raise BadInput(
            f"{len(able)} of these facts can be changed to another answer of their relation.",
            "two facts or more",
            "Trace the facts of a relation, or leave the part “best-layer” out.",
        )
    rows = best_layer.edit_everywhere(
        model, chosen, maps[NOISE], params.edited, params.edit_step, params.seed, progress
    )
    result.tables["edits"] = rows
    part_findings.add_editing(result, best_layer.explained(rows, params.seed))
