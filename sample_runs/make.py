"""Makes the sample runs again: `make samples`, or `python -m sample_runs.make [NAME …]`. About fifteen minutes on two cores.

Each is the very command a user would type, so a sample can be compared with one's own run.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import workbench as wb
from workbench.cli.screen import bar

HERE = Path(__file__).parent
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "capitals": ("smollm2-135m", "knowledge-conflict", {"transfer": True}),
    "languages-in-a-dialogue": ("smollm2-135m", "knowledge-conflict", {"relation": "language", "format": "dialogue"}),
    "what-an-organism-recites": (
        "organism/planted",
        "extraction",
        {"context": [10, 25, 50], "reference": "organism/planted-control", "checkpoints": True},
    ),
}


def main(names: list[str]) -> None:
    for name in names or list(RUNS):
        model, analysis, params = RUNS[name]
        with bar() as progress:
            result = wb.run(analysis, wb.load(model), params, progress=progress)
        shutil.rmtree(HERE / name, ignore_errors=True)
        result.save(HERE / name)
        print(result)


if __name__ == "__main__":
    main(sys.argv[1:])
