"""From passes over passages to the tables and findings of sequential and random access."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import wilson
from workbench.result import Finding, Result
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.extraction.access import Access, FromStart

Row = dict[str, float | str | int]
_SURE = 0.05


def add_access(result: Result, measured: Access) -> None:
    """The tables `access`, `access_curve` and `lock_on`, and what they come to."""
    import pandas as pd

    result.tables["access"] = pd.DataFrame(_cells(measured))
    result.tables["access_curve"] = pd.DataFrame(_curve(measured))
    result.tables["lock_on"] = pd.DataFrame(_locks(measured))
    _add_contrast(result, measured)
    _add_lock_on(result, measured)


def _cells(measured: Access) -> list[Row]:
    grid, rows = measured.grid, []
    for start, one in measured.own.items():
        for context in grid.contexts(start):
            if context < one.first:
                continue
            said, loss = one.recited(context, grid.recited), one.loss(context, grid.recited)
            for group, chosen in measured.groups.items():
                hits, n = int((said[chosen] == grid.recited).sum()), int(chosen.sum())
                low, high = wilson(hits, n)
                row: Row = {
                    "group": group,
                    "start": start,
                    "context_length": context,
                    "n": n,
                    "recited": float(said[chosen].mean()),
                    "exact": hits / n,
                    "exact_low": low,
                    "exact_high": high,
                    "loss": float(loss[chosen].mean()),
                }
                if (start, context) in measured.other:
                    theirs, their_loss = measured.other[start, context]
                    row |= {
                        "recited_other": float(theirs[chosen].mean()),
                        "exact_other": float((theirs[chosen] == grid.recited).mean()),
                        "loss_other": float(their_loss[chosen].mean()),
                    }
                rows.append(row)
    return rows


def _curve(measured: Access) -> list[Row]:
    return [
        {
            "group": group,
            "start": start,
            "context_length": one.first + at,
            "logprob": float(one.logprob[chosen, at].mean()),
            "first_choice": float(one.greedy[chosen, at].mean()),
        }
        for start, one in measured.own.items()
        for group, chosen in measured.groups.items()
        for at in range(one.greedy.shape[1])
    ]


def _locks(measured: Access) -> list[Row]:
    found = measured.found
    return [
        {
            "window": int(row),
            "name": found.documents[found.windows[row].document].name,
            "start": start,
            "lock_on": float(least),
        }
        for start, one in measured.own.items()
        for row, least in zip(measured.rows, one.lock_on(measured.grid.recited), strict=True)
    ]


def _add_contrast(result: Result, measured: Access) -> None:
    """The beginning against the middle: as much context, and the same tokens."""
    grid, read = measured.grid, measured.read
    start, context = grid.middle
    first = measured.own[0]
    if not read.any() or not start or context < first.first:
        return

    def whole(one: FromStart, given: int) -> np.ndarray:
        said: np.ndarray = one.recited(given, grid.recited) == grid.recited
        return said

    opening = whole(first, context)
    middle, same = whole(measured.own[start], context), whole(first, start + context)
    n = int(read.sum())
    counts = tuple(int(each[read].sum()) for each in (opening, middle, same))
    p = sign_test(int((same & ~middle)[read].sum()), int((middle & ~same)[read].sum()))
    values: dict[str, float] = {
        "from_beginning": counts[0] / n,
        "from_middle": counts[1] / n,
        "after_all_before": counts[2] / n,
        "n": n,
        "start": start,
        "context": context,
        "recited": grid.recited,
        "p": p,
    }
    values |= {
        "loss_from_middle": float(measured.own[start].loss(context, grid.recited)[read].mean()),
        "loss_after_all_before": float(first.loss(start + context, grid.recited)[read].mean()),
    }
    losses = (
        f" They cost {values['loss_from_middle']:.2f} nats per token from the middle and"
        f" {values['loss_after_all_before']:.2f} after all before them"
    )
    control = ""
    if (start, context) in measured.other:
        said, loss = measured.other[start, context]
        theirs = int((said == grid.recited)[read].sum())
        values["from_other"], values["loss_from_other"] = theirs / n, float(loss[read].mean())
        losses += f", {values['loss_from_other']:.2f} after as much of another passage"
        control = f" After another passage {theirs:,} are recited."
    if (~read).any():
        never = int(same[~read].sum())
        values["never_read"] = never / int((~read).sum())
        control += (
            f" Of {int((~read).sum()):,} that were never read {never:,} are, after all of the text"
            " before them."
        )
    result.add(
        Finding(
            "access",
            values,
            f"{_verdict(counts, p)}: of {counted(n, 'passage')} the {grid.recited} tokens that"
            f" follow are recited for {counts[0]:,} after the first {context} tokens, and for"
            f" {counts[1]:,} after {context} tokens from token {start} on; after all of the text"
            f" before them, these same tokens for {counts[2]:,}.{losses}.{control}",
            unit="share of passages",
            interval={
                name: wilson(hits, n)
                for name, hits in zip(
                    ("from_beginning", "from_middle", "after_all_before"), counts, strict=True
                )
            },
        )
    )


def _verdict(counts: tuple[int, ...], p: float) -> str:
    """What the counts come to: recited after the beginning, from the middle, and those same tokens
    after all that stands before them; p of the last two being as many.
    """
    opening, middle, same = counts
    if not (opening or middle or same):
        return "Nothing is recited from anywhere"
    if middle and 2 * middle >= same:
        return "Access is random: the middle of a passage brings what follows, too"
    if p < _SURE:
        return "Access is sequential: passages are reached from their beginning"
    return "Too few are recited to tell sequential from random access"


def _add_lock_on(result: Result, measured: Access) -> None:
    read, tokens = measured.read, measured.grid.recited
    least = {start: one.lock_on(tokens)[read] for start, one in measured.own.items()}
    locked = {start: int(np.isfinite(each).sum()) for start, each in least.items()}
    if not locked[0]:
        return
    median = {s: float(np.nanmedian(each)) for s, each in least.items() if locked[s]}
    skipped = [
        f"{start:,} leaves "
        + (f"{locked[start]:,} (after {median[start]:.0f})" if locked[start] else "none")
        for start in least
        if start
    ]
    more = f" Tokens skipped at the beginning: {', '.join(skipped)}." if skipped else ""
    result.add(
        Finding(
            "lock_on",
            {f"start_{start}": value for start, value in median.items()}
            | {f"n_start_{start}": n for start, n in locked.items()},
            f"Given from its beginning, {counted(locked[0], 'passage')} of {int(read.sum()):,} come"
            f" out to their end, at the median after {median[0]:.0f} tokens.{more}",
            unit="tokens of context, median",
        )
    )


def sign_test(one: int, other: int) -> float:
    """Two-sided p of so many differences one way and so many the other, if both are as likely
    (McNemar's test, exact).
    """
    n, fewer = one + other, min(one, other)
    return min(1.0, float(2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n))
