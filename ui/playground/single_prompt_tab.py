"""A tab of the Playground for one prompt; the run's Explorer opens below the form."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.app_state import AppState
from ui.playground import chat as chats
from ui.playground.embedded_run import EmbeddedRun
from ui.playground.form_tab import FormTab
from ui.playground.prompt_test import PromptTestPanel
from workbench.playground import PromptForm
from workbench.registry import Analysis


def build(app: AppState, analysis: Analysis, form: PromptForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    fields = analysis.Params.model_fields
    boxes: dict[str, Any] = {}
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            boxes["prompt"] = gr.Textbox(
                fields["prompt"].default,
                label="Prompt",
                info=form.limit,
                lines=3,
                max_lines=12,
                elem_id=f"{form.tab}-prompt",
            )
            if "chat" in fields:
                boxes["chat"] = chats.chat_box(f"{form.tab}-chat")
            with gr.Row(visible="answer" in fields or "other" in fields):
                short: dict[str, Any] = {"min_width": 140, "max_lines": 1}
                if "answer" in fields:
                    boxes["answer"] = gr.Textbox(
                        "",
                        label="Answer",
                        info="Empty: the model's own",
                        elem_id=f"{form.tab}-answer",
                        **short,
                    )
                if "other" in fields:
                    boxes["other"] = gr.Textbox(
                        "",
                        label="Other answer",
                        info="Then the difference of the two",
                        elem_id=f"{form.tab}-other",
                        **short,
                    )
                if "subject" in fields:
                    boxes["subject"] = gr.Textbox(
                        "",
                        label="Subject",
                        info="Whom the question is about. Empty: it is looked for",
                        elem_id=f"{form.tab}-subject",
                        **short,
                    )
            if "sites" in fields:
                boxes["sites"] = gr.Dropdown(
                    [],
                    value=[],
                    multiselect=True,
                    label="Further sites to keep whole",
                    info=(
                        "Patterns, streams, heads and neurons are always looked at; these go into"
                        " the run as arrays."
                    ),
                    elem_id=f"{form.tab}-sites",
                )
            button = gr.Button(form.button, variant="primary", elem_id=f"{form.tab}-run")
        with gr.Column(scale=7, min_width=300):
            below = EmbeddedRun(app, form.tab, form.empty, form.frame, form.view)
    panel = PromptTestPanel(app, form) if form.test is not None else None
    below.frame()

    def params(*values: Any) -> dict[str, Any]:
        return {
            name: value if value is not None else _EMPTY[name]
            for name, value in zip(boxes, values, strict=True)
        }

    def fit() -> list[Any]:
        model = app.slot.model
        if model is None:
            return [gr.skip() for _ in fits]
        updates = {
            "sites": lambda: gr.Dropdown(choices=site_choices(model), value=[]),
            "chat": lambda: chats.for_model(model),
        }
        return [updates[name]() for name in fits]

    fits = [name for name in ("sites", "chat") if name in boxes]
    below.wire(button, list(boxes.values()), analysis.name, params)
    if panel is not None:
        panel.wire(below.run)
    return FormTab([boxes[name] for name in fits], fit)


_EMPTY: dict[str, Any] = dict.fromkeys(("prompt", "answer", "other", "subject"), "") | {
    "chat": False,
    "sites": [],
}


def site_choices(model: Any) -> list[tuple[str, str]]:
    """The model's sites, with what they are."""
    table = model.sites()
    return [(f"{site}: {says}", str(site)) for site, says in table["says"].items()]
