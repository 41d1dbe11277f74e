"""`workbench runs`: the list by title, and what is done with one run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import cli
from workbench.result import Provenance, Result

Call = Callable[..., Any]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [tmp_path / "samples"])
    for place in ("runs/one", "samples/shown", "others/two"):
        Result(
            "made-up", made_title=f"Title of {place}", provenance=Provenance(model={"name": "tiny"})
        ).save(tmp_path / place)

    def run(*arguments: object) -> SimpleNamespace:
        with pytest.raises(SystemExit) as end:
            cli.main(["runs", *map(str, arguments)])
        said = capsys.readouterr()
        return SimpleNamespace(
            code=int(end.value.code or 0),
            out=re.sub(r"\s+", " ", said.out),
            err=re.sub(r"\s+", " ", said.err),
            text=said.out,
        )

    return run


def test_the_list_shows_titles_and_states(call: Call) -> None:
    call("pin", "one")
    call("hide", "shown")
    said = call().out
    assert "one Title of runs/one" in said
    assert "pinned" in said
    assert "sample, hidden" in said
    [own, sample] = json.loads(call("--json").text)
    assert (own["title"], own["labels"]["pinned"]) == ("Title of runs/one", True)
    assert sample["says"] == {}
    call("pin", "one", "--off")
    call("hide", "shown", "--off")
    assert "pinned" not in call().out
    assert "hidden" not in call().out


def test_title_and_note(call: Call) -> None:
    assert "one is called: [b]Mine[/b]" in call("rename", "one", "[b]Mine[/b]").out
    assert "[b]Mine[/b]" in call().out
    call("note", "one", "two\nlines\x1b[31m")
    assert "two lines" in call("note", "one").out
    assert "\x1b" not in call("note", "one").text
    assert "is gone" in call("note", "one", "").out
    assert "has no note" in call("note", "one").out
    call("rename", "latest", "")
    assert "Title of runs/one" in call().out


def test_checksum(call: Call, tmp_path: Path) -> None:
    total = call("checksum", "one").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", total)
    assert "Unchanged: one" in call("checksum", "one", total.upper()).out
    with (tmp_path / "runs" / "one" / "result.json").open("a") as file:
        file.write(" ")
    changed = call("checksum", "one", total)
    assert changed.code == 2
    assert "not what that report was made of" in changed.err


def test_trash(call: Call, tmp_path: Path) -> None:
    assert "Moved to the trash: one" in call("delete", "latest").out
    assert "Title of runs/one" in call("restore").out
    assert "Restored: one" in call("restore", "one").out
    assert "The trash is empty." in call("restore").out
    call("delete", "one")
    refused = call("empty-trash")  # nobody there to answer
    assert refused.code != 0
    assert (tmp_path / "runs" / ".trash" / "one").is_dir()
    assert "Removed: 1" in call("empty-trash", "--yes").out
    assert not (tmp_path / "runs" / ".trash" / "one").exists()


def test_another_folder_may_be_named_on_either_side(call: Call, tmp_path: Path) -> None:
    others = tmp_path / "others"
    call("--runs", others, "rename", "two", "Before")
    assert "Before" in call("--runs", others).out
    call("rename", "two", "After", "--runs", others)
    assert "After" in call("--runs", others).out
    assert "no folder" in call("--runs", tmp_path / "nowhere", "rename", "two", "x").err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rename", "nothing", "x"], "no run 'nothing'"),
        (["delete", "shown"], "hidden instead"),
        (["restore", "nothing"], "no run in the trash 'nothing'"),
        (["rename", "one", "x" * 300], "300 characters"),
    ],
)
def test_what_cannot_be_done_is_one_message(call: Call, arguments: list[str], says: str) -> None:
    said = call(*arguments)
    assert said.code == 2
    assert says in said.err
