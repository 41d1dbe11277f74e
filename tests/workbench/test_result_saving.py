"""Saving a run is whole or not at all."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from safetensors import SafetensorError

from tests.helpers.examples import example_result
from workbench.errors import WorkbenchError
from workbench.result import Finding, Result


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="not empty"):
        example_result().save(tmp_path)
    with pytest.raises(WorkbenchError, match="not empty"):
        example_result().save(tmp_path / "mine.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert Result.open(example_result().save(tmp_path / "empty")).analysis == "knowledge-conflict"


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("pandas.DataFrame.to_parquet", OSError(28, "No space left on device")),
        (
            "safetensors.numpy.save_file",
            SafetensorError("I/O error: No space left on device (os error 28)"),
        ),
        ("pathlib.Path.write_text", OSError(28, "No space left on device")),
        ("os.replace", OSError(28, "No space left on device")),
        ("tempfile.mkdtemp", PermissionError(13, "Permission denied")),
        ("pathlib.Path.iterdir", PermissionError(13, "Permission denied")),
    ],
)
def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch, place, error):
    def fail(*_args, **_more):
        raise error

    (tmp_path / "run").mkdir()
    with monkeypatch.context() as broken:
        broken.setattr(place, fail)
        with pytest.raises(
            WorkbenchError, match=r"could not be written to .*(No space|denied)"
        ) as refused:
            example_result().save(tmp_path / "run")
    assert refused.value.do
    assert list(tmp_path.rglob("*")) == [tmp_path / "run"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("pandas.DataFrame.to_parquet", stop)
    with pytest.raises(KeyboardInterrupt):
        example_result().save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_place(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WorkbenchError, match="could not be written"):
            example_result().save(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("place", ["/dev/null/run", "/proc/run"])
def test_a_place_where_no_folder_can_be(place):
    with pytest.raises(WorkbenchError, match="could not be written"):
        example_result().save(place)


@pytest.mark.parametrize("bad", ["../x", "a/b", "", "Heads", "a b", "a" * 65, ".x", "x.parquet"])
def test_a_name_that_could_not_be_opened_again_is_not_written(tmp_path, bad):
    table, array = pd.DataFrame({"a": [1]}), xr.DataArray([1.0])
    for was in (
        Result("x", tables={bad: table}),
        Result("x", arrays={bad: array}),
        Result("x", findings={bad: Finding(bad, 1, "")}),
    ):
        with pytest.raises(ValueError, match="cannot name"):
            was.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_what_a_folder_cannot_hold_is_not_written(tmp_path):
    times = xr.DataArray(
        [1.0], dims="t", coords={"t": np.array(["2026-01-01"], dtype="datetime64[ns]")}
    )
    for array in (xr.DataArray(np.array(["a"])), xr.DataArray(np.array([1j])), times):
        with pytest.raises(ValueError, match=r"dtype|labels"):
            Result("x", arrays={"a": array}).save(tmp_path / "run")
    with pytest.raises(ValueError, match="cannot call a value 'says'"):
        Result("x", findings={"f": Finding("f", {"says": 1}, "")}).save(tmp_path / "run")
    assert not list(tmp_path.iterdir())
