"""The experiments of a run.

Each is a module of its own, `NAME_part.py`, with `cost(model, params)` and `run(model, params,
progress, result)`, which adds its tables and findings to the result; experiment.py calls those that
are asked for, in the order of `PARTS`. What its tables mean stands in `NAME_schema.py` (`TABLES`,
`FINDINGS`), its views in `NAME_view.py` (`VIEWS`), and neither imports torch: schema.py and
views.py put them together. To add one: these three files, a `Part` below, a line in each of
`MODULES` (experiment.py), schema.py and views.py, its fields in params.py.
"""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["items"]

PARTS = [
    Part(
        "items",
        "Items and their variants",
        "Whether what is answered is answered in other words too, and when the right answer"
        " changes.",
        views=["Items"],
    ),
]
DEFAULT: list[Name] = ["items"]
PRESETS: dict[str, dict[str, object]] = {"quick": {"items": 20}, "paper": {"items": 200}}
