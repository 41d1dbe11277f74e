"""The second tab of the Playground: the questions, the form of the chosen one, and the queue of
runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ui import estimates
from ui.app_state import AppState
from ui.home import fragment
from ui.playground import forms, html_parts, job_cards, preset_buttons
from ui.playground.form_notes import FormNotes
from ui.playground.theme import PLAIN, QUIET
from ui.questions import groups_for, unavailable_reason
from workbench import registry
from workbench.errors import NotFound, WorkbenchError
from workbench.registry import Analysis

# A click on a question opens its form, and the focus goes there; the address keeps the choice.
_CHOOSE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-question]');
  if (!button) return;
  const name = button.dataset.question, address = new URL(location.href);
  name ? address.searchParams.set('analysis', name) : address.searchParams.delete('analysis');
  history.replaceState(null, '', address);
  trigger('choose', { name });
  const focus = (tries) => {
    const found = document.getElementById(name ? 'asked-' + name : 'questions');
    const target = name ? found?.querySelector('h2') : found?.querySelector('button');
    if (target?.offsetParent) { target.focus(); target.scrollIntoView({ block: 'nearest' }); }
    else if (tries) setTimeout(focus, 50, tries - 1);
  };
  focus(40);
});
"""
_CANCEL = (
    "element.addEventListener('click', (event) => { const button ="
    " event.target.closest('[data-cancel]'); if (button) { button.disabled = true;"
    " trigger('cancel', { id: button.dataset.cancel }); } });"
)
# On a narrow page the queue stands below the form: it comes into view when a run begins.
_TO_QUEUE = "() => { document.getElementById('jobs')?.scrollIntoView({ block: 'nearest' }); }"


@dataclass(frozen=True)
class AnalysisTab:
    """What the rest of the page needs.

    Attributes:
        columns: the list of questions, the form of each and what stands beside it, of which those
            of one are visible.
        choose: what they are when the analysis of a name is chosen; "" is the list.
        fits: outputs that depend on the model.
        fit: what they are once there is a model, or it cannot be loaded.
    """

    columns: list[Any]
    choose: Callable[[str], list[Any]]
    fits: list[Any]
    fit: Callable[[], list[Any]]


@dataclass(frozen=True)
class _Form:
    """The form of one analysis as it is laid out.

    Attributes:
        columns: the form, and what stands beside it.
        times: how long its presets take.
    """

    analysis: Analysis
    columns: list[Any]
    fields: list[forms.Field]
    run: Any
    why_not: Any
    body: Any
    presets: list[Any]
    times: Callable[[], list[Any]]
    heading: Any
    notes: FormNotes

    @property
    def components(self) -> list[Any]:
        return [field.component for field in self.fields]

    @property
    def parts(self) -> list[Any]:
        return [field.component for field in self.fields if field.name == "parts"]

    @property
    def fits(self) -> list[Any]:
        return [self.why_not, self.body, self.run, *self.parts, *self.presets]


def build(app: AppState) -> AnalysisTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    good, broken = registry.all_analyses()
    with gr.Row(elem_classes="ask-row"):
        asking = gr.Column(scale=6, min_width=320)
        beside = gr.Column(scale=7, min_width=320, elem_classes="queue-column")
        with asking:
            with gr.Column(elem_classes="question-column") as chooser:
                listed = gr.HTML(
                    _questions_html(None), elem_id="questions", js_on_load=_CHOOSE, **PLAIN
                )
                if broken:
                    gr.HTML(html_parts.broken_html(broken), **PLAIN)
            laid_out = [_form(app, analysis, beside) for analysis in good]
        with beside:
            error_box = gr.HTML("", elem_id="ask-error-box", **PLAIN)
            queue = gr.HTML(
                job_cards.jobs_html(app.jobs.recent()),
                elem_id="jobs",
                js_on_load=_CANCEL,
                **PLAIN,
            )
    columns = [chooser, *(column for form in laid_out for column in form.columns)]

    def choose(name: str) -> list[Any]:
        known = any(form.analysis.name == name for form in laid_out)
        return [
            gr.Column(visible=not known),
            *(
                gr.Column(visible=form.analysis.name == name)
                for form in laid_out
                for _ in form.columns
            ),
        ]

    def chosen(event: gr.EventData) -> list[Any]:
        return choose(str(event._data.get("name", "")))

    for clicked in (listed, *(form.heading for form in laid_out)):
        clicked.choose(chosen, None, columns, **QUIET)
    for form in laid_out:
        _wire(app, form, queue, error_box)

    def cancel(event: gr.EventData) -> list[str]:
        try:
            app.jobs.cancel(str(event._data.get("id", "")))
        except NotFound as problem:
            return [job_cards.jobs_html(app.jobs.recent()), html_parts.error(problem)]
        return [job_cards.jobs_html(app.jobs.recent()), ""]

    queue.cancel(cancel, None, [queue, error_box], **QUIET)
    # Jobs live on the server: every open page asks for the same list, so a reload or a second tab
    # shows the same.
    gr.Timer(1.0).tick(
        lambda: job_cards.jobs_html(app.jobs.recent()), None, queue, queue=False, **QUIET
    )

    def fit() -> list[Any]:
        updates = [_questions_html(app.slot.model)]
        return updates + [update for form in laid_out for update in _fit(app, form)]

    fits = [listed, *(output for form in laid_out for output in form.fits)]
    return AnalysisTab(columns, choose, fits, fit)


def _questions_html(model: Any) -> str:
    groups, _ = groups_for(model)
    body = fragment(
        "questions.html", groups=groups, ready=model is not None, buttons=True, home="../"
    )
    return f'<div class="wb questions">{body}</div>'


def _form(app: AppState, analysis: Analysis, beside: Any) -> _Form:
    """Lay out the form of one analysis, and `beside` it how its text will be cut, where that is
    in view.
    """
    name = analysis.name
    notes = FormNotes(app, analysis, name)
    with beside, gr.Column(visible=False, elem_classes="preview-column") as cut:
        notes.preview()
    with gr.Column(visible=False, elem_classes="form-column") as column:
        heading = gr.HTML(
            _heading_html(analysis), elem_id=f"asked-{name}", js_on_load=_CHOOSE, **PLAIN
        )
        why_not = gr.HTML("", elem_classes="why-not", **PLAIN)
        with gr.Column(elem_classes="form-body") as body:
            with gr.Column(elem_classes="preset-place") as place:
                pass
            with gr.Group(elem_classes="form"):
                fields = forms.build(analysis.Params, {"parts": estimates.part_choices(analysis)})
            with place:
                presets, times = (
                    preset_buttons.build(app, analysis, fields) if analysis.presets else ([], list)
                )
        with gr.Row(elem_classes="run-bar"):
            run = gr.Button("Run", variant="primary", elem_id=f"run-{name}", scale=0, min_width=130)
            notes.takes()
    return _Form(
        analysis, [column, cut], fields, run, why_not, body, presets, times, heading, notes
    )


def _heading_html(analysis: Analysis) -> str:
    gives = f'<p class="wb-muted">{escape(analysis.gives)}</p>' if analysis.gives else ""
    return (
        '<div class="wb asked"><button type="button" class="wb-button" data-question="">← All'
        f' questions</button><h2 tabindex="-1">{escape(analysis.question)}</h2>{gives}</div>'
    )


def _wire(app: AppState, form: _Form, queue: Any, error_box: Any) -> None:
    """Run asks, and whatever changes in the form changes what it says of the time."""

    def start(*raw: Any) -> list[str]:
        try:
            job = app.jobs.submit(form.analysis.name, forms.read(form.fields, raw))
        except WorkbenchError as problem:
            return [job_cards.jobs_html(app.jobs.recent()), html_parts.error(problem)]
        # So that the first picture shows it at work, and a very quick one done.
        job.finished.wait(0.1)
        return [job_cards.jobs_html(app.jobs.recent()), ""]

    begun = form.run.click(start, form.components, [queue, error_box], **QUIET)
    begun.then(None, None, None, js=_TO_QUEUE)
    form.notes.wire(form.components, lambda *raw: forms.read(form.fields, raw))


def _fit(app: AppState, form: _Form) -> list[Any]:
    """The form once there is a model: the reason in its place, or what each part takes."""
    analysis, model = form.analysis, app.slot.model
    reason = unavailable_reason(analysis, model)
    note = (
        html_parts.error(WorkbenchError(f"{app.slot.name} cannot answer this: {reason}"))
        if reason
        else ""
    )
    choices = gr.CheckboxGroup(choices=estimates.part_choices(analysis, model))
    return [
        note,
        gr.Column(visible=not reason),
        gr.Button(visible=not reason),
        *([choices] if form.parts else []),
        *form.times(),
    ]
