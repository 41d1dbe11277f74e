"""What a run says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.order_agreement import gained
from analyses.training.training_order import constants as c
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.training.training_order.params import Params
    from analyses.training.training_order.tables import OrderOutcome
    from workbench.result import Result


def add_findings(result: Result, found: OrderOutcome, params: Params) -> None:
    """The answer, and what stands beside it."""
    _add_answer(result, params)
    _add_rivals(result)
    _add_sentences(result, params)
    _add_distance(result)
    _add_position(result)
    _add_price(result, found)


def predictor(result: Result, name: str, kind: str = c.TEXT) -> pd.Series:
    """The row of a predictor."""
    table = result.tables["predictors"]
    return table[(table["of"] == kind) & (table["predictor"] == name)].iloc[0]


def grid(result: Result, column: str, kind: str = c.TEXT) -> np.ndarray:
    """A column of the changes, (order, block)."""
    table = result.tables["changes"]
    rows = table[table["of"] == kind]
    return np.asarray(rows.pivot(index="order", columns="block", values=column), float)


def _r(row: pd.Series) -> str:
    if np.isnan(row["r"]):
        return "none can be told"
    if np.isnan(row["low"]):
        return _signs(f"{row['r']:.2f}")
    return _signs(f"{row['r']:.2f} (95 % {row['low']:.2f} to {row['high']:.2f})")


def _signs(words: str) -> str:
    return words.replace("-", "−")


def _add_answer(result: Result, params: Params) -> None:
    first, rival = predictor(result, c.FIRST), predictor(result, c.RECENCY)
    real = grid(result, "real")
    more = gained(grid(result, c.FIRST), grid(result, c.RECENCY), real, params.seed)
    n = int(first["n"])
    says = (
        f"Estimated from one run, the loss under another order is predicted with rank correlation"
        f" {_r(first)} over {counted(n, 'order')} really trained; the recency curve of the same"
        f" run, which knows the position alone, gives {_r(rival)}."
    )
    if n < 2:
        says += " One order has no interval, so nothing can be told for others."
    elif more.low > 0:
        says += " The estimate ranks better."
    elif more.high < 0:
        says += " The estimate ranks worse: it does not predict more than the position."
    else:
        says += " Which of the two ranks better cannot be told."
    share = first["explained"]
    says += (
        f" In nats it accounts for {percent(share)} of the change."
        if share > 0
        else " In nats it is worse than saying that nothing changes: the expansion has left the"
        " range in which it holds."
    )
    values = {
        "r": first["r"], "recency": rival["r"], "gained": more.r, "explained": share,
    }  # fmt: skip
    spread = {
        "r": (first["low"], first["high"]),
        "recency": (rival["low"], rival["high"]),
        "gained": (more.low, more.high),
    }
    result.add(Finding("estimate", _numbers(values), says, unit="rank correlation",
                       interval=_pairs(spread)))  # fmt: skip


def _add_rivals(result: Result) -> None:
    names = [c.ZEROTH, c.TRACIN, c.LATER, c.OTHERS, c.MIXED]
    rows = {name: predictor(result, name) for name in names}
    stored = result.tables["predictors"]["predictor"].eq(c.STORED).any()
    says = (
        f"Without the Hessian {_r(rows[c.ZEROTH])}; TracIn with Adam's scale {_r(rows[c.TRACIN])};"
        f" “read later is known better” {_r(rows[c.LATER])}; the mean of the other orders, which"
        f" takes all trainings, {_r(rows[c.OTHERS])}. The estimate of another order, as a control:"
        f" {_r(rows[c.MIXED])}."
    )
    if stored:
        rows[c.STORED] = predictor(result, c.STORED)
        says += (
            " With the Hessian's action stored in a few directions only, as a cheap estimate would"
            f" have it: {_r(rows[c.STORED])}."
        )
    says += (
        " Counts, and influence that knows no time (TRAK, EK-FAC at the last weights), give every"
        " order the same value, so they predict no change."
    )
    result.add(Finding("rivals", _numbers({n: row["r"] for n, row in rows.items()}), says,
                       unit="rank correlation"))  # fmt: skip


def _add_sentences(result: Result, params: Params) -> None:
    first, rival = predictor(result, c.FIRST, c.ITEM), predictor(result, c.RECENCY, c.ITEM)
    rows = result.tables["changes"]
    rows = rows[rows["of"] == c.ITEM]
    recited = rows["right"].to_numpy() == 1
    guessed = rows["right_estimated"].to_numpy() == 1
    twin = float(result.tables["blocks"]["twin_right"].eq(1).mean())
    says = (
        f"For planted sentences, each read {counted(params.steps, 'time')}, the estimate gives"
        f" {_r(first)}, the recency curve {_r(rival)}. {percent(float(recited.mean()))} of them"
        f" are recited (second half, all tokens right), and {percent(twin)} of sentences that were"
        " never read"
    )
    same = float((recited == guessed).mean())
    says += (
        f"; the estimate says rightly of {percent(same)} whether they are, and always saying the"
        f" commoner of the two of {percent(max(recited.mean(), 1 - recited.mean()))}."
        if recited.any()
        else ": what order changes here is their loss, not what comes out word for word."
    )
    values = {
        "r": first["r"], "recency": rival["r"], "recited": float(recited.mean()),
        "never_read": twin, "same": same,
    }  # fmt: skip
    result.add(Finding("sentences", _numbers(values), says, unit="rank correlation, shares",
                       interval=_pairs({"r": (first["low"], first["high"]),
                                        "recency": (rival["low"], rival["high"])})))  # fmt: skip


def _add_distance(result: Result) -> None:
    table = result.tables["orders"]
    far = table["distance"] >= table["distance"].median()
    near, away = table[~far], table[far]
    if near.empty:  # one order, or all equally far
        return
    values = {
        "near": float(near["error"].mean()), "near_change": float(near["changed"].mean()),
        "far": float(away["error"].mean()), "far_change": float(away["changed"].mean()),
    }  # fmt: skip
    says = (
        f"In the half of the orders nearest to the one that was read the mean error is"
        f" {values['near']:.3f} nats where the loss changes by {values['near_change']:.3f}; in the"
        f" other half {values['far']:.3f} of {values['far_change']:.3f}."
    )
    result.add(Finding("distance", _numbers(values), says, unit="nats per token"))


def _add_position(result: Result) -> None:
    table = result.tables["positions"]
    rows = table[table["of"] == c.TEXT].set_index("position")
    last, first = float(rows["apart"].iloc[-1]), float(rows["apart"].iloc[0])
    best = int(rows["apart"].idxmin())
    says = (
        f"Against its own mean over all orders a block's loss is {first:+.3f} nats where it is read"
        f" first and {last:+.3f} where it is read last; lowest at position {best} of {len(rows)}."
    )
    if rows["low"].iloc[-1] > rows["high"].iloc[0]:
        says += " What is read early is known better here, not worse."
    values = {"first": first, "last": last, "best": float(best)}
    result.add(Finding("position", _numbers(values), _signs(says), unit="nats per token"))


def _add_price(result: Result, found: OrderOutcome) -> None:
    times = result.tables["times"].set_index("what")
    again, told = float(times.loc["retraining", "each"]), float(times.loc[c.ESTIMATING, "each"])
    kinds = " (also with a stored Hessian)" if c.DIRECTIONS in times.index else ""
    says = (
        f"Really training one order took {again:.1f} s, estimating one{kinds} {told:.1f} s: at this"
        " size retraining is the way to know, and the estimate is what is tested. The reference"
        " order trained a second time differs by"
        f" {'nothing' if found.again == 0 else f'at most {found.again:.1e}'} in any weight, so what"
        " is seen is order."
    )
    values = {"retraining": again, "estimate": told, "again": found.again}
    result.add(Finding("price", _numbers(values), says, unit="seconds per order"))


def _numbers(values: dict[str, float]) -> dict[str, float]:
    return {name.replace(" ", "_").replace("'", ""): float(v) for name, v in values.items()}


def _pairs(spread: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {name: (float(low), float(high)) for name, (low, high) in spread.items()}
