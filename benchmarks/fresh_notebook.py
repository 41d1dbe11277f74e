"""The notebooks of `examples/`, and one that shows a result, in an environment that holds the built
wheel and nothing of this checkout.

    python -m benchmarks.fresh_notebook

Installs from the package index with the versions of `constraints.txt`: several minutes, and a few
gigabytes in a folder that is removed afterwards.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
CELL = "import workbench as wb\nwb.open_run('capitals')"
"""What a notebook shows of a result by itself; the examples draw their own pictures."""


def notebook() -> dict[str, object]:
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**cell, "source": CELL}]
    kernel = {"name": "python3", "display_name": "Python 3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        venv.create(folder / "env", with_pip=True)
        python = str(folder / "env" / "bin" / "python")
        constraint = ["--constraint", str(ROOT / "constraints.txt")]

        def call(*command: str) -> None:
            subprocess.run([python, *command], cwd=folder, check=True)

        call("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place, str(ROOT))
        (wheel,) = folder.glob("*.whl")
        # torch first, by itself: what follows is satisfied by it and pulls in no other build
        call("-m", "pip", "install", "--quiet", *constraint, "torch")
        call("-m", "pip", "install", "--quiet", *constraint, f"{wheel}[notebook]", "nbconvert")
        (folder / "result.ipynb").write_text(json.dumps(notebook()), encoding="utf-8")
        for example in (ROOT / "examples").glob("*.ipynb"):
            shutil.copy(example, folder)
        for book in sorted(folder.glob("*.ipynb")):
            call("-m", "nbconvert", "--to", "html", "--execute", book.name)
            page = book.with_suffix(".html").read_text(encoding="utf-8")
            pictures = page.count("data:image/png;base64,")
            print(f"{book.name}: {pictures} pictures", flush=True)
            if not pictures:
                sys.exit(f"{book.name}: no picture in a notebook that was run and saved.")


if __name__ == "__main__":
    main()
