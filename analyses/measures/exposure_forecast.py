"""What an early step tells of what the last one will recite (Biderman et al. 2023, 2304.11158)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import auc, wilson

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class SetForecast:
    """One set of texts as a forecast of another.

    Attributes:
        precision, recall: of the forecast; NaN where the forecast, or the truth, is empty.
        said: texts that are forecast; true: texts that come; both: those of both.
    """

    precision: float
    precision_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]
    said: int
    true: int
    both: int


def forecast(said: Bool[np.ndarray, " item"], true: Bool[np.ndarray, " item"]) -> SetForecast:
    """Precision and recall, with Wilson's 95 % intervals."""
    both, n, total = int((said & true).sum()), int(said.sum()), int(true.sum())
    return SetForecast(
        precision=both / n if n else np.nan,
        precision_interval=wilson(both, n),
        recall=both / total if total else np.nan,
        recall_interval=wilson(both, total),
        said=n,
        true=total,
        both=both,
    )


def ranking(
    scores: Float[np.ndarray, " item"], true: Bool[np.ndarray, " item"]
) -> tuple[float, float, float]:
    """AUC of a score for what the last step recites, and its 95 % interval."""
    return auc(scores[true], scores[~true])


def compressibility(texts: list[str]) -> Float[np.ndarray, " item"]:
    """Bytes of each text per byte compressed (zlib): what is easy to say without having read it."""
    return np.array([len(t.encode()) / len(zlib.compress(t.encode(), 9)) for t in texts])


def nesting_violations(
    by_context: dict[int, Bool[np.ndarray, " item"]],
) -> tuple[int, int]:
    """(texts that come out after a shorter context but not after some longer one, texts that come
    out after any).

    Args:
        by_context: context length -> which texts come out after it.
    """
    lengths = sorted(by_context)
    table: Int[np.ndarray, "length item"] = np.array([by_context[k] for k in lengths]).astype(int)
    falls = (np.diff(table, axis=0) < 0).any(0)
    return int(falls.sum()), int(table.any(0).sum())
