"""What of the paper on other orders holds here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analyses.claims import OPEN, Claim, Measured, say_claims, verdict_of
from analyses.measures.statistics import mean_interval, sign
from analyses.training.training_order import constants as c

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = "FUT (2505.22042, withdrawn from ICLR 2026)"
ABOUT = (
    "The paper was withdrawn from ICLR 2026, so its numbers count as unreviewed. What this run"
    " measured is for a far smaller model, with Adam replayed and the Hessian exact: a failure here"
    " is one of the expansion itself, and a success does not vouch for its compression."
)


def _signs(words: str) -> str:
    return words.replace("-", "−")


def _interval(result: Result, name: str) -> tuple[float, float]:
    spread = result.findings["estimate"].interval
    assert isinstance(spread, Mapping)
    return spread[name]


def _over_orders(low: float, high: float) -> str:
    if low != low:
        return "two orders or more are needed"
    return _signs(f"95 % over orders: {low:.2f} to {high:.2f}")


def _predicts(result: Result) -> Measured:
    finding = result.findings["estimate"]
    low, high = _interval(result, "r")
    measured = f"rank correlation {finding.values['r']:.2f}"
    return Measured(_signs(measured), verdict_of([sign(low, high)]), _over_orders(low, high))


def _beats(result: Result) -> Measured:
    finding = result.findings["estimate"]
    low, high = _interval(result, "gained")
    measured = f"{finding.values['r']:.2f} against {finding.values['recency']:.2f}"
    said = f"difference, {_over_orders(low, high)}"
    return Measured(_signs(measured), verdict_of([sign(low, high)]), said)


def _second(result: Result) -> Measured:
    table = result.tables["orders"]
    gains = (table["error_zeroth"] - table["error"]).to_numpy(float)
    if len(gains) < 2:
        return Measured("one order", OPEN, "two orders or more are needed")
    _, (low, high) = mean_interval(gains)
    measured = (
        f"mean error {table['error'].mean():.3f} nats, gradients alone"
        f" {table['error_zeroth'].mean():.3f}"
    )
    said = f"less error by, 95 % over orders: {low:.3f} to {high:.3f}"
    return Measured(measured, verdict_of([sign(low, high)]), _signs(said))


def _position(result: Result) -> Measured:
    table = result.tables["positions"]
    rows = table[table["of"] == c.ITEM]
    first, last = rows.iloc[0], rows.iloc[-1]
    measured = f"loss of planted sentences {first['apart']:+.3f} first, {last['apart']:+.3f} last"
    said = (
        f"95 %: {first['low']:.3f} to {first['high']:.3f}, and {last['low']:.3f} to"
        f" {last['high']:.3f}"
    )
    told = True if last["high"] < first["low"] else False if last["low"] > first["high"] else None
    return Measured(_signs(measured), verdict_of([told]), _signs(said))


CLAIMS = [
    Claim("Losses under other orders can be told from one run", "perplexity of a 0.6 B model"
          " under random orders", _predicts, needs="predictors"),
    Claim("They are told better than from the position alone", "not compared in the paper",
          _beats, needs="predictors"),
    Claim("The first order of the expansion is needed", "updates by Taylor expansion", _second,
          needs="orders"),
    Claim("What is read last is memorized best", "memorization rises towards the end of training",
          _position, needs="positions"),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """Judge them all."""
    say_claims(result, CLAIMS, PAPER)
