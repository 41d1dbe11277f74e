"""Which claims of Stoehr et al. 2024 replicate on this model, each with the numbers it is judged
by.

Each is judged by a 95 % interval over passages, those of one document counted together. Where
the interval covers both sides, the claim cannot be told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import (
    FAILS,
    NOT_MEASURED,
    OPEN,
    PART,
    REPLICATES,
    Claim,
    Measured,
    verdict_of,
)
from analyses.measures.statistics import difference, share_interval, sign
from analyses.weights.paragraph_memorization.constants import MEMORIZED, NOT
from analyses.weights.paragraph_memorization.edit_findings import rates_of
from workbench.result import Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

PAPER = "Stoehr et al. 2024 (GPT-Neo 125M)"
_HALF = 0.5
"""Share of a passage: with less left it counts as unlearned, and other passages of which more is
left as kept.
"""
_NOTHING = 0.9
"""Share of a passage that is still reproduced if an update had no effect."""


def _not(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _documents(result: Result, passages: Sequence[int]) -> np.ndarray:
    documents = result.tables["passages"].set_index("passage")["document"]
    return np.asarray(documents[list(passages)])


def _groups(
    result: Result, table: pd.DataFrame, column: str
) -> tuple[list[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Values of memorized passages and of others, and the documents they are from.

    `table` has columns passage and group.
    """
    parts = [table[table["group"] == group] for group in (MEMORIZED, NOT)]
    ours, theirs = (_documents(result, part["passage"]) for part in parts)
    return [part[column].to_numpy() for part in parts], (ours, theirs)


def _triggers(result: Result) -> Measured:
    if "perturbed" not in result.tables:
        return NOT_MEASURED
    lost = (
        -result.tables["perturbed"].groupby("passage")["prefix_match_change"].mean().rename("lost")
    )
    table = result.tables["passages"][["passage", "group"]].merge(lost.reset_index(), on="passage")
    (ours, theirs), together = _groups(result, table, "lost")
    less, (low, high) = difference(ours, theirs, together)
    measured = f"{ours.mean():.1f} tokens lost; not memorized: {theirs.mean():.1f}"
    sure = (
        f"difference {less:+.1f} (95 %: {low:+.1f} to {high:+.1f}), {len(ours)} and"
        f" {counted(len(theirs), 'passage')}"
    )
    return Measured(measured, verdict_of([_not(sign(low, high))]), sure)


def _larger(result: Result) -> Measured:
    table = result.tables.get("passage_gradients")
    if table is None or "sum_max" not in table:
        return NOT_MEASURED
    (ours, theirs), together = _groups(result, table, "sum_max")
    # Sums of gradients differ by orders of magnitude between passages, so they are compared as
    # ratios.
    ratio, (low, high) = difference(np.log(ours), np.log(theirs), together)
    sure = (
        f"ratio of geometric means {math.exp(ratio):.2f} (95 %: {math.exp(low):.2f} to"
        f" {math.exp(high):.2f})"
    )
    measured = f"{ours.mean():.2f}; not memorized: {theirs.mean():.2f}"
    sure += f", {len(ours)} and {counted(len(theirs), 'passage')}"
    return Measured(measured, verdict_of([_not(sign(low, high))]), sure)


def _lower(result: Result) -> Measured:
    table = result.tables.get("passage_gradients")
    if table is None:
        return NOT_MEASURED
    signs, measured, sure = [], [], []
    for size, word in (
        ("lower_share_max", "largest entries"),
        ("lower_share_rms", "root mean squares"),
    ):
        (ours, theirs), together = _groups(result, table, size)
        more, (low, high) = difference(ours, theirs, together)
        signs.append(sign(low, high))
        measured.append(f"{100 * more:+.1f} points ({word})")
        sure.append(f"{100 * low:+.1f} to {100 * high:+.1f}")
    # Both sizes of a gradient have to agree, or it hangs on the choice of one.
    verdict = signs[0] if signs[0] == signs[1] else None
    text = f"{' and '.join(measured)} in the lower half of the layers"
    return Measured(text, verdict_of([verdict]), f"95 %: {' and '.join(sure)}")


def _rare(result: Result) -> Measured:
    heads = result.tables.get("heads")
    if heads is None or heads["rarity_within"].isna().all() or "rarity" not in result.findings:
        return NOT_MEASURED
    found, pooled = heads[heads["role"] != ""], result.findings["rarity"].values
    verdicts = [
        _not(sign(low, high))
        for low, high in zip(found["rarity_within_low"], found["rarity_within_high"], strict=True)
    ]
    measured = (
        f"selected heads {found['rarity_within'].mean():+.2f} within a passage; pooled, lowest"
        f" {pooled['lowest_pooled']:+.2f}, chance {pooled['chance_pooled']:+.2f}"
    )
    each = (
        f"{row.label} {row.rarity_within:+.2f} ({row.rarity_within_low:+.2f} to"
        f" {row.rarity_within_high:+.2f})"
        for row in found.itertuples()
    )
    sure = f"each head within a passage, 95 %: {', '.join(each)}"
    return Measured(measured, verdict_of(verdicts), sure)


def _removals(result: Result, aim: str, mask: str) -> pd.DataFrame | None:
    """Updates of one kind, by passage.

    `left` is the share of each that is still reproduced, `left_same` after as many steps.
    """
    table = result.tables.get("weight_edits")
    if table is None:
        return None
    rows = table[(table["aim"] == aim) & (table["mask"] == mask)].set_index("passage")
    if rows.empty:
        return None
    return rows.assign(
        left=rows["prefix_match"] / rows["prefix_match_before"],
        left_same=rows["prefix_match_same_steps"] / rows["prefix_match_before"],
    )


def _share(result: Result, values: pd.Series) -> tuple[float, tuple[float, float]]:
    known = values.dropna()
    return share_interval(known.to_numpy(float), _documents(result, known.index))


def _sparse(result: Result) -> Measured:
    rows, every = _removals(result, "unlearn", "gradient"), _removals(result, "unlearn", "all")
    if rows is None or every is None:
        return NOT_MEASURED
    left, (low, high) = _share(result, rows["left"])
    retained, (kept_low, kept_high) = _share(result, rows["others_retained"])
    unlearned = _not(sign(low, high, _HALF))
    # With nothing to keep there is nothing that could be lost.
    spared = True if math.isnan(retained) else sign(kept_low, kept_high, _HALF)
    verdict = verdict_of([unlearned, spared] if unlearned else [unlearned])
    measured = (
        f"{rows['prefix_match_before'].mean():.0f} → {rows['prefix_match'].mean():.1f} tokens"
        f" at learning rates of {rates_of(rows)}"
        + ("" if math.isnan(retained) else f", other passages retained: {percent(retained)}")
        + f"; with all weights {every['prefix_match'].mean():.1f} ({rates_of(every)})"
    )
    sure = (
        f"share of the suffix still reproduced {percent(left)} (95 %: {percent(low)} to"
        f" {percent(high)}; under"
        f" {percent(_HALF)} counts as unlearned)"
    )
    sure += (
        ""
        if math.isnan(retained)
        else f", of other passages {percent(kept_low)} to {percent(kept_high)}"
    )
    return Measured(measured, verdict, f"{sure}, {counted(len(rows), 'passage')}")


def _did_nothing(mean: float, bounds: tuple[float, float]) -> bool | None:
    """Nearly all is still reproduced, and surely more than half; or surely less than nearly all."""
    return (
        False if bounds[1] < _NOTHING else True if mean >= _NOTHING and bounds[0] > _HALF else None
    )


def _random(result: Result) -> Measured:
    """Judged after as many steps as chosen weights took, as the paper does, and in the end: one
    step may be too few for any.
    """
    rows = _removals(result, "unlearn", "random")
    if rows is None:
        return NOT_MEASURED
    soon, late = _share(result, rows["left_same"]), _share(result, rows["left"])
    at_first, in_the_end = _did_nothing(*soon), _did_nothing(*late)
    if len(rows) < 2:  # one passage says nothing of others
        verdict = OPEN
    elif in_the_end is False:  # given time they do something, whatever they do at first
        verdict = PART if at_first else FAILS
    else:
        verdict = FAILS if at_first is False else REPLICATES if in_the_end and at_first else OPEN
    before = rows["prefix_match_before"].mean()
    measured = (
        f"{before:.0f} → {rows['prefix_match_same_steps'].mean():.1f} tokens after as many steps as"
        f" with the contrast mask, {rows['prefix_match'].mean():.1f} after"
        f" {rows['steps'].mean():.0f} (learning rates of {rates_of(rows)})"
    )
    spans = [f"{percent(low)} to {percent(high)}" for _, (low, high) in (soon, late)]
    sure = (
        f"share still reproduced, 95 %: {spans[0]}, in the end {spans[1]} (no effect:"
        f" {percent(_NOTHING)} or more, interval above {percent(_HALF)})"
    )
    return Measured(measured, verdict, f"{sure}, {counted(len(rows), 'passage')}")


def _harder(result: Result) -> Measured:
    one, other = _removals(result, "rewrite", "gradient"), _removals(result, "unlearn", "gradient")
    both = [] if one is None or other is None else [n for n in one.index if n in other.index]
    if one is None or other is None or not both:
        return NOT_MEASURED
    one, other = one.loc[both], other.loc[both]
    verdicts, sure = [], []
    for word, more in (
        ("more of the original text left", one["left"] - other["left"]),
        ("succeeds less often", other["succeeded"].astype(float) - one["succeeded"].astype(float)),
    ):
        # Differences lie between -1 and 1; as shares, that they are all alike proves no more than
        # there are.
        mean, (low, high) = _share(result, (more + 1) / 2)
        verdicts.append(sign(low, high, 0.5))
        sure.append(
            f"{word} by {percent(2 * mean - 1, sign=True)} (95 %:"
            f" {percent(2 * low - 1, sign=True)} to {percent(2 * high - 1, sign=True)})"
        )
    measured = (
        f"{one['prefix_match'].mean():.1f} tokens of the original text left,"
        f" {other['prefix_match'].mean():.1f} after unlearning;"
        f" {one['rewrite_match'].mean():.1f} tokens of the new text reproduced"
    )
    text = f"{'; '.join(sure)}, {counted(len(both), 'passage')}, paired"
    return Measured(measured, verdict_of(verdicts), text)


CLAIMS = [
    Claim(
        "Replacing one prefix token disturbs memorized passages less than others",
        "12.2 tokens lost; not memorized: 33.1",
        _triggers,
    ),
    Claim(
        "Gradients of memorized passages are smaller overall",
        "9.7; not memorized: 53.0",
        _larger,
    ),
    Claim(
        "A larger share of the gradients of memorized passages is in the lower layers",
        "seen in heat maps",
        _lower,
    ),
    Claim(
        "The heads that matter for memorized passages attend to rare tokens",
        "L1H2, correlation −0.97 pooled",
        _rare,
    ),
    Claim(
        "A thousandth of the weights, selected by gradient, is enough to unlearn",
        "50 → 26.8 tokens; with all weights 26.9",
        _sparse,
    ),
    Claim("As many random weights have no effect", "50 → 49.8 tokens", _random),
    Claim(
        "Rewriting is harder than unlearning",
        "33.7 tokens left; after unlearning 26.8",
        _harder,
    ),
]
