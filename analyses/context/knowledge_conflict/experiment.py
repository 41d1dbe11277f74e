"""The run: its parts, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import headroom, held_out_eval
from analyses.context.knowledge_conflict.answer_rates import CaseRunner, Rates, rates_of
from analyses.context.knowledge_conflict.baseline import _attention, _before, _effects
from analyses.context.knowledge_conflict.constants import ANSWERS, NAME, OUTCOMES, Head, RankBy
from analyses.context.knowledge_conflict.costs import stages as costs
from analyses.context.knowledge_conflict.dial import dial_settings, factors
from analyses.context.knowledge_conflict.findings import (
    add_base,
    add_known,
    add_pruned,
    add_random,
    add_undecided,
    base_rows,
    rates_in_words,
    withhold_roles,
)
from analyses.context.knowledge_conflict.headroom import WINS
from analyses.context.knowledge_conflict.mixed_evidence import add_mixed_evidence
from analyses.context.knowledge_conflict.params import Params, relation_and_format
from analyses.context.knowledge_conflict.parts import PARTS
from analyses.context.knowledge_conflict.pruning_cost import add_pruning_cost
from analyses.context.knowledge_conflict.rank_heads import (
    HeadEffects,
    depth,
    heads_table,
    measure_heads,
)
from analyses.context.knowledge_conflict.stability import add_stability
from analyses.measures import closed_book
from analyses.measures.statistics import sign
from workbench import facts
from workbench.cost import of_parts, stages
from workbench.facts.format import TURN
from workbench.parts import running
from workbench.result import Finding, Result
from workbench.selection import head_name
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other. The package's docstring names them."""
    relation, format = relation_and_format(params)
    asked_for = running(PARTS, params)
    stage = stages(progress, model, of_parts(costs(model, params), asked_for))
    result = Result(NAME)
    result.provenance.notes = {
        "facts": (
            f"{relation.name}: {relation.source}"
            + (f" ({relation.licence})" if relation.licence else "")
        ),
        "closed book": relation.closed_book,
        "format": format.template.replace(TURN, " → "),
        "beginning token": model.beginning.says,
        "scoring": "greedy continuation gives the whole answer; case and accents ignored",
    }
    closed = closed_book.closed_book(model, relation, stage["closed book"], format)
    add_known(result, closed, model.card.name)
    cases = made.make_cases(model, closed, format, params.seed, params.max_facts)
    stage["rates"](0.0, "Measuring rates without intervention")
    base = _before(result, model, cases)
    add_base(result, base)
    progress.checkpoint(result)
    if "evidence" in asked_for:
        add_mixed_evidence(
            result, model, closed, cases, format, params.seed, params.evidence_facts,
            stage["evidence"],
        )  # fmt: skip
        progress.checkpoint(result)
    if "heads" in asked_for:
        halves = _Halves(model, cases)
        found, untold = _locate(result, halves, params, base, stage["locate"])
        progress.checkpoint(result)
        if "pruning" in asked_for:
            groups = _choose(
                result, params, found, base[made.SELECT], halves.choosing, untold, stage["choose"]
            )
            withhold_roles(result, untold)
        add_undecided(result, untold, base)
        if "pruning" in asked_for:
            _prove(result, params, groups, base, halves.proving, stage["held out"])
            _use(result, params, (relation, format), groups, halves.proving, stage)
    progress(1.0, "Done")
    return result


class _Halves:
    """The facts that choose heads, and those that the heads are proven on."""

    def __init__(self, model: InstrumentedModel, cases: list[made.Case]) -> None:
        self.model, self.cases = model, cases
        self.rows = [n for n, c in enumerate(cases) if c.split == made.SELECT]
        self.choosing = CaseRunner(model, [c for c in cases if c.split == made.SELECT])
        self.proving = CaseRunner(model, [c for c in cases if c.split == made.HELD_OUT])


def _locate(
    result: Result,
    halves: _Halves,
    params: Params,
    base: dict[str, Rates],
    progress: Progress,
) -> tuple[HeadEffects, dict[str, str]]:
    """What every head adds, over the choosing half; and of which groups nothing can be told, with
    the reason.
    """
    model, cases = halves.model, halves.choosing.cases
    found = measure_heads(model, cases, params.all_positions, progress)
    attention = _attention(result, model, halves.cases)
    spans = [made.token_spans(model, c.prompt) for c in cases]
    result.tables["heads"] = heads_table(
        found, attention[halves.rows].astype("float32"), spans, params.rank_by, params.seed
    )
    result.arrays["effects"] = _effects(found, halves.rows)
    result.arrays["depth"] = depth(model, cases)
    untold = headroom.groups_without_headroom(base)
    withhold_roles(result, untold)
    return found, untold


def _use(
    result: Result,
    params: Params,
    requested: tuple[facts.Relation, facts.Format],
    groups: dict[str, list[Head]],
    proving: CaseRunner,
    stage: dict[str, Progress],
) -> None:
    """What the chosen heads are good for: the parts that stand on pruning."""
    model = proving.model
    if "side effects" in stage:
        add_pruning_cost(result, model, *requested, groups, proving.cases, stage["side effects"])
    if "dial" in stage:
        _turn_dial(result, groups, proving, stage["dial"])
    if "heads of relations" in stage:
        from analyses.context.knowledge_conflict.transfer import transfer

        transfer(result, model, params, *requested, groups, stage)


def _choose(
    result: Result,
    params: Params,
    found: HeadEffects,
    base: Rates,
    choosing: CaseRunner,
    untold: dict[str, str],
    progress: Progress,
) -> dict[str, list[Head]]:
    """The pruned groups: ranked by `rank_by`, their size chosen on the choosing half.

    Other rankings for comparison.

    A group of which nothing can be told is not chosen; where that shows only here it is added to
    `untold`, with the reason.
    """
    import pandas as pd

    groups: dict[str, list[Head]] = {}
    curves: dict[str, dict[int, Rates]] = {}
    rows = []
    # What is proven comes first; then, for comparison, how the paper's ranking (or ours) does on
    # the same half.
    order: list[RankBy] = [
        params.rank_by,
        "zero_all_positions" if params.rank_by == "path" else "path",
    ]
    able = [group for group in ("memory", "context") if group not in untold]
    for n, rank_by in enumerate(order):
        ranking = dict(zip(("memory", "context"), found.ranking(rank_by), strict=True))
        for m, group in enumerate(able):
            part = progress.subprogress(
                (n + m / len(able)) / len(order), (n + (m + 1) / len(able)) / len(order)
            )
            curve = held_out_eval.k_curve(choosing, ranking[group], group, params.k_grid, part)
            for k, rates in curve.items():
                names = " ".join(head_name(*h) for h in ranking[group][:k])
                rows.append({"rank_by": rank_by, **rates.row(group=group, k=k, heads=names)})
            if n == 0:
                k = held_out_eval.best_k(curve, group)
                gain, bounds = (
                    headroom.gain(base, curve[k], WINS[group]) if k else (0.0, (0.0, 0.0))
                )
                if sign(*bounds):
                    groups[group], curves[group] = ranking[group][:k], curve
                else:
                    untold[group] = headroom.reason_no_gain(k, gain, bounds, base.n)
    result.tables["k_curve"] = pd.DataFrame(rows)
    result.tables["selected_heads"] = pd.DataFrame(
        [
            {
                "group": group,
                "rank": rank,
                "layer": layer,
                "head": head,
                "label": head_name(layer, head),
            }
            for group, heads in groups.items()
            for rank, (layer, head) in enumerate(heads, 1)
        ],
        columns=["group", "rank", "layer", "head", "label"],
    )
    add_stability(result, found, params.rank_by, groups, curves, params.seed)
    return groups


def _prove(
    result: Result,
    params: Params,
    groups: dict[str, list[Head]],
    base: dict[str, Rates],
    proving: CaseRunner,
    progress: Progress,
) -> None:
    """Both groups switched off on the held-out half, beside random sets of as many heads."""
    import pandas as pd

    after = {group: proving.rates(held_out_eval.prune(heads)) for group, heads in groups.items()}
    sets = _random_sets(params, groups, proving, progress)
    columns = ["group", "k", "set", "heads", *OUTCOMES, "n"]
    result.tables["random_sets"] = pd.DataFrame(
        [row for g, drawn in sets.items() for row in drawn.rows(g)], columns=columns
    )
    of_size: dict[int, held_out_eval.RandomSets] = {}
    for drawn in sets.values():
        of_size[drawn.k] = of_size[drawn.k].and_those(drawn) if drawn.k in of_size else drawn

    unchanged = base[made.HELD_OUT]
    rows = base_rows(base)
    rows += [
        after[group].row(condition=f"prune {group} heads", split=made.HELD_OUT)
        for group in ("context", "memory")
        if group in after
    ]
    rows += [
        drawn.row(condition=f"random heads, {k} at a time", split=made.HELD_OUT)
        for k, drawn in sorted(of_size.items())
    ]
    result.tables["rates"] = pd.DataFrame(rows)
    for group in ("context", "memory"):
        if group in groups:
            add_pruned(result, group, groups[group], unchanged, after[group])
    for group, drawn in sets.items():
        add_random(result, group, drawn, after[group])
    if of_size:
        _add_random_sets(result, of_size[max(of_size)], unchanged.n)


def _random_sets(
    params: Params, groups: dict[str, list[Head]], proving: CaseRunner, progress: Progress
) -> dict[str, held_out_eval.RandomSets]:
    """For each group, sets of as many heads of neither group, switched off."""
    every = proving.model.heads()
    pool = [h for h in every if not any(h in heads for heads in groups.values())]
    sets: dict[str, held_out_eval.RandomSets] = {}
    for n, (group, heads) in enumerate(groups.items()):
        part = progress.subprogress(n / len(groups), (n + 1) / len(groups))
        size = min(len(heads), len(pool))
        sets[group] = held_out_eval.random_sets(
            proving, pool, group, size, params.random_sets, params.seed, part
        )
    return sets


def _add_random_sets(result: Result, drawn: held_out_eval.RandomSets, n: int) -> None:
    """What random sets of the larger group's size do, on `n` facts."""
    rates = {o: drawn.rate(o) for o in OUTCOMES}
    means = {o: mean for o, (mean, _) in rates.items()}
    result.add(
        Finding(
            "random",
            {**means, "n": n, "sets": len(drawn.heads), "k": drawn.k},
            f"With {counted(drawn.k, 'random head')} switched off, as many as the larger group has,"
            f" it answers {rates_in_words(means)}, mean of {len(drawn.heads)} sets.",
            unit="fraction of held-out facts, mean over sets",
            interval={o: bounds for o, (_, bounds) in rates.items()},
        )
    )


def _turn_dial(
    result: Result, groups: dict[str, list[Head]], proving: CaseRunner, progress: Progress
) -> None:
    """Every step of the dial on the held-out half; a side whose heads are not known has none."""
    import pandas as pd

    memory, context = groups.get("memory", []), groups.get("context", [])
    rows, settings = [], dial_settings(memory, context)
    for n, value in enumerate(settings):
        progress(n / len(settings), f"Answers with the dial at {value:+.2f}")
        responses = proving.ask(factors(memory, context, value), logp=True)
        rates = rates_of(responses.generated, proving.cases)
        p = {f"p_{a}": float(np.exp(responses.logp[a][0]).mean()) for a in ANSWERS}
        rows.append({"value": value, **{o: rates[o] for o in OUTCOMES}, **p, "n": rates.n})
    if not rows:
        return
    result.tables["dial"] = pd.DataFrame(rows)
    at_ends: dict[str, float] = {}
    ends = []
    if context:
        at_ends["memory_at_memory_end"] = rows[0]["memory"]
        ends.append(f"{percent(rows[0]['memory'])} from memory at −1")
    if memory:
        at_ends["context_at_context_end"] = rows[-1]["context"]
        ends.append(f"{percent(rows[-1]['context'])} from the context at +1")
    result.add(
        Finding(
            "dial",
            at_ends,
            f"With the dial the model answers {' and '.join(ends)}.",
            unit="fraction of held-out facts",
        )
    )
