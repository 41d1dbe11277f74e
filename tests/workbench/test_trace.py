"""A trace folder opens as it was saved, lazily and in parts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.helpers.examples import example_trace
from workbench import disk_space
from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError
from workbench.trace_files import saving


@pytest.fixture
def captured(llama):
    return example_trace(llama)


def test_round_trip(captured, tmp_path):
    opened = wb.Trace.open(captured.save(tmp_path / "t"))
    assert list(opened) == list(captured)
    assert (opened.tokens, opened.prompts, opened.lengths) == (
        captured.tokens,
        captured.prompts,
        captured.lengths,
    )
    for site in captured:
        xr.testing.assert_identical(opened[site], captured[site])
    assert opened.model["n_layers"] == 3
    assert opened.complete
    assert repr(opened) == repr(captured)
    assert "z: prompt 3" in repr(opened)


def test_padding_is_not_stored(captured, tmp_path):
    opened = wb.Trace.open(captured.save(tmp_path / "t"))
    tokens = sum(captured.lengths)
    squares = sum(n * n for n in captured.lengths)
    assert opened.nbytes == 4 * (3 * tokens * 32 + 3 * 4 * squares + tokens * 384) < captured.nbytes


def test_parts_are_those_of_the_whole(captured, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "_SHARD_BYTES", 1)
    folder = captured.save(tmp_path / "t")
    assert len(list(folder.glob("shard-*"))) == 3
    for part in (captured, wb.Trace.open(folder)):
        for site in captured:
            layers = None if site == "logits" else [2, 0]
            got = part.read(site, [-1, 0], layers)
            want = captured[site].isel(prompt=[2, 0])
            xr.testing.assert_equal(got, want if layers is None else want.isel(layer=layers))
        short = part.read("z", slice(0, 1), 1)
        assert short.sizes == {
            "prompt": 1,
            "layer": 1,
            "pos": captured.lengths[0],
            "head": 4,
            "d_head": 8,
        }
        with pytest.raises(NotFound, match="no prompt 3"):
            part.read("z", [3])
        with pytest.raises(NotFound, match="no layer 7"):
            part.read("z", layers=7)
        with pytest.raises(NotFound, match="does not repeat"):
            part.read("logits", layers=0)
        with pytest.raises(NotFound, match="Did you mean 'z'"):
            part.read("zz")


def test_a_part_reads_only_its_shard(captured, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "_SHARD_BYTES", 1)
    opened = wb.Trace.open(captured.save(tmp_path / "t"))
    for file in sorted((tmp_path / "t").glob("shard-*"))[1:]:
        file.write_bytes(b"gone")
    assert opened.read("z", 0).sizes["prompt"] == 1
    with pytest.raises(BadRun, match="damaged"):
        _ = opened["z"]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_axes_and_lengths_survive(data, tmp_path_factory):
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    layers = data.draw(
        st.none() | st.lists(st.integers(0, 40), min_size=1, max_size=3, unique=True)
    )
    dims = data.draw(st.permutations(["pos", "head", "key", "d_x"]))[: data.draw(st.integers(0, 4))]
    kind = data.draw(st.sampled_from(["float32", "float16", "int32"]))
    longest = max(lengths)
    sizes = [{"head": 2, "d_x": 3}.get(dim, longest) for dim in dims]
    shape = (len(lengths), *([] if layers is None else [len(layers)]), *sizes)
    whole = np.full(shape, np.nan if kind != "int32" else -1, kind)
    for row, n in enumerate(lengths):
        own = tuple(slice(n if dim in {"pos", "key"} else None) for dim in dims)
        cut = whole[(row, ..., *own)]
        cut[...] = np.random.default_rng(row).integers(0, 99, cut.shape)
    about = {
        "prompt": range(len(lengths)),
        "layer": layers or [],
        "pos": range(longest),
        "key": range(longest),
        "head": [0, 1],
    }
    names = ["prompt", *([] if layers is None else ["layer"]), *dims]
    array = xr.DataArray(
        whole,
        dims=names,
        coords={d: list(about[d]) for d in names if d in about},
        name="x",
        attrs={"unit": "u"},
    )
    tokens = [[f"t{i % 3}\x00é" for i in range(n)] for n in lengths]
    made = wb.Trace({"x": array}, tokens, ["\ud800" + "p" * n for n in lengths], {"name": "m"})
    opened = wb.Trace.open(made.save(tmp_path_factory.mktemp("t") / "t"))
    assert (opened.prompts, opened.tokens) == (made.prompts, tokens)
    xr.testing.assert_identical(opened["x"], array)
    some = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=4))
    got = wb.Trace.open(opened._store.folder).read("x", some)
    xr.testing.assert_equal(got, made.read("x", some))


def test_a_copy_of_an_opened_trace_is_the_same(captured, tmp_path):
    opened = wb.Trace.open(captured.save(tmp_path / "t"))
    again = wb.Trace.open(opened.save(tmp_path / "u"))
    for site in captured:
        xr.testing.assert_identical(again[site], captured[site])


def test_a_patch_takes_an_opened_trace(captured, tmp_path, llama):
    opened = wb.Trace.open(captured.save(tmp_path / "t"))
    before = llama.next_logits(list(captured.prompts))
    with wb.patch(llama, opened, heads=[(0, 0), (2, 3)]):
        np.testing.assert_allclose(llama.next_logits(list(captured.prompts)), before, atol=1e-5)


def test_unknown_site_and_taken_folder(captured, tmp_path):
    with pytest.raises(NotFound, match="site in this trace"):
        _ = captured["resid_post"]
    captured.save(tmp_path / "t")
    with pytest.raises(WorkbenchError, match="exists already"):
        captured.save(tmp_path / "t")
    with pytest.raises(BadInput, match="is not a trace"):
        wb.Trace.open(tmp_path)


def test_what_cannot_be_stored_is_said_and_nothing_is_left(tmp_path):
    text = xr.DataArray(np.array([["a"]]), dims=["prompt", "pos"])
    with pytest.raises(BadInput, match="holds <U1"):
        wb.Trace({"x": text}, [["a"]], ["a"], {}).save(tmp_path / "t")
    wrong = xr.DataArray(np.zeros((1, 1)), dims=["pos", "prompt"])
    with pytest.raises(BadInput, match="has the axes"):
        wb.Trace({"x": wrong}, [["a"]], ["a"], {}).save(tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_more_than_memory_holds_is_refused_before_it_is_read(captured, tmp_path, monkeypatch):
    opened = wb.Trace.open(captured.save(tmp_path / "t"))
    monkeypatch.setattr(disk_space, "memory_free", lambda: 1000)
    with pytest.raises(WorkbenchError, match=r"needs .* of memory; 1.0 kB are free"):
        _ = opened["pattern"]
    assert opened.read("z", 0, 0).size
