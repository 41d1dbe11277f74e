"""The report: one HTML file that needs neither network nor Python.

It holds the still form of every view: pictures that hover (bokeh, its script inlined once), token
strips, tables. It follows the reader's light or dark setting and prints (`static/report.js`). All
text is escaped; JSON inside a script cannot end it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from markupsafe import Markup

from ui.runs import provenance
from ui.runs.answer import lead_of, question
from ui.runs.static_views import CSS, table_html
from ui.runs.two_processes import fragments
from ui.web import style
from workbench import commands
from workbench.draw.view import Table
from workbench.result import Result

ANSWER = "picture-answer"


def html(result: Result) -> str:
    """The whole report as text."""
    sections: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    lead, carries = lead_of(result), None
    not_shown: list[str] = []
    drawn = list(fragments(result))
    picture = lead.picture_among({title for title, made in drawn if not made.why_not})
    for title, made in drawn:
        if made.why_not:
            not_shown.append(f"{title}: {made.why_not}")
            continue
        sections.append({"title": title, "id": f"view-{len(sections)}", "body": made.html})
        items += made.items
        if picture is not None and picture[0] == title:
            carries = next(iter(made.items[picture[1] :]), None)
    if carries is not None:
        items.append({**carries, "target_id": ANSWER})
    tables = [
        (name, table_html(Table(frame, name.replace("_", " ")), fold=True))
        for name, frame in result.tables.items()
    ]
    page: str = _template().render(
        result=result,
        question=question(result),
        lead=lead,
        picture=ANSWER if carries is not None else "",
        css=Markup(_css()),
        findings=provenance.findings_html(result),
        asked=provenance.facts_html(result.params),
        model=provenance.model_html(result),
        provenance=provenance.provenance_html(result, checked=True),
        command=provenance.code_html(commands.command_line(result), "command"),
        python=provenance.code_html(provenance.python_lines(result), "Python lines"),
        mark=Markup(style.MARK),
        sections=sections,
        not_shown="; ".join(not_shown),
        tables=tables,
        items=Markup(_safe_json(items)),
        always=Markup(style.script("tables.js") + style.script("print.js")),
        drawing=Markup(style.script("pictures.js") + style.script("report.js")),
        bokeh=Markup(_bokeh_script()) if items else "",
    )
    return page


def _safe_json(items: list[dict[str, Any]]) -> str:
    """The pictures as JSON that is safe inside a script element: neither an end tag nor a
    comment can stand in it.
    """
    return json.dumps(items).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _bokeh_script() -> str:
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


@cache
def _css() -> str:
    """The shared look, with its dark colours under the reader's own setting (there is no switch
    in a file).
    """
    shared = style.css()
    dark = re.search(r':root\[data-theme="dark"\] \{(.*?)\n\}', shared, re.S)
    night = (
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{{dark.group(1)}\n}} }}"
        if dark
        else ""
    )
    parts = [shared, night, CSS.replace(":host", "body"), provenance.CSS]
    return "\n".join([*parts, (style.STATIC / "report.css").read_text(encoding="utf-8")])


@cache
def _template() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(style.TEMPLATES), autoescape=True, trim_blocks=True
    ).get_template("report.html")
