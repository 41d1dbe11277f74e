"""One shard of an index: searched where it lies on the disk, by bisection of its suffixes."""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from workbench.corpora.manifest import GUIDE_EVERY, GUIDE_WIDTH, ShardFiles, damaged

_FIRST = 32  # bytes compared at once at first; each further part is twice as long
_WIDEST = 1 << 16
_ADVICE = hasattr(mmap, "MADV_RANDOM")  # not on Windows


class SuffixShard:
    """Its files, mapped into memory: opening reads nothing.

    A *range* (low, high) stands for the suffixes from low to high in their order; all that begin
    with the same bytes form one.
    """

    def __init__(self, folder: Path, files: ShardFiles) -> None:
        self._folder = folder
        self.documents, self.bytes = files.documents, files.bytes
        self._text = _mapped(folder / "text.bin")
        self._suffixes = _numbers(folder / "suffixes.bin", "i")
        self._guide = _mapped(folder / "guide.bin")
        self._starts = _numbers(folder / "starts.bin", "q")
        self._places = _numbers(folder / "places.bin", "q")
        self._labels = _mapped(folder / "labels.bin")
        self._label_ends = _numbers(folder / "label_ends.bin", "q")

    def expect_many(self) -> None:
        """Let the system read on in the text from now on: of many searches, the later ones need
        what lies behind the places of the earlier ones.
        """
        if _ADVICE:
            self._guide.madvise(mmap.MADV_WILLNEED)
            self._text.madvise(mmap.MADV_NORMAL)

    def matches(self, pattern: bytes) -> tuple[int, int]:
        """The range of the suffixes that begin with a pattern; empty where none does."""
        return self._narrowed((0, self.bytes), 0, pattern)

    def position(self, rank: int) -> int:
        """Where in the text of the shard the suffix of a rank begins."""
        return self._suffixes[rank]

    def longest(self, data: bytes, start: int) -> int:
        """Length of the longest match with what begins at a byte of `data`.

        Compared part by part, each within the range that the parts before have left, so a long
        match costs no more than its length.
        """
        (low, high), at, width = (0, self.bytes), start, _FIRST
        while at < len(data) and high - low > 1:
            part = data[at : at + width]
            below, above = self._narrowed((low, high), at - start, part)
            if below == above:
                # The longest match stands beside the place where this one would.
                beside = [rank for rank in (below - 1, below) if low <= rank < high]
                return at - start + max(self._common(r, at - start, data, at) for r in beside)
            (low, high), at, width = (below, above), at + len(part), min(2 * width, _WIDEST)
        return at - start + self._common(low, at - start, data, at)

    def _narrowed(self, whole: tuple[int, int], depth: int, part: bytes) -> tuple[int, int]:
        """The suffixes of a range, alike for `depth` bytes, that go on with `part`; where none
        does, an empty range at the place where one would stand.
        """
        text, wide = self._text, depth + len(part)

        def beginning(position: int) -> bytes:
            return text[position + depth : position + wide]

        if not depth:
            whole = self._guided(part)
        low = bisect_left(self._suffixes, part, *whole, key=beginning)
        if low == whole[1] or beginning(self._suffixes[low]) != part:
            return low, low
        return low, bisect_right(self._suffixes, part, low, whole[1], key=beginning)

    def _guided(self, part: bytes) -> tuple[int, int]:
        """Ranks between which all suffixes lie that begin with `part`, or one would lie."""
        guide, part = self._guide, part[:GUIDE_WIDTH]

        def beginning(entry: int) -> bytes:
            return guide[entry * GUIDE_WIDTH : entry * GUIDE_WIDTH + len(part)]

        entries = range(len(guide) // GUIDE_WIDTH)
        first = bisect_left(entries, part, key=beginning)
        last = bisect_right(entries, part, first, key=beginning)
        return max(0, first - 1) * GUIDE_EVERY, min(self.bytes, last * GUIDE_EVERY)

    def _common(self, rank: int, depth: int, data: bytes, at: int) -> int:
        """How many bytes a suffix after `depth` and `data` from `at` have in common."""
        position, width = self._suffixes[rank] + depth, _FIRST
        done = 0
        while True:
            own = self._text[position + done : position + done + width]
            other = data[at + done : at + done + width]
            if own != other:
                break
            if len(other) < width:
                return done + len(other)
            done, width = done + width, min(2 * width, _WIDEST)
        low, high = 0, min(len(own), len(other))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if own[:middle] == other[:middle] else (low, middle - 1)
        return done + low

    def document_at(self, position: int) -> tuple[int, int]:
        """(document of the shard, offset in it) of a position of its text."""
        document = bisect_right(self._starts, position, 0, self.documents) - 1
        if document < 0 or position >= self._starts[document + 1]:
            raise damaged(self._folder, "a suffix begins in no document")
        return document, position - self._starts[document]

    def length(self, document: int) -> int:
        """Bytes of a document."""
        return self._starts[document + 1] - self._starts[document] - 1

    def text(self, document: int, start: int, stop: int) -> bytes:
        """So much of a document, in bytes."""
        first = self._starts[document]
        stop = min(stop, self.length(document))
        return self._text[first + max(0, start) : first + max(0, stop)]

    def line_breaks(self, document: int, stop: int) -> int:
        """Line breaks before a byte of a document, counted piece by piece."""
        return sum(
            self.text(document, start, min(stop, start + _WIDEST)).count(b"\n")
            for start in range(0, stop, _WIDEST)
        )

    def label(self, document: int) -> tuple[str, str]:
        """(file, name) of a document."""
        start = self._label_ends[document - 1] if document else 0
        parts = self._labels[start : self._label_ends[document]].split(b"\0")
        if len(parts) != 3:
            raise damaged(self._folder, f"nothing says where document {document + 1:,} is from")
        return parts[0].decode("utf-8", "replace"), parts[1].decode("utf-8", "replace")

    def place(self, document: int) -> tuple[int, int]:
        """(kind, number) of the place a document comes from."""
        return self._places[2 * document], self._places[2 * document + 1]


def _mapped(file: Path) -> mmap.mmap:
    with file.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if _ADVICE:
        # A search jumps: to read on after each jump, up to megabytes, took thirty times as long.
        mapped.madvise(mmap.MADV_RANDOM)
    return mapped


def _numbers(file: Path, kind: str) -> Sequence[int]:
    # A memoryview gives Python's own integers, faster than an array of numpy's gives one.
    return memoryview(_mapped(file)).cast(kind)  # type: ignore[call-overload,no-any-return]
