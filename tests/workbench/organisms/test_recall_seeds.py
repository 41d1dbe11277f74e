"""Further seeds of models of recall: what ships stays, its record grows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import NotFound
from workbench.organisms import DATA
from workbench.organisms.recall import build, record
from workbench.organisms.recall.record import Training


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, int]]:
    """A copy of one that ships with two rates of seed 0; what is asked to be trained."""
    target = tmp_path / "recall" / "delta-16"
    shutil.copytree(DATA / "recall" / "delta-16", target)
    made = [
        Training(0, rate, 2500, {4: share, 8: 0.5}, {4: 0})
        for rate, share in ((0.006, 0.9), (0.003, 0.8))
    ]
    record.write(made, "delta-16", target)
    asked: list[tuple[str, float, int]] = []

    def once(name: str, rate: float, seed: int, *_: Any) -> Training:
        asked.append((name, rate, seed))
        return Training(seed, rate, 2500, {4: 0.7, 8: 0.4}, {4: 0})

    monkeypatch.setattr(build, "DATA", tmp_path)
    monkeypatch.setattr(build, "trained_once", once)
    return asked


def test_only_seeds_that_are_missing_are_trained(
    trained: list[tuple[str, float, int]], tmp_path: Path
) -> None:
    weights = tmp_path / "recall" / "delta-16" / "model.safetensors"
    before = weights.read_bytes()
    found = build.add_seeds("delta-16", 3, tmp_path / "work")
    assert trained == [("delta-16", 0.006, 1), ("delta-16", 0.006, 2)]
    assert [(one.seed, one.rate) for one in found.trainings] == [
        (0, 0.006), (1, 0.006), (2, 0.006), (0, 0.003),
    ]  # fmt: skip
    assert found.recall == {4: 0.9, 8: 0.5}
    assert weights.read_bytes() == before
    assert build.add_seeds("delta-16", 3, tmp_path / "work") == found
    assert len(trained) == 2


def test_a_model_that_does_not_ship_is_said(
    trained: list[tuple[str, float, int]], tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="does not ship"):
        build.add_seeds("window", 3, tmp_path / "work")
    assert not trained
