"""The trash, and runs that were opened from elsewhere: nothing is lost before it is emptied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.synthetic import synthetic_result
from workbench import run_labels, run_links, run_trash, runs
from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError
from workbench.result import Provenance, Result

ODD = ["<img src=x onerror=alert(1)>", "with 'quotes' \"", "שלום", "😀", "a b", "x" * 200]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [tmp_path / "samples"])
    return tmp_path / "runs"


def run(folder: Path, text: str = "") -> Path:
    return Result("made-up", text, provenance=Provenance(model={"name": "tiny"})).save(folder)


def ids(root: Path) -> list[str]:
    return [entry.id for entry in runs.listing(root, samples=False)]


@pytest.mark.parametrize("name", ODD)
def test_a_run_comes_back_as_it_was(root: Path, name: str) -> None:
    folder = run(root / name, "Why?")
    run_labels.write(folder, note="keep")
    kept = run_trash.delete(name)
    assert ids(root) == []
    assert [(entry.id, entry.labels.note) for entry in run_trash.trashed()] == [(kept, "keep")]
    assert run_trash.restore(kept) == name
    assert Result.open(folder).question == "Why?"
    assert run_trash.trashed() == []


def test_names_that_are_taken_get_a_number(root: Path) -> None:
    for text in ("first", "second"):
        run(root / "one", text)
        run_trash.delete("one")
    run(root / "one", "third")
    assert run_trash.restore("one-2") == "one-2"
    assert run_trash.restore("one") == "one-3"  # "one-2" is there by now
    assert {e.id: Result.open(e.path).question for e in runs.listing(samples=False)} == {
        "one": "third",
        "one-2": "second",
        "one-3": "first",
    }


def test_emptying_removes_the_trash_alone(root: Path, tmp_path: Path) -> None:
    run(root / "stays")
    run(root / "goes")
    theirs = run(tmp_path / "theirs")
    assert run_links.open_folder(theirs) == "theirs"
    for name in ("goes", "theirs"):
        run_trash.delete(name)
    assert run_trash.empty() == 2
    assert run_trash.empty() == 0
    assert ids(root) == ["stays"]
    assert Result.open(theirs).analysis == "made-up"


def test_what_cannot_be_deleted_says_why(root: Path, tmp_path: Path) -> None:
    run(tmp_path / "samples" / "shown")
    with pytest.raises(WorkbenchError, match="hidden instead"):
        run_trash.delete("shown")
    runs.new_folder(Result("made-up"), root)
    [name] = [folder.name for folder in root.iterdir()]
    with pytest.raises(WorkbenchError, match="still being written"):
        run_trash.delete(name)
    for wrong in ("nothing", "..", "../samples/shown", ".trash", "", "a/b"):
        with pytest.raises(NotFound):
            run_trash.delete(wrong)
        with pytest.raises(NotFound):
            run_trash.restore(wrong)
    assert [entry.id for entry in runs.listing(root)] == ["shown"]


def test_a_damaged_run_can_be_deleted(root: Path) -> None:
    folder = run(root / "torn")
    (folder / "result.json").write_text("{")
    assert run_trash.restore(run_trash.delete("torn")) == "torn"


def test_a_run_from_elsewhere_is_linked_and_not_copied(root: Path, tmp_path: Path) -> None:
    run(root / "one")
    theirs = run(tmp_path / "theirs" / "one", "Theirs?")
    name = run_links.open_folder(theirs / "result.json")
    assert name == "one-2"
    assert run_links.open_folder(theirs) == name  # once more is the same
    assert run_links.open_folder(root / "one") == "one"
    entry = runs.find(name)
    assert entry.linked
    assert runs.open_run(name).question == "Theirs?"
    run_trash.delete(name)
    assert theirs.is_dir()
    run_trash.restore(name)
    (tmp_path / "theirs").rename(tmp_path / "gone")
    assert "is no more" in runs.find(name).problem


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("nowhere", NotFound, "no folder"),
        ("", BadInput, "no path"),
        ("a\0b", BadInput, "no path"),
        ("x" * 5000, BadInput, "no path"),
        ("empty", BadInput, "not a run folder"),
        ("many", BadInput, "2 runs in it, open one of them: a, b"),
        ("torn", BadRun, "damaged"),
    ],
)
def test_what_cannot_be_opened_says_why(
    root: Path, tmp_path: Path, path: str, error: type[Exception], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    run(tmp_path / "many" / "a")
    run(tmp_path / "many" / "b")
    (run(tmp_path / "torn") / "result.json").write_text("{")
    with pytest.raises(error, match=says):
        run_links.open_folder(str(tmp_path / path) if path and "\0" not in path else path)
    assert ids(root) == []


def test_a_run_that_another_page_just_deleted_is_said_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic_result().save(tmp_path / "mine")
    before = runs.listing(tmp_path)
    run_trash.delete("mine", tmp_path)
    monkeypatch.setattr(run_trash, "listing", lambda root: before)
    with pytest.raises(NotFound, match="not there any more"):
        run_trash.delete("mine", tmp_path)
