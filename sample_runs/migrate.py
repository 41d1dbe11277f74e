"""Writes sample runs of an older format again in today's: `python -m sample_runs.migrate [NAME …]`.

Names change, switches become parts, and nothing else: numbers stay bit for bit, and so do the
sentences of findings and when a run was made. Without names, all that are older.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from sample_runs.make import RUNS, place_of
from workbench import run_folder
from workbench.result import Result


def migrate(folder: Path) -> bool:
    """Whether the run was older, and has been written again."""
    stored = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if stored["format"] == run_folder.FORMAT:
        return False
    result = Result.open(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".migrating-") as work:
        made = result.save(Path(work) / folder.name)
        shutil.rmtree(folder)
        made.rename(folder)
    return True


def main(names: list[str]) -> None:
    for name in names or list(RUNS):
        done = migrate(place_of(name))
        print(f"{name}: {'written again' if done else 'is in the current format'}")


if __name__ == "__main__":
    main(sys.argv[1:])
