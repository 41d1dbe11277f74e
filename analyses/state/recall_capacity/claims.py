"""What of the papers on associative recall holds here, claim by claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import (
    FAILS,
    NOT_MEASURED,
    OPEN,
    PART,
    REPLICATES,
    Claim,
    Measured,
    say_claims,
    verdict_of,
)
from analyses.measures.statistics import sign, wilson
from analyses.state.recall_capacity.constants import MEASURED, RULES
from analyses.state.recall_capacity.error_laws import NEAR, TOP
from analyses.state.recall_capacity.findings import points
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = "six papers on associative memory"
PAPERS = (
    "Arora et al. 2023 (Zoology), Arora et al. 2024 (Just read twice), Du et al. 2025 (MoM),"
    " Cabannes et al. 2023, Mahdavi et al. 2023 and Banino et al. 2020 (MEMO)"
)
ABOUT = (
    f"Statements of {PAPERS}, each beside what this run measured: on its own model, and on stored"
    " organisms of two layers and width 64. A statement that fails here may hold at other sizes."
)
_ALL = 0.95
_GAIN = 0.11 - 0.013  # the least that the paper reports of reading twice
_ROWS = "95 % over rows"


def _rises(result: Result) -> Measured:
    steps = result.tables["state_steps"]
    if steps.empty:
        return NOT_MEASURED
    hardest = steps[steps["pairs"] == steps["pairs"].max()]
    told = [sign(row.low, row.high) for row in hardest.itertuples()]
    gains = ", ".join(
        f"{row.family} {row.small_bytes:,} to {row.large_bytes:,} bytes {100 * row.gain:+.0f}"
        for row in hardest.itertuples()
    )
    pairs = hardest["pairs"].iloc[0]
    over = _ROWS if (hardest["trainings"] == 1).all() else "95 % over trainings"
    return Measured(f"points at {pairs} pairs: {gains}", verdict_of(told), over)


def _attention(result: Result) -> Measured:
    table = result.tables["state_size"]
    mine = table[(table["family"] == "attention") & (table["source"] == MEASURED)]
    if mine.empty:
        return NOT_MEASURED
    worst = mine.loc[mine["recall"].idxmin()]
    verdict = REPLICATES if worst["low"] >= _ALL else FAILS if worst["high"] < _ALL else PART
    return Measured(
        f"{percent(worst['recall'])} of {worst['pairs']} pairs at least",
        verdict,
        f"{_ROWS}: {percent(worst['low'])} to {percent(worst['high'])}",
    )


def _twice(result: Result) -> Measured:
    table = result.tables["by_reading"]
    most = table[(table["pairs"] == table["pairs"].max()) & (table["reading"] == "twice")].iloc[0]
    bounds, once = (most["gain_low"], most["gain_high"]), most["recall"] - most["gain"]
    if once >= _ALL:
        return Measured(f"{percent(once)} when read once", OPEN, "there is nothing left to gain")
    told = sign(*bounds)
    # An interval around zero says that there is no such gain, if it ends below the paper's.
    verdict = verdict_of([False if told is None and bounds[1] < _GAIN else told])
    return Measured(
        f"{points(most['gain'], bounds)} of {most['pairs']} pairs",
        verdict,
        "95 % over rows that were read once and twice",
    )


def _order(result: Result) -> Measured:
    finding = result.findings["order"]
    assert isinstance(finding.interval, dict)
    low, high = finding.interval["gain"]
    told = sign(low, high)
    return Measured(
        f"last quarter less first: {points(finding.values['gain'], (low, high))}",
        verdict_of([True if told is not None else None]),
        _ROWS,
    )


def _slope_of(rule: str, result: Result) -> Measured:
    table = result.tables["slopes"]
    row = table[(table["rule"] == RULES[rule]) & (table["span"] == TOP)].iloc[0]
    low, high, limit = row["low"], row["high"], row["limit"]
    near = abs(row["distance"]) <= NEAR
    verdict = REPLICATES if near else FAILS if not low <= limit <= high else PART
    return Measured(
        f"{row['slope']:.2f}, in the limit {limit:.2f}".replace("-", "−"),
        verdict,
        f"95 %, memories drawn again: {low:.2f} to {high:.2f}".replace("-", "−"),
    )


def _best(result: Result) -> Measured:
    table = result.tables["errors"]
    largest = table[table["dimension"] == table["dimension"].max()].set_index("rule")
    top = largest.loc[RULES["top"]]
    others = largest.drop(RULES["top"])
    rival = others.loc[others["error"].idxmin()]
    return Measured(
        f"error {top['error']:.2g} against {rival['error']:.2g} at best",
        verdict_of([True if top["high"] < rival["low"] else None]),
        f"95 % over memories: to {top['high']:.2g}, from {rival['low']:.2g}",
    )


def _heads(result: Result) -> Measured:
    finding = result.findings["heads"]
    if not isinstance(finding.interval, tuple):
        return NOT_MEASURED
    low, high = finding.interval
    slope = finding.values["value"]
    grows = PART if sign(low, high) else FAILS
    return Measured(
        f"H^{slope:.2f}",
        REPLICATES if abs(slope - 1) <= NEAR else grows,
        f"95 % over trainings: {low:.2f} to {high:.2f}",
    )


def _context(result: Result) -> Measured:
    table = result.tables["head_capacity"]
    heads = table.loc[table["context"] == table["context"].min(), "heads"].iloc[0]
    mine = table[table["heads"] == heads].sort_values("context")
    few, many = mine.iloc[0], mine.loc[mine["capacity"].idxmax()]
    return Measured(
        f"{few.capacity:.0f} examples with {few.context}, {many.capacity:.0f} with {many.context}"
        " tokens of context",
        verdict_of([True if few.high < many.low else None]),
        f"95 % over trainings: to {few.high:.0f}, from {many.low:.0f}",
    )


def _direct_first(result: Result) -> Measured:
    values = result.findings["chains"].values
    first, known = int(values["direct_first"]), int(values["trainings"])
    if not known:
        return NOT_MEASURED
    low, high = wilson(first, known)
    return Measured(
        f"direct first in {first} of {known} trainings",
        verdict_of([sign(low, high, 0.5)]),
        f"95 % over trainings: {percent(low)} to {percent(high)}",
    )


def _against_one(result: Result) -> Measured:
    table = result.tables["designs"]
    equal = table[table["against_bytes"] == table["state_bytes"]]
    mine = equal[(equal["pairs"] == equal["pairs"].max()) & equal["against"].str.endswith("large")]
    if mine.empty:
        return NOT_MEASURED
    row = mine.iloc[0]
    single = row["seeds"] == 1  # trainings of one design differ more than rows do
    over = "rows of one training, which says nothing of others" if single else "trainings"
    return Measured(
        f"{points(row['gain'], (row['low'], row['high']))} at {row['pairs']} pairs",
        OPEN if single else verdict_of([sign(row["low"], row["high"])]),
        f"95 % over {over}",
    )


_RECALL, _LAWS, _SMALL = "Recall of pairs", "Outer-product memory", "Small models"
CLAIMS = [
    Claim(
        "A model with a state of fixed size recalls more the larger the state",
        "recall rises with the state at a fixed width (Zoology, Based)",
        _rises, _RECALL, needs="state_steps",
    ),
    Claim(
        "Attention recalls all pairs at this width",
        "solved at width 64 for all lengths (Zoology)",
        _attention, _RECALL, needs="state_size",
    ),
    Claim(
        "Where a pair stands decides whether it is recalled",
        "recall depends on the order in the context (Just read twice)",
        _order, _RECALL, needs="by_order",
    ),
    Claim(
        "Reading the context twice raises recall",
        "+11.0 ± 1.3 points, mean of 16 recurrent models and 6 tasks (Just read twice)",
        _twice, _RECALL, needs="by_reading",
    ),
    Claim(
        "Several memories, of which a router chooses, recall more than one state of as many bytes",
        "28.2 against 26.3, mean of 6 recall tasks (MoM)",
        _against_one, _RECALL, needs="designs",
    ),
    Claim(
        "Stored by frequency, the error falls as d to the power of −(α−1)/2α",
        "−0.25 at α = 2 (Cabannes)",
        lambda result: _slope_of("p", result), _LAWS, needs="slopes",
    ),
    Claim(
        "Stored by the root of the frequency, it falls as d to the power of −(α−1)/α",
        "−0.5 at α = 2 (Cabannes)",
        lambda result: _slope_of("sqrt", result), _LAWS, needs="slopes",
    ),
    Claim(
        "Storing only the most frequent is best: d to the power of −(α−1)",
        "−1 at α = 2 (Cabannes)",
        lambda result: _slope_of("top", result), _LAWS, needs="slopes",
    ),
    Claim(
        "It leaves a smaller error than the other rules",
        "the best for random vectors, up to logarithms (Cabannes)",
        _best, _LAWS, needs="errors",
    ),
    Claim(
        "The largest set of examples that a layer of attention fits grows with its heads as H",
        "proportional to H (Mahdavi)",
        _heads, _SMALL, needs="head_capacity",
    ),
    Claim(
        "It grows with the tokens of context, up to the numbers of a head",
        "proportional to the smaller of the two (Mahdavi)",
        _context, _SMALL, needs="head_capacity",
    ),
    Claim(
        "Along a chain of associations the direct answer is learned before an indirect one",
        "indirect answers need more steps of attention (MEMO)",
        _direct_first, _SMALL, needs="chain_steps",
    ),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """The table `claims`, and how many hold; nothing where no part was run that one is about."""
    if not any(claim.needs in result.tables for claim in CLAIMS):
        return
    say_claims(result, CLAIMS, PAPER)
