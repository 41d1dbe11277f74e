"""Which spans of a text stand in a corpus word for word, as in OLMoTrace (Liu et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.corpora import cuts as cutting
from workbench.unicode import check_unicode

if TYPE_CHECKING:
    from workbench.corpora.corpus_index import CorpusIndex


@dataclass(frozen=True)
class MatchSpan:
    """A part of a text that stands in the corpus and is part of no longer one that does.

    Attributes:
        start, stop: bytes of the text as UTF-8.
        text: what stands there.
        count: how often it stands in the corpus.
        rarity: nats; minus the log of its span unigram probability, the product over its tokens of
            how probably each begins at a random byte of the corpus. The larger, the less likely is
            such a span by chance.
    """

    start: int
    stop: int
    text: str
    count: int
    rarity: float


def maximal_spans(
    index: CorpusIndex, text: str, least: int = 1, cuts: Sequence[int] | None = None
) -> list[MatchSpan]:
    """The maximal spans of a text that stand in a corpus, the rarest first.

    From every cut the longest match is taken that ends at a cut; those that lie in a longer one
    are left out, as are those shorter than `least`. OLMoTrace ranks by the same product, of the
    tokens of its own index; here a token is counted wherever its bytes stand, so that one index
    serves every tokenizer.

    Args:
        least: bytes of a span.
        cuts: where tokens begin and end, in bytes of the text as UTF-8 (`cuts.token_cuts`);
            default: between words and
            spaces.

    Raises:
        BadInput: the text is no Unicode.
    """
    check_unicode(text)
    data = text.encode()
    places = cutting.checked_cuts(cutting.word_cuts(text) if cuts is None else cuts, len(data))
    spans, surprises = [], _Surprises(index)
    for first, last in _longest_between(index, data, places):
        start, stop = places[first], places[last]
        if stop - start >= least:
            rarity = sum(surprises.of(data[places[n] : places[n + 1]]) for n in range(first, last))
            whole = data[start:stop]
            spans.append(
                MatchSpan(start, stop, whole.decode("utf-8", "replace"), index.count(whole), rarity)
            )
    return sorted(spans, key=lambda span: (-span.rarity, span.start))


def covered_tokens(index: CorpusIndex, text: str, least: int, cuts: Sequence[int]) -> np.ndarray:
    """Which tokens of a text lie in a span of at least so many tokens that stands in the corpus:
    (tokens,) bool. What Nasr et al. 2023 count as extracted, with least = 50.

    Args:
        least: tokens of a span.
        cuts: as for `maximal_spans`; a token is what lies between two of them.

    Raises:
        BadInput: the text is no Unicode.
    """
    check_unicode(text)
    data = text.encode()
    places = cutting.checked_cuts(cuts, len(data))
    covered = np.zeros(len(places) - 1, bool)
    for first, last in _longest_between(index, data, places):
        if last - first >= least:
            covered[first:last] = True
    return covered


def _longest_between(
    index: CorpusIndex, data: bytes, places: Sequence[int]
) -> list[tuple[int, int]]:
    """(first, last) cut of every maximal match between cuts, in order."""
    index.expect_many()
    spans: list[tuple[int, int]] = []
    ends = np.asarray(places)
    reached = 0
    for first, start in enumerate(places[:-1]):
        longest = index.longest_at(data, start)
        last = int(np.searchsorted(ends, start + longest, side="right")) - 1
        # A later match ends no earlier, so one that ends where another did lies in that one.
        if last > max(reached, first):
            spans.append((first, last))
            reached = last
    return spans


class _Surprises:
    """Minus the log of how probably a token begins at a random byte of the corpus, in nats."""

    def __init__(self, index: CorpusIndex) -> None:
        self._index, self._known = index, dict[bytes, float]()

    def of(self, token: bytes) -> float:
        if token not in self._known:
            self._known[token] = math.log(self._index.bytes / self._index.count(token))
        return self._known[token]
