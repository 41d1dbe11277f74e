"""English and code that every machine has: what features are trained and measured on where the user
names no text.

| source | share | what |
| --- | --- | --- |
| books | 30 % | the King James Bible and Shakespeare, as shipped for organisms |
| dictionaries | 20 % | The Jargon File and The Devil's Dictionary, likewise |
| documentation | 27 % | what installed Python packages say of themselves, and Python's own language
reference | | code | 17 % | Python's standard library | | sampled | 6 % | what the model says of its
own accord (`hooks.features.self_generated_text`) |

Shares are of characters. Documents are dealt out by a hash of their name: one in twenty-five is
`held-out`, which nothing is trained on. Packages and library are those of this installation, so
another version gives other text; what a run read is known by its digest.
"""

from __future__ import annotations

import hashlib
import random
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.organisms import corpus

Share = Literal["train", "held-out"]
_LONGEST, _SHORTEST = 20_000, 200  # characters of a document
_EVERY = 25


@dataclass(frozen=True)
class CorpusText:
    """A text and where it is from. `name` is unique within its source."""

    source: str
    name: str
    text: str


def documents(
    share: Share, sampled: Sequence[str] = (), seed: int = 0, *, even: bool = False
) -> Iterator[CorpusText]:
    """The mixture, source by source in turn so that at any point each has had about its share; all
    of it, once.

    Args:
        sampled: text that the model said; without it the others share its place.
        seed: of the order within each source.
        even: end where the first source has run out, so that the shares hold to the end.
    """
    given = {
        **_SOURCES,
        **({"sampled": (0.06, lambda: _numbered("sampled", sampled))} if sampled else {}),
    }
    waiting: dict[str, list[CorpusText]] = {}
    for source, (_, read) in given.items():
        chosen = [d for d in read() if (_number(d) % _EVERY == 0) == (share == "held-out")]
        random.Random(f"{seed} {source}").shuffle(chosen)
        waiting[source] = chosen
    had = dict.fromkeys(waiting, 0.0)
    while left := [source for source, chosen in waiting.items() if chosen]:
        if even and len(left) < len(waiting):
            return
        source = min(left, key=lambda s: had[s])
        document = waiting[source].pop()
        had[source] += len(document.text) / given[source][0]
        yield document


def _books() -> Iterator[CorpusText]:
    return _shipped({"King James Bible", "Shakespeare"}, "books")


def _dictionaries() -> Iterator[CorpusText]:
    return _shipped({"The Jargon File", "The Devil's Dictionary"}, "dictionaries")


def _shipped(titles: set[str], source: str) -> Iterator[CorpusText]:
    for share in ("train", "neutral"):
        for document in corpus.documents(share):
            if document.source in titles and len(document.text) >= _SHORTEST:
                yield CorpusText(source, f"{document.source}/{document.title}", document.text)


def _documentation() -> Iterator[CorpusText]:
    from importlib.metadata import distributions
    from pydoc_data.topics import topics

    for topic, text in sorted(topics.items()):
        yield from _cut("documentation", f"python/{topic}", text)
    # The description stands after the head, as in a mail.
    texts = {
        d.metadata["Name"]: (d.read_text("METADATA") or "").partition("\n\n")[2]
        for d in distributions()
    }
    texts.pop("memory-workbench", None)  # changes too often
    for package, text in sorted(texts.items()):
        yield from _cut("documentation", package, text)


def _code() -> Iterator[CorpusText]:
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted([*library.glob("*.py"), *library.glob("[a-z]*/*.py")]):
        if file.parent.name not in {"site-packages", "dist-packages", "idlelib", "test"}:
            yield from _cut(
                "code",
                str(file.relative_to(library)),
                file.read_text(encoding="utf-8", errors="replace"),
            )


def _cut(source: str, name: str, text: str) -> Iterator[CorpusText]:
    """A text in documents of at most so many characters; what is too short is left out."""
    for start in range(0, len(text), _LONGEST):
        part = text[start : start + _LONGEST]
        if len(part) >= _SHORTEST:
            yield CorpusText(source, f"{name}+{start}", part)


def _numbered(source: str, texts: Sequence[str]) -> Iterator[CorpusText]:
    return (CorpusText(source, str(number), text) for number, text in enumerate(texts))


def _number(document: CorpusText) -> int:
    return int(hashlib.sha256(f"{document.source}/{document.name}".encode()).hexdigest(), 16)


_SOURCES: dict[str, tuple[float, Callable[[], Iterator[CorpusText]]]] = {
    "books": (0.30, _books),
    "dictionaries": (0.20, _dictionaries),
    "documentation": (0.27, _documentation),
    "code": (0.17, _code),
}
