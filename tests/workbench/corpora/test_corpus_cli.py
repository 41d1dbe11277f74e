"""`workbench corpus`: index one, ask it, and every way in which it cannot be done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import cli
from workbench.corpora import open_index

Call = Callable[..., Any]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> SimpleNamespace:
        with pytest.raises(SystemExit) as end:
            cli.main(["corpus", *map(str, arguments)])
        said = capsys.readouterr()
        return SimpleNamespace(
            code=int(end.value.code or 0), out=said.out, err=re.sub(r"\s+", " ", said.err)
        )

    return run


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("The cat sat on the mat.\nThe cat slept.\n")
    (folder / "b.txt").write_text("A [red]dog[/red] sat \x1b[31mon the mat.")
    (folder / "c.jsonl").write_text('{"text": "nothing of the kind", "id": "third"}\n')
    (folder / "d.png").write_bytes(b"\0")
    return folder


def test_a_corpus_is_indexed_and_asked(call: Call, texts: Path) -> None:
    said = call("index", texts)
    assert said.code == 0, said.err
    assert "Indexed in corpus-texts: 3 documents, 95 B." in said.out
    assert "Left out: d.png is not text: byte 1 is zero." in said.out
    said = call("find", "corpus-texts", "sat")
    assert "It stands in the corpus 2 times." in said.out
    assert re.search(r"a.txt, line 1 +The cat \[sat\] on the mat. The cat slept.", said.out)
    assert "A [red]dog[/red] [sat] \ufffd[31mon" in said.out
    assert "\x1b" not in said.out
    assert "a.txt, line 2 " in call("find", "corpus-texts", "slept").out
    assert "c.jsonl: third, line 1 " in call("find", "corpus-texts", "kind").out
    assert "1 of 2 are shown" in call("find", "corpus-texts", "sat", "--most", 1).out
    said = call("show", "corpus-texts")
    assert re.search(r"made from +\S*texts", said.out)
    assert re.search(r"documents +3", said.out)
    assert re.search(r"left out +1 file", said.out)


def test_of_a_text_that_is_not_there_the_parts_that_are_come_rarest_first(
    call: Call, texts: Path
) -> None:
    call("index", texts, "-o", "mine")
    said = call("find", "mine", "The cat sat beside nothing of that kind")
    assert "It does not stand in the corpus." in said.out
    rows = [line.strip().split("  ")[0] for line in said.out.splitlines() if "line" in line]
    assert set(rows) >= {"The cat sat", "nothing of", "kind"}
    found = json.loads(call("find", "mine", "The cat sat beside", "--json").out)
    assert found["count"] == 0
    assert found["spans"][0]["text"] == "The cat sat "
    assert [s["rarity"] for s in found["spans"]] == sorted(
        (s["rarity"] for s in found["spans"]), reverse=True
    )
    assert "does not stand" in call("find", "mine", "ż").out


def test_json_says_all_that_is_known(call: Call, texts: Path) -> None:
    card = json.loads(call("index", texts, "--json").out)
    shown = json.loads(call("show", "corpus-texts", "--json").out)
    assert shown | {"path": ""} == card | {"path": ""}
    assert (card["documents"], card["bytes"], card["left_out"]) == (3, 95, 1)
    found = json.loads(call("find", "corpus-texts", "sat", "--json").out)
    assert found["count"] == 2
    (first, second) = found["places"]
    assert (first["file"], first["offset"], first["before"]) == ("a.txt", 8, "The cat ")
    assert second["document"] == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["index", "missing"], "There is no file, and no folder with files, 'missing'"),
        (["index", "texts/d.png"], "d.png is not text"),
        (["index", "texts", "--field", "body"], "no JSON object with a text 'body'"),
        (["index", "texts", "-o", "texts"], "exists already"),
        (["index", "texts", "-o", "texts/index"], "would lie inside the corpus"),
        (["index", "organism/plantd"], "There is no organism"),
        (["find", "missing", "x"], "There is no index 'missing'"),
        (["find", "texts", "x"], "There is no index 'texts'"),
        (["show", "texts"], "There is no index 'texts'"),
        (["find", "good", ""], "No text is given to look for"),
        (["find", "good", "\udcff"], "is not valid Unicode"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(
    call: Call, texts: Path, tmp_path: Path, arguments: list[str], why: str
) -> None:
    call("index", "texts/a.txt", "-o", "good")
    before = sorted(tmp_path.rglob("*"))
    said = call(*arguments)
    assert said.code == 2
    assert why in said.err
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_stops_and_the_same_command_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys; from workbench import cli; from workbench.corpora import build;"
        "build.SHARD = 60_000; cli.main(sys.argv[1:])"
    )
    (tmp_path / "c.txt").write_text("".join(f"line {n}\n" for n in range(500_000)))
    command = [sys.executable, "-c", code, "corpus", "index", str(tmp_path / "c.txt")]
    command += ["-o", str(tmp_path / "index")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    work = tmp_path / ".index.building"
    while not (work / "shard-00001").is_dir():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "The same command continues" in said
    assert not (tmp_path / "index").exists()
    assert (work / "shard-00000" / "shard.json").is_file()
    inode = os.stat(work / "shard-00000" / "suffixes.bin").st_ino
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    assert os.stat(tmp_path / "index" / "shard-00000" / "suffixes.bin").st_ino == inode
    assert open_index(tmp_path / "index").count("line ") == 500_000
