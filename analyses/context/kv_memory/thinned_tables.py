"""From answers to rates: what the tables of the part `policies` say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.context.kv_memory.constants import CONTROLS, FULL, KEPT_HALF, UNKNOWN
from analyses.measures.statistics import rate_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

_RECALL = ["policy", "view", "budget", "rate", "low", "high", "logprob", "bytes", "survival", "n"]
_SURVIVAL = [
    "policy", "kept", "kept_low", "kept_high", "n_kept", "evicted", "evicted_low", "evicted_high",
    "n_evicted",
]  # fmt: skip


def rate_of(rows: pd.DataFrame) -> dict[str, float]:
    """Share of answers that are said, with its interval over contexts."""
    hits, groups = rows["exact"].to_numpy(bool), rows["context"].to_numpy()
    low, high = rate_interval(hits, groups)
    return {"rate": float(hits.mean()) if len(hits) else np.nan, "low": low, "high": high}


def recall_table(answers: pd.DataFrame) -> pd.DataFrame:
    """Recall by policy, whether the question was in view, and budget. The full cache is every
    policy's last point.
    """
    rows = []
    for (view, name, budget), group in answers.groupby(["view", "policy", "budget"], sort=False):
        means = {c: float(group[c].mean()) for c in ("logprob", "bytes", "survival")}
        rows.append(
            {"policy": name, "view": view, "budget": budget, **rate_of(group), **means,
             "n": len(group)}
        )  # fmt: skip
    return pd.DataFrame(rows, columns=_RECALL)


def survival_table(answers: pd.DataFrame) -> pd.DataFrame:
    """How often the answer is given where half of the heads or more keep some of it, and where
    fewer do; before the question is known, of questions that the full cache answers.
    """
    blind = answers[answers["view"] == UNKNOWN]
    known = blind[(blind["policy"] == FULL) & blind["exact"]]
    right = set(zip(known["context"], known["question"], strict=True))
    blind = blind[(blind["policy"] != FULL) & _among(blind, right)]
    rows = []
    for name, group in [("all policies", blind[~blind["policy"].isin(CONTROLS)]),
                        *blind.groupby("policy", sort=False)]:  # fmt: skip
        row: dict[str, object] = {"policy": name}
        is_kept = group["survival"] >= KEPT_HALF
        for word, part in (("kept", group[is_kept]), ("evicted", group[~is_kept])):
            rate = rate_of(part)
            row |= {word: rate["rate"], f"{word}_low": rate["low"], f"{word}_high": rate["high"]}
            row[f"n_{word}"] = len(part)
        rows.append(row)
    return pd.DataFrame(rows, columns=_SURVIVAL)


def _among(rows: pd.DataFrame, wanted: set[tuple[int, int]]) -> np.ndarray:
    return np.array(
        [pair in wanted for pair in zip(rows["context"], rows["question"], strict=True)], bool
    )


def grouped_rates(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Rates and mean log-probability of each group."""
    found = []
    for key, group in rows.groupby(list(by), sort=False):
        named = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        more = {"logprob": float(group["logprob"].mean()), "n": len(group)}
        found.append(named | rate_of(group) | more)
    return pd.DataFrame(found, columns=[*by, "rate", "low", "high", "logprob", "n"])
