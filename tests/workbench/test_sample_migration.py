"""Sample runs are in today's format, and writing one again changes names alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sample_runs.make import HERE, RUNS, place_of
from sample_runs.migrate import judge, migrate, respell
from workbench import registry, run_folder, run_upgrades
from workbench.result import Result
from workbench.run_upgrades import Upgrade


def index_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RUNS)
def test_a_sample_run_is_what_its_analysis_says(name: str) -> None:
    result = Result.open(place_of(name))
    assert list(registry.get(result.analysis).schema.problems(result)) == []


def test_only_names_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "capitals"
    shutil.copytree(place_of("capitals"), folder)
    index = index_of(folder) | {"format": 1}
    (folder / "result.json").write_text(json.dumps(index), encoding="utf-8")
    upgrade = Upgrade(columns={"heads": {"label": "name"}}, arrays={"depth": "push"})
    monkeypatch.setitem(run_upgrades.UPGRADES, 1, {"knowledge-conflict": upgrade})
    assert migrate(folder)
    assert not migrate(folder)
    after, old, new = index_of(folder), Result.open(place_of("capitals")), Result.open(folder)
    assert after["format"] == run_folder.FORMAT
    for key in ("analysis", "question", "params", "findings", "partial"):
        assert after[key] == index[key]
    assert after["provenance"] | index["provenance"] == after["provenance"]
    assert list(new.tables) == list(old.tables)
    for name, table in old.tables.items():
        names = {"label": "name"} if name == "heads" else {}
        pd.testing.assert_frame_equal(new.tables[name], table.rename(columns=names), rtol=0, atol=0)
    for name, array in old.arrays.items():
        other = new.arrays["push" if name == "depth" else name]
        assert other.dtype == array.dtype
        assert np.array_equal(other.values, array.values, equal_nan=True)
        assert other.dims == array.dims


@pytest.mark.parametrize("name", RUNS)
def test_sentences_are_spelt_as_today(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(place_of(name), folder)
    assert not respell(folder)


def test_shares_and_tokens_are_spelt_again_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "one-head-off"
    shutil.copytree(place_of("one-head-off"), folder)
    index = index_of(folder)
    index["findings"]["next_token"]["says"] = "The model's ' Paris' has 39% (95 %: 3 % to 50%)."
    (folder / "result.json").write_text(json.dumps(index), encoding="utf-8")
    assert respell(folder)
    after = index_of(folder)
    assert after["findings"]["next_token"].pop("says") == (
        "The model's “ Paris” has 39\u00a0% (95\u00a0%: 3\u00a0% to 50\u00a0%)."
    )
    index["findings"]["next_token"].pop("says")
    assert after == index


@pytest.mark.parametrize(
    "name", sorted({n for step in run_upgrades.UPGRADES.values() for n in step})
)
def test_what_an_upgrade_renames_is_in_the_schema(name: str) -> None:
    schema = registry.get(name).schema
    for step in run_upgrades.UPGRADES.values():
        if (upgrade := step.get(name)) is None:
            continue
        assert all(schema.table(table) for table in (*upgrade.tables.values(), *upgrade.columns))
        for table, columns in upgrade.columns.items():
            known = schema.table(table)
            assert known is not None
            assert known.open or set(columns.values()) <= {c.name for c in known.columns}
        arrays = upgrade.arrays.values()
        assert all(any(known.fits(array) for known in schema.arrays) for array in arrays)
        for finding in (*upgrade.findings.values(), *upgrade.keys):
            assert any(known.fits(finding) for known in schema.findings)


@pytest.mark.parametrize("name", sorted(run.parent.name for run in HERE.glob("*/result.json")))
def test_claims_of_the_samples_are_judged_by_the_rules_of_today(name: str) -> None:
    assert not judge(Result.open(HERE / name))
