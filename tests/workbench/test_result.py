"""A run comes back as it was saved: findings, tables of any kind, arrays of any kind."""

from __future__ import annotations

import json
import math
import string

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.examples import example_result
from workbench import run_writing
from workbench.result import Finding, Result
from workbench.run_folder import read_index

few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_infinity=False) | st.integers(-(2**53), 2**53)


@pytest.fixture
def folder(tmp_path):
    """A healthy run folder, to be damaged."""
    return example_result().save(tmp_path / "run")


def test_a_run_comes_back_as_it_was(folder):
    was, back = example_result(), Result.open(folder)
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


def test_the_index_is_read_without_the_rest(folder):
    for file in ("tables/heads.parquet", "arrays.safetensors"):
        (folder / file).unlink()
    assert read_index(folder)["findings"]["known"]["value"] == 55


def test_an_unknown_attribute_is_an_attribute_error():
    found = example_result()
    assert not hasattr(found, "_private")
    with pytest.raises(AttributeError, match="no attribute 'dail'"):
        Result("no-such-analysis").dail  # noqa: B018
    assert found.selection is found.selection


def test_its_text_says_what_was_found():
    said = repr(example_result())
    assert said.splitlines()[0] == "Result of knowledge-conflict on tiny"
    assert "base: It depends." in said
    assert set(string.printable) >= set(said)
