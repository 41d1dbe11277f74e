"""Does a model say that something follows because it follows, or because it knows the conclusion?

Attestation bias (McKenna et al. 2023, 2305.14552): a hypothesis is asked about behind a premise
that has nothing to do with it. Who answers by the premise says *no* every time. Who says *yes* more
often where the hypothesis is a fact that it knows answers by memory.

A premise keeps the two names of the hypothesis and changes what is said of them, so that names that
come twice are no cue. Three more conditions: a premise that does support the hypothesis, none at
all (the hypothesis only), and the supported pair with invented names (it still follows, but nobody
can have read it).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import auc
from workbench.errors import BadInput
from workbench.facts import Fact, Relation
from workbench.facts.relation import joined

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

KNOWN, UNKNOWN, FALSE, INVENTED = "known", "unknown", "false", "invented"
"""Hypotheses: a fact that the model knows, one that it doesn't, a known subject with another's
answer, and invented names.
"""
SUPPORT, RANDOM, BARE = "supports it", "random", "none"
"""Premises."""
CONDITIONS = {
    KNOWN: (RANDOM, SUPPORT, BARE),
    UNKNOWN: (RANDOM, SUPPORT, BARE),
    FALSE: (RANDOM, BARE),
    INVENTED: (RANDOM, SUPPORT),
}
FEWEST = 4
"""Known facts, and unknown ones, of all relations together."""
_UNRELATED = (
    "On the page before {answer} there was a picture of {subject}.",
    "Somebody asked about {subject}, and another person about {answer}.",
    "A book about {subject} stood on the shelf beside one about {answer}.",
    "The teacher wrote {subject} in the first line and {answer} in the second.",
)
_SYLLABLES = (
    "bra",
    "del",
    "fo",
    "gan",
    "hul",
    "ki",
    "lom",
    "mer",
    "nod",
    "pra",
    "rul",
    "sto",
    "vin",
)


@dataclass(frozen=True)
class PremiseQuestion:
    """One hypothesis behind one premise.

    Attributes:
        fact: which fact of the run it is made from; those of one fact go together.
        relation: the relation's name.
        kind: of the hypothesis, see `CONDITIONS`.
        premise: kind of the premise.
        prompt: what the model reads; it goes on with yes or no.
    """

    fact: int
    relation: str
    kind: str
    premise: str
    prompt: str


def questions(
    relation: Relation, known: Sequence[Fact], unknown: Sequence[Fact], seed: int, first: int = 0
) -> list[PremiseQuestion]:
    """Every condition of every fact.

    Args:
        first: number of the first fact.
    """
    rng = random.Random(f"{seed} {relation.name}")
    found: list[PremiseQuestion] = []

    def ask(number: int, kind: str, subject: str, answer: str) -> None:
        unrelated = rng.choice(_UNRELATED)
        for premise in CONDITIONS[kind]:
            prompt = _prompt(relation, premise, unrelated, subject, answer)
            found.append(PremiseQuestion(number, relation.name, kind, premise, prompt))

    for number, fact in enumerate(known, first):
        others = [each for each in relation.answers if each != fact.answer]
        ask(number, KNOWN, fact.subject, fact.answer)
        if others:
            ask(number, FALSE, fact.subject, rng.choice(others))
        ask(number, INVENTED, _name(rng), _name(rng))
    for number, fact in enumerate(unknown, first + len(known)):
        ask(number, UNKNOWN, fact.subject, fact.answer)
    return found


def _prompt(relation: Relation, premise: str, unrelated: str, subject: str, answer: str) -> str:
    hypothesis = relation.fill("statement", subject, answer).text
    if premise == SUPPORT:
        said = supporting(relation, subject, answer)
    else:
        said = unrelated.format(subject=subject, answer=answer) if premise == RANDOM else ""
    if not said:
        return f"{hypothesis}\nQuestion: Is this true, yes or no?\nAnswer:"
    return (
        f"{said}\nQuestion: Does it follow from this sentence that {hypothesis.rstrip('.')}, yes or"
        " no?\nAnswer:"
    )


def supporting(relation: Relation, subject: str, answer: str) -> str:
    """A premise that says the hypothesis in other words: the same sentence twice would ask for
    copying and be no inference.

    Raises:
        BadInput: the relation has no other wording.
    """
    hypothesis = relation.fill("statement", subject, answer).text
    for prompt in (relation.closed_book_prompt(subject), *relation.paraphrased(subject)):
        premise = joined(prompt.text, answer) + "."
        if premise != hypothesis:
            return premise
    raise BadInput(
        f"Relation {relation.name!r} says everything in the same words: {hypothesis!r}.",
        "a relation with a paraphrase",
        "Name another relation.",
    )


def _name(rng: random.Random) -> str:
    return "".join(rng.sample(_SYLLABLES, 3)).capitalize()


def answer_tokens(model: InstrumentedModel) -> tuple[list[int], list[int], list[int]]:
    """(tokens that both begin with, those that go on to yes, to no).

    Where a space is a token of its own, say, it stands behind every prompt.

    Raises:
        BadInput: the model reads yes and no as the same tokens.
    """
    upper = [model.continuation_tokens(word) for word in (" Yes", " No")]
    shared = next(
        (n for n, (a, b) in enumerate(zip(*upper, strict=False)) if a != b), min(map(len, upper))
    )
    before = upper[0][:shared]
    lower = [model.continuation_tokens(word) for word in (" yes", " no")]
    sides = [
        sorted({ids[shared] for ids in pair if ids[:shared] == before and len(ids) > shared})
        for pair in zip(upper, lower, strict=True)
    ]
    yes, no = ([i for i in one if i not in other] for one, other in (sides, sides[::-1]))
    if not (yes and no):
        raise BadInput(
            f"{model.card.name} does not tell “yes” from “no”: it reads both as the same tokens.",
            "a tokenizer that knows letters",
            "Choose another model.",
        )
    return before, yes, no


def read(
    model: InstrumentedModel, asked: Sequence[PremiseQuestion], progress: Progress, batch: int = 32
) -> np.ndarray:
    """ln of how much likelier yes is than no after each question, (question,), in nats."""
    before, yes, no = answer_tokens(model)
    odds = np.zeros(len(asked))
    for start in range(0, len(asked), batch):
        part = asked[start : start + batch]
        progress(start / len(asked), f"Asking what follows, {start:,} of {len(asked):,}")
        prompts = [[*model.tokens(question.prompt), *before] for question in part]
        logits = model.next_logits(prompts).double()
        log_odds = logits[:, yes].logsumexp(-1) - logits[:, no].logsumexp(-1)
        odds[start : start + len(part)] = log_odds.cpu().numpy()
    return odds


@dataclass(frozen=True)
class Attestation:
    """How far answers go by memory where the premise is random.

    Attributes:
        auc: how probably a known hypothesis gets more of a yes than an unknown one, (value, low,
            high); .5 is by the premise alone.
        ratio: P(yes | known) / P(yes | unknown), (value, low, high), where yes is what lies above
            the middle of all answers: a small model says the same to everything.
        plain: the same where yes is what is likelier than no; NaN where it never says yes.
        same_subject: share of known facts whose true hypothesis gets more of a yes than a false one
            with the same subject, ties half: what frequent names alone do not explain.
        paired: facts that `same_subject` is of.
        supported: how probably a hypothesis gets more of a yes behind a premise that supports it
            than behind a random one, (value, low, high): whether the model can do this at all.
        invented: the same with invented names.
    """

    auc: tuple[float, float, float]
    ratio: tuple[float, float, float]
    plain: tuple[float, float, float]
    same_subject: float
    paired: int
    supported: tuple[float, float, float]
    invented: tuple[float, float, float]


def attestation(table: pd.DataFrame) -> Attestation:
    """From a table of questions with columns fact, relation, kind, premise and odds.

    Relations differ in how readily a model says yes to them, and in how much of them it knows, so
    each one's mean over random premises is taken away first.
    """
    shown = table[table["premise"] == RANDOM]
    shown = shown[shown["kind"].isin([KNOWN, UNKNOWN])]
    centred = shown["odds"] - shown.groupby("relation")["odds"].transform("mean")
    known = (shown["kind"] == KNOWN).to_numpy()
    values = centred.to_numpy()
    above = values > np.median(values)
    plain = shown["odds"].to_numpy() > 0
    same, n = _same_subject(table)
    return Attestation(
        auc(values[known], values[~known]),
        rate_ratio(*_counts(above, known)),
        rate_ratio(*_counts(plain, known)),
        same,
        n,
        _between(table, (KNOWN, UNKNOWN)),
        _between(table, (INVENTED,)),
    )


def _counts(said: np.ndarray, known: np.ndarray) -> tuple[int, int, int, int]:
    return int(said[known].sum()), int(known.sum()), int(said[~known].sum()), int((~known).sum())


def _between(table: pd.DataFrame, kinds: Sequence[str]) -> tuple[float, float, float]:
    rows = table[table["kind"].isin(kinds)]
    return auc(
        rows.loc[rows["premise"] == SUPPORT, "odds"].to_numpy(),
        rows.loc[rows["premise"] == RANDOM, "odds"].to_numpy(),
    )


def _same_subject(table: pd.DataFrame) -> tuple[float, int]:
    shown = table[(table["premise"] == RANDOM) & table["kind"].isin([KNOWN, FALSE])]
    wide = shown.pivot_table(index="fact", columns="kind", values="odds")
    if KNOWN not in wide or FALSE not in wide:
        return math.nan, 0
    apart = (wide[KNOWN] - wide[FALSE]).dropna().to_numpy()
    if not len(apart):
        return math.nan, 0
    return float(np.mean((apart > 0) + 0.5 * (apart == 0))), len(apart)


def rate_ratio(hits: int, n: int, others: int, of_others: int) -> tuple[float, float, float]:
    """One rate over another, and its 95 % interval (Katz et al. 1978, on the log scale).

    Half a hit and half a miss are added on both sides, so that it is finite at 0; NaN where nobody
    has a hit or one side is empty.
    """
    if not n or not of_others or not hits + others:
        return math.nan, math.nan, math.nan
    one, other = (hits + 0.5) / (n + 1), (others + 0.5) / (of_others + 1)
    spread = math.sqrt(1 / (hits + 0.5) - 1 / (n + 1) + 1 / (others + 0.5) - 1 / (of_others + 1))
    ratio, wide = one / other, math.exp(1.959964 * spread)
    return ratio, ratio / wide, ratio * wide
