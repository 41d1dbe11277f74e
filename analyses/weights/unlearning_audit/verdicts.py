"""One verdict for each unlearned model, and the figures it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import difference, mean_interval
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.recovery import recovery

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

LEAST = 2.0
"""Points of first choice below which a difference is not looked at, however sure."""

MUCH = 10.0
"""Points that may not be left unseen, where there is no original to say what they are a part of."""


@dataclass(frozen=True)
class AuditVerdict:
    """What a model turned out to be (`constants.VERDICTS`), and why, in a sentence."""

    model: str
    verdict: str
    because: str


def audited(result: Result) -> list[str]:
    """The models that are judged, in the order of the tables."""
    return [m for m in dict.fromkeys(result.tables["passages"]["model"]) if m not in c.BESIDE]


def verdicts(result: Result) -> list[AuditVerdict]:
    """Of every audited model."""
    return [_verdict(result, model) for model in audited(result)]


def reference_of(result: Result) -> str | None:
    """The reference, if the run had one."""
    return c.REFERENCE if c.REFERENCE in set(result.tables["passages"]["model"]) else None


def _verdict(result: Result, model: str) -> AuditVerdict:
    table = result.tables["passages"]
    neutral = damage(table, model)
    if neutral > c.DAMAGE:
        said = f"loss on neutral text {neutral:+.2f} nats per token"
        return AuditVerdict(model, c.BROKEN, said)
    more, low, high = left(table, model)
    if math.isnan(low):
        said = f"{more:+.0f} points of first choice, from too few passages for an interval"
        return AuditVerdict(model, c.UNTOLD, said.replace("-", "−"))
    if low > max(LEAST, noise(table)):
        said = f"{more:+.0f} points of the tokens are still first choice"
        return AuditVerdict(model, c.REMAINS, said.replace("-", "−"))
    for why, (value, floor, low) in returns(result, model).items():
        if low > max(LEAST, floor):
            said = f"{why} brings back {value:+.0f} points more than in the reference"
            if reference_of(result) is None:
                said = f"{why} brings back {value:+.0f} points more than of what was never read"
            return AuditVerdict(model, c.HIDDEN, said.replace("-", "−"))
    leak, second = _criterion(result, model, "leak"), _criterion(result, c.SECOND, "leak")
    if leak is not None and leak[2] < min(0.0, 0.0 if second is None else second[1]):
        said = f"leakage {leak[0]:+.0f} %: beside text never read they still stand out"
        return AuditVerdict(model, c.HIDDEN, said.replace("-", "−"))
    if leak is not None and leak[1] > max(0.0, 0.0 if second is None else second[2]):
        said = f"leakage {leak[0]:+.0f} %: below what was never read"
        return AuditVerdict(model, c.OVER, said)
    if high > _much(table):
        said = f"{low:+.0f} to {high:+.0f} points of first choice: much may be left or nothing"
        return AuditVerdict(model, c.UNTOLD, said.replace("-", "−"))
    said = f"{more:+.0f} points of first choice beside the reference".replace("-", "−")
    return AuditVerdict(model, c.GONE, said)


def _much(table: pd.DataFrame) -> float:
    """Points from which on a remainder is no small one: half of what the original has."""
    if c.ORIGINAL not in set(table["model"]):
        return MUCH
    before = left(table, c.ORIGINAL)[0]
    return MUCH if math.isnan(before) else max(LEAST, before / 2)


def left(table: pd.DataFrame, model: str) -> tuple[float, float, float]:
    """Points of first choice on the passages to forget more than the reference has on the same
    ones, with its interval; without a reference, more than on passages never read.
    """
    forget = table[table["set"] == c.FORGET]
    own = forget[forget["model"] == model].set_index("passage")["exact"]
    if c.REFERENCE in set(forget["model"]):
        theirs = forget[forget["model"] == c.REFERENCE].set_index("passage")["exact"]
        mean, (low, high) = mean_interval((own - theirs.reindex(own.index)).to_numpy(float))
    else:
        unseen = table[(table["set"] == c.UNSEEN) & (table["model"] == model)]["exact"]
        mean, (low, high) = difference(own.to_numpy(float), unseen.to_numpy(float))
    return 100 * mean, 100 * low, 100 * high


def noise(table: pd.DataFrame) -> float:
    """Points by which the second reference lies above the first, at most; 0 without one."""
    if not {c.REFERENCE, c.SECOND} <= set(table["model"]):
        return 0.0
    mean, low, high = left(table, c.SECOND)
    return max(abs(low), abs(high)) if mean == mean else 0.0


def damage(table: pd.DataFrame, model: str) -> float:
    """Nats per token on neutral text more than the original; NaN without one."""
    neutral = table[table["set"] == c.NEUTRAL]
    losses = neutral.groupby("model")["nats"].mean()
    if model not in losses or c.ORIGINAL not in losses:
        return float("nan")
    return float(losses[model] - losses[c.ORIGINAL])


def returns(result: Result, model: str) -> dict[str, tuple[float, float, float]]:
    """Attack -> (points it brings back beyond the null, those of the second reference at most, the
    lower end of the interval).
    """
    found: dict[str, tuple[float, float, float]] = {}
    reference = reference_of(result)
    if "relearning" in result.tables:
        table = recovery(result.tables["relearning"], reference)
        floors = table[table["model"] == c.SECOND].set_index("trained_on")["high"]
        for row in table[table["model"] == model].itertuples():
            floor = float(floors.get(row.trained_on, 0.0))
            found[f"relearning from {row.trained_on}"] = row.excess, floor, row.low
    if "rounding" in result.tables:
        for bits in sorted(set(result.tables["rounding"]["bits"]) - {32}):
            value, low, _ = rounded_back(result.tables["rounding"], model, bits, reference)
            floor = 0.0
            if reference is not None and c.SECOND in set(result.tables["rounding"]["model"]):
                floor = rounded_back(result.tables["rounding"], c.SECOND, bits, reference)[2]
            found[f"rounding to {bits} bits"] = value, floor, low
    return found


def rounded_back(
    rows: pd.DataFrame, model: str, bits: int, reference: str | None
) -> tuple[float, float, float]:
    """Points of first choice that rounding brings back, beyond what it does to the reference; with
    its interval over passages.
    """

    def gain(name: str) -> pd.Series:
        own = rows[rows["model"] == name].set_index(["bits", "passage"])["exact"]
        return own[bits] - own[32]

    own = gain(model)
    if reference is not None:
        own = own - gain(reference).reindex(own.index)
    mean, (low, high) = mean_interval(own.to_numpy(float))
    return mean, low, high


def _criterion(result: Result, model: str, name: str) -> tuple[float, float, float] | None:
    table = result.tables["audit"]
    rows = table[(table["model"] == model) & (table["criterion"] == name)]
    if rows.empty or np.isnan(rows.iloc[0]["value"]):
        return None
    row = rows.iloc[0]
    return float(row["value"]), float(row["low"]), float(row["high"])
