"""Grids as they are typed, their workers, and what they leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORKER = "workbench.grid.local"


def started(place: Path, *arguments: str) -> subprocess.Popen[str]:
    code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "grid", "count-sheep", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=place)


def processes(name: str) -> list[int]:
    """Those that are alive and have this in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def workers_of(driver: int) -> list[int]:
    """Local workers that a driver hired."""
    return [process for process in processes(WORKER) if _parent(process) == driver]


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def runs_in(folder: Path) -> list[Path]:
    """Runs of a grid that are done."""
    return sorted((folder / "runs").glob("*/result.json"))
