"""Which facts are known by how well known they are about, and when looking one up pays.

Mallen et al. 2023 (PopQA, 2212.10511): a model knows popular facts, and for these a retrieved text
can only mislead. So retrieve below a threshold of popularity, one for each relation, chosen on one
half of the facts and tried on the other. Popularity is the relation's own: inhabitants, or uses of
a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.exposure_dose import logistic_intervals
from analyses.measures.fact_prompts import ids_of
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.statistics import mean_interval
from analyses.measures.windows import Window
from workbench.facts import Prompt, find_format, render
from workbench.facts.template import fill

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.facts import Fact, Relation

NONE, RIGHT, WRONG = "closed_book", "right_text", "wrong_text"
"""What is read before a question: nothing, a text with the answer, a text with another's answer."""
NEVER, ALWAYS, THRESHOLD, ORACLE = "never", "always", "threshold", "oracle"


def popular_facts(relation: Relation, count: int, rng: np.random.Generator) -> list[Fact]:
    """So many facts by lot, of those whose popularity is known; they are evenly spread over it."""
    known = sorted(
        (fact for fact in relation.facts if fact.popularity), key=lambda f: f.popularity or 0.0
    )
    parts = np.array_split(np.arange(len(known)), min(count, len(known)))
    return [known[int(rng.choice(part))] for part in parts if len(part)]


def read(
    model: InstrumentedModel,
    relation: Relation,
    facts: Sequence[Fact],
    rng: np.random.Generator,
    report: Callable[[float, str], None],
) -> dict[str, np.ndarray]:
    """Whether greedy decoding says the whole answer, by what is read before the question, (fact,).

    The wrong text says another fact's answer of this subject. All three ask in the same words, so
    that they differ by the text alone.
    """
    question = find_format("question")
    windows, names = [], (NONE, RIGHT, WRONG)
    for fact in facts:
        others = [answer for answer in relation.answers if answer != fact.answer]
        wrong = str(rng.choice(others)) if others else fact.answer
        prompts = (
            without_text(relation, fact.subject),
            render(question, relation, fact.subject, fact.answer),
            render(question, relation, fact.subject, wrong),
        )
        for prompt in prompts:
            answer = model.continuation_tokens(prompt.continuation(fact.answer))
            windows.append(Window(0, 0, (), tuple(ids_of(model, prompt)), tuple(answer)))
    scores = score(model, windows, Sampler(temperature=0), whole=False, progress=report)
    said = scores.match == np.array([len(window.suffix) for window in windows])
    return dict(zip(names, said.reshape(-1, len(names)).T, strict=True))


def without_text(relation: Relation, subject: str) -> Prompt:
    """The question as it stands behind a text, without one."""
    template = find_format("question").template.replace("{statement}\n", "")
    values = {part: relation.fill(part, subject, "") for part in ("question", "lead_in")}
    return Prompt.of(fill(template, values, "the question without a text"))


@dataclass(frozen=True)
class Hybrid:
    """What looking up pays, on facts that did not choose the threshold.

    Attributes:
        accuracy: policy -> (mean, low, high).
        gain: of the threshold over the better of never and always, (mean, low, high).
        thresholds: relation -> popularity below which one looks up, as either half chose it; -inf
            is never, inf always.
        n: facts.
    """

    accuracy: dict[str, tuple[float, float, float]]
    gain: tuple[float, float, float]
    thresholds: dict[str, tuple[float, float]]
    n: int


def hybrid(table: pd.DataFrame, quality: float, seed: int) -> Hybrid:
    """Thresholds chosen on either half of each relation's facts, and tried on the other.

    Args:
        table: columns relation, popularity, and those of `read`.
        quality: share of retrieved texts that hold the right answer.
    """
    rng = np.random.default_rng(seed)
    alone = table[NONE].to_numpy(float)
    looked = quality * table[RIGHT].to_numpy(float) + (1 - quality) * table[WRONG].to_numpy(float)
    popularity = table["popularity"].to_numpy(float)
    chosen = np.zeros(len(table))
    thresholds: dict[str, tuple[float, float]] = {}
    relations = table["relation"].to_numpy()
    for relation in dict.fromkeys(relations):
        rows = rng.permutation(np.flatnonzero(relations == relation))
        halves = rows[::2], rows[1::2]
        at = []
        for own, other in (halves, halves[::-1]):
            threshold = best_threshold(popularity[own], alone[own], looked[own])
            chosen[other] = np.where(popularity[other] < threshold, looked[other], alone[other])
            at.append(threshold)
        thresholds[str(relation)] = (at[0], at[1])
    policies = {NEVER: alone, ALWAYS: looked, THRESHOLD: chosen, ORACLE: np.maximum(alone, looked)}
    accuracy = {name: _spread(values) for name, values in policies.items()}
    better = looked if looked.mean() > alone.mean() else alone
    return Hybrid(accuracy, _spread(chosen - better), thresholds, len(table))


def best_threshold(popularity: np.ndarray, alone: np.ndarray, looked: np.ndarray) -> float:
    """Below which popularity to look up, so that most comes out right; the lowest of several that
    are as good.
    """
    order = np.argsort(popularity, kind="stable")
    values = popularity[order]
    gains = np.concatenate([[0.0], np.cumsum((looked - alone)[order])])
    # Equal popularities stay on one side.
    can_cut = np.concatenate([[True], values[1:] != values[:-1], [True]])
    best = int(np.argmax(np.where(can_cut, gains, -np.inf)))
    if best == 0:
        return float("-inf")
    return float("inf") if best == len(values) else float((values[best - 1] + values[best]) / 2)


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    mean, (low, high) = mean_interval(values)
    return mean, low, high


def known_by_popularity(
    table: pd.DataFrame, seed: int = 0, draws: int = 1000
) -> tuple[float, float, float]:
    """(AUC, low, high): how probably a fact that is known is about something more popular than one
    that isn't, of the same relation; .5 where popularity says nothing.

    Only facts of one relation are compared with each other, every pair counts once; the 95 %
    interval is from drawing the facts of each relation again. NaN where no relation has both.
    """
    rng = np.random.default_rng(seed)
    more, pairs = np.zeros(draws + 1), np.zeros(draws + 1)
    for _, part in table.groupby("relation", sort=False):
        known, size = part[NONE].to_numpy(bool), part["popularity"].to_numpy(float)
        n = len(part)
        drawn = rng.multinomial(n, np.full(n, 1 / n), draws)
        times = np.vstack([np.ones(n), drawn])  # the facts as they are, then drawn again
        own, others = times[:, known], times[:, ~known]
        apart = size[known][:, None] - size[~known]
        wins = (apart > 0) + 0.5 * (apart == 0)
        more += ((own @ wins) * others).sum(1)
        pairs += own.sum(1) * others.sum(1)
    if not pairs[0]:
        return (float("nan"),) * 3
    values = more[1:][pairs[1:] > 0] / pairs[1:][pairs[1:] > 0]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(more[0] / pairs[0]), float(low), float(high)


def slopes(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Logistic regression of being right on popularity (tenfold, within the relation), on having
    read a right text, and on both together; with 95 % intervals from drawing facts again.

    Columns term, value, low, high.
    """
    import pandas as pd

    tenfold = np.log10(table["popularity"].to_numpy(float))
    tenfold = tenfold - pd.Series(tenfold).groupby(table["relation"].to_numpy()).transform("mean")
    x = np.tile(tenfold.to_numpy(), 2)
    read_text = np.repeat([0.0, 1.0], len(table))
    design = np.stack([np.ones(len(x)), x, read_text, x * read_text], 1)
    hits = np.concatenate([table[NONE].to_numpy(float), table[RIGHT].to_numpy(float)])
    facts = np.tile(np.arange(len(table)), 2)
    value, (low, high) = logistic_intervals(design, hits, facts, seed=seed)
    terms = ("constant", "tenfold popularity", "a right text", "both together")
    return pd.DataFrame({"term": terms, "value": value, "low": low, "high": high})
