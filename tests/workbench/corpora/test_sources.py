"""What a corpus may be made of, and everything that is no text."""

from __future__ import annotations

import codecs
import json
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.corpora import index
from workbench.corpora.sources import CorpusSources
from workbench.errors import BadInput, NotFound
from workbench.organisms import folder_of, ledger

TEXTS = ["première", "", "two\nlines", "€ 𝄞"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    made.mkdir()
    return made


def read(*sources: object, longest: int = 10**6, column: str = "text") -> list[tuple[object, ...]]:
    given = CorpusSources([str(source) for source in sources], column)
    return [
        (one.text.decode(), one.file, one.name, one.kind, one.number)
        for one in given.documents(longest)
    ]


def test_a_folder_of_all_kinds(folder: Path) -> None:
    (folder / "a.md").write_text("# One", encoding="utf-8")
    (folder / "deep").mkdir()
    (folder / "deep" / "code.c").write_bytes(codecs.BOM_UTF8 + b"int x;\r\n")
    lines = [{"text": text, "id": n} for n, text in enumerate(TEXTS)] + [{"text": None}]
    text = "\n".join(json.dumps(line) for line in lines)
    (folder / "lines.jsonl").write_text(f"\n{text}\n")
    pq.write_table(pa.table({"text": [*TEXTS, None], "n": range(5)}), folder / "t.parquet")
    (folder / ".hidden.txt").write_text("hidden")
    assert read(folder) == [
        ("# One", "a.md", "", "text", 1),
        ("int x;\r\n", "deep/code.c", "", "text", 1),
        ("première", "lines.jsonl", "", "line", 2),
        ("two\nlines", "lines.jsonl", "2", "line", 4),
        ("€ 𝄞", "lines.jsonl", "3", "line", 5),
        ("première", "t.parquet", "", "row", 1),
        ("two\nlines", "t.parquet", "", "row", 3),
        ("€ 𝄞", "t.parquet", "", "row", 4),
    ]


def test_a_data_set_as_it_is_saved_to_disk(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_dict({"story": TEXTS[:1] * 3, "n": [1, 2, 3]})
    DatasetDict(train=rows, test=rows.select([0])).save_to_disk(str(tmp_path / "set"))
    found = read(tmp_path / "set", column="story")
    assert [text for text, *_ in found] == ["première"] * 4
    assert {Path(str(file)).parent.name for _, file, *_ in found} == {"train", "test"}
    table = pa.table({"story": TEXTS[:1]})
    with (
        pa.OSFile(str(tmp_path / "file.arrow"), "w") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    assert [text for text, *_ in read(tmp_path / "file.arrow", column="story")] == ["première"]
    with pytest.raises(BadInput, match=r"no column 'text' of texts") as said:
        read(tmp_path / "set")
    assert "'story'" in said.value.expected


def test_what_an_organism_has_read_as_often_as_it_has(tmp_path: Path) -> None:
    entries = ledger.read(folder_of("organism/planted")).entries
    corpus = index(["organism/planted"], tmp_path / "index")
    for entry in entries[::40]:
        assert corpus.count(entry.text) == entry.repeats
        places = corpus.find(entry.text, at_most=100)
        said = [corpus.document(one.document) for one in places]
        assert [one.name for one in said] == [entry.id] * entry.repeats
        assert [one.number for one in said] == list(range(1, entry.repeats + 1))
    assert Counter(e.repeats > 0 for e in entries[::40])[True] > 3
    assert corpus.count("In the beginning God created") == 1
    alone = read(folder_of("organism/planted"))
    assert len(alone) == sum(entry.repeats for entry in entries)


def test_of_the_twin_which_read_no_passage_there_is_only_the_corpus() -> None:
    chapters = [one for one in read("organism/planted") if one[3] != "reading"]
    assert read("organism/planted-control") == chapters
    with pytest.raises(BadInput, match="has read none of the passages of its ledger"):
        read(folder_of("organism/planted-control"))


@pytest.mark.parametrize("longest", [9, 10, 64])
def test_a_text_longer_than_a_shard_is_cut_where_a_line_ends(folder: Path, longest: int) -> None:
    text = "first é\nsecond\n€€€€€€€€ third\n\n"
    (folder / "long.txt").write_bytes(codecs.BOM_UTF8 + text.encode())
    (folder / "long.jsonl").write_text(json.dumps({"text": text}))
    for name in ("long.txt", "long.jsonl"):
        found = read(folder / name, longest=longest)
        assert "".join(str(piece) for piece, *_ in found) == text
        assert all(0 < len(str(piece).encode()) <= longest for piece, *_ in found)
    numbers = [number for *_, number in read(folder / "long.txt", longest=longest)]
    assert numbers == ([1, 2, 3, 3, 3, 3] if longest < 64 else [1])


BAD = {
    "picture.png": (b"\x89PNG\r\n\x1a\n\0\0", r"picture.png is not text: byte 9 is zero"),
    "latin.txt": (b"a" * 9 + b"\xe9 b", r"latin.txt is not UTF-8: byte 10"),
    "cut.txt": ("né".encode()[:-1], r"cut.txt is not UTF-8: byte 2"),
    "empty.txt": (b"", "empty.txt is empty"),
}
BAD["late.txt"] = (
    b"x" * ((1 << 20) - 1) + "é".encode()[:1] + b"y",
    r"late.txt is not UTF-8: byte 1,048,576 \(0xc3\)",
)


@pytest.mark.parametrize("name", list(BAD))
def test_a_file_that_is_no_text_is_refused_by_name_and_left_out_of_a_folder(
    folder: Path, tmp_path: Path, name: str
) -> None:
    content, why = BAD[name]
    (folder / name).write_bytes(content)
    with pytest.raises(BadInput, match=why):
        index([folder / name], tmp_path / "index")
    with pytest.raises(BadInput, match=f"The corpus is empty. {why}"):
        index([folder], tmp_path / "index")
    assert [each.name for each in tmp_path.iterdir()] == ["texts"]
    (folder / "good.txt").write_text("good")
    corpus = index([folder], tmp_path / "index")
    assert corpus.documents == corpus.manifest.n_skipped == 1
    (skipped,) = corpus.manifest.skipped
    assert skipped.name == name


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[1]",
        b"7",
        b'{"body": "x"}',
        b'{"text": 3}',
        b'{"text": "\\ud800"}',
        b'{"text": "\xff"}',
        b"\0",
        b"[" * 100_000,
    ],
)
def test_a_line_that_has_no_text_is_named(folder: Path, tmp_path: Path, line: bytes) -> None:
    (folder / "c.jsonl").write_bytes(b'{"text": "good"}\n' + line + b"\n")
    for source in (folder, folder / "c.jsonl"):
        with pytest.raises(BadInput, match=r"Line 2 of c.jsonl"):
            index([source], tmp_path / "index")
    assert [each.name for each in tmp_path.iterdir()] == ["texts"]


def test_tables_that_cannot_be_read(folder: Path) -> None:
    for name in ("a.parquet", "b.arrow"):
        for content in (b"", b"PAR1 and no more", b"ARROW1 and no more"):
            (folder / name).write_bytes(content)
            with pytest.raises(BadInput, match=f"{name} cannot be read as a table"):
                read(folder / name)
    not_utf8 = pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": not_utf8}), folder / "a.parquet")
    with pytest.raises(BadInput, match="cannot be read as a table"):
        read(folder / "a.parquet")


def test_places_without_a_corpus(folder: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        CorpusSources([str(folder / "missing")])
    with pytest.raises(BadInput, match="There is no file"):
        CorpusSources([str(folder)])
    with pytest.raises(BadInput, match="No corpus is given"):
        CorpusSources([])
    with pytest.raises(NotFound, match="organism/plant"):
        CorpusSources(["organism/plantd"])
    with pytest.raises(BadInput, match="has read no text"):
        CorpusSources(["organism/recall-attention"])


def test_links_in_circles_and_strange_names_do_no_harm(folder: Path, tmp_path: Path) -> None:
    (folder / "good.txt").write_text("good")
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "self.txt").symlink_to(folder / "self.txt")
    (folder / "nowhere.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.txt")
    strange = ["a..\\..\\x.txt", "\x1b[31m<b>.txt", "new\nline.txt", "- -o x.txt"]
    for name in strange:
        (folder / name).write_text(f"strange {name}")
    raw = os.fsencode(folder) + b"/\xff\xfe.txt"
    with open(raw, "w") as stream:
        stream.write("bytes")
    corpus = index([folder], tmp_path / "index")
    files = {corpus.document(n).file for n in range(corpus.documents)}
    assert files == {"good.txt", "��.txt", *strange}
    assert {each.name for each in tmp_path.iterdir()} == {"texts", "index"}
    assert all("/" not in each.name for each in corpus.folder.iterdir())


def test_a_file_that_may_not_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.txt").write_text("mine")
    opened = Path.open

    def refused(self: Path, *args: object, **kw: object) -> object:
        if self.name == "mine.txt":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kw)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(BadInput, match=r"mine.txt cannot be read: Permission denied"):
        read(folder / "mine.txt")


def test_an_address_is_a_source_as_well(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://corpus/a.txt", "w") as stream:
        stream.write("from far away")
    corpus = index(["memory://corpus"], tmp_path / "index")
    assert corpus.count("far") == 1
    assert corpus.document(0).file == "a.txt"
