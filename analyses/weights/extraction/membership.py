"""Has the model read this text?

Scores from the same pass, and how well they tell members from non-members.

Sources: Loss (Yeom et al. 2018), zlib and reference ratios (Carlini et al. 2021), Min-K % (Shi et
al. 2024, 2310.16789), Min-K %++ (Zhang et al. 2024, 2404.02936). Higher is more likely a member, in
every score.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import auc

if TYPE_CHECKING:
    from analyses.measures.window_scores import Scores

FLATTEST = 1e-6  # a standard deviation below this is one: the model is certain of one token
ENOUGH = 1000  # non-members that a true-positive rate at 1 % false positives needs


def scores_of(scores: Scores, texts: Sequence[str], share: float = 0.2) -> dict[str, np.ndarray]:
    """Name to one score per window, over the tokens of its suffix.

    Args:
        scores: of windows read to their end.
        texts: the text of each suffix, exactly; zlib compresses its UTF-8.
        share: of the tokens, the k of Min-K %.
    """
    mean = scores.logprob.mean(-1)
    flat = np.maximum(scores.spread, FLATTEST)
    return {
        "loss": mean,
        "min-k": mean_of_lowest(scores.logprob, share),
        "min-k++": mean_of_lowest((scores.logprob - scores.surprise) / flat, share),
        "zlib": mean / np.array([len(zlib.compress(text.encode("utf-8"))) for text in texts]),
    }


def mean_of_lowest(values: np.ndarray, share: float) -> np.ndarray:
    """Mean of the lowest `share` of each row, of one value at least."""
    many = max(1, int(share * values.shape[-1]))
    lowest: np.ndarray = np.partition(values, many - 1, axis=-1)[..., :many].mean(-1)
    return lowest


def tpr_at_fpr(members: np.ndarray, others: np.ndarray, false: float) -> float:
    """Share of members above the lowest threshold at which at most `false` of the others pass."""
    allowed = int(np.floor(false * len(others)))
    threshold = np.sort(others)[::-1][allowed] if allowed < len(others) else -np.inf
    return float((members > threshold).mean())


def auc_by_repeats(
    values: Mapping[str, np.ndarray], repeats: np.ndarray
) -> list[dict[str, float | str | int]]:
    """Rows of the table: each score, for every number of repeats and all of them, against what
    was never read.
    """
    never = repeats == 0
    groups: list[tuple[str, np.ndarray]] = [("all", repeats > 0)]
    groups += [
        (str(count), repeats == count) for count in sorted(set(repeats[repeats > 0].tolist()))
    ]
    rows: list[dict[str, float | str | int]] = []
    for score, each in values.items():
        for label, chosen in groups:
            value, low, high = auc(each[chosen], each[never])
            row: dict[str, float | str | int] = {
                "score": score,
                "repeats": label,
                "n_members": int(chosen.sum()),
                "n_nonmembers": int(never.sum()),
                "auc": value,
                "auc_low": low,
                "auc_high": high,
            }
            for false in (0.01, 0.001):
                enough = never.sum() >= (ENOUGH if false == 0.01 else 10 * ENOUGH)
                row[f"tpr_at_{false:g}"] = (
                    tpr_at_fpr(each[chosen], each[never], false) if enough else float("nan")
                )
            rows.append(row)
    return rows
