"""Labels: they travel with the folder, cost no run its place in the list, and are written whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench import run_labels, runs
from workbench.errors import BadInput, WorkbenchError
from workbench.result import Provenance, Result
from workbench.run_labels import Labels

BIDI = "\u202e\u2066\u200f"


@pytest.fixture(autouse=True)
def own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [tmp_path / "samples"])
    return tmp_path / "runs"


def run(folder: Path) -> Path:
    return Result("made-up", provenance=Provenance(model={"name": "tiny"})).save(folder)


def test_they_travel_with_the_folder_and_change_one_by_one(own_runs: Path, tmp_path: Path) -> None:
    folder = run(own_runs / "one")
    assert run_labels.read(folder) == Labels()
    run_labels.write(folder, title="  Mine\n all ", note=" a\r\nb ")
    run_labels.write(folder, pinned=True)
    shutil.move(folder, tmp_path / "elsewhere")
    assert Result.open(tmp_path / "elsewhere").labels == Labels("Mine all", "a\nb", True)
    assert Result.open(tmp_path / "elsewhere").title == "Mine all"
    run_labels.write(tmp_path / "elsewhere", title="")
    assert Result.open(tmp_path / "elsewhere").title == "Made up · tiny"


def test_a_sample_run_is_left_as_it_is(own_runs: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "samples" / "shown")
    copy = shutil.copytree(folder, own_runs / "copy")
    run_labels.write(folder, title="Seen", hidden=True)
    assert not (folder / run_labels.FILE).exists()
    assert run_labels.read(folder) == Labels("Seen", hidden=True)
    assert run_labels.read(copy) == Labels()  # the same numbers, but not the same run
    assert [entry.title for entry in runs.listing() if entry.sample] == ["Seen"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_keeps_them_among_the_users_runs(tmp_path: Path) -> None:
    folder = run(tmp_path / "theirs")
    folder.chmod(0o555)
    run_labels.write(folder, note="mine")
    assert run_labels.read(folder).note == "mine"
    folder.chmod(0o755)
    run_labels.write(folder, pinned=True)
    assert (folder / run_labels.FILE).is_file()
    assert run_labels.read(folder) == Labels(note="mine", pinned=True)


def test_where_the_folder_cannot_be_written_they_lie_elsewhere(
    tmp_path: Path, own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, replace = run(tmp_path / "theirs"), run_labels._replace

    def refused(file: Path, text: str) -> None:
        if file.parent == folder:
            raise PermissionError(13, "Permission denied")
        replace(file, text)

    monkeypatch.setattr(run_labels, "_replace", refused)
    run_labels.write(folder, note="mine")
    assert run_labels.read(folder).note == "mine"
    monkeypatch.undo()
    monkeypatch.setenv("WORKBENCH_RUNS", str(own_runs))
    run_labels.write(folder, pinned=True)
    assert run_labels.read(folder) == Labels(note="mine", pinned=True)
    assert list((own_runs / ".labels").iterdir()) == []


def test_if_nothing_can_be_written_it_is_said_and_nothing_is_lost(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(own_runs / "one")
    run_labels.write(folder, title="Kept")

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(WorkbenchError, match="No space left"):
        run_labels.write(folder, title="Lost")
    assert run_labels.read(folder).title == "Kept"
    assert {file.name for file in folder.iterdir()} == {"result.json", run_labels.FILE}


@pytest.mark.parametrize("stored", ["{", "[]", "null", '"x"', "[" * 100_000, "\xff", " " * 300_000])
def test_a_broken_file_costs_the_labels_and_says_so(own_runs: Path, stored: str) -> None:
    folder = run(own_runs / "one")
    (folder / run_labels.FILE).write_text(stored, encoding="latin-1")
    [entry] = runs.listing(samples=False)
    assert entry.title == "Made up · tiny"
    assert not entry.problem
    assert "labels.json" in entry.labels.problem
    assert run_labels.write(folder, note="again") == Labels(note="again")
    assert run_labels.read(folder) == Labels(note="again")


def test_a_link_to_elsewhere_is_not_followed(own_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"note": "secret"}')
    folder = run(own_runs / "one")
    (folder / run_labels.FILE).symlink_to(tmp_path / "secret")
    assert run_labels.read(folder).note == ""
    run_labels.write(folder, note="mine")
    assert (tmp_path / "secret").read_text() == '{"note": "secret"}'


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["title", "note", "pinned", "hidden", "problem", "more"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=300),
            lambda inner: st.lists(inner, max_size=3),
        ),
    )
)
def test_whatever_a_stranger_stored_is_only_text(own_runs: Path, stored: dict[str, object]) -> None:
    folder = own_runs / "one"
    if not folder.exists():
        run(folder)
    (folder / run_labels.FILE).write_text(json.dumps(stored))
    labels = run_labels.read(folder)
    assert isinstance(labels.title, str)
    assert len(labels.title) <= run_labels.TITLE
    assert len(labels.title.splitlines()) <= 1
    labels.note.encode()
    assert isinstance(labels.pinned, bool)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=run_labels.TITLE), st.text(max_size=400))
def test_what_is_written_is_read_again(own_runs: Path, title: str, note: str) -> None:
    folder = own_runs / "one"
    if not folder.exists():
        run(folder)
    try:
        wrote = run_labels.write(folder, title=title, note=note)
    except BadInput:  # half of a surrogate pair
        return
    assert run_labels.read(folder) == wrote
    assert wrote.note == note.replace("\r\n", "\n").strip()


def test_too_long_is_refused(own_runs: Path) -> None:
    folder = run(own_runs / "one")
    with pytest.raises(BadInput, match="201 characters"):
        run_labels.write(folder, title="x" * 201)
    with pytest.raises(BadInput, match="not valid Unicode"):
        run_labels.write(folder, note="\ud800")
    assert run_labels.write(folder, title=f"a{BIDI}b").title == "ab"
