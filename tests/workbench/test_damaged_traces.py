"""A trace folder that is damaged or hostile is refused."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import workbench as wb
from tests.helpers.examples import example_trace
from workbench.errors import BadRun
from workbench.trace_files import saving

SHARD = "shard-00000000.safetensors"


@pytest.fixture
def captured(llama):
    return example_trace(llama)


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
