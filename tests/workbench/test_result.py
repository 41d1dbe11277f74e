"""Results and run folders: what goes in comes out, saving is whole or not at all, and a
stranger's folder is only data.
"""

from __future__ import annotations

import json
import math
import os
import string
import struct

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import save_file

from workbench import run_folder as module
from workbench import run_writing
from workbench.errors import BadRun, WorkbenchError
from workbench.result import Finding, Provenance, Result
from workbench.run_folder import read_index

few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_infinity=False) | st.integers(-(2**53), 2**53)


def example() -> Result:
    found = Result(
        "knowledge-conflict", "Which does it follow?", {"relation": "capital", "k": [1, 3]}
    )
    found.add(
        Finding(
            "base",
            {"memory": 0.4, "context": 0.5, "n": 27},
            "It depends.",
            interval={"memory": (0.3, 0.5)},
        ),
        Finding("known", 55, "It knows 55.", unit="facts", interval=(50.0, 60.0)),
    )
    found.tables["heads"] = pd.DataFrame(
        {"layer": [23, 20], "head": [4, 1], "role": ["memory", "context"], "rank": [1.0, math.nan]}
    )
    found.arrays["effects"] = xr.DataArray(
        np.arange(6, dtype="float32").reshape(2, 3),
        dims=("answer", "layer"),
        coords={"answer": ["memory", "context"]},
    )
    found.provenance = Provenance(
        model={"name": "tiny"}, seed=3, versions={"torch": "2"}, started="2026-01-01T00:00:00+00:00"
    )
    return found


@pytest.fixture
def folder(tmp_path):
    """A healthy run folder, to be damaged."""
    return example().save(tmp_path / "run")


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


# What goes in comes out


def test_a_run_comes_back_as_it_was(folder):
    was, back = example(), Result.open(folder)
    assert back.path == folder
    assert (back.analysis, back.question, back.params, back.partial) == (
        was.analysis,
        was.question,
        was.params,
        False,
    )
    assert back.findings == was.findings
    assert back.provenance == was.provenance
    pd.testing.assert_frame_equal(back.tables["heads"], was.tables["heads"])
    xr.testing.assert_identical(back.arrays["effects"], was.arrays["effects"].rename("effects"))


@few
@given(
    value=numbers
    | st.dictionaries(
        texts.filter(lambda t: t not in {"unit", "says", "interval"}),
        numbers,
        min_size=1,
        max_size=4,
    ),
    says=texts,
    unit=texts,
    interval=st.none() | st.tuples(numbers, numbers),
)
def test_findings_round_trip(value, says, unit, interval):
    single = not isinstance(value, dict)
    spans = interval if single or interval is None else {next(iter(value)): interval}
    was = Finding("f", value, says, unit, spans)
    back = Finding.from_json(
        "f", json.loads(json.dumps(run_writing._no_nan(was.to_json()), allow_nan=False))
    )
    np.testing.assert_equal(back.values, was.values)
    assert (back.says, back.unit) == (says, unit)
    mine, theirs = (
        (s if isinstance(s, dict) else {"value": s}) if s else {} for s in (spans, back.interval)
    )
    np.testing.assert_equal(dict(theirs), dict(mine))


columns = st.sampled_from(
    [
        st.floats(width=64),
        st.integers(-(2**60), 2**60),
        st.booleans(),
        texts,
        st.none() | texts,
    ]
)


@few
@given(
    data=st.data(),
    rows=st.integers(0, 5),
    heads=st.lists(texts.filter(bool), unique=True, min_size=1, max_size=4),
)
def test_any_table_round_trips(tmp_path_factory, data, rows, heads):
    table = pd.DataFrame(
        {
            head: pd.Series(data.draw(st.lists(data.draw(columns), min_size=rows, max_size=rows)))
            for head in heads
        }
    )
    path = Result("x", tables={"t": table}).save(tmp_path_factory.mktemp("runs") / "run")
    pd.testing.assert_frame_equal(Result.open(path).tables["t"], table, check_dtype=rows > 0)


@few
@given(
    data=st.data(),
    shape=st.lists(st.integers(0, 3), max_size=3),
    dtype=st.sampled_from(sorted(run_writing._DTYPES)),
    name=names,
)
def test_any_array_round_trips(tmp_path_factory, data, shape, dtype, name):
    dims = data.draw(st.lists(texts, unique=True, min_size=len(shape), max_size=len(shape)))
    values = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    if "float" in dtype and values.size:
        values.flat[0] = math.nan
    labelled = {
        dim: data.draw(
            st.sampled_from(
                [[f"é{i}" for i in range(n)], list(range(n)), [i + 0.5 for i in range(n)]]
            )
        )
        for dim, n in zip(dims, shape, strict=True)
        if data.draw(st.booleans())
    }
    array = xr.DataArray(
        values, dims=dims, coords=labelled, name=name, attrs={"unit": "logits", "n": 3}
    )
    path = Result("x", arrays={name: array}).save(tmp_path_factory.mktemp("runs") / "run")
    back = Result.open(path).arrays[name]
    xr.testing.assert_identical(back, array)
    assert back.dtype == array.dtype


@pytest.mark.parametrize(
    "values",
    [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(12.0).reshape(2, 6)[:, ::2]],
)
def test_arrays_in_any_memory_order_round_trip(tmp_path, values):
    path = Result("x", arrays={"a": xr.DataArray(values, dims=("p", "q"))}).save(tmp_path / "run")
    np.testing.assert_array_equal(Result.open(path).arrays["a"].values, values)


def test_a_lone_number_and_empty_things_round_trip(tmp_path):
    was = Result(
        "x", tables={"none": pd.DataFrame({"a": []})}, arrays={"one": xr.DataArray(np.float32(7))}
    )
    back = Result.open(was.save(tmp_path / "run"))
    assert back.arrays["one"].shape == ()
    assert float(back.arrays["one"]) == 7
    assert len(back.tables["none"]) == 0
    assert Result.open(Result("nothing").save(tmp_path / "empty")).findings == {}


def test_numbers_of_numpy_and_those_not_measured_are_json(tmp_path):
    was = Result("x", params={"inf": math.inf, "deep": [{"nan": np.float32("nan")}]})
    was.add(
        Finding(
            "f",
            {"a": np.float32("nan"), "b": np.int64(3), "c": np.float32(0.5)},
            "…",
            interval={"a": (math.nan, 1.0)},
        )
    )
    path = was.save(tmp_path / "run")
    assert (
        json.loads((path / "result.json").read_text(), parse_constant=pytest.fail)["findings"]["f"][
            "a"
        ]
        is None
    )
    back = Result.open(path).findings["f"]
    assert math.isnan(back.values["a"])
    assert (back.values["b"], back.values["c"]) == (3, 0.5)
    assert math.isnan(back.interval["a"][0])


def test_labels_that_were_not_measured_come_back_as_nan(tmp_path):
    array = xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0.5, math.nan]})
    back = Result.open(Result("x", arrays={"a": array}).save(tmp_path / "run")).arrays["a"]
    np.testing.assert_array_equal(back.coords["x"].values, [0.5, math.nan])


def test_text_is_kept_as_text(tmp_path):
    evil = "<script>alert(1)</script>"
    was = Result(
        evil,
        evil,
        {evil: evil},
        {"f": Finding("f", 1, evil, evil)},
        {"t": pd.DataFrame({evil: [evil]})},
    )
    back = Result.open(was.save(tmp_path / "run"))
    assert (
        back.findings["f"].says
        == back.question
        == back.tables["t"].columns[0]
        == back.tables["t"].iloc[0, 0]
        == evil
    )


# Saving is whole or not at all


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="not empty"):
        example().save(tmp_path)
    with pytest.raises(WorkbenchError, match="not empty"):
        example().save(tmp_path / "mine.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert Result.open(example().save(tmp_path / "empty")).analysis == "knowledge-conflict"


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
            example().save(tmp_path / "run")
    assert refused.value.do
    assert list(tmp_path.rglob("*")) == [tmp_path / "run"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("pandas.DataFrame.to_parquet", stop)
    with pytest.raises(KeyboardInterrupt):
        example().save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_place(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WorkbenchError, match="could not be written"):
            example().save(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("place", ["/dev/null/run", "/proc/run"])
def test_a_place_where_no_folder_can_be(place):
    with pytest.raises(WorkbenchError, match="could not be written"):
        example().save(place)


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


# A stranger's folder is only data


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
    folder = example().save(tmp_path_factory.mktemp("runs") / "run")
    raw = bytearray((folder / file).read_bytes())
    raw[place % len(raw)] = byte
    (folder / file).write_bytes(raw)
    try:
        Result.open(folder)
    except BadRun:
        return


# Small things


def test_the_index_is_read_without_the_rest(folder):
    for file in ("tables/heads.parquet", "arrays.safetensors"):
        (folder / file).unlink()
    assert read_index(folder)["findings"]["known"]["value"] == 55


def test_an_unknown_attribute_is_an_attribute_error():
    found = example()
    assert not hasattr(found, "_private")
    with pytest.raises(AttributeError, match="no attribute 'dail'"):
        Result("no-such-analysis").dail  # noqa: B018
    assert found.selection is found.selection


def test_its_text_says_what_was_found():
    said = repr(example())
    assert said.splitlines()[0] == "Result of knowledge-conflict on tiny"
    assert "base: It depends." in said
    assert set(string.printable) >= set(said)
