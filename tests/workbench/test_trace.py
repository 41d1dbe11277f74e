"""A trace folder opens as it was saved, lazily, and refuses what is damaged or hostile."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError


@pytest.fixture
def trace(llama):
    return wb.capture(llama, ["The capital of France is", "Nobody <b>é</b>\n"], sites=["z", "pattern", "logits"])


def test_round_trip(trace, tmp_path):
    opened = wb.Trace.open(trace.save(tmp_path / "t"))
    assert list(opened) == list(trace)
    assert (opened.tokens, opened.prompts, opened.lengths) == (trace.tokens, trace.prompts, trace.lengths)
    for site in trace:
        xr.testing.assert_equal(opened[site], trace[site])
    assert opened.model["n_layers"] == 3
    assert "z: prompt 2" in repr(opened)


def test_is_read_only_when_asked(trace, tmp_path):
    folder = trace.save(tmp_path / "t")
    opened = wb.Trace.open(folder)
    (folder / "shard-00000.safetensors").write_bytes(b"gone")
    assert opened.prompts == trace.prompts
    with pytest.raises(BadRun, match="damaged"):
        _ = opened["z"]


def test_a_patch_takes_an_opened_trace(trace, tmp_path, llama):
    opened = wb.Trace.open(trace.save(tmp_path / "t"))
    before = llama.next_logits(list(trace.prompts))
    with wb.patch(llama, opened, heads=[(0, 0), (2, 3)]):
        np.testing.assert_allclose(llama.next_logits(list(trace.prompts)), before, atol=1e-5)


def test_unknown_site_and_taken_folder(trace, tmp_path):
    with pytest.raises(NotFound, match="site in this trace"):
        _ = trace["resid_post"]
    trace.save(tmp_path / "t")
    with pytest.raises(WorkbenchError, match="exists already"):
        trace.save(tmp_path / "t")
    with pytest.raises(BadInput, match="is not a trace"):
        wb.Trace.open(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["arrays"]["z"].update(shard="../../elsewhere"),
        lambda m: m["arrays"]["z"].update(shard=None),
        lambda m: m["arrays"]["z"].update(shard="missing.safetensors"),
        lambda m: m.update(format=99),
        lambda m: m.pop("tokens"),
        lambda m: m.update(arrays=[1, 2]),
    ],
)
def test_hostile_manifests_are_refused(trace, tmp_path, change):
    file = trace.save(tmp_path / "t") / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(BadRun):
        wb.Trace.open(tmp_path / "t")


def test_truncated_manifest(trace, tmp_path):
    file = trace.save(tmp_path / "t") / "manifest.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(BadRun, match="damaged"):
        wb.Trace.open(tmp_path / "t")
