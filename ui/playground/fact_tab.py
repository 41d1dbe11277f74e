"""A tab of the Playground for one fact: it is changed by a run, whose Explorer opens below; then
anything is asked of the original and of the changed model side by side, and the change is dialled
down to nothing.
"""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

import workbench as wb
from ui.app_state import AppState
from ui.playground import html_parts
from ui.playground.embedded_run import EmbeddedRun
from ui.playground.form_tab import FormTab
from ui.playground.theme import PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError
from workbench.playground import FactForm
from workbench.registry import Analysis, Control

_TOKENS = 24
_ABREAST = "display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(240px,1fr))"
_CARD = "padding:12px 16px"
_ASK = "Anything: a question about the fact, or about something else"


def build(app: AppState, analysis: Analysis, form: FactForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=5, min_width=300):
            prompt = gr.Textbox(
                form.prompt,
                label="Sentence",
                info="The answer follows it; {subject} stands for the name",
                max_lines=3,
                elem_id=f"{form.tab}-prompt",
            )
            with gr.Row():
                subject = gr.Textbox(
                    form.subject,
                    label="Subject",
                    max_lines=1,
                    min_width=140,
                    elem_id=f"{form.tab}-subject",
                )
                answer = gr.Textbox(
                    form.answer,
                    label="New answer",
                    max_lines=1,
                    min_width=140,
                    elem_id=f"{form.tab}-answer",
                )
            methods = list(form.methods.items())
            method = gr.Radio(
                methods, value=methods[0][1], label="Method", elem_id=f"{form.tab}-method"
            )
            button = gr.Button(form.button, variant="primary", elem_id=f"{form.tab}-run")
            question = gr.Textbox(
                "",
                label="Then ask",
                info=_ASK,
                max_lines=4,
                elem_id=f"{form.tab}-question",
            )
            share = gr.Slider(
                0.0,
                1.0,
                value=1.0,
                step=0.05,
                label="How much of the change is on",
                info="0 is undone: the model as it was, bit for bit",
                elem_id=f"{form.tab}-share",
            )
            ask = gr.Button("Ask both", elem_id=f"{form.tab}-ask")
        with gr.Column(scale=7, min_width=300):
            below = EmbeddedRun(app, form.tab, form.empty, form.frame, form.view)
            error_box = gr.HTML("", elem_id=f"{form.tab}-ask-error", **PLAIN)
            said = gr.HTML("", elem_id=f"{form.tab}-said", **PLAIN)
    below.frame()

    def params(subject: str, prompt: str, answer: str, method: str) -> dict[str, Any]:
        return form.params((subject or "").strip(), prompt or "", (answer or "").strip(), method)

    below.wire(button, [subject, prompt, answer, method], analysis.name, params)

    def both(job: str, question: str | None, share: float, subject: str, prompt: str) -> list[Any]:
        text = (question or "").strip() or (prompt or "").replace("{subject}", subject or "")
        try:
            control = _control_of(app, analysis, job)
            return ["", _side_by_side(app, control, text.rstrip(), share)]
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip()]

    gr.on(
        [ask.click, question.submit, share.release],
        both,
        [below.job, question, share, subject, prompt],
        [error_box, said],
        **QUIET,
    )
    return FormTab()


def _control_of(app: AppState, analysis: Analysis, job_id: str) -> Control:
    """From the original to the changed model, of the run that was asked for last.

    Raises:
        BadInput: there is no such run yet.
    """
    job = app.jobs.get(job_id) if job_id else None
    if job is None or job.run_id is None:
        raise BadInput(
            "No fact is changed yet.",
            "a change to ask about",
            "Fill in the fact, change it, and wait until the run is finished.",
        )
    controls = analysis.controls(wb.open_run(job.run_id, app.root))
    if not controls:
        raise BadInput(
            "This run holds no change.", "a run that was not stopped", "Change the fact again."
        )
    return next(iter(controls.values()))


def _side_by_side(app: AppState, control: Control, text: str, share: float) -> str:
    """What both models go on with, and how likely their next tokens are."""
    model = app.slot.need()
    with model.lock:
        before = _said(model, text)
        with control(model, share):
            after = _said(model, text)
    if share == 0:
        alike = "Undone: both are the same model."
    else:
        alike = "Both say the same." if before[0] == after[0] else "They differ."
    cells = "".join(
        f'<div class="wb-card" style="{_CARD}"><h4>{escape(title)}</h4>'
        f'<p dir="auto"><span class="wb-muted">'
        f"{escape(text)}</span><strong>{escape(says)}</strong></p>"
        f'<p class="wb-muted">{escape(tokens)}</p></div>'
        for title, (says, tokens) in (
            ("The original", before),
            (f"{control.label}, {share:.0%} on", after),
        )
    )
    return (
        f'<div class="wb" role="status"><p>{alike}</p><div style="{_ABREAST}">{cells}</div></div>'
    )


def _said(model: Any, text: str) -> tuple[str, str]:
    """The continuation, and the three likeliest next tokens."""
    likely = model.next_tokens(text, k=3)
    listed = ", ".join(
        f"“{row.token}” {row.probability:.0%}" for row in likely.itertuples(index=False)
    )
    return model.generate(text, max_new_tokens=_TOKENS), f"Next: {listed}"
