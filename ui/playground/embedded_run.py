"""A run that is asked for by a form of its own and opens below it: the machinery that such tabs
of the Playground share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from ui.app_state import AppState
from ui.jobs import Job
from ui.playground import html_parts, job_cards
from ui.playground.theme import PLAIN, QUIET
from workbench.errors import NotFound, WorkbenchError

_CANCEL = (
    "element.addEventListener('click', (event) => { const button ="
    " event.target.closest('[data-cancel]'); if (button) { button.disabled = true;"
    " trigger('cancel', { id: button.dataset.cancel }); } });"
)
_LOOK = (
    "width:100%;height:min(1400px,92vh);border:1px solid"
    " var(--wb-line);border-radius:var(--wb-radius)"
)


class EmbeddedRun:
    """Progress beside a form, and the finished run's Explorer in a frame below it.

    Call it where the progress stands, `frame` where the run is to open, and `wire` once the form is
    there.

    Args:
        name: begins the ids of its elements.
        empty: what stands there before anything was asked, in one sentence of HTML.
        title: of the frame.
        view: the tab at which the run opens; "" is the first.
    """

    def __init__(self, app: AppState, name: str, empty: str, title: str, view: str = "") -> None:
        self._app, self._name, self._title, self._view = app, name, title, view
        self._error_box = gr.HTML("", elem_id=f"{name}-error-box", **PLAIN)
        start = f'<div class="wb try-empty"><p>{empty}</p></div>'
        self._shown = gr.HTML(start, elem_id=f"{name}-job", js_on_load=_CANCEL, **PLAIN)
        self._frame: Any = None
        self.job = gr.State("")
        """The id of the job that was asked for last."""
        self.run = gr.Textbox("", visible=False)
        """The id of the run that is open below, "" for none."""

    def frame(self) -> None:
        """Lay out the place where the run opens."""
        self._frame = gr.HTML("", elem_id=f"{self._name}-explorer", **PLAIN)

    def wire(
        self,
        button: Any,
        inputs: Sequence[Any],
        analysis: str,
        asked: Callable[..., dict[str, Any]],
    ) -> None:
        """The button asks `analysis` with the parameters that `asked` makes of the inputs; what
        that raises is shown.
        """
        mine, clock = self.job, gr.Timer(0.5, active=False)
        shown = [self._shown, self._error_box, self._frame, self.run, clock]

        def start(*values: Any) -> list[Any]:
            try:
                job = self._app.jobs.submit(analysis, asked(*values))
            except WorkbenchError as problem:
                return [gr.skip(), gr.skip(), html_parts.error(problem), *[gr.skip()] * 3]
            return [job.id, job_cards.jobs_html([job]), "", "", "", gr.Timer(active=True)]

        def tick(job_id: str) -> list[Any]:
            try:
                job = self._app.jobs.get(job_id)
            except NotFound as problem:
                error = html_parts.error(problem)
                return [gr.skip(), error, gr.skip(), gr.skip(), gr.Timer(active=False)]
            # Read before its state is shown: what ends in between is then shown by the next tick.
            over = job.finished.is_set()
            return [
                job_cards.jobs_html([job]),
                "",
                self._explorer(job) if over else gr.skip(),
                (job.run_id or "") if over else gr.skip(),
                gr.Timer(active=not over),
            ]

        def cancel(event: gr.EventData) -> str:
            try:
                self._app.jobs.cancel(str(event._data.get("id", "")))
            except NotFound as problem:
                return html_parts.error(problem)
            return ""

        button.click(start, list(inputs), [mine, *shown], **QUIET)
        clock.tick(tick, mine, shown, queue=False, **QUIET)
        self._shown.cancel(cancel, None, self._error_box, **QUIET)

    def _explorer(self, job: Job) -> str:
        if job.run_id is None:
            return ""
        view = {"view": self._view} if self._view else {}
        address = "../explorer?" + urlencode({"run": job.run_id, **view})
        return (
            f'<iframe style="{_LOOK}" src="{escape(address)}"'
            f' title="{escape(self._title)}"></iframe>'
        )
