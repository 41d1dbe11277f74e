"""Do the heads carry over? Heads found on one relation (or format), used on all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import headroom, held_out_eval
from analyses.context.knowledge_conflict.answer_rates import CaseRunner
from analyses.context.knowledge_conflict.constants import OUTCOMES, Head
from analyses.context.knowledge_conflict.headroom import WINS
from analyses.context.knowledge_conflict.rank_heads import measure_heads
from analyses.measures import closed_book
from analyses.measures.statistics import sign
from workbench import facts
from workbench.errors import BadInput
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.knowledge_conflict.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

# Heads are chosen on a few facts, as effects of every head are what takes long, and tried on as
# many as there are, since a cell at a ceiling or of few facts tells nothing.
CHOOSING, FACTS = 12, 60


@dataclass
class _Place:
    """One relation in one format: its heads, and held-out cases to try any heads on."""

    name: str
    groups: dict[str, list[Head]]
    held_out: CaseRunner


def transfer(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    relation: facts.Relation,
    format: facts.Format,
    groups: dict[str, list[Head]],
    stage: Mapping[str, Progress],
) -> None:
    """Fill the table `transfer`: for relations in the run's format, and for formats on the run's
    relation.

    A relation that the model knows too little of is left out; the table `transfer_skipped` says
    why. A direction in which this run names no heads is not tried.
    """
    import pandas as pd

    relations = {
        relation.name: relation,
        **{n: r for n, r in facts.relations().items() if n != relation.name},
    }
    formats = {
        format.name: format,
        **{n: f for n, f in facts.formats().items() if n != format.name},
    }
    sizes = {group: len(heads) for group, heads in groups.items()}
    closed = {
        name: closed_book.closed_book(
            model,
            r,
            stage["other closed books"].subprogress(n / len(relations), (n + 1) / len(relations)),
            format,
        )
        for n, (name, r) in enumerate(relations.items())
    }
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    ways = [
        ("relation", [(name, closed[name], format) for name in relations]),
        ("format", [(name, closed[relation.name], f) for name, f in formats.items()]),
    ]
    for across, wanted in ways:
        places = []
        for n, (name, known, prompt_format) in enumerate(wanted):
            part = stage[f"heads of {across}s"].subprogress(n / len(wanted), (n + 1) / len(wanted))
            try:
                places.append(_place(model, name, known, prompt_format, params, sizes, part))
            except BadInput as why:
                skipped.append({"across": across, "name": name, "reason": why.what})
        rows += _matrix(across, places, stage[f"heads on {across}s"])
    table = result.tables["transfer"] = pd.DataFrame(rows, columns=COLUMNS)
    for across, _ in ways:
        for group in sizes:
            _say(
                result,
                table[(table["across"] == across) & (table["group"] == group)],
                across,
                group,
            )
    if skipped:
        result.tables["transfer_skipped"] = pd.DataFrame(skipped)


def _place(
    model: InstrumentedModel,
    name: str,
    known: closed_book.ClosedBook,
    format: facts.Format,
    params: Params,
    sizes: dict[str, int],
    progress: Progress,
) -> _Place:
    cases = made.make_cases(model, known, format, params.seed, FACTS)
    found = measure_heads(
        model, [c for c in cases if c.split == made.SELECT][:CHOOSING], "candidates", progress
    )
    ranked = dict(zip(("memory", "context"), found.ranking(params.rank_by), strict=True))
    # The sizes are those of the run's own relation, so that a cell differs in the heads and not in
    # their number.
    chosen = {group: ranked[group][:k] for group, k in sizes.items()}
    return _Place(name, chosen, CaseRunner(model, [c for c in cases if c.split == made.HELD_OUT]))


def _matrix(across: str, places: list[_Place], progress: Progress) -> list[dict[str, Any]]:
    rows = []
    for n, evaluated_on in enumerate(places):
        progress(n / max(len(places), 1), f"Switching off the heads of each on {evaluated_on.name}")
        base = evaluated_on.held_out.rates()
        for selected_on in places:
            for group, heads in selected_on.groups.items():
                rates = evaluated_on.held_out.rates(held_out_eval.prune(heads))
                before = {f"base_{o}": base[o] for o in OUTCOMES}
                row = {
                    "across": across,
                    "selected_on": selected_on.name,
                    "evaluated_on": evaluated_on.name,
                    "group": group,
                    "k": len(heads),
                }
                gain, (low, high) = headroom.gain(base, rates, WINS[group])
                row |= {"gain": gain, "gain_low": low, "gain_high": high}
                rows.append({**row, **{o: rates[o] for o in OUTCOMES}, **before, "n": rates.n})
    return rows


COLUMNS = [
    *(
        "across",
        "selected_on",
        "evaluated_on",
        "group",
        "k",
        *OUTCOMES,
        *(f"base_{o}" for o in OUTCOMES),
        "n",
    ),
    *("gain", "gain_low", "gain_high"),
]


def _say(result: Result, table: pd.DataFrame, across: str, group: str) -> None:
    """In how many of the pairs that can tell something the heads carry over, and which cannot."""
    pairs = [row for row in table.to_dict("records") if row["selected_on"] != row["evaluated_on"]]
    if not pairs:
        return
    wanted = WINS[group]
    told = [row for row in pairs if not headroom.pair_without_headroom(row)]
    over, back = (
        sum(1 for row in told if sign(row["gain_low"], row["gain_high"]) is way)
        for way in (True, False)
    )
    full = {
        row[
            "evaluated_on"
        ]: f"{row['evaluated_on']} ({percent(row[f'base_{wanted}'])} of {row['n']})"
        for row in pairs
        if headroom.pair_without_headroom(row)
    }
    listed = ", ".join(full.values())
    places = ", ".join(dict.fromkeys(row["evaluated_on"] for row in told)) or "none"
    result.add(
        Finding(
            f"transfer_{across}_{group}",
            {"pairs": len(pairs), "testable": len(told), "transferred": over, "reversed": back},
            f"{group.capitalize()} heads selected on one {across} and switched off on another. A"
            f" gain in answers {headroom.TOWARD[wanted]} can be measured in {len(told)} of"
            f" {counted(len(pairs), 'pair')} (evaluated on: {places}): it is above zero in {over}"
            f" and below zero in {back} (95 % interval)."
            + (
                f" It cannot be told where the model already answers {headroom.TOWARD[wanted]}:"
                f" {listed}."
                if full
                else ""
            ),
            unit="pairs",
        )
    )
