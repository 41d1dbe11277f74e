"""The report: one HTML file that needs neither network nor Python.

It holds the still form of every view: pictures that hover (bokeh, its script inlined once), token strips, tables. It
follows the reader's light or dark setting and prints. All text is escaped; JSON inside a script cannot end it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ui import provenance, style
from workbench import draw, registry
from workbench.draw import style as drawing
from workbench.draw.view import Row, Table, View, still_parts
from workbench.errors import WorkbenchError
from workbench.result import Result

TEMPLATES = Path(__file__).parent / "templates"
MAX_ROWS = 400
"""Rows of a table that the report shows; it says so when there are more."""
MAX_CELL = 300


def write(result: Result, path: str | Path, force: bool = False) -> Path:
    """Write the report; whole or not at all.

    Raises:
        WorkbenchError: the file exists (and not `force`), or cannot be written.
    """
    target = Path(path)
    if target.exists() and not force:
        raise WorkbenchError(
            f"{target} exists already.", "a new file name", "Choose another -o, or allow overwriting with --force."
        )
    text = html(result)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(prefix=".writing-", suffix=".html", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(work, 0o644)
            os.replace(work, target)
        finally:
            Path(work).unlink(missing_ok=True)
    except OSError as error:
        raise WorkbenchError(
            f"The report could not be written to {target}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Choose another place with -o FILE.html, or make room.",
        ) from error
    return target


def html(result: Result) -> str:
    """The whole report as text."""
    page = _Page()
    sections = [{"title": title, "id": f"view-{i}", "body": body} for i, (title, body) in enumerate(_views(result, page))]
    tables = [(name, page.table(Table(frame, name.replace("_", " ")), fold=True)) for name, frame in result.tables.items()]
    return _template().render(
        result=result,
        css=Markup(_css()),
        findings=provenance.findings_html(result),
        asked=provenance.facts_html(result.params),
        model=provenance.model_html(result),
        provenance=provenance.provenance_html(result),
        command=provenance.code_html(provenance.command_line(result), "command"),
        python=provenance.code_html(provenance.python_lines(result), "Python lines"),
        mark=Markup(style.MARK),
        sections=sections,
        tables=tables,
        items=Markup(page.items_json()),
        bokeh=Markup(_bokeh_script()) if page.items else "",
    )


def _views(result: Result, page: _Page) -> list[tuple[str, Markup]]:
    try:
        views = registry.get(result.analysis).views(result)
    except Exception as error:  # an analysis may not be installed here, or be a third party's: the rest is still a report
        return [("Pictures", _sorry(f"The pictures of {result.analysis!r} cannot be drawn here.", error))]
    done = []
    for title, view in views.items():
        if isinstance(view, View) and view.why_not:
            done.append((str(title), draw.says(f"Not shown: {view.why_not}.", small=True)))
            continue
        try:
            done.append(
                (str(title), Markup("\n").join(page.part(part) for part in still_parts(view) if not _is_copy(part, result)))
            )
        except Exception as error:  # one broken view must not cost the others
            done.append((str(title), _sorry(f"The view {title!r} cannot be drawn.", error)))
    return done


def _is_copy(part: Any, result: Result) -> bool:
    """A table of the run itself, which the report holds once, under Tables."""
    return isinstance(part, Table) and any(part.frame is frame for frame in result.tables.values())


def _sorry(what: str, error: Exception) -> Markup:
    return draw.note(what, error.what if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}")


class _Page:
    """Collects the pictures of one report."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def part(self, part: Any) -> Markup:
        """Any still part as HTML."""
        if isinstance(part, Row):
            return Markup('<div class="wb-row">{}</div>').format(Markup("").join(self.part(p) for p in part.parts))
        if isinstance(part, Table):
            return self.table(part, fold=len(part.frame) > 12)
        if isinstance(part, str):
            return part if isinstance(part, Markup) else draw.says(part)
        return self._picture(part)

    def _picture(self, element: Any) -> Markup:
        import holoviews as hv
        from bokeh.core.types import ID
        from bokeh.embed import json_item

        drawing.load()
        place = f"picture-{len(self.items)}"
        figure = hv.renderer("bokeh").get_plot(element).state
        self.items.append(dict(json_item(figure, ID(place))))
        height = int(figure.height or 300)
        return Markup('<div class="wb-figure" id="{}" style="min-height:{}px"></div>').format(place, height)

    def table(self, table: Table, *, fold: bool) -> Markup:
        """A table; its headings sort it."""
        frame = table.frame.head(MAX_ROWS)
        head = Markup("").join(Markup("<th><button>{}</button></th>").format(str(c).replace("_", " ")) for c in frame.columns)
        numeric = [frame[c].dtype.kind in "iuf" for c in frame.columns]
        rows = Markup("\n").join(
            Markup("<tr>{}</tr>").format(
                Markup("").join(
                    Markup('<td class="n">{}</td>' if n else "<td>{}</td>").format(_cell(v))
                    for v, n in zip(row, numeric, strict=True)
                )
            )
            for row in frame.itertuples(index=False, name=None)
        )
        more = draw.says(f"The first {MAX_ROWS} of {len(table.frame)} rows.", small=True) if len(table.frame) > MAX_ROWS else ""
        body = Markup(
            '<div class="wb-scroll"><table class="wb-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}'
        ).format(head, rows, more)
        caption = table.caption or "Table"
        if not fold:
            return Markup("{}{}").format(draw.says(table.caption) if table.caption else "", body)
        return Markup('<details class="wb-fold"><summary>{} <span class="wb-small">{} rows</span></summary>{}</details>').format(
            caption, len(table.frame), body
        )

    def items_json(self) -> str:
        """The pictures as JSON that is safe inside a script element: neither an end tag nor a comment can stand in it."""
        return json.dumps(self.items).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value).replace("\n", " ↵ ")
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


@cache
def _bokeh_script() -> str:
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


@cache
def _css() -> str:
    """The shared look, with its dark colours under the reader's own setting (there is no switch in a file)."""
    shared = style.css()
    dark = re.search(r':root\[data-theme="dark"\] \{(.*?)\n\}', shared, re.S)
    night = f"@media screen and (prefers-color-scheme: dark) {{ :root {{{dark.group(1)}\n}} }}" if dark else ""
    parts = [shared, night, drawing.sheet("widgets.css").replace(":host", "body"), provenance.CSS]
    return "\n".join([*parts, (style.STATIC / "report.css").read_text(encoding="utf-8")])


@cache
def _template() -> Any:
    import jinja2

    return jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True).get_template(
        "report.html"
    )
