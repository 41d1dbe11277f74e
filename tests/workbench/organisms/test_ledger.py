"""The ledger: written, read back, and not believed when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import tiny
from workbench.errors import BadInput
from workbench.organisms.ledger import FILE, Entry, Ledger, fingerprint, read

ENTRIES = (
    Entry("code-004-01", "code", "def f():\n    return '☃\u2028'", 2, "late", (5, 9), (1, 2, 3)),
    Entry("code-000-02", "code", "<script>", 0, "never", (), (4,)),
)


def test_a_ledger_reads_back_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger("0123456789abcdef", ENTRIES)
    ledger.save(tmp_path)
    assert read(tmp_path) == ledger
    assert read(tmp_path / FILE) == ledger
    assert [f.name for f in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [], "not a ledger"),
        (lambda lines: ['{"format": 9, "tokenizer": "x"}', *lines[1:]], "not the head"),
        (lambda lines: [lines[0], "{", lines[2]], "line 2|not a ledger"),
        (lambda lines: [lines[0], lines[1], lines[1]], "same id"),
        (
            lambda lines: [lines[0], json.dumps({**json.loads(lines[1]), "repeats": 3})],
            "3 times at 2 steps",
        ),
        (
            lambda lines: [lines[0], json.dumps({**json.loads(lines[1]), "steps": "no"})],
            "not a ledger",
        ),
        (
            lambda lines: [*lines[:2], json.dumps({**json.loads(lines[2]), "text": "\udce9"})],
            "Line 3 of .* is not valid Unicode",
        ),
    ],
)
def test_a_damaged_ledger_is_told(tmp_path: Path, change, says: str) -> None:
    file = Ledger("0123456789abcdef", ENTRIES).save(tmp_path)
    file.write_text("\n".join(change(file.read_text().split("\n")[:-1])), encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        read(tmp_path)


def test_a_folder_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no ledger"):
        read(tmp_path)


def test_a_ledger_fits_its_tokenizer_only() -> None:
    tokenizer = tiny.tiny_tokenizer()
    Ledger(fingerprint(tokenizer), ENTRIES).check(tokenizer)
    other = tiny.tiny_tokenizer()
    other.add_tokens(["<new>"])
    with pytest.raises(BadInput, match="another tokenizer"):
        Ledger(fingerprint(tokenizer), ENTRIES).check(other)
