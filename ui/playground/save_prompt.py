"""A button in *Try a prompt* that keeps what is shown as a run of the analysis `intervention`. It
is measured again, which gives the same answers: so the run has its command and its provenance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

import gradio as gr

from ui.app_state import AppState
from ui.jobs import Job
from ui.playground import html_parts
from ui.playground.prompt_stream import PromptRequest
from ui.playground.theme import PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError

ANALYSIS = "intervention"


class SavePrompt:
    """The button and the line beside it; call it where they stand, and `wire` once the page is
    there.
    """

    def __init__(self) -> None:
        with gr.Row(elem_classes="save-prompt"):
            self._button = gr.Button(
                "Save as a run", size="sm", scale=0, min_width=150, elem_id="save-prompt"
            )
            self._said = gr.HTML("", elem_id="saved-prompt", **PLAIN)

    def wire(self, app: AppState, request: Sequence[Any]) -> None:
        """Save what the components of `request` (see `prompt_tab._Page.request`) hold."""

        def save(*raw: Any) -> Iterator[str]:
            *values, _ = raw  # without when it was asked
            try:
                job = app.jobs.submit(ANALYSIS, params(PromptRequest.of_page(*values)))
            except WorkbenchError as problem:
                yield html_parts.error(problem)
                return
            while not job.finished.wait(0.3):
                yield html_parts.status_line(f"Saving: {job.says}", busy=True)
            yield _saved(job)

        self._button.click(save, list(request), self._said, concurrency_limit=4, **QUIET)


def params(request: PromptRequest) -> dict[str, Any]:
    """Parameters of the run from what stands on the page.

    Raises:
        BadInput: there is no prompt.
    """
    if not request.prompt.strip():
        raise BadInput("There is nothing to save.", "a prompt", "Type one, or choose an example.")
    return {
        "prompt": request.prompt,
        "chat": request.chat,
        "memory": request.memory,
        "context": request.context,
        "heads": sorted(request.off),
        "run": request.run or "",
        "control": request.control or "",
        "value": float(request.value or 0),
        "length": request.length,
    }


def _saved(job: Job) -> str:
    if job.run_id is None:
        return html_parts.error(job.error or WorkbenchError(job.says, do="Save it again."))
    explore = "../explorer?" + urlencode({"run": job.run_id})
    report = f"../runs/{quote(job.run_id, safe='')}/report.html"
    return (
        '<p class="wb note-line" role="status">Saved.'
        f' <a href="{escape(explore)}">Open in Explorer</a> ·'
        f' <a href="{escape(report)}" target="_blank" rel="noopener">Report</a></p>'
    )
