"""Two runs side by side: their findings, and A − B of everything measured per head, on one
colour scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ui.explorer import data_views
from ui.runs import provenance
from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Row, Table, View, flow_row, live_part, live_picture, need_panel
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd


def headline(a: Result, b: Result) -> Markup:
    """Which runs, and in what they were asked differently."""
    rows = Markup("").join(
        Markup("<dt>Run {}</dt><dd>{}{}</dd>").format(
            key, run.title, f" · {run.path.name}" if run.path else ""
        )
        for key, run in (("A", a), ("B", b))
    )
    keys = [k for k in {**a.params, **b.params} if a.params.get(k) != b.params.get(k)]
    different = Markup("").join(
        Markup("<dt>{}</dt><dd>A: {} · B: {}</dd>").format(
            k, provenance.readable(a.params.get(k)), provenance.readable(b.params.get(k))
        )
        for k in keys
    )
    same = (
        ""
        if keys or a.provenance.model != b.provenance.model
        else draw.paragraph("Both asked the same of the same model.", small=True)
    )
    return Markup('<style>{}</style><h1>Two runs</h1><dl class="wb-facts">{}{}</dl>{}').format(
        Markup(provenance.CSS), rows, different, same
    )


def view(a: Result, b: Result) -> View:
    """What can be subtracted. A click on a grid chooses the head in run A."""
    return View(
        lambda: [*_findings(a, b), *_heads(a, b)], live=lambda pictures: _live(a, b, pictures)
    )


def _live(a: Result, b: Result, pictures: Sequence[Any]) -> Any:
    grids = [live_picture(picture) for picture in pictures]
    for grid in grids:
        draw.link_grid(grid, a.selection)
    parts = [*_findings(a, b), *_heads(a, b)]
    return need_panel().Column(
        *(
            flow_row(*grids, gap="4px 10px") if isinstance(part, Row) else live_part(part)
            for part in parts
        ),
        sizing_mode="stretch_width",
        min_width=0,
    )


def _findings(a: Result, b: Result) -> list[Any]:
    import pandas as pd

    rows = []
    for name in [n for n in a.findings if n in b.findings]:
        mine, theirs = a.findings[name].values, b.findings[name].values
        for key in [
            k for k in mine if k in theirs and mine[k] is not None and theirs[k] is not None
        ]:
            what = name if key == "value" else f"{name}: {key}"
            rows.append(
                {
                    "finding": what,
                    "A": mine[key],
                    "B": theirs[key],
                    "A − B": mine[key] - theirs[key],
                    "unit": a.findings[name].unit,
                }
            )
    if not rows:
        return [
            draw.empty_state(
                "These runs have no finding in common.", "Compare two runs of the same analysis."
            )
        ]
    return [Table(pd.DataFrame(rows), "Findings of both runs")]


def _unit(run: Result, table: str, column: str) -> str:
    """The unit of a column, as its analysis says it; "" where that is not installed here."""
    said = data_views.schema_of(run).table(table)
    return next((c.unit for c in said.columns if c.name == column), "") if said else ""


def _measured_on_heads(a: pd.DataFrame, b: pd.DataFrame) -> str | None:
    """The number that two tables of heads both have, a difference if there is one."""
    if not ({"layer", "head"} <= set(a) and {"layer", "head"} <= set(b)):
        return None
    others = {"layer", "head", "rank", "low", "high"}
    numbers = [str(c) for c in a if c in b and c not in others and a[c].dtype.kind == "f"]
    return next((c for c in numbers if c.endswith("difference")), next(iter(numbers), None))


def _heads(a: Result, b: Result) -> list[Any]:
    """A, B and A − B of the first thing both measured on every head."""
    for name in [n for n in a.tables if n in b.tables]:
        mine, theirs = a.tables[name], b.tables[name]
        column = _measured_on_heads(mine, theirs)
        if column is None:
            continue
        grids = [
            t.set_index(["layer", "head"])[column].sort_index().to_xarray() for t in (mine, theirs)
        ]
        if grids[0].shape != grids[1].shape:
            return [
                draw.empty_state(
                    "The models have different shapes, so their heads cannot be subtracted.",
                    "The other tabs show both side by side.",
                )
            ]
        pictures = {"A": grids[0], "B": grids[1], "A − B": grids[0] - grids[1]}
        top = colour.symmetric_limit(v for grid in pictures.values() for v in grid.values.ravel())
        words, unit = column.replace("_", " "), _unit(a, name, column)
        drawn = [
            draw.head_grid(grid, title=title, unit=unit, top=top, labels=i == 0)
            for i, (title, grid) in enumerate(pictures.items())
        ]
        return [
            draw.paragraph(
                f"{words} of every head, all three on one scale; a click chooses the head in run A."
            ),
            Row(drawn),
        ]
    return []
