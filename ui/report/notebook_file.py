"""The report as a notebook: what was found, with pictures, and cells to go on from."""

from __future__ import annotations

import base64
import json
from typing import Any

from ui.runs import provenance
from ui.runs.static_pictures import titled_pictures
from workbench.result import Result

_WORDS = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+-.!|$&~"})


def notebook(result: Result) -> bytes:
    """A Jupyter notebook (format 4.5). Its pictures are there before anything is run, so that a
    code host shows them too.
    """
    cells = [_markdown(_head(result))]
    if result.path is not None:
        lines = f"import workbench as wb\n\nrun = wb.open_run({str(result.path.resolve())!r})\nrun"
        cells += [_markdown("The run, with everything linked:"), _code(lines)]
    broken: list[str] = []
    for title, image in titled_pictures(result, "png", broken=broken):
        cells.append(_markdown(f"## {_plain(title)}", image))
    cells += [_markdown(_plain(sentence)) for sentence in broken]
    cells.append(_markdown("## Tables"))
    cells += [_code(f"run.tables[{name!r}]") for name in result.tables]
    cells += [_markdown("## The same question again"), _code(provenance.python_lines(result))]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    made = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(made, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def _head(result: Result) -> str:
    lines = [f"# {_plain(result.question or result.analysis)}", _plain(result.title), ""]
    if result.partial:
        lines += ["**Partial**: the run was stopped before it was done.", ""]
    lines += [f"- {_plain(finding.says)}" for finding in result.findings.values()]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text of a model or of a stranger, as Markdown that means just that text."""
    return " ".join(text.translate(_WORDS).split())


def _markdown(text: str, image: bytes | None = None) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": "markdown", "metadata": {}, "source": text}
    if image is not None:
        cell["source"] = f"{text}\n\n![picture](attachment:picture.png)"
        coded = base64.b64encode(image).decode()
        cell["attachments"] = {"picture.png": {"image/png": coded}}
    return cell


def _code(text: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": text,
    }
