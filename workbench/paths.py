"""Where things are kept on this machine. Every folder can be moved with an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

APP = "memory-workbench"


def cache_dir() -> Path:
    """Models and pictures that can be made again. `WORKBENCH_CACHE` moves it."""
    return Path(os.environ.get("WORKBENCH_CACHE") or platformdirs.user_cache_dir(APP)).expanduser()


def runs_dir() -> Path:
    """Finished runs. `WORKBENCH_RUNS` moves it."""
    return Path(os.environ.get("WORKBENCH_RUNS") or Path(platformdirs.user_data_dir(APP)) / "runs").expanduser()


def sample_runs_dir() -> Path:
    """Runs that come with the workbench and open without a model."""
    import sample_runs

    return Path(sample_runs.__file__).parent
