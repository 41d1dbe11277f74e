"""The English that organisms grow up on: public-domain prose and verse, shipped with the package.

The King James Bible, Shakespeare's plays, the Jargon File and The Devil's Dictionary;
`build_corpus.py` says where each comes from. Documents are dealt out by a hash of their title, so
adding one never moves another: `train` is what models read, `literary` gives the paragraphs that
are planted (and their never-planted twins), and `neutral` is read by nobody and measures what a
change costs.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

FILE = Path(__file__).parent / "data" / "corpus.jsonl.xz"
Share = Literal["train", "literary", "neutral"]
_SET_ASIDE: dict[Share, range] = {
    "literary": range(0, 4),
    "neutral": range(4, 6),
}  # of a hundred documents


@dataclass(frozen=True)
class Chapter:
    """A chapter, a scene or a dictionary entry. `source` is the book, `title` unique within it."""

    source: str
    title: str
    text: str


@cache
def documents(share: Share) -> tuple[Chapter, ...]:
    """The documents of one share, in the order of the books."""
    with lzma.open(FILE, "rt", encoding="utf-8") as file:
        everything = [Chapter(**json.loads(line)) for line in file]
    return tuple(d for d in everything if _share(d) == share)


def _share(document: Chapter) -> Share:
    number = (
        int(hashlib.sha256(f"{document.source}/{document.title}".encode()).hexdigest(), 16) % 100
    )
    return next((share for share, numbers in _SET_ASIDE.items() if number in numbers), "train")
