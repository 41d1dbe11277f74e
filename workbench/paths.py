"""Where things are kept on this machine. Every folder can be moved with an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

APP = "memory-workbench"
SAMPLES_PACKAGE = "memory_workbench_samples"


def cache_dir() -> Path:
    """Models and pictures that can be made again. `WORKBENCH_CACHE` moves it."""
    given = os.environ.get("WORKBENCH_CACHE")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir(APP))


def runs_dir() -> Path:
    """Finished runs. `WORKBENCH_RUNS` moves it."""
    given = os.environ.get("WORKBENCH_RUNS")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir(APP)) / "runs"


def samples_dir() -> Path | None:
    """The folder of the distribution `memory-workbench-samples`, or None where it is not installed.
    In a checkout it is read where it stands.
    """
    from importlib.util import find_spec

    import sample_runs

    root = Path(sample_runs.__file__).parent.parent
    checkout = root / "packages" / "samples" / SAMPLES_PACKAGE
    if checkout.is_dir():
        return checkout
    installed = find_spec(SAMPLES_PACKAGE)
    return next(map(Path, (installed and installed.submodule_search_locations) or ()), None)


def sample_runs_dirs() -> list[Path]:
    """Where runs lie that open without a model: those of the workbench, then those of
    `samples_dir`.
    """
    import sample_runs

    own, further = Path(sample_runs.__file__).parent, samples_dir()
    return [own] if further is None else [own, further]
