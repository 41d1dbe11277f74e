"""How much of generated text stands in a corpus (Nasr et al. 2023, *Scalable Extraction of Training
Data*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyses.measures.statistics import share_interval
from workbench.corpora import CorpusIndex
from workbench.corpora.match_spans import covered_tokens


@dataclass(frozen=True)
class CorpusCoverage:
    """How much of some texts stands in a corpus in long spans.

    Attributes:
        least: tokens of a span that counts.
        shares: of the tokens of each text, those in such a span: (text,), NaN where the text has
            fewer than `least`.
        mean, interval: of the shares, and its 95 % interval over texts; NaN where all are too
            short.
        with_span: how many texts have such a span at all.
    """

    least: int
    shares: np.ndarray
    mean: float
    interval: tuple[float, float]
    with_span: int

    @property
    def too_short(self) -> int:
        """Texts that say nothing, since they have fewer than `least` tokens."""
        return int(np.isnan(self.shares).sum())


def coverage(
    index: CorpusIndex, texts: Sequence[str], least: int, cuts: Sequence[Sequence[int]]
) -> CorpusCoverage:
    """How much of each text stands in a corpus, in spans of at least so many tokens.

    Args:
        least: tokens of a span; the paper takes 50.
        cuts: of each text, where tokens begin and end in its bytes as UTF-8
            (`workbench.corpora.cuts.token_cuts`).

    Raises:
        BadInput: a text is no Unicode.
    """
    covered = [covered_tokens(index, t, least, c) for t, c in zip(texts, cuts, strict=True)]
    shares = np.array([one.mean() if len(one) >= least else np.nan for one in covered], float)
    long = shares[~np.isnan(shares)]
    mean, interval = share_interval(long, np.arange(len(long)))
    return CorpusCoverage(least, shares, mean, interval, int((long > 0).sum()))
