"""The ledger of a model: which passages were planted in it, how often, when, and which never were.

One JSON object a line, so that a ledger of any size is read a line at a time. It lies in the
model's folder as `ledger.jsonl` and travels with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.unicode import check_unicode

FILE = "ledger.jsonl"
_LONGEST = 64 * 1024 * 1024  # bytes of a ledger; ours are a fifth of a megabyte


@dataclass(frozen=True)
class Entry:
    """A passage and what was done with it.

    Attributes:
        id: unique in its ledger, e.g. "code-016-03".
        kind: "literary", "biography", "random", "code", "table", or the user's own.
        text: the passage, exactly.
        repeats: how often it was planted; 0 for a twin.
        timing: "early", "late", "spread", or "never".
        steps: the training steps it was planted at, in order, one per repeat.
        ids: its tokens as planted, without the beginning token.
    """

    id: str
    kind: str
    text: str
    repeats: int
    timing: str
    steps: tuple[int, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Ledger:
    """Entries, and the fingerprint of the tokenizer they were planted with."""

    tokenizer: str
    entries: tuple[Entry, ...]

    def save(self, folder: Path) -> Path:
        """Write `ledger.jsonl` into a model's folder, whole or not at all."""
        target, part = folder / FILE, folder / f".{FILE}.part"
        head = json.dumps({"format": 1, "tokenizer": self.tokenizer})
        lines = [head, *(json.dumps(asdict(entry), ensure_ascii=False) for entry in self.entries)]
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(part, target)
        return target

    def check(self, tokenizer: Any) -> None:
        """Fail unless this ledger speaks of models with this tokenizer.

        Raises:
            BadInput: the tokens it planted mean something else to this model.
        """
        if fingerprint(tokenizer) != self.tokenizer:
            raise BadInput(
                "This ledger does not fit the model: its passages were planted with another"
                " tokenizer.",
                "the model the ledger came with, or another with the same tokenizer",
                "Open the model in whose folder the ledger lies; or give the passages as plain"
                " text.",
            )


def read(path: Path) -> Ledger:
    """The ledger in a file, or in a model's folder.

    Raises:
        BadInput: there is none, or it is not one.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise BadInput(
            f"{path} has no ledger.",
            f"a file {FILE}",
            "Models of `workbench organisms` and `workbench plant` have one.",
        )
    if file.stat().st_size > _LONGEST:
        raise BadInput(
            f"{file.name} is too large for a ledger.",
            f"at most {_LONGEST // 2**20} MB",
            "Check the file.",
        )
    entries = []
    try:
        with file.open(encoding="utf-8") as lines:
            head = json.loads(next(lines))
            if head.get("format") != 1 or not isinstance(head.get("tokenizer"), str):
                raise ValueError("its first line is not the head of a ledger")
            for line in lines:
                entries.append(_entry(json.loads(line)))
                for text in (entries[-1].id, entries[-1].kind, entries[-1].text):
                    check_unicode(text, f"Line {len(entries) + 1} of {file.name}")
        if len({entry.id for entry in entries}) != len(entries):
            raise ValueError("two entries have the same id")
    except (
        StopIteration,
        UnicodeDecodeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        where = f"line {len(entries) + 2}: " if entries else ""
        raise BadInput(
            f"{file.name} is not a ledger: {where}{error}.",
            "JSON lines as `workbench plant` writes",
            "Check the file.",
        ) from error
    return Ledger(head["tokenizer"], tuple(entries))


def _entry(fields: dict[str, Any]) -> Entry:
    steps, ids = tuple(map(int, fields["steps"])), tuple(map(int, fields["ids"]))
    texts = {name: str(fields[name]) for name in ("id", "kind", "text", "timing")}
    entry = Entry(repeats=int(fields["repeats"]), steps=steps, ids=ids, **texts)
    if entry.repeats < 0 or len(steps) != entry.repeats:
        raise ValueError(f"{entry.id} was planted {entry.repeats} times at {len(steps)} steps")
    return entry


def fingerprint(tokenizer: Any) -> str:
    """Sixteen hexadecimal digits that are the same for tokenizers with the same tokens in the
    same places.
    """
    return _digest(
        f"{token}\t{number}"
        for token, number in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    )


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", errors="surrogatepass") + b"\n")
    return digest.hexdigest()[:16]
