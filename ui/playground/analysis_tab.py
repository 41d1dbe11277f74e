"""The second tab of the Playground: a question, its form, and the queue of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import gradio as gr

from ui.app_state import AppState
from ui.home import questions_for
from ui.playground import estimates, forms, html_parts
from ui.playground.theme import AT_ONCE, PLAIN, QUIET
from workbench import registry
from workbench.errors import NotFound, WorkbenchError
from workbench.parts import PAPER
from workbench.registry import Analysis


@dataclass(frozen=True)
class AnalysisTab:
    """What the rest of the page needs: the choice, the forms by analysis, and which are visible for
    a choice.

    `fit` says, for the outputs `fits`, which questions the model cannot answer, once there is a
    model.
    """

    choice: Any
    forms: dict[str, Any]
    choose: Callable[[str], list[Any]]
    fits: list[Any]
    fit: Callable[[], list[Any]]


def _parts_of(fields: Sequence[forms.Field]) -> list[Any]:
    return [field.component for field in fields if field.name == "parts"]


def _presets(app: AppState, analysis: Analysis, fields: list[forms.Field]) -> None:
    """Two buttons: the parts that a run has by default, and all parts at the sizes of the paper."""
    preset = analysis.presets[PAPER]
    changed = [field for field in fields if field.name in {"parts", *preset}]
    default = [analysis.Params.model_fields[field.name].get_default() for field in changed]

    def paper(*raw: Any) -> list[Any]:
        names = {field.name for field in changed}
        rest = {k: v for k, v in forms.read(fields, raw).items() if k not in names}
        values = analysis.preset(PAPER, app.slot.model, rest)
        return [values.get(field.name, old) for field, old in zip(changed, default, strict=True)]

    outputs = [field.component for field in changed]
    with gr.Row(elem_classes="presets"):
        gr.Button("Default parts", size="sm").click(lambda: default, None, outputs, **QUIET)
        gr.Button("All parts, sizes of the paper", size="sm").click(
            paper, [field.component for field in fields], outputs, **QUIET
        )


def _say_time(app: AppState, analysis: Analysis, fields: list[forms.Field], takes: Any) -> None:
    """Say how long the run takes, again whenever the form changes."""

    def say(*raw: Any) -> str:
        try:
            return estimates.line(analysis, app.slot.model, forms.read(fields, raw))
        except WorkbenchError:  # a field that is being typed; its own message comes with Run
            return ""

    components = [field.component for field in fields]
    gr.on(
        [component.change for component in components],
        say,
        components,
        takes,
        trigger_mode="always_last",
        **AT_ONCE,
    )


def build(app: AppState) -> AnalysisTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    good, broken = registry.all_analyses()
    first = good[0].name if good else None
    groups: dict[str, Any] = {}
    starts: list[tuple[str, Any, list[forms.Field]]] = []
    fits: list[Any] = []
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=320):
            choice = gr.Radio(
                [(a.question, a.name) for a in good],
                value=first,
                label="Question",
                elem_id="question",
            )
            for analysis in good:
                with gr.Column(visible=analysis.name == first, elem_classes="form-column") as group:
                    why_not = gr.HTML("", elem_classes="why-not", **PLAIN)
                    with gr.Group(elem_classes="form") as form:
                        fields = forms.build(
                            analysis.Params, {"parts": estimates.part_choices(analysis)}
                        )
                    if analysis.parts:
                        _presets(app, analysis, fields)
                    button = gr.Button("Run", variant="primary", elem_id=f"run-{analysis.name}")
                    takes = gr.HTML("", elem_id=f"takes-{analysis.name}", **PLAIN)
                    _say_time(app, analysis, fields, takes)
                starts.append((analysis.name, button, fields))
                fits += [why_not, form, button, takes, *_parts_of(fields)]
                groups[analysis.name] = group
            if broken:
                gr.HTML(html_parts.broken_html(broken), **PLAIN)
        with gr.Column(scale=7, min_width=320):
            error_box = gr.HTML("", elem_id="ask-error-box", **PLAIN)
            queue = gr.HTML(
                html_parts.jobs_html(app.jobs.recent()),
                elem_id="jobs",
                **PLAIN,
                js_on_load=(
                    "element.addEventListener('click', (event) => { const button ="
                    " event.target.closest('[data-cancel]'); if (button) { button.disabled = true;"
                    " trigger('cancel', { id: button.dataset.cancel }); } });"
                ),
            )

    def choose(name: str) -> list[Any]:
        return [gr.Column(visible=name == one) for one in groups]

    choice.input(choose, choice, list(groups.values()), **QUIET)

    def fit() -> list[Any]:
        updates: list[Any] = []
        for question in questions_for(app.slot.model)[0]:
            note = (
                html_parts.error(
                    WorkbenchError(f"{app.slot.name} cannot answer this: {question.unavailable}")
                )
                if question.unavailable
                else ""
            )
            updates += [
                note,
                gr.Group(visible=not question.unavailable),
                gr.Button(visible=not question.unavailable),
                *times(question.name, app.slot.serial),
            ]
        return updates

    @cache
    def times(name: str, serial: int) -> list[Any]:
        """How long the run with the defaults takes on that model, and each of its parts."""
        analysis, model = registry.get(name), app.slot.model
        update = gr.CheckboxGroup(choices=estimates.part_choices(analysis, model))
        return [estimates.line(analysis, model, {}), *([update] if analysis.parts else [])]

    def start(analysis: str, fields: list[forms.Field], raw: Sequence[Any]) -> list[str]:
        try:
            job = app.jobs.submit(analysis, forms.read(fields, raw))
        except WorkbenchError as problem:
            return [html_parts.jobs_html(app.jobs.recent()), html_parts.error(problem)]
        job.finished.wait(
            0.1
        )  # so that the first picture shows it at work, and a very quick one done
        return [html_parts.jobs_html(app.jobs.recent()), ""]

    for name, button, fields in starts:
        button.click(
            lambda *raw, name=name, fields=fields: start(name, fields, raw),
            [field.component for field in fields],
            [queue, error_box],
            **QUIET,
        )

    def cancel(event: gr.EventData) -> list[str]:
        try:
            app.jobs.cancel(str(event._data.get("id", "")))
        except NotFound as problem:
            return [html_parts.jobs_html(app.jobs.recent()), html_parts.error(problem)]
        return [html_parts.jobs_html(app.jobs.recent()), ""]

    queue.cancel(cancel, None, [queue, error_box], **QUIET)
    # Jobs live on the server: every open page asks for the same list, so a reload or a second tab
    # shows the same.
    gr.Timer(1.0).tick(
        lambda: html_parts.jobs_html(app.jobs.recent()), None, queue, queue=False, **QUIET
    )
    return AnalysisTab(choice, groups, choose, fits, fit)
