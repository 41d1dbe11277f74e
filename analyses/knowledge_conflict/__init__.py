"""When the context contradicts what the model knows, which does it follow, and which attention heads decide?

Method: Jin et al. 2024 (PH3), with the cautions of Li et al. 2025 (JuICE). Heads are found on one half of the subjects
and proven on the other; docs/knowledge-conflict.md has the definitions, what was measured, and where it departs.

cases.py    which facts, and the prompts that contradict them
measure.py  memory / context / other rates
locate.py   the exact effect of every head, and the ranking
prove.py    pruning on held-out subjects, random sets, what it costs
dial.py     the found heads as one knob
transfer.py heads found on one relation or format, used on all others
tabs.py     how it looks (head_tab.py: the linked grids)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, Field, field_validator, model_validator

from analyses.knowledge_conflict import cases as made
from analyses.knowledge_conflict import prove
from analyses.knowledge_conflict.dial import STEPS, factors
from analyses.knowledge_conflict.dial import dial as controls
from analyses.knowledge_conflict.locate import ANSWERS, METHODS, Breadth, Head, Located, RankBy, depth, heads_table, locate
from analyses.knowledge_conflict.measure import OUTCOMES, Measured, Rates, rates_of
from analyses.knowledge_conflict.tabs import views
from workbench import facts
from workbench.facts.format import TURN
from workbench.result import Finding, Result
from workbench.selection import head_name

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

__all__ = ["Params", "controls", "name", "question", "run", "unfit", "views"]

name = "knowledge-conflict"
question = "When my context contradicts what the model knows, which does it follow, and which attention heads decide?"


class Params(BaseModel, frozen=True, extra="forbid"):
    relation: str = Field(
        "capital",
        description="Built-in set of facts (`capital`, `language`, …); see docs/facts.md",
        examples=list(facts.relations()),
    )
    facts_file: Path | None = Field(None, description="Your own facts instead: CSV, TSV or JSONL with columns subject and answer")
    template: str = Field(
        "",
        description='Closed-book wording with {subject}, e.g. "The capital of {subject} is"; needed for your own facts',
        max_length=2000,
    )
    format: str = Field(
        "question",
        description="How the context is put: question, statement, document, dialogue, instruction, chat (in the model's chat"
        " format), or your own template over {statement} {question} {lead_in} {subject} {answer}",
        examples=[*facts.formats(), facts.CHAT.name],
        max_length=4000,
    )
    max_facts: int = Field(
        60, ge=8, le=1000, description="At most this many known facts are used, half to choose heads, half to prove"
    )
    rank_by: RankBy = Field(
        "everywhere",
        description="What ranks heads: zeroed at all positions (everywhere), zeroed or set to the mean at the last position,"
        " or path patching",
    )
    all_positions: Breadth = Field("candidates", description="Which heads are also measured at all positions")
    k_grid: list[int] = Field([1, 3, 5, 7, 9, 15], description="How many heads to try pruning on the choosing half")
    random_sets: int = Field(20, ge=20, le=500, description="Random head sets of the same size, as a baseline")
    transfer: bool = Field(
        False, description="Also use the heads on all other built-in relations and formats, and theirs here (slow)"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Fixes the split, the contradicting answers and the random sets")

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
    after, progress = (progress.part(0.25, 1.0), progress.part(0.0, 0.25)) if params.transfer else (None, progress)
    result = Result(name)
    result.provenance.notes = {
        "facts": f"{relation.name}: {relation.source}" + (f" ({relation.licence})" if relation.licence else ""),
        "closed book": relation.closed_book,
        "format": format.template.replace(TURN, " → "),
        "beginning token": model.beginning.says,
        "scoring": "greedy continuation gives the whole answer; case and accents ignored",
    }
    closed = made.closed_book(model, relation, progress.part(0.0, 0.08), format)
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
    result.tables["heads"] = heads_table(found, attention[chosen_rows].astype("float32"), spans, params.rank_by, params.seed)
    result.arrays["effects"] = _effects(found, chosen_rows)
    result.arrays["depth"] = depth(model, choosing.cases)
    progress.keep(result)

    groups = _choose(result, params, found, choosing, progress.part(0.5, 0.65))
    _prove(result, params, groups, base, proving, progress.part(0.65, 0.87))
    _cost(result, model, relation, format, groups, proving.cases, progress.part(0.87, 0.93))
    _turn_dial(result, groups, proving, progress.part(0.93, 1.0))
    progress.keep(result)
    if after is not None:
        from analyses.knowledge_conflict.transfer import transfer

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
        relation = facts.make(relation.name, pairs, params.template, source=relation.source, licence=relation.licence)
    return relation, format


def _say_known(result: Result, closed: made.Closed, model_name: str) -> None:
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
            f"Without context {model_name} gives {known} of {len(facts_)} answers in full ({first} begin with the right token);"
            " only those known in full are contradicted.",
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
                made.outcome(s.text, c.fact.answer, c.counter, ended=True) for s, c in zip(asked.said, cases, strict=True)
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
    """Attention of every head from the last position of every prompt, (fact, layer, head, pos), and the tokens."""
    import pandas as pd
    import xarray as xr

    from hooks.capture import capture

    trace = capture(model, [c.prompt.text for c in cases], sites="pattern", positions=[-1])
    values = trace["pattern"].isel(query=0).fillna(0.0).values.astype("float16")
    result.arrays["attention"] = xr.DataArray(
        values, dims=("fact", "layer", "head", "pos"), attrs={"unit": "probability", "query": "last position"}
    )
    rows = [
        {"fact": n, "pos": pos, "token": token, "span": span}
        for n, case in enumerate(cases)
        for pos, (token, span) in enumerate(zip(trace.tokens[n], made.token_spans(model, case.prompt), strict=True))
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


def _choose(result: Result, params: Params, found: Located, choosing: Measured, progress: Progress) -> dict[str, list[Head]]:
    """The pruned groups: ranked by `rank_by`, their size chosen on the choosing half. Other rankings for comparison."""
    import pandas as pd

    groups: dict[str, list[Head]] = {}
    curves = []
    # What is proven comes first; then, for comparison, how the paper's ranking (or ours) does on the same half.
    order: list[RankBy] = [params.rank_by, "everywhere" if params.rank_by == "path" else "path"]
    for n, rank_by in enumerate(order):
        for m, (group, ranked) in enumerate(zip(("memory", "context"), found.ranking(rank_by), strict=True)):
            part = progress.part((2 * n + m) / (2 * len(order)), (2 * n + m + 1) / (2 * len(order)))
            curve = prove.k_curve(choosing, ranked, group, params.k_grid, part)
            curves += [{"rank_by": rank_by, **row} for row in curve]
            if n == 0:
                groups[group] = ranked[: prove.best_k(curve, group)]
    result.tables["k_curve"] = pd.DataFrame(curves)
    result.tables["chosen"] = pd.DataFrame(
        [
            {"group": group, "rank": rank, "layer": layer, "head": head, "label": head_name(layer, head)}
            for group, heads in groups.items()
            for rank, (layer, head) in enumerate(heads, 1)
        ],
        columns=["group", "rank", "layer", "head", "label"],
    )
    return groups


def _prove(
    result: Result,
    params: Params,
    groups: dict[str, list[Head]],
    base: dict[str, Rates],
    proving: Measured,
    progress: Progress,
) -> None:
    import pandas as pd

    after = {group: proving.rates(prove.prune(heads)) for group, heads in groups.items()}
    every = proving.model.heads()
    sets = []
    for n, (group, heads) in enumerate(groups.items()):
        pool = [h for h in every if h not in {*groups["memory"], *groups["context"]}]
        size = min(len(heads), len(pool))
        sets += prove.random_sets(proving, pool, group, size, params.random_sets, params.seed, progress.part(n / 2, (n + 1) / 2))
    table = result.tables["random_sets"] = pd.DataFrame(sets)
    # One count over all sets of both sizes: its interval says how sure the average is, the table how the sets differ.
    pooled = _pooled(table)

    unchanged = base[made.PROVE]
    conditions = [
        ("no intervention", made.CHOOSE, base[made.CHOOSE]),
        ("no intervention", made.PROVE, unchanged),
        ("prune context heads", made.PROVE, after["context"]),
        ("prune memory heads", made.PROVE, after["memory"]),
        ("random heads (same number)", made.PROVE, pooled),
    ]
    result.tables["rates"] = pd.DataFrame([rates.row(condition=c, split=split) for c, split, rates in conditions])

    def names(group: str) -> str:
        return ", ".join(head_name(*h) for h in groups[group]) or "none"

    def how(rates: Rates) -> str:
        return f"{rates['memory']:.0%} from memory, {rates['context']:.0%} from the context, {rates['other']:.0%} otherwise"

    result.add(
        unchanged.finding("base", f"Of {unchanged.n} held-out facts the unchanged model answers {how(unchanged)}."),
        after["context"].finding(
            "prune_context",
            f"Without the {len(groups['context'])} context heads ({names('context')}) it answers {how(after['context'])}.",
        ),
        after["memory"].finding(
            "prune_memory",
            f"Without the {len(groups['memory'])} memory heads ({names('memory')}) it answers {how(after['memory'])}.",
        ),
    )
    for group in groups:
        mine = table[table["group"] == group]
        wins = prove.WINS[group]
        beaten = int((mine[wins] < after[group][wins]).sum())
        of_size = _pooled(mine)
        result.add(
            Finding(
                f"random_for_{group}",
                {**{o: of_size[o] for o in OUTCOMES}, "n": unchanged.n, "sets": len(mine), "beaten": beaten},
                f"{len(mine)} random sets of {len(groups[group])} heads give {of_size[wins]:.0%} {wins} on average"
                f" ({mine[wins].min():.0%} to {mine[wins].max():.0%}); the {group} heads beat {beaten} of them.",
                unit="fraction of held-out facts",
            )
        )
    result.add(
        Finding(
            "random",
            {**{o: pooled[o] for o in OUTCOMES}, "n": unchanged.n, "sets": len(table)},
            f"{len(table)} random sets of the same sizes leave it at {how(pooled)} on average.",
            unit="fraction of held-out facts, mean over sets",
        )
    )


def _pooled(sets: pd.DataFrame) -> Rates:
    """All random sets counted together."""
    return Rates({o: round(float((sets[o] * sets["n"]).sum())) for o in OUTCOMES})


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
    cost = prove.Cost(model, relation, cases, format)
    rows = [cost.row("no intervention")]
    for n, (group, heads) in enumerate(groups.items(), 1):
        progress(n / 3, "Measuring what pruning costs elsewhere")
        rows.append(cost.row(f"prune {group} heads", prove.prune(heads)))
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
                f"Pruning the {group} heads takes closed-book accuracy from {before['closed_book']:.0%} to"
                f" {after['closed_book']:.0%} and loss on neutral text from {before['loss']:.2f} to {after['loss']:.2f} nats"
                " per token.",
                unit="fraction of held-out facts; nats per token",
            )
        )
    result.tables["cost"] = pd.DataFrame(rows)


def _turn_dial(result: Result, groups: dict[str, list[Head]], proving: Measured, progress: Progress) -> None:
    import pandas as pd

    rows = []
    for n, value in enumerate(STEPS):
        progress(n / len(STEPS), f"Turning the dial to {value:+.2f}")
        setting = factors(groups["memory"], groups["context"], value)
        asked = proving.ask(setting, logp=True)
        rates = rates_of(asked.said, proving.cases)
        p = {f"p_{a}": float(np.exp(asked.logp[a][0]).mean()) for a in ANSWERS}
        rows.append({"value": value, **{o: rates[o] for o in OUTCOMES}, **p, "n": rates.n})
    result.tables["dial"] = pd.DataFrame(rows)
    low, high = rows[0], rows[-1]
    result.add(
        Finding(
            "dial",
            {"memory_at_memory_end": low["memory"], "context_at_context_end": high["context"]},
            f"The dial answers {low['memory']:.0%} from memory at -1 and {high['context']:.0%} from the context at +1.",
            unit="fraction of held-out facts",
        )
    )
