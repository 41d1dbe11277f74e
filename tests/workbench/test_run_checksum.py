"""The SHA-256 of a run: what the usual tools give, and changed by any change."""

from __future__ import annotations

import re
import shutil
import subprocess

import pandas as pd
import pytest
import xarray as xr

from ui.report import html_file
from workbench import run_labels
from workbench.errors import BadRun
from workbench.result import Provenance, Result
from workbench.run_checksum import checksum


@pytest.fixture
def saved(tmp_path):
    run = Result("made-up", provenance=Provenance(model={"name": "tiny"}))
    run.tables["b"] = pd.DataFrame({"x": [1, 2]})
    run.tables["a"] = pd.DataFrame({"x": [3]})
    run.arrays["values"] = xr.DataArray([1.0, 2.0], dims="pos")
    run.save(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.process
def test_it_is_what_the_usual_tools_give(saved):
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on this machine")
    command = (
        "sha256sum result.json tables/*.parquet arrays.safetensors | LC_ALL=C sort -k2 | sha256sum"
    )
    done = subprocess.run(["sh", "-c", command], cwd=saved, capture_output=True, text=True)
    assert done.stdout.split()[0] == checksum(saved)


def test_every_file_counts_but_labels_do_not(saved):
    before = checksum(saved)
    run_labels.write(saved, title="Mine")
    assert checksum(saved) == before
    for name in ("result.json", "tables/a.parquet", "arrays.safetensors"):
        file = saved / name
        kept = file.read_bytes()
        file.write_bytes(kept + b" ")
        assert checksum(saved) != before
        file.write_bytes(kept)
    (saved / "tables" / "a.parquet").unlink()
    assert checksum(saved) != before
    with pytest.raises(BadRun, match=r"no result\.json"):
        checksum(saved / "tables")


def test_a_report_prints_it_with_the_command_that_checks_it(saved):
    page = html_file.html(Result.open(saved))
    assert f"workbench runs checksum run {checksum(saved)}" in re.sub(r"\s+", " ", page)
    assert "SHA-256" not in html_file.html(Result("made-up"))
