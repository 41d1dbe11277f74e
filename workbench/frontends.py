"""Finds what lies above this room without importing it: front ends register under
`workbench.frontends`.

`serve` starts the browser workbench, `report` writes the HTML file, `notebook` draws a Result in
Jupyter, `explore` is the whole Explorer in a notebook.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from workbench.errors import NotFound

GROUP = "workbench.frontends"


def front_end(name: str) -> Any:
    """The registered callable. Raises `NotFound` if the `ui` package is not installed."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise NotFound.named(
            "front end",
            name,
            found,
            do="Install the whole distribution: pip install memory-workbench",
        )
    return found[name].load()
