"""Claims of papers that the parts answer that train a small model many times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import FAILS, OPEN, PART, REPLICATES, Claim, Measured, verdict_of
from analyses.measures.statistics import sign, wilson_of
from analyses.training.retention.lab_selections import ONE_SEED, seeds_apart, swept_sizes
from workbench.wording import percent, percent_span

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def _effect(result: Result, name: str, *, below: bool = False) -> Measured:
    row = result.tables["dose_effects"].set_index(["effect", "measure"]).loc[(name, "gain")]
    low, high = (-row["high"], -row["low"]) if below else (row["low"], row["high"])
    return Measured(
        f"{row['difference']:+.2f} nats per token".replace("-", "−"),
        verdict_of([sign(low, high)]),
        f"95 % over texts: {row['low']:+.2f} to {row['high']:+.2f}".replace("-", "−"),
    )


def _late(result: Result) -> Measured:
    return _effect(result, "read in the last quarter less in the first")


def _dilution(result: Result) -> Measured:
    return _effect(result, "a corpus twice as long less the shorter", below=True)


_HARDLY = 0.2
"""Share of texts under which hardly any is recalled."""


def _first_quarter(result: Result) -> Measured:
    table = result.tables["dose_timing"]
    rows = table[table["window"] == "0 to 25 %"]
    most = rows[rows["readings"] == rows["readings"].max()]
    trainings = rows["updates"].nunique()  # the same texts are in each

    def of(some: pd.DataFrame) -> tuple[float, float, float, float]:
        share = float(np.average(some["recalled"], weights=some["n"]))
        n = float(some["n"].sum()) / trainings
        return share, *wilson_of(share, n), n

    (share, low, high, n), (often, o_low, o_high, o_n) = of(rows), of(most)
    return Measured(
        f"{percent(share)} recalled, {percent(often)} of those read"
        f" {int(most['readings'].iloc[0])} times",
        verdict_of([sign(-high, -low, -_HARDLY), sign(-o_high, -o_low, -_HARDLY)]),
        f"95 %: {percent_span(low, high)} of {n:.0f} texts, {percent_span(o_low, o_high)} of"
        f" {o_n:.0f}; hardly any is under {percent(_HARDLY)}; never read:"
        f" {percent(most['never_read'].mean())}",
    )


def _permuted(result: Result) -> Measured:
    return _better(result, "read in permuted copies")


def _recited(result: Result) -> Measured:
    return _better(result, "recited first")


def _better(result: Result, remedy: str) -> Measured:
    row = result.tables["access_effects"].set_index("remedy").loc[remedy]
    return Measured(
        f"{percent(row['said'])} of the tokens, {percent(row['without'])} without",
        verdict_of([sign(row["low"], row["high"])]),
        f"95 % over passages: {100 * row['low']:+.0f} to {100 * row['high']:+.0f} points".replace(
            "-", "−"
        ),
    )


def _stored(result: Result) -> Measured:
    return _test(result, "as it was read", above=True)


def _reversal(result: Result) -> Measured:
    return _test(result, "the other way", above=False)


def _joined(result: Result) -> Measured:
    return _test(result, "two facts put together", above=False)


def _test(result: Result, test: str, *, above: bool) -> Measured:
    table = result.tables["triples"]
    rows = table[table["test"] == test]
    row = rows.loc[rows["readings"].idxmax()]
    low, high = row["low"], row["high"]
    known = sign(low, high, max(row["chance"], row["most_read"]))
    if above:
        verdict = verdict_of([known])
    elif row["right"] >= 0.5:
        verdict = FAILS
    elif sign(low, high, row["chance"]) is not True:  # chance is what is claimed
        verdict = REPLICATES
    else:  # above chance is no knowledge as long as naming what was read most often gets as much
        verdict = PART if known is True else OPEN
    return Measured(
        f"{percent(row['right'])} right",
        verdict,
        f"95 %: {percent_span(low, high)}; chance {percent(row['chance'])}, naming what was read"
        f" most often {percent(row['most_read'])}",
    )


def _small_batches(result: Result) -> Measured:
    table = result.tables["training_choices"]
    most = table[table["readings"] == table["readings"].max()]
    if most["left"].isna().any():
        return Measured("hardly anything was gained", OPEN, "")
    wide = (most["high"] - most["low"]) / 2
    wide_later = (most["later_high"] - most["later_low"]) / 2
    # The same texts at every rate: their errors are taken to go together, of gain and rest not.
    by = (
        most.assign(wide=wide, wide_left=np.hypot(wide_later, most["left"] * wide) / most["gain"])
        .groupby("batch")[["gain", "left", "wide", "wide_left"]]
        .mean()
    )
    small, large = by.iloc[0], by.iloc[-1]
    gain, of_gain = small["gain"] - large["gain"], math.hypot(small["wide"], large["wide"])
    left, of_left = (
        large["left"] - small["left"],
        math.hypot(small["wide_left"], large["wide_left"]),
    )
    return Measured(
        f"gained {small['gain']:.2f} against {large['gain']:.2f} nats, left"
        f" {percent(max(0.0, small['left']))} against {percent(large['left'])}",
        verdict_of([
            sign(gain - of_gain, gain + of_gain), sign(left - of_left, left + of_left),
        ]),
        f"batches of {int(by.index[0])} and {int(by.index[-1])}, mean of all rates; 95 % over"
        f" texts, at most: {gain - of_gain:+.2f} to {gain + of_gain:+.2f} nats more,"
        f" {100 * (left - of_left):+.0f} to {100 * (left + of_left):+.0f} points less left".replace(
            "-", "−"
        ),
    )  # fmt: skip


def _descent(result: Result) -> Measured:
    mean = _by_repeats(result)["loss"]
    worst, spread = mean.idxmax(), seeds_apart(result.tables["repeated_data"])
    rise, bump = mean[worst] - mean.iloc[0], mean[worst] - mean.iloc[-1]
    if spread is None:
        return Measured(f"up by {rise:.3f} at {int(worst)} repeats", OPEN, ONE_SEED)
    inside = worst not in (mean.index[0], mean.index[-1])
    return Measured(
        f"up by {rise:.3f} at {int(worst)} repeats, {bump:.3f} less at {int(mean.index[-1])}",
        REPLICATES if inside and rise > spread and bump > spread
        else FAILS if rise <= spread else PART,
        f"seeds differ by up to {spread:.3f}",
    )  # fmt: skip


def _copying(result: Result) -> Measured:
    mean = _by_repeats(result)
    clean, worst = mean["copying"].iloc[0], mean["copying"].iloc[1:].min()
    if clean < 0.1:
        return Measured(
            f"a second copy helps by {clean:.2f} nats even after clean data", OPEN,
            "models of this size, trained this long, do not copy",
        )  # fmt: skip
    lost, of_loss = 1 - worst / clean, mean["loss"].max() / mean["loss"].iloc[0] - 1
    return Measured(
        f"copying down by {percent(max(0.0, lost))}, the loss up by {percent(max(0.0, of_loss))}",
        REPLICATES if lost > 2 * of_loss and lost > 0.1 else FAILS if lost <= of_loss else PART,
        "means of sizes and seeds",
    )


def _by_repeats(result: Result) -> pd.DataFrame:
    swept = swept_sizes(result.tables["repeated_data"])
    return swept.groupby("repeats")[["loss", "copying"]].mean()


_HUBBLE = "Number and time by lot (Wei et al. 2025)"
_ACCESS = "Remedies (Zhu et al. 2024)"
_BASE = "Knowledge base (Zheng et al. 2024)"
_DATA = "Training (Chang et al. 2024, Hernandez et al. 2022)"
CLAIMS = [
    Claim("Dealt by lot, what is read in the last quarter is kept better than what is read in the"
          " first", "Hubble: last quarter strongest", _late, _HUBBLE, "dose_effects"),
    Claim("What is read in the first quarter alone is not memorized at the end",
          "Hubble: at no number of readings", _first_quarter, _HUBBLE, "dose_timing"),
    Claim("As many readings in a longer training leave less: dilution",
          "Hubble: 500B tokens less than 100B", _dilution, _HUBBLE, "dose_effects"),
    Claim("Copies in permuted order make the middle of a passage reachable",
          "GPT-2 large: both remedies help", _permuted, _ACCESS, "access_effects"),
    Claim("Reciting first makes the middle of a passage reachable",
          "GPT-2 large: both remedies help", _recited, _ACCESS, "access_effects"),
    Claim("Triples are stored", "LMKB: near exact fit", _stored, _BASE, "triples"),
    Claim("They are not found the other way (the reversal curse)",
          "chance", _reversal, _BASE, "triples"),
    Claim("Two of them are not put together", "LMKB: weak inference", _joined, _BASE, "triples"),
    Claim("Smaller batches gain more at a reading and keep less of it",
          "OLMo: batch 128 against 2,048", _small_batches, _DATA, "training_choices"),
    Claim("The loss rises with repeats and falls again: double descent",
          "800M: as bad as 400M at 100 repeats", _descent, _DATA, "repeated_data"),
    Claim("Copying is hurt more than the loss", "800M: disproportionally", _copying, _DATA,
          "repeated_data"),
]  # fmt: skip
