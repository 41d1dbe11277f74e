"""Where things are kept on this machine. Every folder can be moved with an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

APP = "memory-workbench"


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


def sample_runs_dir() -> Path:
    """Runs that come with the workbench and open without a model."""
    import sample_runs

    return Path(sample_runs.__file__).parent
