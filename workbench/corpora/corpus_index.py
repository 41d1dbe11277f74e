"""An index that was made: how often a text stands in the corpus, where, and what stands around."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from workbench.corpora import manifest as manifests
from workbench.corpora import match_spans
from workbench.corpora.manifest import IndexManifest
from workbench.corpora.match_spans import MatchSpan
from workbench.corpora.sources import KINDS
from workbench.corpora.suffix_shard import SuffixShard
from workbench.errors import BadInput
from workbench.unicode import check_unicode


@dataclass(frozen=True)
class Occurrence:
    """Where a text stands: document of the corpus, and offset and length in its bytes."""

    document: int
    offset: int
    length: int


@dataclass(frozen=True)
class IndexedDocument:
    """A document of the corpus.

    Attributes:
        file: it is from, as it was called in the folder that was indexed.
        name: what it is called itself, or "".
        kind: what `number` counts: "text", the line of the file it begins at; "line" of JSON;
            "row" of a table; "reading", how often a passage was read by then.
        bytes: of its text as UTF-8.
    """

    file: str
    name: str
    kind: str
    number: int
    bytes: int

    @property
    def place(self) -> str:
        """File and place in it, for people."""
        return self.at(self.number)

    def at(self, line: int) -> str:
        """As `place`, of a line of a text."""
        named = f"{self.file}: {self.name}" if self.name else self.file
        word = "line" if self.kind == "text" else self.kind
        return f"{named}, {word} {line if self.kind == 'text' else self.number:,}"


@dataclass(frozen=True)
class Excerpt:
    """What stands around an occurrence, in whole characters, and where that is."""

    before: str
    match: str
    after: str
    document: IndexedDocument
    place: str


class CorpusIndex:
    """A corpus whose every text can be asked for.

    Attributes:
        folder: where it lies.
        manifest: what it was made from, when, and what was left out.
        documents, bytes: of the corpus.
    """

    def __init__(self, folder: Path, manifest: IndexManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.documents, self.bytes = manifest.documents, manifest.bytes
        self._shards = [
            SuffixShard(manifests.shard_folder(folder, number), files)
            for number, files in enumerate(manifest.shards)
        ]
        self._firsts = [0, *accumulate(shard.documents for shard in self._shards)]

    def __repr__(self) -> str:
        return f"CorpusIndex({str(self.folder)!r}, {self.documents:,} documents, {self.bytes:,} B)"

    def count(self, text: str | bytes) -> int:
        """How often a text stands in the corpus, overlaps included.

        Raises:
            BadInput: it is empty, or no Unicode.
        """
        return sum(high - low for low, high in self._ranges(_pattern(text)))

    def find(self, text: str | bytes, at_most: int = 10) -> list[Occurrence]:
        """Where a text stands, in the order of the corpus.

        Of more than `at_most` places those are chosen that lie evenly in the order of what follows
        the text, so that they differ; the same every time.

        Raises:
            BadInput: it is empty, or no Unicode.
        """
        pattern = _pattern(text)
        ranges = self._ranges(pattern)
        total = sum(high - low for low, high in ranges)
        if total > at_most:
            wanted = [(2 * n + 1) * total // (2 * at_most) for n in range(at_most)]
        else:
            wanted = list(range(total))
        found = []
        firsts = [0, *accumulate(high - low for low, high in ranges)]
        for each in wanted:
            number = bisect_right(firsts, each) - 1
            shard = self._shards[number]
            at = shard.position(ranges[number][0] + each - firsts[number])
            document, offset = shard.document_at(at)
            found.append(Occurrence(self._firsts[number] + document, offset, len(pattern)))
        return sorted(found, key=lambda one: (one.document, one.offset))

    def longest_match(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """(length in bytes of the longest match that begins at each byte of a text as UTF-8, how
        often that stands in the corpus): (bytes,) int64 each, 0 and 0 where there is none.

        Raises:
            BadInput: the text is no Unicode.
        """
        check_unicode(text)
        data = text.encode()
        self.expect_many()
        lengths = [self.longest_at(data, start) for start in range(len(data))]
        counts = [
            self.count(data[start : start + length]) if length else 0
            for start, length in enumerate(lengths)
        ]
        return np.array(lengths, np.int64), np.array(counts, np.int64)

    def expect_many(self) -> None:
        """Say that many searches follow, so that a cold index is read in larger pieces."""
        for shard in self._shards:
            shard.expect_many()

    def longest_at(self, data: bytes, start: int) -> int:
        """Bytes of the longest match that begins at a byte of a text as UTF-8."""
        return max(shard.longest(data, start) for shard in self._shards)

    def maximal_spans(
        self, text: str, least: int = 1, cuts: Sequence[int] | None = None
    ) -> list[MatchSpan]:
        """The longest spans of a text that stand in the corpus, the rarest first; see
        `match_spans.maximal_spans`.

        Raises:
            BadInput: the text is no Unicode.
        """
        return match_spans.maximal_spans(self, text, least, cuts)

    def document(self, number: int) -> IndexedDocument:
        """Where a document is from.

        Raises:
            BadInput: the index was changed since it was made.
        """
        shard, own = self._shard_of(number)
        file, name = shard.label(own)
        kind, at = shard.place(own)
        if not 0 <= kind < len(KINDS):
            raise manifests.damaged(self.folder, f"document {number:,} is of no known kind")
        return IndexedDocument(file, name, KINDS[kind], at, shard.length(own))

    def text(self, number: int) -> str:
        """The text of a document."""
        shard, own = self._shard_of(number)
        return shard.text(own, 0, shard.length(own)).decode("utf-8", "replace")

    def context(self, occurrence: Occurrence, characters: int = 80) -> Excerpt:
        """What stands around an occurrence.

        Args:
            characters: on either side, at most.
        """
        shard, own = self._shard_of(occurrence.document)
        start, stop = occurrence.offset, occurrence.offset + occurrence.length
        reach = 4 * characters  # bytes; a character has four at most
        before = _whole(shard.text(own, start - reach, start))
        after = _whole(shard.text(own, stop, stop + reach))
        document = self.document(occurrence.document)
        return Excerpt(
            before[-characters:] if characters else "",
            shard.text(own, start, stop).decode("utf-8", "replace"),
            after[:characters],
            document,
            document.at(document.number + shard.line_breaks(own, start)),
        )

    def _ranges(self, pattern: bytes) -> list[tuple[int, int]]:
        if manifests.SEPARATOR in pattern:
            return [(0, 0)] * len(self._shards)  # no UTF-8 has it; in the shards it parts documents
        return [shard.matches(pattern) for shard in self._shards]

    def _shard_of(self, document: int) -> tuple[SuffixShard, int]:
        if not 0 <= document < self.documents:
            raise IndexError(f"there is no document {document} of {self.documents}")
        number = bisect_right(self._firsts, document) - 1
        return self._shards[number], document - self._firsts[number]


def open_index(folder: str | Path) -> CorpusIndex:
    """Open an index; of its files only the sizes are looked at.

    Raises:
        BadInput: there is none, or it is damaged, unfinished or of a newer version.
    """
    place = Path(folder).expanduser()
    return CorpusIndex(place, manifests.read(place))


def _pattern(text: str | bytes) -> bytes:
    if isinstance(text, str):
        check_unicode(text)
        text = text.encode()
    if not text:
        raise BadInput("No text is given to look for.", "at least one character", "Give a text.")
    return text


def _whole(text: bytes) -> str:
    """Without what is cut off of a character at either end."""
    return text.decode("utf-8", "ignore")
