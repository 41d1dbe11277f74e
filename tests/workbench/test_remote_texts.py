"""Corpora at addresses: read as from this machine, piece by piece, and each fault a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import workbench as wb
from analyses.measures.text_source import Texts
from tests.helpers import tiny
from tests.helpers.addresses import counted
from workbench import remote, text_files, texts
from workbench.cli import main
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.remote_folder import RemoteFolder
from workbench.text_files import TextPath, text_path

FILES = {
    "a.txt": "first é\n",
    "sub/b.md": "second",
    "c.jsonl": '{"text": "third", "name": "n", "repeats": 2}\n{"text": "fourth"}\n',
    "picture.png": "\x89",
    "empty.txt": "",
    ".hidden.txt": "hidden",
}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_recent", {})


def put(address: str, files: dict[str, str]) -> None:
    folder = RemoteFolder(address)
    for name, text in files.items():
        folder.write(name, text.encode())


def in_folder(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def test_a_folder_there_reads_as_one_here(place: str, tmp_path: Path) -> None:
    put(f"{place}/corpus", {name: text for name, text in FILES.items() if "/" not in name})
    put(f"{place}/corpus/sub", {"b.md": FILES["sub/b.md"]})
    here = in_folder(tmp_path / "here", FILES)
    there = text_path(f"{place}/corpus")
    found: list[list[tuple[str, str]]] = [[], []]
    documents = [
        list(texts.from_path(path, 10**9, skipped))
        for path, skipped in zip((here, there), found, strict=True)
    ]
    assert documents[0] == documents[1]
    assert len(documents[1]) == 4
    assert found[0] == found[1]
    assert texts.size_of(there) == texts.size_of(here)
    one = text_path(f"{place}/corpus/c.jsonl")
    assert [d.name for d in texts.paragraphs(one)] == ["n", "line 2"]
    assert list(texts.named(f"{place}/corpus/a.txt", 10**9)) == ["first é\n"]


@settings(max_examples=25)
@given(
    lines=st.lists(st.text("aé𝄞 \n", max_size=40), min_size=1, max_size=30),
    most=st.integers(1, 400),
    piece=st.integers(16, 90),
)
def test_pieces_are_those_of_a_file_here(
    tmp_path_factory: Any, lines: list[str], most: int, piece: int
) -> None:
    text = "x" + "\n".join(lines)
    folder = in_folder(tmp_path_factory.mktemp("t"), {"long.txt": text})
    put("memory://pieces", {"long.txt": text})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "_PIECE", piece)
        patch.setattr(text_files, "_PIECE", piece)
        here = list(texts.from_path(folder / "long.txt", most))
        there = list(texts.from_path(text_path("memory://pieces/long.txt"), most))
    assert here == there


def test_it_is_read_as_it_goes_and_a_sample_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "line of a very long file\n"
    put("memory://long", {"long.txt": line * 400_000})  # 10 MB
    path = text_path("memory://long/long.txt")
    traffic = counted(monkeypatch)
    next(texts.from_path(path, 10**9))
    assert traffic.nbytes <= 2 << 18
    traffic.clear()
    assert sum(len(document.text) for document in texts.from_path(path, 1 << 20)) < 2 << 20
    assert traffic.nbytes < 3 << 20
    traffic.clear()
    for _ in range(5):  # as a form asks at every change
        assert texts.size_of(path) == 400_000 * len(line)
    assert len(traffic) == 0


def test_a_parameter_takes_a_path_or_an_address(tmp_path: Path) -> None:
    class Params(BaseModel):
        path: TextPath | None = None

    for name in (None, "a/b.txt", "s3://bucket/a.txt", "file:///tmp/a", "memory://x"):
        params = Params(path=name)
        assert params.model_dump(mode="json")["path"] == name
        assert Params.model_validate_json(params.model_dump_json()) == params
    assert text_files.is_remote(Params(path="s3://b/c").path)
    assert str(text_path("file:///tmp/a b")) == "file:///tmp/a b"
    assert text_path("s3://b/c/d.txt").name == "d.txt"
    put("memory://given", {"a.txt": "some"})
    assert Texts(path="memory://given/a.txt").named == "a.txt"
    with pytest.raises(BadInput, match=r"no file or folder memory://given/b\.txt"):
        Texts(path="memory://given/b.txt")


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_extraction_reads_from_there(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    model = str(tiny.save_tiny(tmp_path / "tiny"))
    text = " ".join(f"word{n}" for n in range(80))
    put(f"{place}/corpus", {"a.txt": text})
    asked = ["run", "extraction", "-m", model, "--preset", "quick", "--set", "max_windows=2"]
    out = tmp_path / "run"
    assert call(*asked, "--set", f"path={place}/corpus", "--out", str(out)) == 0
    params = wb.open_run(out).params
    assert params["path"] == f"{place}/corpus"
    written = capsys.readouterr()
    assert "testing-secret" not in written.out + written.err


def test_trace_and_facts_and_ledgers_read_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = str(tiny.save_tiny(tmp_path / "tiny"))
    put("memory://prompts", {"p.jsonl": '{"text": "one"}\n\n"two é"\n', "p.txt": "three\nfour\n"})
    for name, prompts in (("p.jsonl", ["one", "two é"]), ("p.txt", ["three", "four"])):
        asked = ["--prompts", f"memory://prompts/{name}", "-o", f"memory://traces/{name}"]
        assert call("trace", "-m", model, "--site", "z", *asked) == 0
        assert wb.Trace.open(f"memory://traces/{name}").prompts == prompts
    put("memory://facts", {"f.csv": "subject,answer\nA,B\nC,D\nE,F\nG,H\n"})
    relation = wb.facts.from_file("memory://facts/f.csv", "The capital of {subject} is")
    assert (relation.name, len(relation.facts)) == ("f", 4)
    with pytest.raises(BadInput, match="There is no file 'memory://facts'"):
        wb.facts.from_file("memory://facts", "The capital of {subject} is")


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (PermissionError("Forbidden"), "There are no rights to memory://fails/a.txt"),
        (FileNotFoundError("NoSuchBucket"), r"memory://fails/a.txt is not there \(any more\)"),
        (OSError("https://key:word@host?sig=1"), "memory://fails/a.txt could not be reached"),
    ],
)
def test_what_fails_in_the_middle_is_a_sentence(
    raised: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("memory://fails", {"a.txt": "line\n" * 200_000, "b.jsonl": '{"text": "a"}\n' * 50_000})
    kind = type(remote.open_address("memory://fails")[0])
    real = kind.cat_file

    def cat_file(self: Any, path: str, start: int, end: int, **more: Any) -> bytes:
        if start:
            raise raised
        return bytes(real(self, path, start, end, **more))

    monkeypatch.setattr(kind, "cat_file", cat_file)
    for name in ("a.txt", "b.jsonl"):
        with pytest.raises(WorkbenchError, match=says.replace("a.txt", name)) as error:
            list(texts.from_path(text_path(f"memory://fails/{name}"), 10**9))
        assert "word" not in str(error.value)
        assert isinstance(error.value, NotFound) == isinstance(raised, FileNotFoundError)


def test_keys_in_an_address_are_never_repeated(capsys: Any, tmp_path: Path) -> None:
    model = str(tiny.save_tiny(tmp_path / "tiny"))
    address = "s3://key:hush@bucket/corpus"
    for asked in (
        ["run", "extraction", "-m", model, "--set", f"path={address}"],
        ["run", "function-tokens", "-m", model, "--set", f"texts={address}"],
        ["run", "knowledge-conflict", "-m", model, "--set", f"facts_file={address}"],
        ["trace", "-m", model, "-o", str(tmp_path / "t"), "--prompts", address],
        ["plant", "-m", model, "-o", str(tmp_path / "p"), "--texts", address],
    ):
        assert call(*asked) == 2, asked
        written = capsys.readouterr()
        assert "hush" not in written.out + written.err, asked
        assert "perhaps keys" in " ".join(written.err.split())
