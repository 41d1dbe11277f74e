"""Does the page *Where did this answer come from?* name the source that the answer has?

    python -m benchmarks.provenance [--model M] [--relation R] [--facts N] [--seed S]

Prompts whose source is known: facts that the model knows, asked alone (weights); with the same
answer in the context (both); with another answer in it, where the answer given says which source
won; and made-up subjects (prompt). Wrong answers and neutral texts are drawn anew for each seed.
For contradicted facts the heads that look at the source are switched off as well.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from dataclasses import dataclass

import workbench as wb
from analyses.measures.closed_book import closed_book, matches_answer
from analyses.measures.statistics import wilson
from analyses.prompt import provenance
from analyses.prompt.provenance.params import Params
from workbench import facts
from workbench.progress import Progress

_MADE_UP = {
    "Zorbland": "Plimsk", "Quentaria": "Dortanza", "Velmora": "Vexley", "Drosnia": "Karumba",
    "Ulkanesh": "Osterlin", "Brintovia": "Fennwick", "Mafosia": "Jadova", "Teklund": "Murrent",
    "Orvania": "Solvane", "Pelgaria": "Tibrek", "Sarvost": "Ellmere", "Kandria": "Noveth",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A prompt, and the answers that would tell its source: answer to the sources it has."""

    kind: str
    prompt: str
    sources: dict[str, frozenset[str]]


def cases(relation: facts.Relation, known: list[facts.Fact], draw: random.Random) -> list[Case]:
    """Prompts of every kind, in no order."""

    def asked(subject: str, statement: str) -> str:
        question = relation.fill("question", subject, "").text
        lead = relation.fill("lead_in", subject, "").text.rstrip()
        return f"{statement}\nQuestion: {question}\nAnswer: {lead}"

    def said(subject: str, answer: str) -> str:
        return asked(subject, relation.fill("statement", subject, answer).text)

    weights, prompt = frozenset({"weights"}), frozenset({"prompt"})
    found = []
    for fact in known:
        wrong = draw.choice([each for each in relation.answers if each != fact.answer])
        alone = asked(fact.subject, "").lstrip()
        found += [
            Case("asked alone", alone, {fact.answer: weights}),
            Case(
                "context agrees", said(fact.subject, fact.answer), {fact.answer: weights | prompt}
            ),
            Case("contradicted", said(fact.subject, wrong), {fact.answer: weights, wrong: prompt}),
        ]
    made_up = _MADE_UP if relation.name == "capital" else {}
    found += [
        Case("made up", said(subject, answer), {answer: prompt})
        for subject, answer in made_up.items()
    ]
    return found


def main() -> None:
    """Print a table of what was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--relation", default="capital")
    parser.add_argument("--facts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    model, draw = wb.load(given.model), random.Random(given.seed)
    relation = facts.relation(given.relation)
    known = closed_book(model, relation, Progress()).facts
    draw.shuffle(known)
    right: Counter[str] = Counter()
    n: Counter[str] = Counter()
    moved: list[bool] = []
    for number, case in enumerate(cases(relation, known[: given.facts], draw)):
        parts = ["split", "heads"] if case.kind == "contradicted" else ["split"]
        params = Params.model_validate(
            {"prompt": case.prompt, "parts": parts, "length": 8, "seed": given.seed + number}
        )
        result = provenance.run(model, params, Progress())
        said = "".join(result.tables["answer"]["token"])
        truth = next(
            (source for answer, source in case.sources.items()
             if matches_answer(said, answer, ended=True)), None,
        )  # fmt: skip
        if truth is None:  # it says something else: its source is not known
            n[f"{case.kind}: another answer"] += 1
            continue
        verdict = result.findings["verdict"].values
        named = frozenset(source for source, yes in verdict.items() if yes)
        kind = case.kind if len(case.sources) == 1 else f"{case.kind}, {min(truth)} wins"
        n[kind] += 1
        right[kind] += named == truth
        print(f"{kind:28} {said.strip()[:24]:24} named {', '.join(sorted(named)) or 'none'}")
        group = result.tables.get("groups")
        if group is not None and (group["group"] == min(truth)).any():
            off = group.loc[group["group"] == min(truth), "logp"].iloc[0]
            drawn = group.loc[(group["group"] == "random part") & (group["of"] == min(truth))]
            moved.append(bool(off < drawn["logp"].min()))
    print(f"\n{given.model}, {given.relation}, seed {given.seed}")
    for kind in sorted(n):
        if kind in right or "another" not in kind:
            low, high = wilson(right[kind], n[kind])
            print(f"{kind:28} {right[kind]:3} of {n[kind]:3} right (95 % {low:.0%} to {high:.0%})")
        else:
            print(f"{kind:28} {n[kind]:3} left out")
    print(f"heads of that source off lower the answer more than any of ten random groups:"
          f" {sum(moved)} of {len(moved)}")  # fmt: skip


if __name__ == "__main__":
    main()
