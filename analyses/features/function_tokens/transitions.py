"""Loss by the class of the last token and of the next one, beside mere counting.

`training.py` follows it along a training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.features.function_tokens.constants import GROUPS
from analyses.features.function_tokens.ngrams import NGrams
from hooks.features.sae import SKIP

if TYPE_CHECKING:
    import pandas as pd

    from workbench.progress import Progress


def by_transition(
    losses: np.ndarray, ids: np.ndarray, function: np.ndarray
) -> list[dict[str, Any]]:
    """Mean loss of each group, its standard error over windows, and how many tokens are in it.

    Args:
        losses: (window, pos) in nats, NaN where not measured; ids: (window, pos); function: (type,)
            bool.
    """
    is_function = function[ids]
    rows = []
    for name in GROUPS:
        source, target = (part == "F" for part in name.split("→"))
        here = (
            (is_function[:, :-1] == source)
            & (is_function[:, 1:] == target)
            & np.isfinite(losses[:, 1:])
        )
        here[:, :SKIP] = False
        sums, counts = np.where(here, losses[:, 1:], 0).sum(1, dtype=float), here.sum(1)
        n = int(counts.sum())
        mean = sums.sum() / n if n else float("nan")
        # Windows, not tokens, were drawn: the error of a ratio of two sums over them.
        used = int((counts > 0).sum())
        spread = (
            np.sqrt(((sums - mean * counts) ** 2).sum() * used / max(1, used - 1)) / n
            if n
            else float("nan")
        )
        rows.append(
            {
                "transition": name,
                "loss": float(mean),
                "standard_error": float(spread),
                "n": n,
            }
        )
    return rows


def model_transitions(
    losses: np.ndarray, ids: np.ndarray, function: np.ndarray, progress: Progress
) -> pd.DataFrame:
    """Losses of the model that was read, by transition, and those of n-grams counted on the windows
    that were not measured.

    Returns:
        Columns predictor (of `MEASURES`), transition, loss, standard_error, n.
    """
    import pandas as pd

    measured = np.isfinite(losses).any(1)
    progress(0.0, "Counting n-grams")
    counted = NGrams(ids[~measured], len(function))
    rows = [
        {"predictor": "model", **row}
        for row in by_transition(losses[measured], ids[measured], function)
    ]
    rows += of_ngrams(counted, ids[measured], losses[measured], function)
    return pd.DataFrame(rows)


def of_ngrams(
    counted: NGrams, ids: np.ndarray, losses: np.ndarray, function: np.ndarray
) -> list[dict[str, Any]]:
    """`by_transition` of trigrams and unigrams, on the tokens whose loss is known."""
    rows = []
    for name, order in (("trigram", 3), ("unigram", 1)):
        theirs = np.stack([counted.losses(row, order) for row in ids])
        theirs[~np.isfinite(losses)] = np.nan
        rows += [{"predictor": name, **row} for row in by_transition(theirs, ids, function)]
    return rows
