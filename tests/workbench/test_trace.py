"""A trace folder opens as it was saved, lazily and in parts, and refuses what is damaged or
hostile.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import disk_space
from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError
from workbench.trace_files import saving
from workbench.trace_files.manifest import KIND

PROMPTS = [
    "The capital of France is",
    "Nobody <b>é</b>\n",
    "The safe opens with 7 4 1 9, and the other one with 2 8",
]
SHARD = "shard-00000000.safetensors"


@pytest.fixture
def captured(llama):
    return wb.capture(llama, PROMPTS, sites=["z", "pattern", "logits"])


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


# -- strangers' folders ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(format=99),
        lambda m: m.update(format="2"),
        lambda m: m.update(format=True),
        lambda m: m.update(kind="something else"),
        lambda m: m.pop("total"),
        lambda m: m.update(total={"prompts": "many", "tokens": 3}),
        lambda m: m.update(model=[1]),
        lambda m: m.update(request=None),
        lambda m: m.update(arrays=[1, 2]),
        lambda m: m.update(capture="another"),
        lambda m: m["arrays"].update(more=m["arrays"]["z"]),
        lambda m: m["arrays"]["z"].update(dims=["pos", "pos", "d_head"]),
        lambda m: m["arrays"]["z"].update(dims=["prompt", "head", "d_head"]),
        lambda m: m["arrays"]["z"].update(dims=[1, 2, 3]),
        lambda m: m["arrays"]["z"].update(sizes={"d_head": 10**30}),
        lambda m: m["arrays"]["z"].update(sizes={"d_head": -8}),
        lambda m: m["arrays"]["z"].update(layers=["../../etc"]),
        lambda m: m["arrays"]["z"].update(layers=[0, 1]),
        lambda m: m["arrays"]["z"].update(dtype="object"),
        lambda m: m["arrays"]["z"].update(coords={"head": [1, 2]}),
        lambda m: m["arrays"]["z"].update(attrs={"says": 3}),
        lambda m: m["arrays"]["z"].pop("sizes"),
    ],
)
def test_hostile_manifests_are_refused(captured, tmp_path, change):
    file = captured.save(tmp_path / "t") / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(BadRun):
        wb.Trace.open(tmp_path / "t")


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "[]", "3", "\x00\xff", '{"format": 2}'])
def test_damaged_manifests_are_refused(captured, tmp_path, text):
    file = captured.save(tmp_path / "t") / "manifest.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadRun, match="damaged"):
        wb.Trace.open(tmp_path / "t")


def header(file):
    raw = file.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def rewrite(file, about, data):
    text = json.dumps(about).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def metadata(**changes):
    def change(file):
        about, data = header(file)
        own = json.loads(about["__metadata__"]["workbench"])
        about["__metadata__"]["workbench"] = json.dumps({**own, **changes})
        rewrite(file, about, data)

    return change


def numbers(name, values):
    def change(file):
        about, data = header(file)
        start, end = about[name]["data_offsets"]
        new = np.array(values, "<i4").tobytes()
        assert len(new) == end - start
        rewrite(file, about, data[:start] + new + data[end:])

    return change


def without(name):
    def change(file):
        about, data = header(file)
        about["other"] = about.pop(name)
        rewrite(file, about, data)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:50]),
        lambda file: file.write_bytes(file.read_bytes() + b"more"),
        lambda file: file.write_bytes((2**63).to_bytes(8, "little") + file.read_bytes()[8:]),
        lambda file: rewrite(file, {**header(file)[0], "__metadata__": {}}, header(file)[1]),
        metadata(capture="another"),
        metadata(prompts=["one"]),
        metadata(prompts=[1, 2, 3]),
        metadata(vocabulary=None),
        numbers("prompt.index", [0, 1, 1]),
        numbers("prompt.index", [1, 2, 3]),
        numbers("prompt.length", [0, 1, 2]),
        numbers("prompt.length", [-5, 1, 2]),
        numbers("prompt.length", [2**31 - 1, 1, 2]),
        without("z"),
        without("prompt.tokens"),
    ],
)
def test_damaged_and_hostile_shards_are_refused(captured, tmp_path, change):
    folder = captured.save(tmp_path / "t")
    change(folder / SHARD)
    with pytest.raises(BadRun, match=r"shard-00000000|belongs to another"):
        wb.Trace.open(folder)


def test_a_token_beyond_the_vocabulary_is_refused(captured, tmp_path):
    folder = captured.save(tmp_path / "t")
    numbers("prompt.tokens", [10**6] * sum(captured.lengths))(folder / SHARD)
    opened = wb.Trace.open(folder)
    with pytest.raises(BadRun, match="vocabulary"):
        _ = opened.tokens


def test_shards_that_are_no_plain_files_or_missing(captured, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "_SHARD_BYTES", 1)
    folder = captured.save(tmp_path / "t")
    first, second, _ = sorted(folder.glob("shard-*"))
    moved = second.rename(tmp_path / "elsewhere")
    with pytest.raises(BadRun, match="lacks prompts 1 to 1"):
        wb.Trace.open(folder)
    second.symlink_to(moved)
    with pytest.raises(BadRun, match="not a plain file"):
        wb.Trace.open(folder)
    second.unlink()
    os.mkfifo(second)
    with pytest.raises(BadRun, match="not a plain file"):
        wb.Trace.open(folder)
    second.unlink()
    first.rename(second)
    with pytest.raises(BadRun, match="does not hold the prompts"):
        wb.Trace.open(folder)


def test_files_of_others_are_left_alone(captured, tmp_path):
    folder = captured.save(tmp_path / "t")
    (folder / ".writing-shard-00000003.safetensors").write_bytes(b"half")
    (folder / "shard-1.safetensors").write_bytes(b"?")
    (folder / "notes.txt").write_text("mine")
    assert wb.Trace.open(folder).lengths == captured.lengths


# -- format 1 --------------------------------------------------------------------------------------


@pytest.fixture
def old(captured, tmp_path):
    """The trace as the first version wrote it."""
    from safetensors.numpy import save_file

    folder = tmp_path / "old"
    folder.mkdir()
    arrays = {
        site: {
            "dims": [str(d) for d in a.dims],
            "shape": list(a.shape),
            "coords": {str(d): c.values.tolist() for d, c in a.coords.items()},
            "shard": "shard-00000.safetensors",
        }
        for site, a in captured.items()
    }
    manifest = {
        "format": 1,
        "kind": KIND,
        "model": captured.model,
        "prompts": captured.prompts,
        "tokens": captured.tokens,
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, "arrays": arrays}))
    save_file(
        {site: np.ascontiguousarray(a.values) for site, a in captured.items()},
        folder / "shard-00000.safetensors",
    )
    return folder


def test_format_1_still_opens(captured, old, tmp_path):
    opened = wb.Trace.open(old)
    assert (opened.tokens, opened.prompts, opened.lengths) == (
        captured.tokens,
        captured.prompts,
        captured.lengths,
    )
    assert opened.complete
    assert "z: prompt 3" in repr(opened)
    for site in captured:
        xr.testing.assert_equal(opened[site], captured[site])
    xr.testing.assert_equal(
        wb.Trace.open(old).read("z", [1, 2], 1), captured["z"].isel(prompt=[1, 2]).sel(layer=[1])
    )
    assert wb.Trace.open(old).nbytes == captured.nbytes


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["arrays"]["z"].update(shard="../../elsewhere"),
        lambda m: m["arrays"]["z"].update(shard=None),
        lambda m: m["arrays"]["z"].update(shard="missing.safetensors"),
        lambda m: m["arrays"]["z"].update(shape=[3]),
        lambda m: m["arrays"]["z"].update(dims="prompt"),
        lambda m: m["arrays"]["z"]["coords"].pop("layer"),
        lambda m: m.pop("tokens"),
        lambda m: m.update(tokens=[[1]]),
        lambda m: m.update(prompts="abcd"),
        lambda m: m.update(model="x"),
        lambda m: m.update(arrays=[1, 2]),
    ],
)
def test_hostile_manifests_of_format_1_are_refused(old, change):
    manifest = json.loads((old / "manifest.json").read_text())
    change(manifest)
    (old / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadRun):
        wb.Trace.open(old)


def test_format_1_with_another_shape_than_it_says(old):
    manifest = json.loads((old / "manifest.json").read_text())
    manifest["arrays"]["z"]["shape"][2] += 1
    manifest["arrays"]["z"]["coords"].pop("pos")
    (old / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadRun, match="is \\(3, 3,"):
        _ = wb.Trace.open(old)["z"]
