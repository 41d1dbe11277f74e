"""Reading texts: whole, in pieces, in a folder, as JSON lines; and what is no text."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import texts
from workbench.errors import BadInput


def read(path: Path, most: int = 10**9) -> list[str]:
    return [document.text for document in texts.from_path(path, most)]


@given(
    st.text(
        alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufeff"),
        min_size=1,
        max_size=300,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_file_reads_back_whole(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("t") / "a.txt"
    file.write_bytes(text.encode())
    if text.strip():
        assert "".join(read(file)) == text


@pytest.mark.parametrize("line", ["café ☃ 𝄞 " * 9 + "\n", "☃"])
def test_long_files_are_cut_at_lines_and_never_inside_a_character(
    tmp_path: Path, line: str
) -> None:
    text = line * (700_000 // len(line.encode()))
    (tmp_path / "long.txt").write_text(text, encoding="utf-8", newline="")
    parts = read(tmp_path / "long.txt")
    assert len(parts) > 2
    assert "".join(parts) == text
    assert all(part.endswith(line[-1]) for part in parts)


def test_of_a_huge_file_an_even_sample_is_read(tmp_path: Path) -> None:
    lines = [f"line {i:07d} of a very long file\n" for i in range(400_000)]
    (tmp_path / "huge.txt").write_text("".join(lines))
    parts = read(tmp_path / "huge.txt", most=1 << 20)
    assert sum(map(len, parts)) < 3 << 20
    at = [int(part[5:12]) for part in parts]
    assert at[0] == 0
    assert at[-1] > 250_000
    assert all(part.startswith("line ") and part.endswith("\n") for part in parts)


def test_folders_json_lines_and_ledgers(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "sub" / "b.md").write_text("second")
    (tmp_path / "c.jsonl").write_text(
        '{"text": "third", "repeats": 4, "kind": "k", "name": "n"}\n\n{"text": "x"}\n'
    )
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    found = list(texts.from_path(tmp_path, 10**9))
    assert [(d.name, d.text, d.kind, d.repeats) for d in found] == [
        ("a.txt", "first", "", None),
        ("c.jsonl: n", "third", "k", 4),
        ("c.jsonl: line 3", "x", "", None),
        ("sub/b.md", "second", "", None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n ", "empty"),
        ("a.txt", b"caf\xe9", "not UTF-8"),
        ("a.txt", b"PK\x03\x04\0\0", "zero bytes"),
        ("a.jsonl", b'{"text": "good"}\n{"txt": 1}', "Line 2"),
        ("a.jsonl", b"not json", "Line 1"),
        ("a.jsonl", b'{"text": "a", "repeats": -1}', "Line 1"),
        ("a.jsonl", b"", "empty"),
        (
            "a.jsonl",
            b'{"text": "good"}\n{"text": "a\\ud83d"}',
            "Line 2 of a.jsonl is not valid Unicode: character 2",
        ),
        (
            "a.jsonl",
            b'{"text": "good", "name": "\\udce9"}',
            "Line 1 of a.jsonl is not valid Unicode",
        ),
        ("ledger.jsonl", b'{"format": 2}\n', "not a ledger"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read(tmp_path / name)


def test_json_lines_may_be_longer_than_a_piece_and_keep_their_numbers(tmp_path: Path) -> None:
    import json

    lines = [json.dumps({"text": f"{i} " + "word " * 120_000}) for i in range(3)]
    (tmp_path / "books.jsonl").write_text("\n".join([*lines, "no json"]))
    with pytest.raises(BadInput, match="Line 4"):
        read(tmp_path / "books.jsonl")
    (tmp_path / "books.jsonl").write_text("\n".join(lines) + "\n")
    assert [text[0] for text in read(tmp_path / "books.jsonl")] == ["0", "1", "2"]


def test_of_many_json_lines_an_even_sample_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{i:06d}"}}\n' for i in range(1000)))
    found = [
        int(text)
        for text in read(tmp_path / "a.jsonl", most=(tmp_path / "a.jsonl").stat().st_size // 10)
    ]
    assert len(found) == 100
    assert {b - a for a, b in itertools.pairwise(found)} == {10}


def test_a_ledger_met_in_a_folder_is_only_text(tmp_path: Path) -> None:
    from workbench.organisms.ledger import Entry, Ledger

    Ledger("0123456789abcdef", (Entry("a", "k", "some text", 1, "late", (3,), (4000, 4001)),)).save(
        tmp_path
    )
    (document,) = texts.from_path(tmp_path, 10**9, [])
    assert (document.text, document.repeats, document.ids) == ("some text", 1, None)


def test_what_is_no_text_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("text")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF")
    (tmp_path / ".hidden").write_text("")
    skipped: list[tuple[str, str]] = []
    assert [d.name for d in texts.from_path(tmp_path, 10**9, skipped)] == ["good.txt"]
    assert sorted(name for name, _ in skipped) == ["latin.txt", "scan.pdf"]
