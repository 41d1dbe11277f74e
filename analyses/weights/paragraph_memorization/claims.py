"""What of Stoehr et al. 2024 comes out again on this model, claim by claim, each with the numbers
it is judged by.

Each is judged by a 95 % interval over passages, those of one document counted together. An interval
that covers both sides tells nothing.
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
from analyses.weights.paragraph_memorization.edit_findings import rates_of
from analyses.weights.paragraph_memorization.groups import MEMORIZED, NOT
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd

PAPER = "Stoehr et al. 2024 (GPT-Neo 125M)"
_HALF = 0.5
"""Share of a passage: with less left it counts as unlearned, and other passages of which more is
left as kept.
"""
_NOTHING = 0.9
"""Share of a passage that is still said if an update did nothing."""


def _not(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _documents(result: Result, passages: Sequence[int]) -> np.ndarray:
    return result.tables["passages"].set_index("passage")["document"][list(passages)].to_numpy()


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
    here = f"{ours.mean():.1f} tokens lost, {theirs.mean():.1f} of others"
    sure = (
        f"difference {less:+.1f} (95 %: {low:+.1f} to {high:+.1f}), {len(ours)} and {len(theirs)}"
        " passages"
    )
    return Measured(here, verdict_of([_not(sign(low, high))]), sure)


def _larger(result: Result) -> Measured:
    table = result.tables.get("passage_gradients")
    if table is None or "sum_max" not in table:
        return NOT_MEASURED
    (ours, theirs), together = _groups(result, table, "sum_max")
    # Sums of gradients differ by orders of magnitude between passages, so they are compared as
    # ratios.
    ratio, (low, high) = difference(np.log(ours), np.log(theirs), together)
    sure = (
        f"ratio of typical sums {math.exp(ratio):.2f} (95 %: {math.exp(low):.2f} to"
        f" {math.exp(high):.2f})"
    )
    here = f"{ours.mean():.2f} against {theirs.mean():.2f}"
    sure += f", {len(ours)} and {len(theirs)} passages"
    return Measured(here, verdict_of([_not(sign(low, high))]), sure)


def _lower(result: Result) -> Measured:
    table = result.tables.get("passage_gradients")
    if table is None:
        return NOT_MEASURED
    signs, here, sure = [], [], []
    for size, word in (("lower_share_max", "largest entries"), ("lower_share_rms", "typical ones")):
        (ours, theirs), together = _groups(result, table, size)
        more, (low, high) = difference(ours, theirs, together)
        signs.append(sign(low, high))
        here.append(f"{100 * more:+.1f} points ({word})")
        sure.append(f"{100 * low:+.1f} to {100 * high:+.1f}")
    # Both sizes of a gradient have to agree, or it hangs on the choice of one.
    verdict = signs[0] if signs[0] == signs[1] else None
    said = f"{' and '.join(here)} in the lower half"
    return Measured(said, verdict_of([verdict]), f"95 %: {' and '.join(sure)}")


def _rare(result: Result) -> Measured:
    heads = result.tables.get("heads")
    if heads is None or heads["rarity_within"].isna().all() or "rarity" not in result.findings:
        return NOT_MEASURED
    found, pooled = heads[heads["role"] != ""], result.findings["rarity"].values
    verdicts = [
        _not(sign(low, high))
        for low, high in zip(found["rarity_within_low"], found["rarity_within_high"], strict=True)
    ]
    here = (
        f"found heads {found['rarity_within'].mean():+.2f} within a passage; pooled"
        f" {pooled['lowest_pooled']:+.2f} at lowest, chance {pooled['chance_pooled']:+.2f}"
    )
    each = (
        f"{row.label} {row.rarity_within:+.2f} ({row.rarity_within_low:+.2f} to"
        f" {row.rarity_within_high:+.2f})"
        for row in found.itertuples()
    )
    sure = f"each head within passages, 95 %: {', '.join(each)}"
    return Measured(here, verdict_of(verdicts), sure)


def _removals(result: Result, aim: str, mask: str) -> pd.DataFrame | None:
    """Updates of one kind, by passage.

    `left` is the share of each that is still said, `left_same` after as many steps.
    """
    table = result.tables.get("weight_edits")
    if table is None:
        return None
    mine = table[(table["aim"] == aim) & (table["mask"] == mask)].set_index("passage")
    if mine.empty:
        return None
    return mine.assign(
        left=mine["prefix_match"] / mine["prefix_match_before"],
        left_same=mine["prefix_match_same_steps"] / mine["prefix_match_before"],
    )


def _share(result: Result, values: pd.Series) -> tuple[float, tuple[float, float]]:
    known = values.dropna()
    return share_interval(known.to_numpy(float), _documents(result, known.index))


def _sparse(result: Result) -> Measured:
    mine, every = _removals(result, "unlearn", "gradient"), _removals(result, "unlearn", "all")
    if mine is None or every is None:
        return NOT_MEASURED
    left, (low, high) = _share(result, mine["left"])
    kept, (kept_low, kept_high) = _share(result, mine["others_retained"])
    unlearned = _not(sign(low, high, _HALF))
    # With nothing to keep there is nothing that could be lost.
    spared = True if math.isnan(kept) else sign(kept_low, kept_high, _HALF)
    verdict = verdict_of([unlearned, spared] if unlearned else [unlearned])
    here = (
        f"{mine['prefix_match_before'].mean():.0f} → {mine['prefix_match'].mean():.1f} tokens"
        f" at rates of {rates_of(mine)}"
        + ("" if math.isnan(kept) else f", others keep {100 * kept:.0f} %")
        + f"; {every['prefix_match'].mean():.1f} with all weights ({rates_of(every)})"
    )
    sure = f"share left {left:.0%} (95 %: {low:.0%} to {high:.0%}; under {_HALF:.0%} is unlearned)"
    sure += "" if math.isnan(kept) else f", of others {kept_low:.0%} to {kept_high:.0%}"
    return Measured(here, verdict, f"{sure}, {len(mine)} passages")


def _did_nothing(mean: float, bounds: tuple[float, float]) -> bool | None:
    """Nearly all is still said, and more than half for sure; or surely less than nearly all."""
    return (
        False if bounds[1] < _NOTHING else True if mean >= _NOTHING and bounds[0] > _HALF else None
    )


def _random(result: Result) -> Measured:
    """Judged after as many steps as chosen weights took, as the paper does, and in the end: one
    step may be too few for any.
    """
    mine = _removals(result, "unlearn", "random")
    if mine is None:
        return NOT_MEASURED
    soon, late = _share(result, mine["left_same"]), _share(result, mine["left"])
    at_first, in_the_end = _did_nothing(*soon), _did_nothing(*late)
    if len(mine) < 2:  # one passage says nothing of others
        verdict = OPEN
    elif in_the_end is False:  # given time they do something, whatever they do at first
        verdict = PART if at_first else FAILS
    else:
        verdict = FAILS if at_first is False else REPLICATES if in_the_end and at_first else OPEN
    before = mine["prefix_match_before"].mean()
    here = (
        f"{before:.0f} → {mine['prefix_match_same_steps'].mean():.1f} tokens after as many steps as"
        f" chosen weights, {mine['prefix_match'].mean():.1f} after {mine['steps'].mean():.0f}"
        f" (rates of {rates_of(mine)})"
    )
    spans = [f"{low:.0%} to {high:.0%}" for _, (low, high) in (soon, late)]
    sure = (
        f"share left, 95 %: {spans[0]}, in the end {spans[1]} (nothing: {_NOTHING:.0%} or more, and"
        f" over {_HALF:.0%} for sure)"
    )
    return Measured(here, verdict, f"{sure}, {len(mine)} passages")


def _harder(result: Result) -> Measured:
    one, other = _removals(result, "rewrite", "gradient"), _removals(result, "unlearn", "gradient")
    both = [] if one is None or other is None else [n for n in one.index if n in other.index]
    if one is None or other is None or not both:
        return NOT_MEASURED
    one, other = one.loc[both], other.loc[both]
    verdicts, sure = [], []
    for word, more in (
        ("share of the old text left", one["left"] - other["left"]),
        ("done less often", other["succeeded"].astype(float) - one["succeeded"].astype(float)),
    ):
        # Differences lie between -1 and 1; as shares, that they are all alike proves no more than
        # there are.
        mean, (low, high) = _share(result, (more + 1) / 2)
        verdicts.append(sign(low, high, 0.5))
        sure.append(
            f"{word} by {2 * mean - 1:+.0%} (95 %: {2 * low - 1:+.0%} to {2 * high - 1:+.0%})"
        )
    here = (
        f"{one['prefix_match'].mean():.1f} tokens of the old text left,"
        f" {other['prefix_match'].mean():.1f} unlearned;"
        f" {one['rewrite_match'].mean():.1f} of the new are said"
    )
    said = f"{'; '.join(sure)}, {len(both)} passages, each its own control"
    return Measured(here, verdict_of(verdicts), said)


CLAIMS = [
    Claim(
        "Replacing one token disturbs memorized passages less than others",
        "12.2 tokens lost, 33.1 of others",
        _triggers,
    ),
    Claim("Gradients of memorized passages are smaller over all", "9.7 against 53.0", _larger),
    Claim(
        "Of them, a larger share is in the lower layers than of other passages' gradients",
        "seen in heat maps",
        _lower,
    ),
    Claim(
        "The heads that matter for memorized passages look at rare tokens",
        "L1H2, correlation −0.97 pooled",
        _rare,
    ),
    Claim(
        "A thousandth of the weights, chosen by gradient, is enough to unlearn",
        "50 → 26.8 tokens; 26.9 with all weights",
        _sparse,
    ),
    Claim("As many random weights do nothing", "50 → 49.8 tokens", _random),
    Claim("Rewriting is harder than unlearning", "33.7 tokens left, 26.8 unlearned", _harder),
]
