"""What ships, and what it may weigh."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sample_runs import make
from workbench import paths, registry

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "packages" / "samples"
MB = 1_000_000


def shipped(project: Path) -> Iterator[Path]:
    """The files of a project's wheel."""
    config = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    for package in config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for file in sorted((project / package).rglob("*")):
            if file.is_file() and file.suffix not in {".pyc", ".gguf"}:
                yield file


def packed(project: Path) -> int:
    """Bytes of a project's files as a wheel packs them."""
    return sum(len(zlib.compress(file.read_bytes())) for file in shipped(project))


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def runs_in(place: Path) -> dict[str, str]:
    """The analysis of every sample run in a folder."""
    return {
        file.parent.name: json.loads(file.read_text(encoding="utf-8"))["analysis"]
        for file in place.glob("*/result.json")
    }


def test_the_wheel_stays_small():
    assert packed(ROOT) < 80 * MB


def test_the_samples_stay_small():
    assert packed(SAMPLES) < 60 * MB


def test_one_run_of_an_analysis_ships_with_the_workbench_and_is_small():
    core = runs_in(make.HERE)
    assert max(Counter(core.values()).values()) == 1
    assert set(core.values()) <= {analysis.name for analysis in registry.all_analyses()[0]}
    for name, analysis in core.items():
        assert analysis == "function-tokens" or size(make.HERE / name) < 1.5 * MB, name


def test_every_sample_run_lies_where_it_is_made_again():
    further = runs_in(make.FURTHER)
    assert runs_in(make.HERE) | further == {
        name: analysis for name, (_, analysis, _) in make.RUNS.items()
    }
    assert further
    assert all((make.place_of(name) / "result.json").is_file() for name in make.RUNS)


def test_no_file_in_git_is_large():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a checkout of git")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(files) > 100
    assert [str(file) for file in files if file.is_file() and file.stat().st_size > 10 * MB] == []


def test_samples_are_found_in_a_checkout_and_where_they_are_installed(tmp_path, monkeypatch):
    from workbench import runs

    assert paths.sample_runs_dirs() == [make.HERE, make.FURTHER]
    assert {entry.id for entry in runs.listing(tmp_path)} == set(make.RUNS)

    # As after `pip install`: the two packages side by side, without a checkout around them.
    for name in ("sample_runs", paths.SAMPLES_PACKAGE):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    monkeypatch.setattr("sample_runs.__file__", str(tmp_path / "sample_runs" / "__init__.py"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert paths.sample_runs_dirs() == [
        tmp_path / "sample_runs",
        tmp_path / paths.SAMPLES_PACKAGE,
    ]
    assert paths.samples_dir() == tmp_path / paths.SAMPLES_PACKAGE
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert paths.sample_runs_dirs() == [tmp_path / "sample_runs"]
    assert paths.samples_dir() is None


@pytest.mark.process
@pytest.mark.parametrize(
    ("project", "holds"),
    [
        (
            ROOT,
            {
                "sample_runs/capitals/result.json",
                "workbench/organisms/data/planted/planted/beside/planted-without-2.safetensors",
            },
        ),
        (
            SAMPLES,
            {
                "memory_workbench_samples/languages-in-a-dialogue/result.json",
                "memory_workbench_samples/organisms/planted-goldfish.safetensors",
            },
        ),
    ],
    ids=["workbench", "samples"],
)
def test_wheels_hold_what_ships(tmp_path, project, holds):
    alone = ["--no-deps", "--no-build-isolation"]
    where = ["--wheel-dir", str(tmp_path), str(project)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", *alone, *where], check=True, timeout=300
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {str(file.relative_to(project)) for file in shipped(project)}
    assert holds <= names
    assert wheel.stat().st_size == pytest.approx(packed(project), rel=0.05)


@pytest.mark.process
def test_the_built_documentation_travels_though_git_ignores_it(tmp_path):
    project = tmp_path / "project"
    for package in ("workbench", "hooks", "analyses", "ui", "sample_runs"):
        (project / package).mkdir(parents=True)
        shutil.copy(ROOT / package / "__init__.py", project / package)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, project)
    (project / "ui" / "static_docs" / "assets").mkdir(parents=True)
    (project / "ui" / "static_docs" / "assets" / "search.js").touch()
    alone = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(project)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", *alone], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "ui/static_docs/assets/search.js" in archive.namelist()
