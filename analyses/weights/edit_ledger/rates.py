"""From answers to rates: what each method gets, with intervals over facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval, share_interval
from analyses.weights.edit_ledger import constants as c

if TYPE_CHECKING:
    import pandas as pd

# What is counted: name, the kinds of question, and which answers count.
_PREFERS, _GIVES_NEW, _GIVES_OLD, _KEEPS, _UNMOVED = "prefers", "new", "old", "keeps", "unmoved"
COUNTED: dict[str, tuple[tuple[str, ...], str]] = {
    "efficacy": ((c.PROMPT,), _PREFERS),
    "accuracy": ((c.PROMPT,), _GIVES_NEW),
    "generalization": ((c.PARAPHRASE,), _PREFERS),
    "in_other_words": ((c.PARAPHRASE,), _GIVES_NEW),
    "reversion": ((c.PARAPHRASE, c.FILLER), _GIVES_OLD),
    "specificity": ((c.NEIGHBOUR,), _KEEPS),
    "neighbours_unmoved": ((c.NEIGHBOUR,), _UNMOVED),
    "same_subject_unmoved": ((c.SAME_SUBJECT,), _UNMOVED),
    "negated": ((c.NEGATED,), _GIVES_NEW),
    "reverse": ((c.REVERSE,), _GIVES_NEW),
    "onward": ((c.ONWARD,), _GIVES_NEW),
    "behind": ((c.BEHIND,), _GIVES_NEW),
    **{
        f"{kind.split()[0]}_holds": ((kind,), _GIVES_NEW)
        for kind in c.ROBUST
    },
    **{f"{kind.split()[0]}_reverts": ((kind,), _GIVES_OLD) for kind in c.ROBUST},
}  # fmt: skip
MEANS = (
    "loss_change", "kl", "known", "entropy_change", "consistency", "consistency_old", "norm",
    "seconds",
)  # fmt: skip
"""Columns of `edits` whose means over facts are given."""
SCORED = ("efficacy", "generalization", "specificity")
"""The three whose harmonic mean is the score of Meng et al. 2022."""


def hits(answers: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(whether it counts, fact) of each answer that `name` is counted over.

    What was already so before the edit is left out where only a change says something: two-step
    and same-subject questions are counted where the model knew the old answer.
    """
    kinds, how = COUNTED[name]
    rows = answers[answers["kind"].isin(kinds)]
    if name in ("onward", "behind", "reverse") or how == _UNMOVED:
        rows = rows[rows["knew"]]
    counts = {
        _PREFERS: rows["logp_new"] > rows["logp_old"],
        _KEEPS: rows["logp_old"] > rows["logp_new"],
        _GIVES_NEW: rows["gives_new"],
        _GIVES_OLD: rows["gives_old"],
        _UNMOVED: rows["gives_old"],
    }[how]
    return counts.to_numpy(float), rows["fact"].to_numpy()


def with_knowledge(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers with whether the unedited model gave the old answer to the same question."""
    base = answers[answers["method"] == c.METHODS["none"]]
    knew = base.set_index(["fact", "kind", "prompt"])["gives_old"]
    knew = knew[~knew.index.duplicated()]
    keys = list(zip(answers["fact"], answers["kind"], answers["prompt"], strict=True))
    return answers.assign(knew=knew.reindex(keys).to_numpy(bool))


def by_method(answers: pd.DataFrame, edits: pd.DataFrame) -> pd.DataFrame:
    """One row per method: every rate with its interval over facts, and what it costs elsewhere."""
    import pandas as pd

    known = with_knowledge(answers)
    order = [title for title in c.METHODS.values() if title in set(answers["method"])]
    return pd.DataFrame(
        [
            dict(
                _row(
                    method,
                    known[known["method"] == method],
                    edits[edits["method"] == method],
                )
            )
            for method in order
        ]
    )


def _row(method: str, answers: pd.DataFrame, edits: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    yield "method", method
    yield "n", len(edits)
    shares = {}
    for name in COUNTED:
        counted, facts = hits(answers, name)
        share, (low, high) = share_interval(counted, facts)
        shares[name] = share
        yield name, share
        yield f"{name}_low", low
        yield f"{name}_high", high
        yield f"{name}_n", len(counted)
    parts = [shares[name] for name in SCORED if not np.isnan(shares[name])]
    yield "score", harmonic(parts)
    for name in MEANS:
        mean, (low, high) = mean_interval(edits[name].to_numpy(float))
        yield name, mean
        yield f"{name}_low", low
        yield f"{name}_high", high
    yield "disabled", int(edits["disabled"].sum())
    yield "undone", bool(edits["undone"].all())


def harmonic(shares: list[float]) -> float:
    """Harmonic mean; 0 where one is 0, NaN without any."""
    if not shares:
        return float("nan")
    return 0.0 if min(shares) <= 0 else len(shares) / sum(1 / s for s in shares)


def by_popularity(
    answers: pd.DataFrame, facts: pd.DataFrame, column: str = "popularity"
) -> pd.DataFrame:
    """Rates of the better and the less known half of the facts, by method."""
    import pandas as pd

    order = facts[column].rank(method="first")
    if facts[column].isna().any() or len(facts) < 4:
        return pd.DataFrame()
    known = with_knowledge(answers)
    middle = len(facts) / 2
    halves = {
        "less known": facts["fact"][order <= middle],
        "better known": facts["fact"][order > middle],
    }
    rows = []
    for method in dict.fromkeys(known["method"]):
        for half, chosen in halves.items():
            mine = known[(known["method"] == method) & known["fact"].isin(chosen)]
            row: dict[str, Any] = {"method": method, "half": half, "n": len(chosen)}
            for name in ("accuracy", "in_other_words", "reversion", "specificity"):
                counted, groups = hits(mine, name)
                share, (low, high) = share_interval(counted, groups)
                row |= {name: share, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)
