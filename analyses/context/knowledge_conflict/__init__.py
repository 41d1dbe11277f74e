"""When the context contradicts what the model knows, which does it follow, and which attention
heads decide?

Method: Jin et al. 2024 (PH3), with the cautions of Li et al. 2025 (JuICE). Heads are found on one
half of the subjects and proven on the other; docs/knowledge-conflict.md has the definitions, what
was measured, and where it departs.

cases.py    which facts, and the prompts that contradict them
answer_rates.py  memory / context / other rates
rank_heads.py   the exact effect of every head, and the ranking
headroom.py     whether anything can be told: at a ceiling no heads are named
held_out_eval.py    pruning on held-out subjects, random sets, what it costs
stability.py how far the chosen heads hang on the facts that chose them
dial.py     the found heads as one knob
transfer.py heads found on one relation or format, used on all others
schema.py    what its tables and findings mean
views.py     how it looks (selections.py: what of the run one picture shows)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, Field, field_validator, model_validator

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import headroom, held_out_eval
from analyses.context.knowledge_conflict.answer_rates import OUTCOMES, Measured, Rates, rates_of
from analyses.context.knowledge_conflict.dial import dial as controls
from analyses.context.knowledge_conflict.dial import factors, steps
from analyses.context.knowledge_conflict.headroom import WINS
from analyses.context.knowledge_conflict.rank_heads import (
    ANSWERS,
    METHODS,
    Breadth,
    Head,
    Located,
    RankBy,
    depth,
    heads_table,
    locate,
)
from analyses.context.knowledge_conflict.schema import SCHEMA
from analyses.context.knowledge_conflict.stability import say_stability
from analyses.context.knowledge_conflict.views import ANSWER, VIEWS
from analyses.measures import closed_book
from analyses.measures.statistics import sign
from workbench import facts
from workbench.facts.format import TURN
from workbench.result import Finding, Result
from workbench.selection import head_name

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

__all__ = ["ANSWER", "SCHEMA", "VIEWS", "Params", "controls", "name", "question", "run", "unfit"]

name = "knowledge-conflict"
question = (
    "When my context contradicts what the model knows, which does it follow, and which attention"
    " heads decide?"
)


class Params(BaseModel, frozen=True, extra="forbid"):
    relation: str = Field(
        "capital",
        description="Built-in set of facts (`capital`, `language`, …); see docs/facts.md",
        examples=list(facts.relations()),
    )
    facts_file: Path | None = Field(
        None,
        description="Your own facts instead: CSV, TSV or JSONL with columns subject and answer",
    )
    template: str = Field(
        "",
        description=(
            'Closed-book wording with {subject}, e.g. "The capital of {subject} is"; needed for'
            " your own facts"
        ),
        max_length=2000,
    )
    format: str = Field(
        "question",
        description=(
            "How the context is put: question, statement, document, dialogue, instruction, chat (in"
            " the model's chat format), or your own template over {statement} {question} {lead_in}"
            " {subject} {answer}"
        ),
        examples=[*facts.formats(), facts.CHAT.name],
        max_length=4000,
    )
    max_facts: int = Field(
        60,
        ge=8,
        le=1000,
        description="At most this many known facts are used, half to choose heads, half to prove",
    )
    rank_by: RankBy = Field(
        "everywhere",
        description=(
            "What ranks heads: zeroed at all positions (everywhere), zeroed or set to the mean at"
            " the last position, or path patching"
        ),
    )
    all_positions: Breadth = Field(
        "candidates", description="Which heads are also measured at all positions"
    )
    k_grid: list[int] = Field(
        [1, 3, 5, 7, 9, 15], description="How many heads to try pruning on the choosing half"
    )
    random_sets: int = Field(
        20, ge=20, le=500, description="Random head sets of the same size, as a baseline"
    )
    transfer: bool = Field(
        False,
        description=(
            "Also use the heads on all other built-in relations and formats, and theirs here (slow)"
        ),
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="Fixes the split, the contradicting answers and the random sets",
    )

    @field_validator("k_grid")
    @classmethod
    def _positive(cls, grid: list[int]) -> list[int]:
        if not grid or min(grid) < 1:
            raise ValueError("needs at least one number, each 1 or more")
        return sorted(set(grid))

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """Unknown names and unreadable files are said before a model is loaded."""
        _asked(self)
        return self


def unfit(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    if any(block.out_proj is None for block in model.layout.blocks):
        return "some of its layers have no attention heads whose output could be switched off."
    return None


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Measure, locate, prove. See the package's docstring for the steps."""
    relation, format = _asked(params)
    # Everyone's heads on everyone takes about three times as long as the run itself.
    after, progress = (
        (progress.part(0.25, 1.0), progress.part(0.0, 0.25))
        if params.transfer
        else (None, progress)
    )
    result = Result(name)
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
    closed = closed_book.closed_book(model, relation, progress.part(0.0, 0.08), format)
    _say_known(result, closed, model.card.name)
    cases = made.make_cases(model, closed, format, params.seed, params.max_facts)
    choosing = Measured(model, [c for c in cases if c.split == made.CHOOSE])
    proving = Measured(model, [c for c in cases if c.split == made.PROVE])

    progress(0.09, "Measuring rates without intervention")
    base = _before(result, model, cases)
    progress.keep(result)

    found = locate(model, choosing.cases, params.all_positions, progress.part(0.1, 0.5))
    attention = _attention(result, model, cases)
    chosen_rows = [n for n, c in enumerate(cases) if c.split == made.CHOOSE]
    spans = [made.token_spans(model, c.prompt) for c in choosing.cases]
    result.tables["heads"] = heads_table(
        found, attention[chosen_rows].astype("float32"), spans, params.rank_by, params.seed
    )
    result.arrays["effects"] = _effects(found, chosen_rows)
    result.arrays["depth"] = depth(model, choosing.cases)
    untold = headroom.without_room(base)
    _no_roles(result, untold)
    progress.keep(result)

    groups = _choose(
        result, params, found, base[made.CHOOSE], choosing, untold, progress.part(0.5, 0.65)
    )
    _no_roles(result, untold)
    _say_untold(result, untold, base)
    _prove(result, params, groups, base, proving, progress.part(0.65, 0.87))
    _cost(result, model, relation, format, groups, proving.cases, progress.part(0.87, 0.93))
    _turn_dial(result, groups, proving, progress.part(0.93, 1.0))
    progress.keep(result)
    if after is not None:
        from analyses.context.knowledge_conflict.transfer import transfer

        transfer(result, model, params, relation, format, groups, after)
    (after or progress)(1.0, "Done")
    return result


def _asked(params: Params) -> tuple[facts.Relation, facts.Format]:
    format = facts.find_format(params.format)
    if params.facts_file is not None:
        return facts.from_file(params.facts_file, template=params.template or None), format
    relation = facts.relation(params.relation)
    if params.template:
        pairs = [(fact.subject, fact.answer) for fact in relation.facts]
        relation = facts.make(
            relation.name, pairs, params.template, source=relation.source, licence=relation.licence
        )
    return relation, format


def _say_known(result: Result, closed: closed_book.ClosedBook, model_name: str) -> None:
    import pandas as pd

    facts_ = closed.relation.facts
    result.tables["candidates"] = pd.DataFrame(
        {
            "subject": [f.subject for f in facts_],
            "answer": [f.answer for f in facts_],
            "said": [text.strip() for text in closed.said],
            "known": closed.known,
            "first_token_right": closed.first_token,
        }
    )
    known, first = sum(closed.known), sum(closed.first_token)
    result.add(
        Finding(
            "known",
            {"value": known, "candidates": len(facts_), "first_token": first},
            f"Without context {model_name} gives {known} of {len(facts_)} answers in full ({first}"
            " begin with the right token); only those known in full are contradicted.",
            unit="facts",
        )
    )


def _before(result: Result, model: InstrumentedModel, cases: list[made.Case]) -> dict[str, Rates]:
    """What the model does with every conflict prompt, unchanged; rates per half."""
    import pandas as pd

    asked = Measured(model, cases).ask(logp=True)
    memory, context = asked.logp["memory"], asked.logp["context"]
    result.tables["facts"] = pd.DataFrame(
        {
            "fact": range(len(cases)),
            "subject": [c.fact.subject for c in cases],
            "answer": [c.fact.answer for c in cases],
            "counter": [c.counter for c in cases],
            "split": [c.split for c in cases],
            "prompt": [c.prompt.text for c in cases],
            "said": [s.text.strip() for s in asked.said],
            "outcome": [
                made.outcome(s.text, c.fact.answer, c.counter, ended=True)
                for s, c in zip(asked.said, cases, strict=True)
            ],
            "p_memory": np.exp(memory[0]),
            "p_context": np.exp(context[0]),
            "logp_memory": memory[1],
            "logp_context": context[1],
        }
    )
    halves: dict[str, Rates] = {}
    for split in (made.CHOOSE, made.PROVE):
        rows = [(s, c) for s, c in zip(asked.said, cases, strict=True) if c.split == split]
        halves[split] = rates_of([s for s, _ in rows], [c for _, c in rows])
    return halves


def _attention(result: Result, model: InstrumentedModel, cases: list[made.Case]) -> np.ndarray:
    """Attention of every head from the last position of every prompt, (fact, layer, head, pos),
    and the tokens.
    """
    import pandas as pd
    import xarray as xr

    from hooks.capture import capture

    trace = capture(model, [c.prompt.text for c in cases], sites="pattern", positions=[-1])
    values = trace["pattern"].isel(query=0).fillna(0.0).values.astype("float16")
    result.arrays["attention"] = xr.DataArray(
        values,
        dims=("fact", "layer", "head", "pos"),
        attrs={"unit": "probability", "query": "last position"},
    )
    rows = [
        {"fact": n, "pos": pos, "token": token, "span": span}
        for n, case in enumerate(cases)
        for pos, (token, span) in enumerate(
            zip(trace.tokens[n], made.token_spans(model, case.prompt), strict=True)
        )
    ]
    result.tables["tokens"] = pd.DataFrame(rows)
    return values


def _effects(found: Located, facts_: list[int]) -> Any:
    import xarray as xr

    return xr.DataArray(
        found.effects.astype("float32"),
        dims=("fact", "method", "answer", "layer", "head"),
        coords={"fact": facts_, "method": list(METHODS), "answer": list(ANSWERS)},
        attrs={"unit": "logits the head adds to the answer's first token"},
    )


def _choose(
    result: Result,
    params: Params,
    found: Located,
    base: Rates,
    choosing: Measured,
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
    order: list[RankBy] = [params.rank_by, "everywhere" if params.rank_by == "path" else "path"]
    able = [group for group in ("memory", "context") if group not in untold]
    for n, rank_by in enumerate(order):
        ranking = dict(zip(("memory", "context"), found.ranking(rank_by), strict=True))
        for m, group in enumerate(able):
            part = progress.part(
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
                    untold[group] = headroom.tied(k, gain, bounds, base.n)
    result.tables["k_curve"] = pd.DataFrame(rows)
    result.tables["chosen"] = pd.DataFrame(
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
    say_stability(result, found, params.rank_by, groups, curves, params.seed)
    return groups


def _no_roles(result: Result, untold: Iterable[str]) -> None:
    """Effects are measured whatever the answers do; but a head gets no role where none can be
    proven.
    """
    heads = result.tables["heads"]
    heads.loc[heads["role"].isin(list(untold)), ["role", "rank"]] = ["", np.nan]


def _say_untold(result: Result, untold: Mapping[str, str], base: Mapping[str, Rates]) -> None:
    for group, why in untold.items():
        wanted, rates = WINS[group], base[made.CHOOSE]
        result.add(
            Finding(
                f"untold_{group}",
                {
                    "rate": rates[wanted],
                    "n": rates.n,
                    "could_change": rates.n - rates.counts[wanted],
                },
                f"Which heads keep the model from answering {headroom.TOWARD[wanted]} cannot be"
                " told,"
                f" so no {group} heads are named, pruned or put on the dial: {why}."
                f" {headroom.helps(wanted)}",
                unit="fraction of choosing facts that are answered so already",
                interval={"rate": rates.interval(wanted)},
            )
        )


def _prove(
    result: Result,
    params: Params,
    groups: dict[str, list[Head]],
    base: dict[str, Rates],
    proving: Measured,
    progress: Progress,
) -> None:
    import pandas as pd

    after = {group: proving.rates(held_out_eval.prune(heads)) for group, heads in groups.items()}
    every = proving.model.heads()
    sets: dict[str, held_out_eval.RandomSets] = {}
    pool = [h for h in every if not any(h in heads for heads in groups.values())]
    for n, (group, heads) in enumerate(groups.items()):
        part = progress.part(n / len(groups), (n + 1) / len(groups))
        size = min(len(heads), len(pool))
        sets[group] = held_out_eval.random_sets(
            proving, pool, group, size, params.random_sets, params.seed, part
        )
    columns = ["group", "k", "set", "heads", *OUTCOMES, "n"]
    result.tables["random_sets"] = pd.DataFrame(
        [row for g, drawn in sets.items() for row in drawn.rows(g)], columns=columns
    )
    of_size: dict[int, held_out_eval.RandomSets] = {}
    for drawn in sets.values():
        of_size[drawn.k] = of_size[drawn.k].and_those(drawn) if drawn.k in of_size else drawn

    unchanged = base[made.PROVE]
    conditions = [
        ("no intervention", made.CHOOSE, base[made.CHOOSE]),
        ("no intervention", made.PROVE, unchanged),
    ]
    conditions += [
        (f"prune {group} heads", made.PROVE, after[group])
        for group in ("context", "memory")
        if group in after
    ]
    rows = [rates.row(condition=c, split=split) for c, split, rates in conditions]
    rows += [
        drawn.row(condition=f"random heads, {k} at a time", split=made.PROVE)
        for k, drawn in sorted(of_size.items())
    ]
    result.tables["rates"] = pd.DataFrame(rows)

    said = (
        f"Of {unchanged.n} held-out facts the unchanged model answers"
        f" {_how({o: unchanged[o] for o in OUTCOMES})}."
    )
    result.add(unchanged.finding("base", said))
    for group in ("context", "memory"):
        if group in groups:
            _say_pruned(result, group, groups[group], unchanged, after[group])
    for group, drawn in sets.items():
        _say_random(result, group, drawn, after[group])
    if of_size:
        k, drawn = max(of_size.items())
        rates = {o: drawn.rate(o) for o in OUTCOMES}
        result.add(
            Finding(
                "random",
                {
                    **{o: mean for o, (mean, _) in rates.items()},
                    "n": unchanged.n,
                    "sets": len(drawn.heads),
                    "k": k,
                },
                f"{len(drawn.heads)} random sets of {_heads(k)}, as many as the larger group has,"
                f" leave it at {_how({o: mean for o, (mean, _) in rates.items()})} on average.",
                unit="fraction of held-out facts, mean over sets",
                interval={o: bounds for o, (_, bounds) in rates.items()},
            )
        )


def _how(rates: Mapping[str, float]) -> str:
    return (
        f"{rates['memory']:.0%} from memory, {rates['context']:.0%} from the context,"
        f" {rates['other']:.0%} otherwise"
    )


def _heads(k: int, group: str = "") -> str:
    """How many heads: "the 1 memory head" and "5 heads"."""
    return " ".join(word for word in (str(k), group, "head" if k == 1 else "heads") if word)


def _say_pruned(
    result: Result, group: str, heads: Sequence[Head], before: Rates, after: Rates
) -> None:
    """What is answered without a group on facts that did not choose it, and whether that proves
    anything.
    """
    wanted = WINS[group]
    gain, (low, high) = headroom.gain(before, after, wanted)
    proven = "" if sign(low, high) else ", so these heads are not proven"
    finding = after.finding(
        f"prune_{group}",
        f"Without the {_heads(len(heads), group)} ({', '.join(head_name(*h) for h in heads)}) it"
        f" answers {_how({o: after[o] for o in OUTCOMES})}: {100 * gain:+.0f} points"
        f" {headroom.TOWARD[wanted]} on the same facts (95 %: {100 * low:+.0f} to"
        f" {100 * high:+.0f}{proven}).",
    )
    assert isinstance(finding.interval, dict)
    result.add(
        replace(
            finding,
            value={**finding.values, "gain": gain},
            interval={**finding.interval, "gain": (low, high)},
        )
    )


def _say_random(result: Result, group: str, drawn: held_out_eval.RandomSets, after: Rates) -> None:
    """As many random heads as a group has, and how many of the sets do less than it."""
    wins = WINS[group]
    rates = {o: drawn.rate(o) for o in OUTCOMES}
    each = (drawn.outcomes == wins).mean(1)
    beaten = int((each < after[wins]).sum())
    mean, (low, high) = rates[wins]
    result.add(
        Finding(
            f"random_for_{group}",
            {
                **{o: rate for o, (rate, _) in rates.items()},
                "n": after.n,
                "sets": len(each),
                "beaten": beaten,
            },
            f"{len(each)} random sets of {_heads(drawn.k)} give {mean:.0%} {wins} on average (95 %:"
            f" {low:.0%} to {high:.0%}; single sets {each.min():.0%} to {each.max():.0%}); the"
            f" {group} heads beat {beaten} of them.",
            unit="fraction of held-out facts, mean over sets",
            interval={o: bounds for o, (_, bounds) in rates.items()},
        )
    )


def _cost(
    result: Result,
    model: InstrumentedModel,
    relation: facts.Relation,
    format: facts.Format,
    groups: dict[str, list[Head]],
    cases: list[made.Case],
    progress: Progress,
) -> None:
    import pandas as pd

    progress(0.0, "Measuring what pruning costs elsewhere")
    cost = held_out_eval.Cost(model, relation, cases, format)
    rows = [cost.row("no intervention")]
    for n, (group, heads) in enumerate(groups.items(), 1):
        progress(n / (1 + len(groups)), "Measuring what pruning costs elsewhere")
        rows.append(cost.row(f"prune {group} heads", held_out_eval.prune(heads)))
        before, after = rows[0], rows[-1]
        result.add(
            Finding(
                f"cost_{group}",
                {
                    "closed_book_before": before["closed_book"],
                    "closed_book_after": after["closed_book"],
                    "loss_before": before["loss"],
                    "loss_after": after["loss"],
                },
                f"Pruning the {group} heads takes closed-book accuracy from"
                f" {before['closed_book']:.0%} to {after['closed_book']:.0%} and loss on neutral"
                f" text from {before['loss']:.2f} to {after['loss']:.2f} nats per token.",
                unit="fraction of held-out facts; nats per token",
            )
        )
    result.tables["cost"] = pd.DataFrame(rows)


def _turn_dial(
    result: Result, groups: dict[str, list[Head]], proving: Measured, progress: Progress
) -> None:
    """Every step of the dial on the held-out half; a side whose heads are not known has none."""
    import pandas as pd

    memory, context = groups.get("memory", []), groups.get("context", [])
    rows, settings = [], steps(memory, context)
    for n, value in enumerate(settings):
        progress(n / len(settings), f"Turning the dial to {value:+.2f}")
        asked = proving.ask(factors(memory, context, value), logp=True)
        rates = rates_of(asked.said, proving.cases)
        p = {f"p_{a}": float(np.exp(asked.logp[a][0]).mean()) for a in ANSWERS}
        rows.append({"value": value, **{o: rates[o] for o in OUTCOMES}, **p, "n": rates.n})
    if not rows:
        return
    result.tables["dial"] = pd.DataFrame(rows)
    at_ends: dict[str, float] = {}
    ends = []
    if context:
        at_ends["memory_at_memory_end"] = rows[0]["memory"]
        ends.append(f"{rows[0]['memory']:.0%} from memory at -1")
    if memory:
        at_ends["context_at_context_end"] = rows[-1]["context"]
        ends.append(f"{rows[-1]['context']:.0%} from the context at +1")
    result.add(
        Finding(
            "dial",
            at_ends,
            f"The dial answers {' and '.join(ends)}.",
            unit="fraction of held-out facts",
        )
    )
