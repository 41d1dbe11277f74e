"""The report as a zip: every number as CSV, every picture as SVG, and the page itself."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from ui.report import html_file
from ui.runs import numbers
from ui.runs.static_pictures import titled_pictures
from workbench.result import Result

MOST_VALUES = 200_000
"""Of an array that is written out: a table of millions of lines opens nowhere."""


def archive(result: Result) -> bytes:
    """report.html, findings.csv, tables/*.csv, arrays/*.csv (one line per value), pictures/*.svg.

    An array of more than `MOST_VALUES` values is left out; README.txt says so, and how to read it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("report.html", html_file.html(result))
        file.writestr("findings.csv", numbers.table(result).to_csv(index=False))
        for name, frame in result.tables.items():
            file.writestr(f"tables/{_file(name)}.csv", frame.to_csv(index=False))
        left_out: list[str] = []
        broken: list[str] = []
        for name, array in result.arrays.items():
            if array.size > MOST_VALUES:
                left_out.append(name)
                continue
            values = array.to_series().rename("value").reset_index()
            file.writestr(f"arrays/{_file(name)}.csv", values.to_csv(index=False))
        for number, (title, image) in enumerate(titled_pictures(result, "svg", broken=broken), 1):
            file.writestr(f"pictures/{number:02d} {_file(title)}.svg", image)
        file.writestr("README.txt", "\n".join(_about(result, left_out, broken)) + "\n")
    return buffer.getvalue()


def _file(name: str) -> str:
    """A name that is a plain file name on every system."""
    return re.sub(r"[^\w .()+-]+", "_", name).strip(". ")[:80] or "unnamed"


def _about(result: Result, left_out: list[str], broken: list[str]) -> Iterator[str]:
    yield result.question or result.analysis
    yield result.title
    yield ""
    yield "report.html    everything on one page; open it in a browser, no network is needed"
    yield "findings.csv   every number, with its 95 % interval where it has one"
    yield "tables, arrays the numbers behind the pictures; arrays have one line per value"
    yield "pictures       as SVG"
    for name in left_out:
        size = result.arrays[name].size
        yield f"Not written out: the array {name} with {size:,} values; open the run in Python."
    yield from broken
