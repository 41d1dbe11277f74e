"""A Result in Jupyter: its views as live Panel widgets, and pictures for when no kernel or no
script runs.

The HTML of a cell holds both findings and still pictures; the live part is a second MIME type that
Jupyter prefers while a kernel is there. In a notebook saved as HTML the pictures stand below the
live part, folded once that has drawn itself, open where scripts are blocked.
"""

from __future__ import annotations

import base64
from itertools import islice
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ui.runs import provenance
from ui.runs.answer import question
from ui.runs.static_pictures import titled_pictures
from ui.web import style
from workbench import draw, registry
from workbench.draw.view import View, live_part, need_panel
from workbench.result import Result

MOST_PICTURES = 8
"""A saved notebook should stay small: about 25 KB a picture."""


def mimebundle(result: Result) -> Any:
    """What `Result._repr_mimebundle_` gives to Jupyter."""
    data: dict[str, Any] = {"text/plain": repr(result), "text/html": str(still(result))}
    metadata: dict[str, Any] = {}
    if _in_jupyter():
        live_data, metadata = _live(result)
        own = live_data.get("text/html", "")
        data = {
            **live_data,
            "text/plain": repr(result),
            "text/html": f"{own}{still(result, folds=True)}",
        }
    return data, metadata


def explore(result: Result | str | Path) -> Any:
    """The whole Explorer for one result (or a run's folder or id) as a Panel object."""
    from ui.explorer.page import Explorer
    from workbench.runs import open_run

    opened = result if isinstance(result, Result) else open_run(result)
    return need_panel().panel(Explorer(result=opened))


def still(result: Result, *, folds: bool = False) -> Markup:
    """Findings and pictures as HTML without any script behind them.

    Args:
        folds: hide the pictures once live plots have drawn themselves beside them.
    """
    pictures = Markup("").join(
        Markup(
            '<figure><figcaption>{}</figcaption><img alt="{}"'
            ' src="data:image/png;base64,{}"></figure>'
        ).format(title, title, base64.b64encode(data).decode())
        for title, data in islice(titled_pictures(result, "png"), MOST_PICTURES)
    )
    # Without scripts nothing removes `open`: the pictures are simply there.
    script = Markup("<script>{}</script>").format(Markup(_FOLD)) if folds else ""
    return Markup(
        '<style>{}{}</style><div class="wb-result"><h3>{}</h3><p class="wb-says'
        ' wb-small">{}</p>{}<details open'
        ' class="wb-pictures"><summary>Pictures</summary><div>{}</div></details>{}</div>'
    ).format(
        Markup(provenance.CSS),
        Markup(_LOOK),
        question(result),
        result.title,
        provenance.findings_html(result),
        pictures,
        script,
    )


_LOOK = """
.wb-result{font:15px/1.5 system-ui,sans-serif;color:inherit}
.wb-result h3{margin:8px 0 2px}
.wb-result figure{display:inline-block;margin:6px 14px 6px 0;vertical-align:top}
.wb-result figcaption{font-size:13px;opacity:.8}
.wb-result img{max-width:100%;height:auto}
.wb-result summary{cursor:pointer;margin:10px 0 4px}
"""
_FOLD = """
(() => {
  const mine = document.currentScript && document.currentScript.parentNode;
  let tries = 0;
  const look = setInterval(() => {
    const cell = mine && mine.parentNode;
    const roots = cell ? [...cell.querySelectorAll("[data-root-id]")] : [];
    const drawn = roots.some((root) => root.childElementCount || root.shadowRoot);
    if (drawn) mine.querySelector("details.wb-pictures").open = false;
    if (drawn || ++tries > 60) clearInterval(look);
  }, 500);
})();
"""


def _in_jupyter() -> bool:
    """Whether a notebook front end listens: in a terminal's IPython and in plain Python there is
    nobody to talk to.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def _live(result: Result) -> tuple[dict[str, Any], dict[str, Any]]:
    """The views as tabs, the way Panel shows itself in this notebook."""
    need_panel()
    widget = tabs(result)
    bundle = widget._repr_mimebundle_()
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    return dict(data or {}), dict(metadata or {})


def tabs(result: Result) -> Any:
    """The views as Panel tabs; only the one that is looked at is computed."""
    pn = need_panel()
    try:
        views = registry.get(result.analysis).views(result)
    except (
        Exception
    ) as error:  # whatever a third party's views raise, the notebook cell shows the rest
        return live_part(
            draw.empty_state(
                f"The pictures of {result.analysis!r} cannot be drawn here.", str(error)
            )
        )
    shown: list[tuple[str, Any]] = []
    for title, view in views.items():
        if isinstance(view, View) and view.why_not:
            continue
        try:
            shown.append((str(title), live_part(view)))
        except Exception as error:  # one broken view must not cost the others
            shown.append(
                (
                    str(title),
                    live_part(
                        draw.empty_state(
                            f"The view {title!r} cannot be drawn.",
                            f"{type(error).__name__}: {error}",
                        )
                    ),
                )
            )
    return pn.Tabs(*shown, dynamic=True, stylesheets=[style.css()])
