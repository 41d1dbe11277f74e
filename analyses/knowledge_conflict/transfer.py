"""Do the heads carry over? Heads found on one relation (or format), used on all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.knowledge_conflict import cases as made
from analyses.knowledge_conflict import prove
from analyses.knowledge_conflict.locate import Head, locate
from analyses.knowledge_conflict.measure import OUTCOMES, Measured
from workbench import facts
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.knowledge_conflict import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

# Enough for a matrix cell of ±0.2; the diagonal of the main relation has the full number.
FACTS = 24


@dataclass
class _Place:
    """One relation in one format: its heads, and held-out cases to try any heads on."""

    name: str
    groups: dict[str, list[Head]]
    held_out: Measured


def transfer(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    relation: facts.Relation,
    format: facts.Format,
    groups: dict[str, list[Head]],
    progress: Progress,
) -> None:
    """Fill the table `transfer`: for relations in the run's format, and for formats on the run's relation.

    A relation that the model knows too little of is left out; the table `transfer_skipped` says why.
    """
    import pandas as pd

    relations = {relation.name: relation, **{n: r for n, r in facts.relations().items() if n != relation.name}}
    formats = {format.name: format, **{n: f for n, f in facts.formats().items() if n != format.name}}
    sizes = {group: len(heads) for group, heads in groups.items()}
    closed = {
        name: made.closed_book(model, r, progress.part(0.2 * n / len(relations), 0.2 * (n + 1) / len(relations)), format)
        for n, (name, r) in enumerate(relations.items())
    }
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    kinds = [
        ("relation", [(name, closed[name], format) for name in relations]),
        ("format", [(name, closed[relation.name], f) for name, f in formats.items()]),
    ]
    total, done = len(relations) + len(formats), 0
    for kind, wanted in kinds:
        places = []
        for name, known, how in wanted:
            part = progress.part(0.2 + 0.7 * done / total, 0.2 + 0.7 * (done + 1) / total)
            done += 1
            try:
                places.append(_place(model, name, known, how, params, sizes, part))
            except BadInput as why:
                skipped.append({"kind": kind, "name": name, "why": why.what})
        rows += _matrix(kind, places, progress.part(0.9 + 0.05 * (kind == "format"), 0.95 + 0.05 * (kind == "format")))
    result.tables["transfer"] = pd.DataFrame(rows)
    if skipped:
        result.tables["transfer_skipped"] = pd.DataFrame(skipped)


def _place(
    model: InstrumentedModel,
    name: str,
    known: made.Closed,
    format: facts.Format,
    params: Params,
    sizes: dict[str, int],
    progress: Progress,
) -> _Place:
    cases = made.make_cases(model, known, format, params.seed, FACTS)
    found = locate(model, [c for c in cases if c.split == made.CHOOSE], "candidates", progress)
    ranked = dict(zip(("memory", "context"), found.ranking(params.rank_by), strict=True))
    # The sizes are those of the run's own relation, so that a cell differs in the heads and not in their number.
    chosen = {group: ranked[group][:k] for group, k in sizes.items()}
    return _Place(name, chosen, Measured(model, [c for c in cases if c.split == made.PROVE]))


def _matrix(kind: str, places: list[_Place], progress: Progress) -> list[dict[str, Any]]:
    rows = []
    for n, used_on in enumerate(places):
        progress(n / max(len(places), 1), f"Using everyone's heads on {used_on.name}")
        base = used_on.held_out.rates()
        for found_on in places:
            for group, heads in found_on.groups.items():
                rates = used_on.held_out.rates(prove.prune(heads))
                before = {f"base_{o}": base[o] for o in OUTCOMES}
                row = {"kind": kind, "found_on": found_on.name, "used_on": used_on.name, "group": group, "k": len(heads)}
                rows.append({**row, **{o: rates[o] for o in OUTCOMES}, **before, "n": rates.n})
    return rows
