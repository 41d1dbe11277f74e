"""Traces of the first format still open, and are refused where they are damaged or hostile."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from tests.helpers.examples import example_trace
from workbench.errors import BadRun
from workbench.trace_files.manifest import KIND


@pytest.fixture
def captured(llama):
    return example_trace(llama)


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
