"""The third tab of the Playground: one prompt, looked at from inside; the run's Explorer opens below the form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from ui import parts
from ui.desk import Desk
from ui.jobs import Job
from ui.theme import PLAIN, QUIET
from workbench import registry
from workbench.errors import NotFound, WorkbenchError

ANALYSIS = "inside"
_CANCEL = (
    "element.addEventListener('click', (event) => { const button = event.target.closest('[data-cancel]');"
    " if (button) { button.disabled = true; trigger('cancel', { id: button.dataset.cancel }); } });"
)


@dataclass(frozen=True)
class TraceTab:
    """What the rest of the page needs: `fit` says, for the outputs `fits`, what can be chosen once there is a model."""

    fits: list[Any]
    fit: Callable[[], list[Any]]


def build(desk: Desk) -> TraceTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    fields = registry.get(ANALYSIS).Params.model_fields
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            prompt = gr.Textbox(
                fields["prompt"].default,
                label="Prompt",
                info="At most 256 tokens",
                lines=3,
                max_lines=12,
                elem_id="trace-prompt",
            )
            with gr.Row():
                short: dict[str, Any] = {"min_width": 140, "max_lines": 1}
                answer = gr.Textbox("", label="Answer", info="Empty: the model's own next token", elem_id="trace-answer", **short)
                other = gr.Textbox(
                    "", label="Other answer", info="Then the difference of the two", elem_id="trace-other", **short
                )
            sites = gr.Dropdown(
                [],
                value=[],
                multiselect=True,
                label="Further sites to keep whole",
                info="Patterns, streams, heads and neurons are always looked at; these go into the run as arrays.",
                elem_id="trace-sites",
            )
            button = gr.Button("Look inside", variant="primary", elem_id="trace-run")
        with gr.Column(scale=7, min_width=300):
            trouble = gr.HTML("", elem_id="trace-trouble", **PLAIN)
            shown = gr.HTML(_EMPTY, elem_id="trace-job", js_on_load=_CANCEL, **PLAIN)
    frame = gr.HTML("", elem_id="trace-explorer", **PLAIN)
    mine = gr.State("")
    clock = gr.Timer(0.5, active=False)

    def start(prompt_: str | None, answer_: str | None, other_: str | None, sites_: list[str] | None) -> list[Any]:
        asked = {"prompt": prompt_ or "", "answer": answer_ or "", "other": other_ or "", "sites": sites_ or []}
        try:
            job = desk.jobs.submit(ANALYSIS, asked)
        except WorkbenchError as problem:
            return [gr.skip(), gr.skip(), parts.error(problem), gr.skip(), gr.skip()]
        return [job.id, parts.jobs_html([job]), "", "", gr.Timer(active=True)]

    def tick(job_id: str) -> list[Any]:
        try:
            job = desk.jobs.get(job_id)
        except NotFound as problem:
            return [gr.skip(), parts.error(problem), gr.skip(), gr.Timer(active=False)]
        # Read before its state is shown: what ends in between is then shown by the next tick.
        over = job.finished.is_set()
        return [parts.jobs_html([job]), "", _explorer(job) if over else gr.skip(), gr.Timer(active=not over)]

    def cancel(event: gr.EventData) -> str:
        try:
            desk.jobs.cancel(str(event._data.get("id", "")))
        except NotFound as problem:
            return parts.error(problem)
        return ""

    def fit() -> list[Any]:
        model = desk.slot.model
        return [gr.skip()] if model is None else [gr.Dropdown(choices=site_choices(model))]

    button.click(start, [prompt, answer, other, sites], [mine, shown, trouble, frame, clock], **QUIET)
    clock.tick(tick, mine, [shown, trouble, frame, clock], queue=False, **QUIET)
    shown.cancel(cancel, None, trouble, **QUIET)
    return TraceTab([sites], fit)


def site_choices(model: Any) -> list[tuple[str, str]]:
    """The model's sites, with what they are."""
    table = model.sites()
    return [(f"{site}: {says}", str(site)) for site, says in table["says"].items()]


def _explorer(job: Job) -> str:
    if job.run_id is None:
        return ""
    address = "/explorer?" + urlencode({"run": job.run_id})
    return (
        f'<iframe style="{_LOOK}" src="{escape(address)}" title="What happens inside the model: the run in the Explorer"'
        "></iframe>"
    )


_LOOK = "width:100%;height:min(1400px,92vh);border:1px solid var(--wb-line);border-radius:var(--wb-radius)"
_EMPTY = (
    '<div class="wb try-empty"><p><strong>Nothing was looked at yet.</strong> Press <b>Look inside</b>: attention patterns, the'
    " logit lens, what each head writes, norms and neurons appear below, and are kept as a run.</p></div>"
)
