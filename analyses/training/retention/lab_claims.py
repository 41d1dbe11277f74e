"""Claims of papers that the parts answer that train a small model many times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.claims import FAILS, OPEN, PART, REPLICATES, Claim, Measured, verdict_of
from analyses.measures.statistics import sign
from workbench.wording import percent

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


def _first_quarter(result: Result) -> Measured:
    table = result.tables["dose_timing"]
    rows = table[table["window"] == "0 to 25 %"]
    most = rows[rows["readings"] == rows["readings"].max()]
    recalled, never = most["recalled"].mean(), most["never_read"].mean()
    return Measured(
        f"{percent(recalled)} recalled of those read {int(most['readings'].iloc[0])} times",
        REPLICATES if recalled <= never + 0.02 else FAILS if recalled >= 0.5 else PART,
        f"of those never read {percent(never)}",
    )


def _said(result: Result, order: str, asked: str) -> tuple[float, float]:
    """Mean share over the pieces behind the first, and half the width of its interval."""
    table = result.tables["access_remedies"]
    rows = table[(table["order"] == order) & (table["asked"] == asked) & (table["piece"] > 1)]
    half = ((rows["high"] - rows["low"]) / 2).max() / len(rows) ** 0.5
    return float(rows["said"].mean()), float(half)


def _permuted(result: Result) -> Measured:
    return _better(result, ("in permuted copies", "cold"))


def _recited(result: Result) -> Measured:
    return _better(result, ("as it stands", "after reciting"))


def _better(result: Result, how: tuple[str, str]) -> Measured:
    one, half = _said(result, *how)
    other, of_other = _said(result, "as it stands", "cold")
    apart, wide = one - other, math.hypot(half, of_other)
    return Measured(
        f"{percent(one)} of the tokens, {percent(other)} without",
        verdict_of([sign(apart - wide, apart + wide)]),
        f"95 %: {100 * (apart - wide):+.0f} to {100 * (apart + wide):+.0f} points".replace(
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
    told = sign(row["low"], row["high"], row["chance"])
    if above:
        verdict = verdict_of([told])
    else:  # chance is what is claimed: an interval that holds it, and nothing near the fit
        verdict = REPLICATES if told is None and row["right"] < 0.5 else PART
        verdict = FAILS if row["right"] >= 0.5 else verdict
    return Measured(
        f"{percent(row['right'])} right",
        verdict,
        f"95 %: {percent(row['low'])} to {percent(row['high'])}, chance {percent(row['chance'])}",
    )


def _small_batches(result: Result) -> Measured:
    table = result.tables["training_choices"]
    most = table[table["readings"] == table["readings"].max()]
    by = most.groupby("batch")[["gain", "left"]].mean()
    gain = by["gain"].iloc[0] > by["gain"].iloc[-1]
    left = by["left"].iloc[0] < by["left"].iloc[-1]
    if by["left"].isna().any():
        return Measured("hardly anything was gained", OPEN, "")
    return Measured(
        f"gained {by['gain'].iloc[0]:.2f} against {by['gain'].iloc[-1]:.2f} nats, left"
        f" {percent(max(0.0, by['left'].iloc[0]))} against {percent(by['left'].iloc[-1])}",
        REPLICATES if gain and left else FAILS if not gain and not left else PART,
        f"batches of {int(by.index[0])} and {int(by.index[-1])}, mean of all rates",
    )


def _descent(result: Result) -> Measured:
    mean = _by_repeats(result)["loss"]
    worst, spread = mean.idxmax(), _spread(result)
    rise, bump = mean[worst] - mean.iloc[0], mean[worst] - mean.iloc[-1]
    inside = worst not in (mean.index[0], mean.index[-1])
    return Measured(
        f"up by {rise:.3f} at {int(worst)} repeats, {bump:.3f} less at {int(mean.index[-1])}",
        REPLICATES if inside and rise > spread and bump > spread
        else FAILS if rise <= spread else PART,
        f"seeds differ by {spread:.3f}",
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
    table = result.tables["repeated_data"]
    swept = table.groupby("width").filter(lambda rows: rows["repeats"].max() > 1)
    return swept.groupby("repeats")[["loss", "copying"]].mean()


def _spread(result: Result) -> float:
    table = result.tables["repeated_data"]
    apart = table.groupby(["width", "repeats"])["loss"].agg(lambda loss: loss.max() - loss.min())
    return float(apart.mean())


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
          "GPT-2 large: both remedies help", _permuted, _ACCESS, "access_remedies"),
    Claim("Reciting first makes the middle of a passage reachable",
          "GPT-2 large: both remedies help", _recited, _ACCESS, "access_remedies"),
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
