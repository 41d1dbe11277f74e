"""Two runs side by side: their findings, and A − B of everything measured per head, on one
colour scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ui.explorer import data_views, parts
from ui.runs import answer, numbers, provenance
from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Row, Table, View, flow_row, live_part, live_picture, need_panel
from workbench.result import Result
from workbench.run_titles import cut
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd


_LONGEST = 300
"""Characters of an answer and of a parameter that stand beside another's."""
_FEW = 6
"""Parameters that are asked differently and shown at once."""


def headline(a: Result, b: Result, page: bool) -> Markup:
    """The answers of both, where each comes from, and in what they were asked differently."""
    both = Markup("").join(_about(key, run, page) for key, run in (("A", a), ("B", b)))
    look = Markup("<style>{}</style>").format(Markup(provenance.CSS))
    return Markup('{}<h1>Two runs</h1><div class="wb-two">{}</div>{}').format(
        look, both, _asked_differently(a, b)
    )


def _about(key: str, run: Result, page: bool) -> Markup:
    says = answer.lead_of(run).says[:1]
    answered = Markup('<p class="wb-answer">{}</p>').format(cut(says[0], _LONGEST)) if says else ""
    return Markup("<section><h2>Run {}</h2>{}{}{}</section>").format(
        key, parts.title(run), answered, parts.origin(run, page)
    )


def _asked_differently(a: Result, b: Result) -> Markup:
    if a.analysis != b.analysis:
        return draw.paragraph("They answer different questions.", small=True)
    keys = [k for k in {**a.params, **b.params} if a.params.get(k) != b.params.get(k)]
    if not keys:
        of = " of the same model" if a.provenance.model == b.provenance.model else ""
        return draw.paragraph(f"Both asked the same{of}.", small=True)
    told = {
        key: " · ".join(
            f"{name}: {cut(provenance.readable(run.params.get(key)), _LONGEST)}"
            for name, run in (("A", a), ("B", b))
        )
        for key in keys
    }
    if len(keys) <= _FEW:
        return provenance.facts_html(told)
    return Markup("<details><summary>{} asked differently</summary>{}</details>").format(
        counted(len(keys), "parameter"), provenance.facts_html(told)
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
    """Every number that both have, and its difference."""
    if a.analysis != b.analysis:
        return [
            draw.empty_state(
                "Answers to different questions cannot be subtracted.",
                "The other tabs show the views of both.",
            )
        ]
    mine, theirs = (numbers.table(run) for run in (a, b))
    keys = ["finding", "value"]
    rows = mine.merge(theirs[[*keys, "number"]], on=keys, suffixes=("", "_other"))
    if rows.empty:
        return [
            draw.empty_state(
                "These runs have no finding in common.", "Compare two runs of the same analysis."
            )
        ]
    rows["difference"] = rows["number"] - rows["number_other"]
    shown = ["title", "value", "number", "number_other", "difference", "unit"]
    said = {"number": ("A", "Run A"), "number_other": ("B", "Run B"), "difference": ("A − B", "")}
    return [Table(rows[shown], "Findings of both runs", headings={**numbers.HEADINGS, **said})]


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
    if a.analysis != b.analysis:
        return []
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
