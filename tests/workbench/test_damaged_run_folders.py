"""A stranger's folder is only data: whatever stands in it, it opens as a run or
is refused.
"""

from __future__ import annotations

import json
import math
import os
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.helpers.examples import example_result
from workbench import run_folder as module
from workbench.errors import BadRun
from workbench.result import Result

few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder(tmp_path):
    """A healthy run folder, to be damaged."""
    return example_result().save(tmp_path / "run")


def edit(folder, change):
    file = folder / "result.json"
    index = json.loads(file.read_text())
    change(index)
    file.write_text(json.dumps(index))


def refused(folder, says="."):
    with pytest.raises(BadRun, match=says) as error:
        Result.open(folder)
    assert error.value.do
    assert "Traceback" not in str(error.value)


def test_not_a_run_at_all(tmp_path):
    refused(tmp_path, "not a run folder")
    refused(tmp_path / "nowhere", "not a run folder")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("\xff\xfe", "damaged"),
        ("[]", "not a run's"),
        ("null", "not a run's"),
        ("{}", "not a run's"),
        ('{"format": true}', "not a run's"),
        ('{"format": 0}', "not a run's"),
        ('{"format": "1"}', "not a run's"),
        ('{"format": 1}', "no proper 'analysis'"),
        ('{"format": 999}', "newer version"),
        ("[" * 100_000, "damaged"),
        ('{"a":' * 100_000, "damaged"),
        ('{"format": ' + "9" * 5000 + "}", "damaged"),
    ],
)
def test_a_result_json_that_is_none(folder, text, says):
    (folder / "result.json").write_bytes(text.encode("latin-1"))
    refused(folder, says)


def test_every_truncation_is_noticed(folder):
    for file in ("result.json", "tables/heads.parquet", "arrays.safetensors"):
        whole = (folder / file).read_bytes()
        for part in (0, 1, 7, len(whole) // 2, len(whole) - 1):
            (folder / file).write_bytes(whole[:part])
            refused(folder)
        (folder / file).unlink()
        refused(folder)
        (folder / file).write_bytes(whole)
    assert Result.open(folder).findings


@pytest.mark.parametrize(
    "key", ["analysis", "question", "params", "findings", "tables", "arrays", "provenance"]
)
@pytest.mark.parametrize("value", [None, 3, [], True])
def test_wrong_types_in_result_json(folder, key, value):
    edit(folder, lambda index: index.update({key: value}))
    refused(folder, f"no proper '{key}'")
    edit(folder, lambda index: index.pop(key))
    refused(folder, f"no proper '{key}'")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", []),
        ("model", "x"),
        ("duration", "long"),
        ("duration", True),
        ("started", 3),
        ("versions", 1),
        ("notes", []),
        ("machine", {}),
    ],
)
def test_wrong_types_in_provenance(folder, key, value):
    edit(folder, lambda index: index["provenance"].update({key: value}))
    refused(folder, f"no proper '{key}'")


@pytest.mark.parametrize("duration", [math.nan, math.inf, 10**400])
def test_impossible_durations(folder, duration):
    edit(folder, lambda index: index["provenance"].update(duration=duration))
    refused(folder, "impossible time")


@pytest.mark.parametrize(
    "name",
    ["../x", "../../etc/passwd", "/etc/passwd", "a/b", "..", "", "A", "x\0y", "<script>", "a" * 65],
)
@pytest.mark.parametrize("key", ["tables", "arrays", "findings"])
def test_path_tricks_in_names(folder, key, name):
    edit(folder, lambda index: index[key].update({name: {}}))
    refused(folder, "not allowed")


@pytest.mark.parametrize("finding", [3, "x", [], None])
def test_findings_that_are_none(folder, finding):
    edit(folder, lambda index: index["findings"].update(base=finding))
    refused(folder)


@pytest.mark.parametrize(
    "finding",
    [
        {"a": "x"},
        {"a": []},
        {"a": {}},
        {"a": 10**400},
        {"a": 1, "interval": [1]},
        {"a": 1, "interval": {"a": [1]}},
        {"a": math.inf},
    ],
)
def test_findings_without_numbers(folder, finding):
    edit(folder, lambda index: index["findings"].update(base=finding))
    refused(folder)


@pytest.mark.parametrize("file", ["result.json", "tables/heads.parquet", "arrays.safetensors"])
def test_a_link_that_leads_outside(folder, tmp_path, file):
    outside = tmp_path / "secret"
    outside.write_bytes((folder / file).read_bytes())
    (folder / file).unlink()
    (folder / file).symlink_to(outside)
    refused(folder, "leads outside")


def test_a_linked_tables_folder(folder, tmp_path):
    (folder / "tables").rename(tmp_path / "elsewhere")
    (folder / "tables").symlink_to(tmp_path / "elsewhere")
    refused(folder, "leads outside")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("file", ["result.json", "tables/heads.parquet", "arrays.safetensors"])
def test_a_pipe_is_not_waited_for(folder, file):
    (folder / file).unlink()
    os.mkfifo(folder / file)
    refused(folder)


def test_files_of_another_kind(folder):
    (folder / "tables" / "heads.parquet").write_bytes(b"PK\3\4" + b"x" * 100)
    refused(folder, "damaged")


def test_an_unreadable_result_json(folder, monkeypatch):
    def denied(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", denied)
    refused(folder, "cannot be read: Permission denied")


def header(folder, text, body=b""):
    raw = text.encode()
    (folder / "arrays.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + body)


@pytest.mark.parametrize(
    "text",
    [
        '{"effects":{"dtype":"F32","shape":[2,3],"data_offsets":[0,99999]}}',
        '{"effects":{"dtype":"F32","shape":[99999,99999],"data_offsets":[0,24]}}',
        '{"effects":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}}',
        '{"effects":{"dtype":"X","shape":[2,3],"data_offsets":[0,24]}}',
        '{"effects":{"dtype":"F32","shape":[-2,-3],"data_offsets":[0,24]}}',
        "{",
    ],
)
def test_a_lying_header_of_arrays(folder, text):
    header(folder, text, b"\0" * 24)
    refused(folder, "damaged")


def test_an_absurd_header_length(folder):
    (folder / "arrays.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    refused(folder, "damaged")


@pytest.mark.parametrize(
    "change",
    [
        {"dims": ["answer"]},
        {"dims": ["answer", "layer", "head"]},
        {"dims": ["answer", "answer"]},
        {"dims": "ab"},
        {"dims": [1, 2]},
        {"dims": None},
        {"shape": [3, 2]},
        {"shape": None},
        {"coords": {"answer": ["memory"]}},
        {"coords": {"answer": ["a", "b", "c"]}},
        {"coords": {"answer": "ab"}},
        {"coords": {"answer": [["a"], ["b"]]}},
        {"coords": {"answer": [{}, {}]}},
        {"coords": {"answer": ["a", 1]}},
        {"coords": 3},
        {"attrs": 3},
    ],
)
def test_an_array_that_is_not_as_described(folder, change):
    edit(folder, lambda index: index["arrays"]["effects"].update(change))
    refused(folder)


def test_an_array_that_is_missing(folder):
    edit(folder, lambda index: index["arrays"].update(more={"dims": [], "shape": []}))
    refused(folder, "lacks its array 'more'")


def test_an_array_of_a_kind_that_numpy_lacks(folder):
    header(folder, '{"effects":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}', b"\0" * 12)
    refused(folder)


def test_sizes_are_checked_before_anything_is_read(folder, monkeypatch):
    with monkeypatch.context() as small:
        small.setattr(module, "MAX_JSON", 10)
        refused(folder, "absurdly large")
    with monkeypatch.context() as small:
        small.setattr(module, "MAX_FILE", 10)
        refused(folder, "Table 'heads' .* absurdly large")
    edit(folder, lambda index: index.update(tables={}))
    with monkeypatch.context() as small:
        small.setattr(module, "MAX_FILE", 10)
        refused(folder, "arrays .* absurdly large")


def test_a_small_table_that_unpacks_to_a_huge_one(folder, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILE", 2**20)
    pq.write_table(pa.table({"a": ["x" * 20_000] * 20_000}), folder / "tables" / "heads.parquet")
    assert (folder / "tables" / "heads.parquet").stat().st_size < 2**20
    refused(folder, "absurdly large")


def test_a_table_of_too_many_rows_or_cells(folder, monkeypatch):
    file = folder / "tables" / "heads.parquet"
    pq.write_table(pa.table({"a": pa.array(np.zeros(5000)), "b": pa.array(np.zeros(5000))}), file)
    with monkeypatch.context() as small:
        small.setattr(module, "MAX_ROWS", 4999)
        refused(folder, "absurdly large")
    with monkeypatch.context() as small:
        small.setattr(module, "MAX_CELLS", 9999)
        refused(folder, "absurdly large")


def test_nothing_else_in_the_folder_is_read(folder):
    (folder / "evil.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    save_file({"x": np.zeros(1)}, folder / "more.safetensors")
    back = Result.open(folder)
    assert set(back.arrays) == {"effects"}
    assert set(back.tables) == {"heads"}


@few
@given(
    place=st.integers(0, 10_000),
    byte=st.integers(0, 255),
    file=st.sampled_from(["result.json", "tables/heads.parquet", "arrays.safetensors"]),
)
def test_a_flipped_byte_never_gives_another_kind_of_error(tmp_path_factory, place, byte, file):
    folder = example_result().save(tmp_path_factory.mktemp("runs") / "run")
    raw = bytearray((folder / file).read_bytes())
    raw[place % len(raw)] = byte
    (folder / file).write_bytes(raw)
    try:
        Result.open(folder)
    except BadRun:
        return
