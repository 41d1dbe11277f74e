"""What of each kind of text comes out word for word, and what of generated texts of its kind
does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, score
from analyses.measures.windows import Window

if TYPE_CHECKING:
    from analyses.measures.evidence_kinds import KindText
    from hooks.model import InstrumentedModel

PREFIX, SUFFIX = 24, 16
"""Tokens that are given, and that have to come out; of a shorter text, three fifths and the
rest.
"""
_WINDOWS = 3  # of one text
_FEWEST = 5  # tokens of a text


@dataclass(frozen=True)
class KindScores:
    """Of each window, (window,).

    Attributes:
        text: number of its text.
        exact: greedy decoding says the whole suffix.
        right: share of suffix tokens that are the likeliest, given the true ones before.
        logprob: mean ln p of its suffix tokens, nats.
        given, said: prefix and suffix as text.
    """

    text: np.ndarray
    exact: np.ndarray
    right: np.ndarray
    logprob: np.ndarray
    given: list[str]
    said: list[str]


def cut(model: InstrumentedModel, texts: Sequence[KindText]) -> list[Window]:
    """The windows of texts; `document` is the number of the text."""
    found = []
    for number, text in enumerate(texts):
        ids = model.text.encode(text.text)
        if len(ids) < _FEWEST:
            continue
        size = min(len(ids), PREFIX + SUFFIX)
        prefix = PREFIX if size == PREFIX + SUFFIX else 3 * size // 5
        for start in list(range(0, len(ids) - size + 1, size))[:_WINDOWS]:
            piece = ids[start : start + size]
            found.append(
                Window(number, start, tuple(model.text.beginning), tuple(piece[:prefix]),
                       tuple(piece[prefix:]))
            )  # fmt: skip
    return found


def measure(
    model: InstrumentedModel,
    texts: Sequence[KindText],
    report: Callable[[float, str], None],
) -> KindScores:
    """Read every window once."""
    windows = cut(model, texts)
    scores = score(model, windows, Sampler(temperature=0), progress=report)
    right = is_greedy(scores, windows)
    lengths = np.array([len(window.suffix) for window in windows])
    return KindScores(
        np.array([window.document for window in windows]),
        scores.match == lengths,
        right.sum(1) / lengths,
        np.nansum(scores.logprob, 1) / lengths,
        [model.text.decode(list(window.prefix)) for window in windows],
        [model.text.decode_continuation(list(window.suffix)) for window in windows],
    )
