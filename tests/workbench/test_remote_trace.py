"""Traces at addresses: what was saved comes back, little is read of it, and nothing half-written
or damaged passes for whole.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.helpers.addresses import Traffic, counted, names_at
from workbench import remote
from workbench.errors import BadInput, BadRun, WorkbenchError
from workbench.remote_folder import RemoteFolder
from workbench.trace_files import index, remote_store, saving
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.index import INDEX, Index, IndexEntry
from workbench.trace_files.manifest import MANIFEST, Manifest
from workbench.trace_files.shard import Shard, ShardPrompts, ShardWriter

MB = 2**20
without_s3 = pytest.mark.parametrize("place", ["memory", "file"], indirect=True)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_SHARD_BYTES", 2000)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    return counted(monkeypatch)


def made(lengths: list[int], layers: int = 3, seed: int = 0) -> wb.Trace:
    """A trace of random numbers, with axes of each kind and all widths."""
    rng = np.random.default_rng(seed)
    longest = max(lengths)
    arrays = {
        "z": ("prompt layer pos d", (len(lengths), layers, longest, 4), "<f4"),
        "pattern": ("prompt layer query key", (len(lengths), layers, longest, longest), "<f2"),
        "wide": ("prompt pos", (len(lengths), longest), "<f8"),
        "last": ("prompt d", (len(lengths), 4), "<i4"),
    }
    held = {}
    for name, (dims, shape, dtype) in arrays.items():
        values = (rng.normal(size=shape) * 100).astype(dtype)
        coords: dict[str, Any] = {"prompt": range(len(lengths))}
        coords |= {dim: range(longest) for dim in dims.split() if dim in ("pos", "query", "key")}
        if "layer" in dims:
            coords["layer"] = [2 * n for n in range(layers)]
        array = xr.DataArray(values, dims=dims.split(), coords=coords, name=name)
        for row, length in enumerate(lengths) if dtype != "<i4" else ():
            for axis, dim in enumerate(dims.split()):
                if dim in ("pos", "query", "key"):
                    beyond: list[Any] = [slice(None)] * array.ndim
                    beyond[0], beyond[axis] = row, slice(length, None)
                    array.values[tuple(beyond)] = np.nan
        held[name] = array
    tokens = [[f"t{row}.{n}" for n in range(length)] for row, length in enumerate(lengths)]
    return wb.Trace(held, tokens, [" ".join(row) for row in tokens], {"name": "random"})


def test_what_was_saved_comes_back(place: str) -> None:
    trace = made([3, 9, 1, 9, 4, 2, 8])
    address = f"{place}/traces/one"
    assert trace.save(address) == address
    names = names_at(address)
    assert {INDEX, MANIFEST} < set(names)
    assert len(names) == 5
    opened = wb.Trace.open(address)
    assert opened.complete
    assert (opened.lengths, opened.prompts, opened.tokens) == (
        trace.lengths,
        trace.prompts,
        trace.tokens,
    )
    for name in trace:
        xr.testing.assert_identical(opened[name], trace[name])
        assert opened.sizes(name) == trace.sizes(name)
    assert repr(opened) == repr(trace)
    with pytest.raises(WorkbenchError, match="exists already and is not empty"):
        trace.save(address)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9),
    layers=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    data=st.data(),
)
def test_parts_are_those_of_the_whole(
    lengths: list[int], layers: list[int], data: st.DataObject
) -> None:
    trace = made(lengths, 4, seed=len(lengths))
    fs = remote.open_address("memory://parts")[0]
    if fs.exists("/parts"):
        fs.rm("/parts", recursive=True)
    trace.save("memory://parts/t")
    opened = wb.Trace.open("memory://parts/t")
    prompts = data.draw(st.lists(st.integers(-len(lengths), len(lengths) - 1), min_size=1))
    for name in trace:
        which = [2 * n for n in layers] if "layer" in trace[name].dims else None
        xr.testing.assert_identical(
            opened.read(name, prompts, which), trace.read(name, prompts, which)
        )


def test_a_part_takes_its_own_bytes_alone(place: str, traffic: Traffic) -> None:
    trace = made([30] * 40)
    trace.save(f"{place}/t")
    opened = wb.Trace.open(f"{place}/t")
    assert opened.prompts[3] == trace.prompts[3]
    opened.read("z", 0, 0)  # the table of the shards is known now
    traffic.clear()
    got = opened.read("z", 17, 4)
    xr.testing.assert_identical(got, trace.read("z", 17, 4))
    if not place.startswith("file"):
        assert traffic.nbytes == got.nbytes == 30 * 4 * 4
        assert len(traffic) == 1
    traffic.clear()
    neighbours = opened.read("wide", [1])  # one layer, one prompt: one range
    assert neighbours.shape == (1, 30)
    assert len(traffic) <= 1


def synthetic_index(shards: int, each: int) -> bytes:
    """The index of a trace far larger than any machine here holds."""
    entries = [
        IndexEntry(n * each, range(n * each, (n + 1) * each), [512] * each, 4096, 32 * MB)
        for n in range(shards)
    ]
    return index.as_bytes(entries, "c" * 32)


@pytest.mark.parametrize(("shards", "each"), [(1, 1), (40, 50), (20_000, 64)])
def test_opening_takes_little_at_any_size(shards: int, each: int, traffic: Traffic) -> None:
    """The largest is 600 GB, with over a million prompts."""
    array = ArraySpec("z", ("pos", "d"), {"d": 512}, tuple(range(32)), "float16", {}, {})
    total = {"prompts": shards * each, "tokens": shards * each * 512, "digest": ""}
    manifest = Manifest("c" * 32, {"name": "large"}, {}, {"z": array}, total)
    folder = RemoteFolder(f"memory://large-{shards}")
    folder.write(MANIFEST, manifest.text().encode())
    whole = synthetic_index(shards, each)
    folder.write(INDEX, whole)
    traffic.clear()
    opened = wb.Trace.open(folder.address)
    text = repr(opened)
    assert f"{shards * each} prompts" in text
    assert "layer 32" in text
    assert opened.complete
    assert len(traffic) <= 3, traffic.requests
    assert traffic.nbytes < 100_000
    assert len(opened.lengths) == shards * each


@without_s3
def test_without_an_index_it_opens_by_its_shards_and_is_not_finished(place: str) -> None:
    """As a capture that was stopped leaves it."""
    trace = made([5] * 12)
    address = f"{place}/t"
    trace.save(address)
    folder = RemoteFolder(address)
    folder.remove(INDEX)
    last = sorted(names_at(address))[-1]
    folder.remove(last)
    opened = wb.Trace.open(address)
    assert not opened.complete
    assert 0 < len(opened.lengths) < 12
    assert "(unfinished)" in repr(opened)
    some = range(len(opened.lengths))
    xr.testing.assert_identical(opened.read("z", some), trace.read("z", some))
    assert opened.tokens == trace.tokens[: len(some)]


@without_s3
def test_nothing_half_written_passes_for_a_trace(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off at each file in turn, and where taking away fails, too."""
    trace = made([9] * 4)
    parts = [name for name in ("put", "write") for _ in range(2)]
    for number, name in enumerate(parts):
        with monkeypatch.context() as patch:
            for method in ("put", "write"):
                patch.setattr(RemoteFolder, method, breaking(method, parts, number))
            address = f"{place}/t{number}"
            patch.setattr(RemoteFolder, "remove", gone)
            with pytest.raises(WorkbenchError, match="the bucket is gone"):
                trace.save(address)
        assert MANIFEST not in names_at(address)
        with pytest.raises(BadInput, match="is not a trace"):
            wb.Trace.open(address)
        assert name


def breaking(method: str, parts: list[str], at: int) -> Any:
    """The method, which fails at its n-th call of those so called."""
    real, calls = getattr(RemoteFolder, method), [0]
    last = parts[: at + 1].count(method) if parts[at] == method else 99

    def failing(self: RemoteFolder, *more: Any) -> None:
        calls[0] += 1
        if calls[0] >= last:
            raise WorkbenchError("the bucket is gone", "", "")
        real(self, *more)

    return failing


def gone(*args: Any) -> None:
    raise WorkbenchError("gone", "", "")


@without_s3
@pytest.mark.parametrize("damage", ["short", "gone", "longer", "index", "half an index", "other"])
def test_what_is_damaged_is_refused(place: str, damage: str) -> None:
    trace = made([5] * 12)
    address = f"{place}/t"
    trace.save(address)
    folder = RemoteFolder(address)
    first = sorted(name for name in names_at(address) if name.startswith("shard"))[1]
    whole = folder.read(first, 0, 10**6)
    known = folder.read(INDEX, 0, 10**6)
    if damage == "short":
        folder.write(first, whole[: len(whole) // 2])
    elif damage == "gone":
        folder.remove(first)
    elif damage == "longer":  # an index that names more than there is
        size = (len(whole) + 80).to_bytes(8, "little")
        folder.write(INDEX, known.replace(len(whole).to_bytes(8, "little"), size))
    elif damage == "index":
        folder.write(INDEX, known[:4] + b"\xff" * 8 + known[12:])
    elif damage == "half an index":
        folder.write(INDEX, known[: len(known) // 2])
    else:
        folder.write(INDEX, known.replace(b"saved", b"other"))
    with pytest.raises(BadRun):
        _ = wb.Trace.open(address)["z"]


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_bucket_that_vanishes_in_the_middle(place: str) -> None:
    trace = made([9] * 4)
    trace.save(f"{place}/t")
    opened = wb.Trace.open(f"{place}/t")
    system = remote.open_address(place)[0]
    first, last = sorted(name for name in names_at(f"{place}/t") if "shard" in name)[::3]
    folder = RemoteFolder(f"{place}/t")
    folder.write(first, folder.read(first, 0, 100))
    with pytest.raises(BadRun, match=rf"{first} of 't' is damaged: it has 100 of \d+ bytes"):
        opened.read("z", 0)
    xr.testing.assert_identical(opened.read("z", 3), trace.read("z", 3))
    system.rm(place.removeprefix("s3://"), recursive=True)
    with pytest.raises(BadRun, match=f"{last} of 't' is damaged: it is gone"):
        opened.read("z", 3)
    with pytest.raises(WorkbenchError, match="is not a trace"):
        wb.Trace.open(f"{place}/t")
    with pytest.raises(WorkbenchError, match=r"is not there \(any more\)"):
        trace.save(f"{place}/t")


@settings(max_examples=60)
@given(st.data())
def test_an_index_of_a_stranger_is_refused_or_makes_sense(data: st.DataObject) -> None:
    """Whatever bytes are changed: what is given is within the bounds it states."""
    known = bytearray(synthetic_index(3, 4))
    for _ in range(data.draw(st.integers(1, 3))):
        known[data.draw(st.integers(0, len(known) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = Index(lambda a, b: bytes(known[a:b]), len(known), "t")
        rows = read.prompts_of(0, read.shards)
    except BadRun:
        return
    assert len(rows) == read.count
    assert all(0 < n <= read.longest for n in rows[:, 0].tolist())
    for shard in range(read.shards):
        a, b = read.begin(shard), read.begin(shard + 1)
        assert sorted(rows[a:b, 1].tolist()) == list(range(b - a))


def test_prompts_in_another_order_and_bfloat16(tmp_path: Any) -> None:
    """As captures write them: by length, in a type that NumPy has not."""
    array = ArraySpec("z", ("pos",), {}, (0, 5), "bfloat16", {}, {})
    prompts = ShardPrompts([2, 0, 1], ["c", "a", "b"], [["c"] * 1, ["a"] * 2, ["b"] * 3])
    writer = ShardWriter(tmp_path, {"z": array}, prompts, "k")
    values = np.arange(12, dtype="<f4").reshape(2, 6)
    for row in range(2):
        writer.write("z", row, 0, (values[row].view("<u4") >> 16).astype("<u2"))
    file = writer.finish()
    folder = RemoteFolder("memory://order/t")
    folder.put(file)
    entry = IndexEntry.of(Shard(file, {"z": array}, "k"))
    folder.write(INDEX, index.as_bytes([entry], "k"))
    folder.write(MANIFEST, Manifest("k", {}, {}, {"z": array}, None).text().encode())
    opened = wb.Trace.open(folder.address)
    assert opened.lengths == [2, 3, 1]
    assert opened.read("z", [1], 5).values.tolist() == [[[9, 10, 11]]]
    assert opened.read("z", [2], 0).values.tolist() == [[[0]]]


@pytest.mark.parametrize("address", ["memory://nowhere/t", "memory://other/t"])
def test_what_is_no_trace(address: str) -> None:
    RemoteFolder("memory://other/t").write("result.json", b"{}")
    with pytest.raises(BadInput, match="is not a trace: it has no manifest"):
        wb.Trace.open(address)


def test_a_trace_of_the_first_format_is_to_be_copied() -> None:
    RemoteFolder("memory://old/t").write(MANIFEST, json.dumps({"format": 1}).encode())
    with pytest.raises(BadInput, match="Copy it to this machine"):
        wb.Trace.open("memory://old/t")


def test_large_parts_come_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_store, "_AT_ONCE", 100)
    trace = made([5, 7, 2, 9])
    trace.save("memory://portions/t")
    opened = wb.Trace.open("memory://portions/t")
    for name in trace:
        xr.testing.assert_identical(opened[name], trace[name])
