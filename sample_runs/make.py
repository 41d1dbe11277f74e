"""Makes the sample runs again: `make samples`, or `python -m sample_runs.make [NAME …]`. About fifteen minutes on two cores.

Each is the very command a user would type, so a sample can be compared with one's own run.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import workbench as wb
from workbench.cli.screen import bar

HERE = Path(__file__).parent
RUNS = {
    "capitals": {"transfer": True},
    "languages-in-a-dialogue": {"relation": "language", "format": "dialogue"},
}


def main(names: list[str]) -> None:
    model = wb.load()
    for name in names or list(RUNS):
        with bar() as progress:
            result = wb.run("knowledge-conflict", model, RUNS[name], progress=progress)
        shutil.rmtree(HERE / name, ignore_errors=True)
        result.save(HERE / name)
        print(result)


if __name__ == "__main__":
    main(sys.argv[1:])
