"""Runs the notebooks of this folder and keeps what they show: `make notebooks`.

    python -m examples.run [NAME …]

Each runs in a kernel of its own, in a folder that is removed. What is kept is what a code host
shows: text, tables and small pictures.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def run(file: Path) -> None:
    """Run a notebook and write it back with its outputs, only if every cell ran."""
    book = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # times of day: they would differ with every run
        if cell.cell_type == "code":
            # Progress bars and warnings are of the machine, not of the answer.
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    book.metadata.language_info = {"name": "python"}  # not the version of this machine
    nbformat.write(book, file)


def main(names: Sequence[str]) -> None:
    """The command."""
    for file in sorted(HERE.glob("*.ipynb")):
        if not names or file.stem in names:
            run(file)
            print(f"{file.name}: {file.stat().st_size / 1000:.0f} KB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
